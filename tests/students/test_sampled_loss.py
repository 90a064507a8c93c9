"""Gradient over given inputs against NumPy and the population."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import cast, size

from lmc_jax.students import two_layer

sampled_gradient = jax.jit(two_layer.sampled_gradient, static_argnums=2)


@pytest.fixture
def batch(dtype):
    return jax.random.normal(jax.random.key(3), (500, 5), dtype)


@pytest.mark.parametrize("name", ["d > k", "m < k", "opposite", "some zero", "minimum"])
def test_sampled_gradient_against_numpy(name, batch, dtype):
    W, exact, k = cast(name, dtype)
    gradient = sampled_gradient(W, batch, k)
    assert gradient.dtype == dtype
    rounding = 16 * jnp.finfo(dtype).eps * size(exact, k)
    slopes = oracles.sampled_gradient(exact, np.asarray(batch, float), k).mean(0)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=rounding)
    np.testing.assert_array_equal(gradient[~exact.any(1)], 0)


def test_sampled_gradient_is_unbiased(dtype):
    W, exact, k = cast("d > k", dtype)
    keys = jax.random.split(jax.random.key(4), 400)

    @jax.jit
    @jax.vmap
    def draw(key):
        return sampled_gradient(W, jax.random.normal(key, (64, 5), dtype), k)

    slopes = np.asarray(draw(keys), float)
    oracles.assert_mean(slopes, oracles.gradient(exact, k))
