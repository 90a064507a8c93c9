"""One student trained to its end against a plain loop; a run among others."""

import dataclasses
import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest

from lmc_jax.students import descent, two_layer
from lmc_jax.students.descent import (
    CONVERGED,
    DIVERGED,
    EXHAUSTED,
    RUNNING,
    advance,
    check,
    start,
)
from lmc_jax.sweep.cell import Descent

K, D, M = 2, 3, 5
EVERY = 20
KEY = jax.random.key(3)
# How W moves after slopes, oldest first: ``change(slopes)`` in units of -lr.
RULES = {
    "sgd": lambda slopes: slopes[-1],
    "momentum": lambda slopes: _trace(slopes),
    "nesterov": lambda slopes: slopes[-1] + 0.9 * _trace(slopes),
}


def _trace(slopes):
    ages = np.arange(len(slopes))[::-1]
    return np.tensordot(0.9**ages, slopes, 1)


def students(count, dtype=jnp.float64):
    W = 0.3 * np.random.default_rng(0).normal(size=(count, M, D))
    return jnp.asarray(W, dtype)


def drawn(step, batch):
    """Inputs of a step: of its key and number only."""
    return np.asarray(jax.random.normal(jax.random.fold_in(KEY, step), (batch, D)))


def plain(W, lr, optimizer="sgd", batch=0, **options):
    slopes = []

    def change(slope):
        slopes.append(slope)
        return -lr * RULES[optimizer](slopes)

    def slope(W, step):
        if batch:
            return oracles.sampled_gradient(W, drawn(step, batch), K).mean(0)
        return oracles.gradient(W, K)

    return oracles.descend(np.asarray(W), K, change, slope, **options)


@pytest.mark.parametrize(
    ("optimizer", "lr", "tol", "batch", "hold", "status"),
    [
        ("sgd", 0.5, 1e-3, 0, 1, "converged"),
        ("sgd", 0.5, 1e-3, 0, 3, "converged"),
        ("momentum", 0.02, 1e-2, 16, 1, "converged"),
        ("sgd", 0.5, 1e-9, 0, 1, "exhausted"),
        ("nesterov", 0.02, 1e-9, 16, 1, "exhausted"),
        ("sgd", 30.0, 1e-3, 0, 1, "diverged"),
        ("sgd", 1e30, 1e-3, 0, 1, "diverged"),  # by the first step
    ],
)
def test_equals_a_plain_loop_to_its_end(optimizer, lr, tol, batch, hold, status):
    shared = {"steps": 210, "tol": tol, "check_every": EVERY, "hold": hold}
    given = {"optimizer": optimizer, "batch": batch, **shared}
    W = students(1)[0]
    found = descent.run(W, K, lr=lr, key=KEY if batch else None, **given)
    expected, ended, steps, history = plain(W, lr, **given)
    assert descent.STATUS[found.status] == ended == status
    assert int(found.steps) == steps
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found.weights, expected, rtol=0, atol=1e-10 * scale)
    assert found.history.shape == (11,)
    assert found.history.dtype == jnp.float64
    np.testing.assert_allclose(found.history[: len(history)], history, rtol=1e-9)
    assert np.isnan(found.history[len(history) :]).all()


def test_vmapped_runs_get_what_each_gets_alone():
    """Whatever ends first, and beside a run that diverges and one that never starts."""
    W = students(6).at[5, 0, 0].set(jnp.nan)
    rates = jnp.array([0.5, 0.1, 0.5, 30.0, 0.3, 0.5])
    options = {"steps": 210, "tol": 1e-3, "check_every": EVERY}
    many = jax.vmap(lambda W, lr: descent.run(W, K, lr=lr, **options))(W, rates)
    for index, rate in enumerate(rates):
        alone = descent.run(W[index], K, lr=rate, **options)
        assert many.status[index] == alone.status
        assert many.steps[index] == alone.steps
        scale = np.nanmax(np.abs(alone.weights))
        np.testing.assert_allclose(
            many.weights[index], alone.weights, rtol=0, atol=1e-11 * max(1, scale)
        )
        np.testing.assert_allclose(many.history[index], alone.history, rtol=1e-9)
    names = [descent.STATUS[status] for status in many.status]
    assert names[3:] == ["diverged", "converged", "diverged"]
    assert (many.steps[5], np.isnan(many.weights[5]).sum()) == (0, 1)


def test_losses_are_float64_whatever_trains():
    W = students(1, jnp.float32)[0]
    found = jax.jit(lambda W: descent.run(W, K, lr=0.5, steps=7))(W)
    assert found.weights.dtype == jnp.float32
    assert found.history.shape == (1,)
    loss = oracles.loss(np.asarray(found.weights, float), K)
    np.testing.assert_allclose(found.history, [loss], rtol=1e-12)
    assert int(found.steps) == 7


def test_defaults_are_those_of_a_sweep():
    sweep = {field.name: field.default for field in dataclasses.fields(Descent)}
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(descent.run).parameters.items()
        if name in sweep.keys() - {"lr"}
    }
    assert len(given) == 6
    assert given == {name: sweep[name] for name in given}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"W": students(2)}, r"float64\[2, 5, 3\]: give .*vmap"),
        ({"W": jnp.ones((M, D), jnp.int32)}, "int32"),
        ({"k": 4}, "k=4: give an integer, 1 <= k <= d = 3"),
        ({"steps": 0}, "steps=0"),
        ({"check_every": 0}, "check_every=0"),
        ({"hold": 0}, "hold=0"),
        ({"batch": 8}, "batch=8: give a key"),
        ({"batch": -1, "key": KEY}, "batch=-1"),
        ({"key": KEY}, "batch=0: give a key with a batch, and only with one"),
        ({"optimizer": "yogi"}, "unknown optimizer 'yogi': choose among sgd"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(changes, reason):
    with pytest.raises(ValueError, match=reason) as error:
        descent.run(**{"W": students(1)[0], "k": K, "lr": 0.1, **changes})
    assert "\n" not in str(error.value)


def test_float64_is_asked_for():
    with jax.enable_x64(False), pytest.raises(ValueError, match="configure"):
        descent.run(students(1, jnp.float32)[0], K, lr=0.1)


# What sweeps build on.


def begun():
    return start(students(1)[0], optax.sgd(0.1, momentum=0.9))


def test_runs_that_ended_are_left_as_they_are():
    step = functools.partial(
        advance, k=K, optimizer=optax.sgd(0.1, momentum=0.9), updates=8, limit=100
    )
    run = jax.jit(step)(begun())
    assert (int(run.step), int(run.status)) == (8, RUNNING)
    for status, at in itertools.product((CONVERGED, EXHAUSTED, DIVERGED), (8, 100)):
        ended = run._replace(status=jnp.int32(status), step=jnp.int32(at))
        after = jax.tree.leaves(jax.jit(step)(ended))
        for one, other in zip(after, jax.tree.leaves(ended), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("status", "loss", "expected"),
    [
        (RUNNING, 1e-7, CONVERGED),
        (RUNNING, 1e-6, RUNNING),  # below means strictly
        (RUNNING, np.nan, RUNNING),
        (EXHAUSTED, 1e-7, CONVERGED),
        (EXHAUSTED, 1.0, EXHAUSTED),
        (DIVERGED, 1e-7, DIVERGED),
        (CONVERGED, 1.0, CONVERGED),
    ],
)
def test_a_small_loss_ends_a_run_that_has_not_diverged(status, loss, expected):
    run = begun()._replace(status=jnp.int32(status))
    checked = check(run, jnp.float64(loss), 1e-6)
    assert int(checked.status) == expected
    assert int(checked.held) == (loss < 1e-6)


@pytest.mark.parametrize(
    ("below", "hold", "converged_at"),
    [
        ([1, 1, 1], 1, 1),
        ([1, 1, 1], 3, 3),
        ([0, 1, 0, 1, 1, 0], 2, 5),
        ([1, 0, 1, 0, 1], 2, None),
    ],
)
def test_looks_must_find_it_in_a_row(below, hold, converged_at):
    run = begun()
    statuses = []
    for low in below:
        run = check(run, jnp.float64(1e-7 if low else 1.0), 1e-6, hold=hold)
        statuses.append(int(run.status))
    waits = len(below) if converged_at is None else converged_at - 1
    assert statuses == [RUNNING] * waits + [CONVERGED] * (len(below) - waits)


def test_gradient_descent_reaches_global_minima(dtype):
    W = jax.vmap(lambda key: two_layer.init(key, 10, 6, 0.1, dtype=dtype))(
        jax.random.split(jax.random.key(5), 8)
    )
    ends = jax.vmap(lambda W: descent.run(W, 5, lr=0.3, steps=3000, tol=1e-5))(W)
    assert ends.status.tolist() == [CONVERGED] * 8
    final = [oracles.loss(np.asarray(W, float), 5) for W in ends.weights]
    assert np.max(final) < 1e-5
