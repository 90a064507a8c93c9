"""Strict numerics for every test: float64 on, no implicit promotion of dtypes.

``LMC_JAX_TEST_PRECISION=float32`` runs the numerical tests with float32 weights.
"""

import atexit
import gc
import os
import shutil
import tempfile

# What a test compiles, others find: for the run, its workers and their processes.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp()
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # XLA doubts what it loads from there
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"])

import jax
import jax.numpy as jnp
import pytest

from lmc_jax import environment

environment.configure()
jax.config.update("jax_numpy_dtype_promotion", "strict")
gc.freeze()
gc.set_threshold(100_000)  # as commands do: JAX keeps gigabytes, none of it garbage


@pytest.fixture
def dtype():
    """Working precision of the numerical tests."""
    return jnp.dtype(os.environ.get("LMC_JAX_TEST_PRECISION", "float64"))
