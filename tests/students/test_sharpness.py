"""Sharpness: differences of an independent gradient, the types of minima, its ends.

The Hessian itself is that of ``two_layer.gradient``, tested there.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax.students import minima
from lmc_jax.students.sharpness import _largest_eigenvalue, sharpness
from lmc_jax.theory import stability

M, D, K = 6, 4, 3
NORMAL = np.random.default_rng(0).normal(size=(M, D))
# Not where sums of neurons are kinks of the loss: there differences see a slope.
STUDENTS = {
    "ordinary": NORMAL,
    "small": 1e-3 * NORMAL,  # negative curvature 1/|w| that the largest is not
    "large": 30 * NORMAL,
    "some zero": NORMAL * np.array([1, 0, 1, 1, 0, 1])[:, None],
    "one neuron": NORMAL * (np.arange(M) == 2)[:, None],
}


def differences(W, step=1e-6):
    """Hessian [m d, m d] by central differences of the gradient from angles."""
    hessian = np.zeros((*W.shape, *W.shape))
    for i, j in np.ndindex(W.shape):
        if not W[i].any():
            continue  # no block
        shift = np.zeros_like(W)
        shift[i, j] = step * np.linalg.norm(W[i])
        up, down = oracles.gradient(W + shift, K), oracles.gradient(W - shift, K)
        hessian[i, j] = (up - down) / (2 * shift[i, j])
    return hessian.reshape(W.size, W.size)


@functools.cache
def compiled(k):
    return jax.jit(jax.vmap(functools.partial(sharpness, k=k)))


def of(students):
    """Sharpness of students [n, M, D], in batches of one size, compiled once."""
    batch = jnp.resize(jnp.asarray(students), (8, M, D))
    return np.asarray(compiled(K)(batch))[: len(students)]


def test_sharpness_against_differences():
    found = of(np.stack([*STUDENTS.values()]))
    for value, W in zip(found, STUDENTS.values(), strict=True):
        expected = np.linalg.eigvalsh(differences(W))
        slack = 1e-7 * np.abs(expected).max()  # of the differences
        assert abs(value - expected[-1]) <= slack


@pytest.mark.parametrize(
    ("k", "beyond"), [(1, 0), (5, 2), pytest.param(10, 0, marks=pytest.mark.slow)]
)
def test_sharpness_at_sampled_minima_follows_from_the_types(k, beyond):
    """``beyond``: inputs that the teacher does not see."""
    size = 4 * k + 2
    widths = np.resize(np.arange(k, size + 1, dtype=np.int32), 48)
    keys = jax.random.split(jax.random.key(k), len(widths))
    sample = functools.partial(minima.sample, k=k, d=k, size=size)
    W = np.asarray(jax.jit(jax.vmap(sample))(keys, widths))
    counts = (W > 0).sum(axis=1)
    np.testing.assert_array_equal(counts.sum(axis=1), widths)
    expected = stability.gauss_newton_sharpness(counts)
    wide = np.pad(W, [(0, 0), (0, 0), (0, beyond)])
    np.testing.assert_allclose(compiled(k)(wide), expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("noise", [1e-16, 1e-15, 1e-13, 1e-11])
def test_neurons_parallel_up_to_rounding_off_the_axes(noise):
    rng = np.random.default_rng(3)
    base = rng.normal(size=(3, D))
    split = np.concatenate([0.3 * base, 0.7 * base])
    near = split * (1 + noise * rng.normal(size=split.shape))
    exact, found = of(np.stack([split, near]))
    assert abs(found / exact - 1) < 1e-7


def test_places_of_zero_rows_do_not_matter(dtype):
    places = [[0, 1, 2, 3], [2, 3, 4, 5], [0, 2, 3, 5]]
    W = np.zeros((3, M, D))
    for student, rows in zip(W, places, strict=True):
        student[rows] = NORMAL[:4]
    expected = np.linalg.eigvalsh(differences(W[0]))[-1]
    rtol = 1e-7 + 64 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(of(jnp.asarray(W, dtype)), expected, rtol=rtol)


def test_largest_eigenvalue_of_tridiagonal_matrices(dtype):
    """Of every scale and sign, and coupled so weakly that eigenvalues are copies."""
    rng = np.random.default_rng(4)
    diagonal = rng.normal(size=(300, 20)) * 10.0 ** rng.integers(-3, 3, (300, 20))
    diagonal[::3] = np.resize(diagonal[0, :4], 20) - 5  # copies, all negative or not
    side = rng.normal(size=(300, 19)) * 10.0 ** rng.integers(-15, 2, (300, 19))
    side[rng.random(side.shape) < 0.1] = 0
    diagonal, side = diagonal.astype(dtype), side.astype(dtype)
    found = jax.jit(jax.vmap(_largest_eigenvalue))(diagonal, side)
    dense = np.stack([np.diag(row) for row in diagonal.astype(float)])
    above = np.arange(19)
    dense[:, above, above + 1] = dense[:, above + 1, above] = side
    expected = np.linalg.eigvalsh(dense)
    error = np.abs(np.asarray(found) - expected[:, -1]) / np.abs(expected).max(axis=1)
    assert error.max() < 8 * jnp.finfo(dtype).eps


def test_zero_students_have_none_and_nothing_finite_comes_of_what_is_not(dtype):
    W = jnp.asarray(NORMAL, dtype)
    spoilt = [W.at[1, 2].set(bad) for bad in (np.nan, np.inf, -np.inf)]
    found = of(jnp.stack([0 * W, W, *spoilt, W.at[:].set(np.nan)]))
    assert found[0] == 0
    np.testing.assert_array_equal(np.isnan(found), [0, 0, 1, 1, 1, 1])
