"""Angles and norms: value and derivative at ordinary and at every singular point."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax.numerics import angle_terms, matmul, safe_norm, unit

MP = oracles.digits(40)
MAX_ULP = 3  # stated by ``angle_terms``

angles = jax.jit(angle_terms)
derivatives = jax.jit(lambda t: jax.jvp(angle_terms, (t,), (jnp.ones_like(t),))[1])


def cosines(dtype):
    """All scales of 1 - |t| and of |t|, the last 40 ulps at ±1, a grid, signs."""
    info = jnp.finfo(dtype)
    last = [dtype.type(1)]
    for _ in range(40):
        last.append(np.nextafter(last[-1], dtype.type(0)))
    small = np.array([0, info.smallest_subnormal, info.tiny, 2 * info.tiny], dtype)
    scales = np.logspace(np.log10(float(info.tiny)), 0, 150)
    ends = 1 - np.logspace(np.log10(float(info.eps) / 2), 0, 150)
    grid = np.linspace(0, 1, 501)
    found = np.concatenate([last, small, *(np.array(x, dtype) for x in (scales, ends))])
    found = np.concatenate([found, grid.astype(dtype)])
    return np.concatenate([found, -found]).astype(dtype)


def ulps(found, exact):
    """Error in units in the last place of the exact value, of the dtype found."""
    spacing = np.array([np.spacing(abs(found.dtype.type(x))) for x in exact], float)
    error = [float(MP.mpf(float(y)) - x) for y, x in zip(found, exact, strict=True)]
    return np.abs(error) / spacing


@pytest.mark.parametrize("dtype", [np.dtype("float32"), np.dtype("float64")], ids=str)
def test_angle_terms_in_units_in_the_last_place(dtype):
    t = cosines(dtype)
    gap, sine = (np.asarray(x) for x in angles(t))
    assert gap.dtype == sine.dtype == dtype
    exact = [MP.mpf(float(x)) for x in t]
    gaps = [MP.pi - MP.acos(x) if x > 0 else MP.acos(-x) for x in exact]
    sines = [MP.sqrt((1 - x) * (1 + x)) for x in exact]
    assert ulps(gap, gaps).max() <= MAX_ULP
    assert ulps(sine, sines).max() <= MAX_ULP


def test_angle_terms_outside_the_interval_count_as_the_ends(dtype):
    one, eps = dtype.type(1), jnp.finfo(dtype).eps
    t = np.array([one, one + eps, 1 + 9 * eps, 1.5], dtype)
    for value, expected in [(t, dtype.type(np.pi)), (-t, 0)]:
        gap, sine = angles(value)
        np.testing.assert_array_equal(gap, expected)
        np.testing.assert_array_equal(sine, 0)
        for derivative in derivatives(value):
            np.testing.assert_array_equal(derivative, 0)


def test_derivatives_of_angle_terms_against_differences(dtype):
    t = np.linspace(-0.999, 0.999, 201).astype(dtype)
    step = MP.mpf(10) ** -12
    points = [MP.mpf(float(x)) for x in t]
    pairs = [(x + step, x - step) for x in points]
    gaps = [float((MP.acos(b) - MP.acos(a)) / (2 * step)) for a, b in pairs]
    sines = [MP.sqrt(1 - a**2) - MP.sqrt(1 - b**2) for a, b in pairs]
    sines = [float(x / (2 * step)) for x in sines]
    rtol = 6 * jnp.finfo(dtype).eps
    for found, expected in zip(derivatives(t), (gaps, sines), strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-12)


def test_derivatives_of_angle_terms_next_to_the_ends(dtype):
    end = np.nextafter(dtype.type(1), dtype.type(0))
    slope = 1 / np.sqrt((1 - float(end)) * (1 + float(end)))
    rtol = 6 * jnp.finfo(dtype).eps
    for t in (end, -end):
        gap, sine = derivatives(np.array([t]))
        np.testing.assert_allclose(gap, slope, rtol=rtol)
        np.testing.assert_allclose(sine, -float(t) * slope, rtol=rtol)


def cosine_with_itself(arccos):
    def function(v):
        u = v / jnp.sqrt(jnp.sum(v * v))
        return arccos(jnp.sum(u * u))

    return function


@pytest.mark.parametrize("v", [[2.0, 0.0], [3.0, 4.0]])
def test_naive_arccos_is_still_nan_on_the_diagonal(v, dtype):
    v = jnp.asarray(v, dtype)
    assert np.isnan(jax.grad(cosine_with_itself(jnp.arccos))(v)).any()
    clipped = cosine_with_itself(lambda t: jnp.arccos(jnp.clip(t, -1, 1)))
    assert np.isnan(jax.grad(clipped)(v)).any()
    for term in (0, 1):
        stated = cosine_with_itself(lambda t, term=term: angle_terms(t)[term])
        np.testing.assert_array_equal(jax.grad(stated)(v), 0)
        np.testing.assert_array_equal(jax.jit(jax.hessian(stated))(v), 0)


# Norms and directions.


def rows(dtype):
    """Ordinary rows, and rows whose squares leave the range of float32."""
    rng = np.random.default_rng(0)
    scales = np.array([1, 1e-12, 1e6, 1e-30, 1e30])
    found = scales[:, None, None] * rng.normal(size=(len(scales), 3, 4))
    return np.concatenate([found.reshape(-1, 4), np.eye(4)]).astype(dtype)


def test_norm_and_direction_at_all_scales(dtype):
    vectors = rows(dtype)
    norms = np.array([float(MP.norm(MP.matrix(v.tolist()))) for v in vectors])
    directions = vectors / norms[:, None]
    rtol = 4 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(jax.jit(safe_norm)(vectors), norms, rtol=rtol)
    found, lengths = jax.jit(unit)(vectors)
    np.testing.assert_allclose(lengths, norms, rtol=rtol)
    np.testing.assert_allclose(found, directions, rtol=2 * rtol)
    assert found.dtype == lengths.dtype == dtype


def test_derivatives_of_norm_and_direction_at_all_scales(dtype):
    vectors = rows(dtype)
    exact = vectors.astype(float)
    norms = np.linalg.norm(exact, axis=1)
    directions = exact / norms[:, None]
    slopes = jax.jit(jax.vmap(jax.grad(safe_norm)))(vectors)
    atol = 8 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(slopes, directions, rtol=0, atol=atol)
    jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda v: unit(v)[0])))(vectors)
    projector = np.eye(4) - directions[:, :, None] * directions[:, None, :]
    scaled = np.asarray(jacobian, float) * norms[:, None, None]
    np.testing.assert_allclose(scaled, projector, rtol=0, atol=atol)


def test_zero_vector_has_norm_direction_and_derivatives_zero(dtype):
    zero = jnp.zeros(3, dtype)
    for function in (safe_norm, lambda v: unit(v)[0], lambda v: unit(v)[1]):
        np.testing.assert_array_equal(function(zero), 0)
        for differentiate in (jax.jacfwd, jax.jacrev, jax.hessian):
            np.testing.assert_array_equal(jax.jit(differentiate(function))(zero), 0)


def test_naive_norm_is_still_nan_at_zero(dtype):
    naive = jax.grad(lambda v: jnp.sqrt(jnp.sum(v * v)))
    assert np.isnan(naive(jnp.zeros(3, dtype))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_norm_of_a_row_that_is_not_finite_is_not_finite(bad, dtype):
    vectors = jnp.ones((3, 4), dtype).at[1, 2].set(bad).at[2].set(bad)
    np.testing.assert_array_equal(np.isfinite(safe_norm(vectors)), [True, False, False])
    directions, norms = unit(vectors)
    np.testing.assert_array_equal(np.isfinite(norms), [True, False, False])
    assert not np.isfinite(directions[1:]).all(axis=1).any()


def test_matmul_is_at_full_precision(dtype):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 32, 32)).astype(dtype)
    expected = a.astype(float) @ b.astype(float)
    scale = np.abs(a.astype(float)) @ np.abs(b.astype(float))
    error = np.abs(np.asarray(matmul(a, b), float) - expected) / scale
    assert error.max() <= 8 * jnp.finfo(dtype).eps
    assert "HIGHEST" in str(jax.make_jaxpr(matmul)(a, b))
