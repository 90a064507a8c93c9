"""Descent in a sweep against a plain loop, unbatched and without padding, in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
from cases import BASE, GD32, GD64, assert_same_bits, swept

from lmc_jax import environment
from lmc_jax.students import descent, two_layer
from lmc_jax.sweep.pairs import run_keys


def plain_descent(cell, key):
    """One run, unbatched and without padding, in NumPy; its inputs from JAX."""
    source = cell.source
    init_key, data_key = jax.random.split(key)
    dtype = jnp.dtype(source.precision)
    W = two_layer.init(init_key, cell.m, cell.d, source.init_std, dtype=dtype)
    W = np.asarray(W, float)
    if source.batch:
        numbers = jnp.arange(source.steps)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(data_key, numbers)
        shape = (source.batch, cell.d)
        inputs = jax.vmap(lambda key: jax.random.normal(key, shape, dtype))(keys)
        inputs = np.asarray(inputs, float)

    def slope(W, step):
        if source.batch:
            return oracles.sampled_gradient(W, inputs[step], cell.k).mean(0)
        return oracles.gradient(W, cell.k)

    W, status, step, _ = oracles.descend(
        *(W, cell.k, plain_optimizer(source), slope),
        steps=source.steps,
        tol=source.tol,
        check_every=source.check_every,
        hold=source.hold,
    )
    return W, descent.STATUS.index(status), step


def plain_optimizer(source):
    mean, square, count = 0.0, 0.0, 0

    def adam(gradient):
        nonlocal mean, square, count
        count += 1
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        spread = np.sqrt(square / (1 - 0.999**count)) + 1e-8
        return -source.lr * mean / (1 - 0.9**count) / spread

    return adam if source.optimizer == "adam" else lambda slope: -source.lr * slope


def assert_descends_as_the_plain_loop(cell, found):
    keys = run_keys(
        environment.root_key(cell.seed), cell.k, cell.m, cell.d, pairs=cell.pairs
    )
    assert found["weights"].shape == (cell.pairs, 2, cell.m, cell.d)
    assert found["weights"].dtype == cell.source.precision
    for pair in range(cell.pairs):
        for role in range(2):
            W, status, step = plain_descent(cell, keys[pair, role])
            assert found["status"][pair, role] == status
            assert found["steps"][pair, role] == step
            scale = max(1.0, np.abs(W).max())
            ours = found["weights"][pair, role]
            np.testing.assert_allclose(ours, W, rtol=0, atol=1e-7 * scale)


def test_gradient_descent_equals_the_plain_loop_converged_exhausted_and_diverged():
    slow = dataclasses.replace(BASE, source=dataclasses.replace(GD64, lr=0.1))
    wild = dataclasses.replace(BASE, source=dataclasses.replace(GD64, lr=30.0))
    found = swept([BASE, slow, wild])
    for cell in (BASE, slow, wild):
        assert_descends_as_the_plain_loop(cell, found[cell])
    assert descent.CONVERGED in found[BASE]["status"]
    assert (found[slow]["status"] == descent.EXHAUSTED).all()
    assert (found[wild]["status"] == descent.DIVERGED).all()
    lost = np.linalg.norm(found[wild]["weights"], axis=(2, 3))
    assert (lost <= descent.NORM_BOUND).all()
    for name in ("weights", "losses", "off_axis"):
        assert np.isfinite(found[wild][name]).all(), name


def test_run_converges_once_its_loss_holds_below_the_tolerance():
    once = dataclasses.replace(BASE, matchings=())
    twice = dataclasses.replace(
        once, source=dataclasses.replace(GD64, hold=2, steps=450)
    )
    found = swept([once, twice])
    assert_descends_as_the_plain_loop(twice, found[twice])
    early = found[once]["steps"] <= 300
    assert early.any()
    later = found[twice]["steps"][early]
    np.testing.assert_array_equal(later, found[once]["steps"][early] + 100)
    assert (found[twice]["status"][early] == descent.CONVERGED).all()


def test_students_narrower_than_the_teacher_are_trained():
    source = dataclasses.replace(GD64, steps=250)  # no multiple of check_every
    cell = dataclasses.replace(BASE, m=1, source=source)
    found = swept([cell])[cell]
    assert_descends_as_the_plain_loop(cell, found)
    assert (found["status"] == descent.EXHAUSTED).all()
    assert (found["steps"] == 250).all()
    assert np.isinf(found["distance"]).all()  # there are no minima to be near to
    assert (found["losses"][..., 0] > 0.01).all()


def test_looks_beyond_the_last_step_cost_no_steps_and_no_bits():
    cells = [
        dataclasses.replace(
            BASE, source=dataclasses.replace(GD64, steps=250, check_every=looks)
        )
        for looks in (250, 2**31 - 1)
    ]
    expected, found = (swept([cell])[cell] for cell in cells)
    assert_same_bits(found, expected)


def test_adam_on_sampled_inputs_equals_the_plain_loop():
    source = dataclasses.replace(GD64, optimizer="adam", lr=0.01, batch=16, steps=50)
    cell = dataclasses.replace(BASE, source=source, pairs=2, matchings=())
    # optax computes the bias correction of adam with an implicit promotion.
    with jax.numpy_dtype_promotion("standard"):
        found = swept([cell])[cell]
    assert_descends_as_the_plain_loop(cell, found)


def test_float32_training_follows_float64_training():
    single = dataclasses.replace(BASE, source=GD32)
    found = swept([single])[single]
    assert found["weights"].dtype == np.float32
    assert found["losses"].dtype == np.float64
    keys = run_keys(environment.root_key(7), 2, 4, 3, pairs=5)
    for pair, role in np.ndindex(5, 2):
        W, status, step = plain_descent(single, keys[pair, role])
        if (found["status"][pair, role], found["steps"][pair, role]) == (status, step):
            ours = found["weights"][pair, role]
            np.testing.assert_allclose(ours, W, rtol=0, atol=1e-4)
        else:  # the loss met the tolerance on the other side of a look at it
            assert abs(found["steps"][pair, role] - step) <= GD32.check_every


def test_float32_training_ends_by_the_float64_loss():
    """That of float32 is rounding near a minimum: 0 for some, below 0 for others."""
    source = dataclasses.replace(GD32, tol=3e-9, steps=1500)
    cell = dataclasses.replace(BASE, source=source, matchings=())
    found = swept([cell])[cell]
    low = found["losses"][:, 0, [0, -1]] < source.tol
    np.testing.assert_array_equal(found["status"] == descent.CONVERGED, low)
    assert 0 < low.sum() < low.size
