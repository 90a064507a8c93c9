"""Arc-cosine kernels: exact digits, Monte Carlo, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax.numerics import relu_kernel, step_kernel

MP = oracles.digits(40)

relu = jax.jit(relu_kernel)
step = jax.jit(step_kernel)
relu_slope = jax.jit(jax.vmap(jax.grad(relu_kernel)))
step_slope = jax.jit(jax.vmap(jax.grad(step_kernel)))


def interior(dtype):
    return np.linspace(-0.999, 0.999, 333).astype(dtype)


def exact(t, degree):
    """κ₀ or κ in 40 digits."""
    t = MP.mpf(float(t))
    gap = MP.pi - MP.acos(t)
    value = gap if degree == 0 else MP.sqrt(1 - t * t) + gap * t
    return float(value / (2 * MP.pi))


@pytest.mark.parametrize(("kernel", "degree"), [(step, 0), (relu, 1)])
def test_kernels_against_40_digits(kernel, degree, dtype):
    t = np.concatenate([np.linspace(-1, 1, 501), [np.nextafter(1, 0, dtype=dtype)]])
    t = t.astype(dtype)
    expected = [exact(x, degree) for x in t]
    found = kernel(t)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * jnp.finfo(dtype).eps)


@pytest.mark.parametrize("t", [-1, -0.9, -0.3, 0, 0.4, 0.95, 1])
def test_kernels_against_monte_carlo(t, dtype):
    x, y = np.random.default_rng(7).normal(size=(2, 100_000))
    y = t * x + np.sqrt(1 - t * t) * y
    positive = (x > 0) & (y > 0)
    rounding = 4 * jnp.finfo(dtype).eps
    oracles.assert_mean(1.0 * positive, float(step(dtype.type(t))), rounding)
    oracles.assert_mean(x * y * positive, float(relu(dtype.type(t))), rounding)


def test_derivative_of_relu_kernel_is_step_kernel(dtype):
    t = np.concatenate([[-1, 1], interior(dtype)]).astype(dtype)
    np.testing.assert_array_equal(relu_slope(t), step(t))


def test_derivative_of_step_kernel(dtype):
    t = interior(dtype)
    exact_t = t.astype(float)
    expected = 1 / (2 * np.pi * np.sqrt((1 - exact_t) * (1 + exact_t)))
    rtol = 8 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(step_slope(t), expected, rtol=rtol)


def test_no_derivative_is_nan_at_the_ends(dtype):
    ends = np.array([-1, 1, -1 - jnp.finfo(dtype).eps, 1 + jnp.finfo(dtype).eps], dtype)
    np.testing.assert_allclose(
        relu_slope(ends), [0, 0.5, 0, 0.5], rtol=2 * jnp.finfo(dtype).eps
    )
    np.testing.assert_array_equal(step_slope(ends), 0)
    second = jax.jit(jax.vmap(jax.grad(jax.grad(relu_kernel))))
    np.testing.assert_array_equal(second(ends), 0)


def test_kernel_of_unit_vectors_differentiates_on_the_diagonal(dtype):
    u = jnp.asarray([0.6, 0.8], dtype)
    slope = jax.grad(lambda v: relu_kernel(jnp.sum(v * u)))(u)
    np.testing.assert_allclose(slope, u / 2, rtol=4 * jnp.finfo(dtype).eps)
