"""Strict numerics for every test: float64 on, no implicit promotion of dtypes.

``LMC_JAX_TEST_PRECISION=float32`` runs the numerical tests with float32 weights.
"""

import os

import jax
import jax.numpy as jnp
import pytest

from lmc_jax import environment

environment.configure()
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def dtype():
    """Working precision of the numerical tests."""
    return jnp.dtype(os.environ.get("LMC_JAX_TEST_PRECISION", "float64"))
