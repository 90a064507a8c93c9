"""Hessian-vector products and sharpness: differences, dense matrices, the types."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax.students import minima
from lmc_jax.students.sharpness import _largest_eigenvalue, hessian_vector, sharpness
from lmc_jax.theory import stability

M, D, K = 6, 4, 3


def students():
    """Students of one shape, float64: name to W [M, D]."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(M, D))
    return {
        "ordinary": normal,
        "small": 1e-3 * normal,  # negative curvature 1/|w| that the largest is not
        "large": 30 * normal,
        "some zero": normal * np.array([1, 0, 1, 1, 0, 1])[:, None],
        "one neuron": normal * (np.arange(M) == 2)[:, None],
        "parallel": np.concatenate([normal[:4], 2 * normal[:2]]),
        "opposite": np.concatenate([normal[:4], -2 * normal[:2]]),
        "minimum": oracles.minimum(rng, [3, 1, 2], D),
    }


STUDENTS = students()
# Sums of neurons are kinks of the loss where these meet, for differences a slope.
SMOOTH = [name for name in STUDENTS if name not in ("parallel", "opposite", "minimum")]


def differences(W, k, step=1e-6):
    """Hessian [m d, m d] by central differences of the gradient from angles."""
    hessian = np.zeros((*W.shape, *W.shape))
    for i, j in np.ndindex(W.shape):
        if not W[i].any():
            continue  # no block
        shift = np.zeros_like(W)
        shift[i, j] = step * np.linalg.norm(W[i])
        up, down = oracles.gradient(W + shift, k), oracles.gradient(W - shift, k)
        hessian[i, j] = (up - down) / (2 * shift[i, j])
    return hessian.reshape(W.size, W.size)


@jax.jit
def dense(W):
    """All products with unit directions [m d, m d], rows the directions."""
    directions = jnp.eye(W.size, dtype=W.dtype).reshape(-1, *W.shape)
    return jax.vmap(lambda V: product(W, V))(directions).reshape(W.size, W.size)


@jax.jit
def product(W, V):
    return hessian_vector(W, V, K)


@functools.cache
def compiled(k, iterations=64):
    return jax.jit(jax.vmap(functools.partial(sharpness, k=k, iterations=iterations)))


def of(students, **settings):
    """Sharpness of students [n, M, D], in batches of one size, compiled once."""
    batch = jnp.resize(jnp.asarray(students), (len(STUDENTS), M, D))
    return np.asarray(compiled(K, **settings)(batch))[: len(students)]


@pytest.fixture(params=STUDENTS)
def W(request, dtype):
    return jnp.asarray(STUDENTS[request.param], dtype)


# Hessian-vector products.


@pytest.mark.parametrize("name", SMOOTH)
def test_products_against_differences_of_an_independent_gradient(name, dtype):
    W = jnp.asarray(STUDENTS[name], dtype)
    expected = differences(np.asarray(W, float), K)
    scale = np.abs(expected).max()
    atol = (2e-8 + 64 * jnp.finfo(dtype).eps) * scale
    np.testing.assert_allclose(dense(W), expected, rtol=0, atol=atol)


def test_products_are_of_a_symmetric_matrix(W):
    found = np.asarray(dense(W), float)
    atol = 64 * jnp.finfo(W.dtype).eps * np.abs(found).max()
    np.testing.assert_allclose(found, found.T, rtol=0, atol=atol)


def test_products_at_a_minimum_are_gauss_newton(dtype):
    W = jnp.asarray(STUDENTS["minimum"], dtype)
    expected = oracles.hessian_at_minimum(STUDENTS["minimum"], K)
    atol = 1e2 * jnp.finfo(dtype).eps / jnp.max(W, axis=1).min()
    np.testing.assert_allclose(
        dense(W), expected.reshape(W.size, W.size), rtol=0, atol=atol
    )


def test_zero_neurons_have_no_block(dtype):
    W = jnp.asarray(STUDENTS["some zero"], dtype)
    zero = np.repeat(~np.asarray(W).any(1), D)
    found = np.asarray(dense(W))
    np.testing.assert_array_equal(found[zero], 0)
    np.testing.assert_array_equal(found[:, zero], 0)
    alive = W[np.asarray(W).any(1)]
    rtol = 64 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(
        found[~zero][:, ~zero], dense(alive), rtol=0, atol=rtol * np.abs(found).max()
    )


def test_products_take_batch_axes(dtype):
    W = jnp.asarray(np.array([STUDENTS[name] for name in SMOOTH[:4]]), dtype)
    V = jax.random.normal(jax.random.key(1), W.shape, dtype)
    found = product(W.reshape(2, 2, M, D), V.reshape(2, 2, M, D))
    for w, v, image in zip(W, V, found.reshape(W.shape), strict=True):
        alone = product(w, v)
        atol = 64 * jnp.finfo(dtype).eps * np.abs(alone).max()
        np.testing.assert_allclose(image, alone, rtol=0, atol=atol)


# Sharpness.


@pytest.mark.parametrize("name", SMOOTH)
def test_sharpness_against_differences(name):
    W = STUDENTS[name]
    expected = np.linalg.eigvalsh(differences(W, K))
    slack = 1e-7 * np.abs(expected).max()  # of the differences
    assert abs(of(W[None])[0] - expected[-1]) <= slack


def test_sharpness_is_the_largest_eigenvalue(dtype):
    W = jnp.asarray(np.array(list(STUDENTS.values())), dtype)
    found = of(W)
    assert found.dtype == dtype
    for w, value in zip(W, found, strict=True):
        eigenvalues = np.linalg.eigvalsh(np.asarray(dense(w), float))
        slack = 64 * jnp.finfo(dtype).eps * np.abs(eigenvalues).max()
        assert abs(float(value) - eigenvalues[-1]) <= slack
    assert np.all(found >= 0.5 - 64 * jnp.finfo(dtype).eps)


def test_sharpness_is_not_the_largest_in_size():
    W = STUDENTS["small"]
    eigenvalues = np.linalg.eigvalsh(np.asarray(dense(W)))
    assert -eigenvalues[0] > 100 * eigenvalues[-1]
    assert abs(of(W[None])[0] / eigenvalues[-1] - 1) < 1e-10


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


def test_sharpness_of_equal_counts_is_a_multiple_of_the_balanced():
    W = oracles.minimum(np.random.default_rng(2), [2, 2, 2], D)
    expected = 2 * stability.balanced_sharpness(K)
    assert abs(of(W[None])[0] / expected - 1) < 1e-12


@pytest.mark.parametrize("noise", [1e-16, 1e-15, 1e-13, 1e-11])
def test_neurons_parallel_up_to_rounding_off_the_axes(noise):
    rng = np.random.default_rng(3)
    base = rng.normal(size=(3, D))
    split = np.concatenate([0.3 * base, 0.7 * base])
    near = split * (1 + noise * rng.normal(size=split.shape))
    exact, found = of(np.stack([split, near]))
    assert abs(found / exact - 1) < 1e-7


def test_zero_rows_do_not_contribute(dtype):
    few = jnp.asarray(STUDENTS["ordinary"][:4], dtype)
    places = np.array([[0, 1, 2, 3], [2, 3, 4, 5], [0, 2, 3, 5]])
    padded = jnp.stack([jnp.zeros((M, D), dtype).at[rows].set(few) for rows in places])
    expected = np.linalg.eigvalsh(np.asarray(dense(few), float))[-1]
    np.testing.assert_allclose(of(padded), expected, rtol=64 * jnp.finfo(dtype).eps)


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


def test_too_few_iterations_give_a_lower_bound():
    W = STUDENTS["ordinary"][None]
    assert 0 < of(W, iterations=4)[0] < 0.999 * of(W)[0]


def test_zero_student_has_sharpness_zero(dtype):
    np.testing.assert_array_equal(of(jnp.zeros((1, M, D), dtype)), 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_have_none(bad, dtype):
    W = jnp.asarray(STUDENTS["ordinary"], dtype)
    spoilt = jnp.stack([W.at[1, 2].set(bad), W.at[:].set(bad), W])
    np.testing.assert_array_equal(np.isnan(of(spoilt)), [True, True, False])
