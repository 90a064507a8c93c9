"""The PQ index: by hand, by its definition, its ends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmc_jax.students.measures import pqi

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
N, PADDED = 7, 12
EXPONENTS = [(1.0, 2.0), (0.5, 1.0), (0.5, 2.0), (1.0, 4.0), (2.0, 3.0)]
exponents = st.sampled_from(EXPONENTS)
# Zero, or of a size whose powers NumPy can add up below.
entry = st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6))
vectors = arrays(float, N, elements=entry).filter(np.any)


@functools.cache
def compiled(p, q):
    return jax.jit(lambda values, size: pqi(values, p, q, size=size))


def index(values, p=1.0, q=2.0, size=None):
    """On the host, with the size traced."""
    values = np.asarray(values, float)
    return float(compiled(p, q)(values, len(values) if size is None else size))


def formula(v, p, q):
    """Definition 7, as it is written."""
    norm = {r: (np.abs(v) ** r).sum() ** (1 / r) for r in (p, q)}
    return 1 - len(v) ** (1 / q - 1 / p) * norm[p] / norm[q]


@pytest.mark.parametrize(
    ("values", "p", "q", "expected"),
    [
        ([3, -4], 1, 2, 1 - 7 / (5 * 2**0.5)),
        ([4, 1], 0.5, 1, 0.1),
        ([2, 2, -2, 2], 1, 2, 0),
        ([0, 0, 5, 0], 1, 2, 0.5),
        ([0, 0, 5, 0], 0.5, 1, 0.75),
        ([1, 0, 0, 1], 1, 2, 1 - 0.5**0.5),
        ([7], 1, 2, 0),
        (np.eye(1000)[500], 1, 2, 1 - 1000**-0.5),
    ],
)
def test_by_hand(values, p, q, expected, dtype):
    found = pqi(jnp.asarray(values, dtype), p, q)
    assert (found.dtype, found.shape) == (dtype, ())
    assert float(found) == pytest.approx(expected, abs=8 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize(("p", "q"), EXPONENTS)
def test_constant_vectors_have_index_zero_exactly(p, q, dtype):
    n, sizes = 1000, np.arange(1, 1001, 37, dtype=np.int32)
    scales = np.resize([1, 0.1, 1 / 3, 1e-20, 7e20], (len(sizes), 1))
    signs = np.where(np.arange(n) % 3, 1, -1) * (np.arange(n) < sizes[:, None])
    found = compiled(p, q)(jnp.asarray(scales * signs, dtype), sizes)
    np.testing.assert_array_equal(found, 0)


@PROPERTY
@given(vectors, exponents, st.integers(0, 2**32 - 1))
def test_equals_the_definition_and_padding_does_not_count(v, exponents, seed):
    p, q = exponents
    expected = formula(v, p, q)
    found = index(v, p, q)
    assert found == pytest.approx(expected, abs=1e-13)
    assert 0 <= found <= 1 - N ** (1 / q - 1 / p) + 1e-15
    padded = np.zeros(PADDED)
    padded[np.random.default_rng(seed).permutation(PADDED)[:N]] = v
    assert index(padded, p, q, size=N) == pytest.approx(expected, abs=1e-13)
    assert index(padded, p, q) == pytest.approx(formula(padded, p, q), abs=1e-13)


@PROPERTY
@given(vectors, exponents, st.floats(-190, 190), st.booleans())
def test_does_not_depend_on_the_scale(v, exponents, power, negative):
    scaled = v * (-(10.0**power) if negative else 10.0**power)
    assert index(scaled, *exponents) == pytest.approx(index(v, *exponents), abs=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1e200, 2e-308, 1e307])
def test_squares_beyond_the_range_of_float64(scale):
    assert index([3 * scale, 4 * scale]) == pytest.approx(index([3, 4]), abs=1e-15)


def test_batch_axes_and_sizes_of_their_own(dtype):
    values = jax.random.normal(jax.random.key(0), (2, 3, N), dtype)
    sizes = jnp.array([[7, 4, 1], [2, 7, 5]], jnp.int32)
    values = jnp.where(jnp.arange(N, dtype=jnp.int32) < sizes[..., None], values, 0)
    found = jax.jit(lambda values, sizes: pqi(values, size=sizes))(values, sizes)
    assert (found.dtype, found.shape) == (dtype, (2, 3))
    for place in np.ndindex(2, 3):
        alone = np.asarray(values[place], float)[: sizes[place]]
        expected = formula(alone, 1, 2)
        assert abs(float(found[place]) - expected) <= 8 * jnp.finfo(dtype).eps


def test_zero_and_not_finite_vectors_have_none(dtype):
    values = jnp.ones((5, N), dtype).at[0].set(0)
    for row, bad in enumerate((np.nan, np.inf, -np.inf), 1):
        values = values.at[row, 2].set(bad)
    np.testing.assert_array_equal(np.isnan(pqi(values)), [1, 1, 1, 1, 0])


@pytest.mark.parametrize(("p", "q"), [(0, 1), (1, 1), (1, np.inf), (np.nan, 2)])
def test_exponents_out_of_order_are_refused(p, q):
    with pytest.raises(ValueError, match="0 < p < q"):
        pqi(jnp.ones(3), p, q)
