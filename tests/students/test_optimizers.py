"""Every optimiser of the table leaves padding at zero, and the rest as without it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmc_jax.students import two_layer
from lmc_jax.students.descent import EXHAUSTED, advance, start
from lmc_jax.students.optimizers import OPTIMIZERS, optimizer_named

K, D, M = 5, 6, 7
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("name", "batch"), [("sgd", 0), *((name, 16) for name in OPTIMIZERS)]
)
def test_padding_stays_zero_and_changes_nothing(name, batch):
    """Rows and columns of zeros, as in a sweep, against an unpadded loop of optax."""
    initial = jnp.asarray(0.3 * np.random.default_rng(0).normal(size=(M, D)))
    optimizer = optimizer_named(name)(0.01)

    def padded(run):
        options = {"updates": 8, "limit": 20, "batch": batch, "key": KEY, "d": D}
        return advance(run, K, optimizer, **options)

    with jax.numpy_dtype_promotion("standard"):  # optax itself promotes dtypes
        run = start(jnp.pad(initial, ((0, 9 - M), (0, 8 - D))), optimizer)
        for _ in range(3):
            run = jax.jit(padded)(run)
        W, state = initial, optimizer.init(initial)
        for step in range(20):
            slope = two_layer.gradient(W, K)
            if batch:
                x = jax.random.normal(jax.random.fold_in(KEY, step), (batch, D))
                slope = two_layer.sampled_gradient(W, x, K)
            change, state = optimizer.update(slope, state, W)
            W = optax.apply_updates(W, change)
    assert W.dtype == jnp.float64
    assert (int(run.step), int(run.status)) == (20, EXHAUSTED)
    np.testing.assert_array_equal(run.W[M:], 0)
    np.testing.assert_array_equal(run.W[:, D:], 0)
    np.testing.assert_allclose(run.W[:M, :D], W, rtol=0, atol=1e-12)
    assert np.abs(W - initial).max() > 0.01


@pytest.mark.parametrize("name", ["yogi", ""])
def test_other_names_are_refused_in_one_line_that_lists_the_known(name):
    with pytest.raises(ValueError, match="unknown optimizer") as error:
        optimizer_named(name)
    said = str(error.value)
    assert repr(name) in said
    assert said.endswith("choose among " + ", ".join(OPTIMIZERS))
