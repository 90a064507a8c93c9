"""Descent against plain NumPy loops; runs that converge, end, diverge, or are NaN."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest

from lmc_jax.students import two_layer
from lmc_jax.students.descent import (
    CONVERGED,
    DIVERGED,
    EXHAUSTED,
    NORM_BOUND,
    RUNNING,
    STATUS,
    advance,
    check,
    start,
)
from lmc_jax.students.optimizers import OPTIMIZERS

K, D, M = 5, 6, 7
LR = 0.3


@functools.cache
def runner(name="sgd", batch=0, updates=8, limit=1000, batched=False):
    """Compiled (run, key, learning rate) to run, vmapped over runs and rates."""

    def single(run, key, lr):  # optax itself promotes dtypes in adam
        options = {"updates": updates, "limit": limit, "batch": batch, "key": key}
        with jax.numpy_dtype_promotion("standard" if "adam" in name else "strict"):
            return advance(run, K, OPTIMIZERS[name](lr), **options)

    return jax.jit(jax.vmap(single, (0, None, 0)) if batched else single)


def begin(W, name="sgd"):
    return start(W, OPTIMIZERS[name](LR))


def begin_all(W):
    return jax.vmap(begin)(W)


def students(count, dtype, seed=0):
    return jnp.asarray(
        0.3 * np.random.default_rng(seed).normal(size=(count, M, D)), dtype
    )


KEY = jax.random.key(0)


def equal(first, second):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_status_constants_index_their_names():
    assert (RUNNING, CONVERGED, EXHAUSTED, DIVERGED) == (0, 1, 2, 3)
    assert STATUS[RUNNING] == "running"
    assert STATUS[CONVERGED] == "converged"
    assert STATUS[EXHAUSTED] == "exhausted"
    assert STATUS[DIVERGED] == "diverged"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_start_is_at_step_zero(name, dtype):
    W = students(1, dtype)[0]
    run = begin(W, name)
    np.testing.assert_array_equal(run.W, W)
    assert run.step.dtype == run.status.dtype == jnp.int32
    assert (int(run.step), int(run.status)) == (0, RUNNING)
    equal(run.optimizer, OPTIMIZERS[name](LR).init(W))


# Updates.


def plain(W, steps, rule, gradient=None):
    """W after so many updates ``W, state = rule(W, state, gradient, step)``."""
    W, state = np.array(W, float), None
    for step in range(steps):
        slope = gradient(W, step) if gradient else oracles.gradient(W, K)
        W, state = rule(W, state, slope, step)
    return W


def sgd(W, state, slope, step):
    return W - LR * slope, None


def momentum(W, trace, slope, step):
    trace = slope + (0 if trace is None else 0.9 * trace)
    return W - LR * trace, trace


def nesterov(W, trace, slope, step):
    trace = slope + (0 if trace is None else 0.9 * trace)
    return W - LR * (slope + 0.9 * trace), trace


def adam(W, moments, slope, step):
    first, second = (0, 0) if moments is None else moments
    first = 0.9 * first + 0.1 * slope
    second = 0.999 * second + 0.001 * slope**2
    scale = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
    return W - LR * first / (1 - 0.9 ** (step + 1)) / scale, (first, second)


def adamw(W, moments, slope, step):
    after, moments = adam(W, moments, slope, step)
    return after - LR * 1e-4 * W, moments


def rmsprop(W, second, slope, step):
    second = 0.1 * slope**2 + (0 if second is None else 0.9 * second)
    return W - LR * slope / np.sqrt(second + 1e-8), second


RULES = {
    **{"sgd": sgd, "momentum": momentum, "nesterov": nesterov},
    **{"adam": adam, "adamw": adamw, "rmsprop": rmsprop},
}


def test_every_optimizer_has_its_rule():
    assert set(RULES) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", RULES)
def test_equals_a_numpy_loop(name, dtype):
    W = students(1, dtype)[0]
    run = begin(W, name)
    rounding = 64 * jnp.finfo(dtype).eps * K  # of 16 updates of terms of size K
    for steps in (8, 16):
        run = runner(name)(run, KEY, dtype.type(LR))
        assert run.W.dtype == dtype
        expected = plain(W, steps, RULES[name])
        np.testing.assert_allclose(run.W, expected, rtol=0, atol=rounding)
        assert (int(run.step), int(run.status)) == (steps, RUNNING)


def test_chunks_do_not_matter(dtype):
    W = students(1, dtype)[0]
    for batch in (0, 16):
        whole = runner("momentum", batch, 8)(begin(W, "momentum"), KEY, LR)
        parts = begin(W, "momentum")
        for _ in range(4):
            parts = runner("momentum", batch, 2)(parts, KEY, LR)
        equal(parts, whole)


def drawn(step, dtype, key=KEY):
    """Inputs of a step: of its key and number only."""
    x = jax.random.normal(jax.random.fold_in(key, step), (16, D), dtype)
    return np.asarray(x, float)


def test_sgd_equals_a_numpy_loop(dtype):
    """Step s sees fold_in(key, s), whatever the weights and the neighbours."""
    W = students(3, dtype)

    def slope(W, step):
        return oracles.sampled_gradient(W, drawn(step, dtype), K).mean(0)

    runs = runner(batch=16, batched=True)(begin_all(W), KEY, jnp.full(3, LR, dtype))
    rounding = 64 * jnp.finfo(dtype).eps * K
    for start_, end in zip(W, runs.W, strict=True):
        expected = plain(start_, 8, sgd, slope)
        np.testing.assert_allclose(end, expected, rtol=0, atol=rounding)
    other = runner(batch=16)(begin(W[0]), jax.random.key(1), LR)
    assert np.abs(np.asarray(other.W - runs.W[0])).max() > 0.01


@pytest.mark.parametrize(
    ("k", "options", "reason"),
    [
        (K, {"batch": 4}, "batch=4: give the key"),
        (D + 1, {}, "k=7 > d=6"),
        (K, {"d": 4}, "k=5 > d=4"),
    ],
)
def test_what_would_train_towards_something_else_is_refused(k, options, reason):
    run = begin(students(1, jnp.dtype("float64"))[0])
    with pytest.raises(ValueError, match=reason):
        advance(run, k, optax.sgd(LR), updates=1, limit=1, **options)
    with pytest.raises(TypeError):
        advance(run, two_layer.gradient, optax.sgd(LR), updates=1, limit=1)


# Ends of runs.


@pytest.mark.parametrize("limit", [0, 8, 11])
def test_limit_is_met_exactly(limit, dtype):
    W = students(1, dtype)[0]
    run = begin(W)
    for _ in range(4):
        run = runner(limit=limit)(run, KEY, LR)
    assert (int(run.step), int(run.status)) == (limit, EXHAUSTED)
    rounding = 64 * jnp.finfo(dtype).eps * K
    np.testing.assert_allclose(run.W, plain(W, limit, sgd), rtol=0, atol=rounding)


@pytest.mark.parametrize("status", [CONVERGED, EXHAUSTED, DIVERGED])
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_run_that_ended_is_left_as_it_is(status, name, dtype):
    run = runner(name)(begin(students(1, dtype)[0], name), KEY, LR)
    ended = run._replace(status=jnp.asarray(status, jnp.int32))
    equal(runner(name)(ended, KEY, LR), ended)


def test_diverging_run_is_frozen_and_disturbs_nobody(dtype):
    W = students(4, dtype)
    calm = jnp.full(4, LR, dtype)
    wild = calm.at[1].set(40).at[3].set(1e30)
    step_all = runner(batched=True)
    expected, found = begin_all(W), begin_all(W)
    for _ in range(3):
        expected, found = step_all(expected, KEY, calm), step_all(found, KEY, wild)
    for index in (0, 2):
        neighbours = [
            jax.tree.map(lambda x, i=index: x[i], r) for r in (found, expected)
        ]
        equal(*neighbours)
        assert (int(found.step[index]), int(found.status[index])) == (24, RUNNING)
    weights, _, steps, _ = oracles.descend(
        *(np.asarray(W[1], float), K, lambda slope: -40 * slope),
        lambda W, step: oracles.gradient(W, K),
        **{"steps": 24, "tol": 0, "check_every": 24},
    )
    assert 1 < steps < 16
    assert (int(found.step[1]), int(found.status[1])) == (steps, DIVERGED)
    rtol = 1e3 * jnp.finfo(dtype).eps  # rounding grows with the weights, step by step
    scale = np.abs(weights).max()
    np.testing.assert_allclose(found.W[1], weights, rtol=0, atol=rtol * scale)
    assert 1 < np.linalg.norm(weights) <= NORM_BOUND
    # the first step already leaves the range
    assert (int(found.step[3]), int(found.status[3])) == (0, DIVERGED)
    np.testing.assert_array_equal(found.W[3], W[3])
    assert np.isfinite(found.W).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_start_that_is_not_finite_has_diverged_at_step_zero(bad, dtype):
    good = students(3, dtype)
    W = good.at[1, 2, 3].set(bad)
    rates = jnp.full(3, LR, dtype)
    found = runner(batched=True)(begin_all(W), KEY, rates)
    assert found.status.tolist() == [RUNNING, DIVERGED, RUNNING]
    assert found.step.tolist() == [8, 0, 8]
    np.testing.assert_array_equal(found.W[1], W[1])
    expected = runner(batched=True)(begin_all(good), KEY, rates)
    np.testing.assert_array_equal(found.W[::2], expected.W[::2])


def test_step_that_diverges_leaves_the_optimizer_as_it_was(dtype):
    W = students(1, dtype)[0]
    run = runner("momentum", updates=50)(begin(W, "momentum"), KEY, 40.0)
    assert int(run.status) == DIVERGED
    assert 0 < int(run.step) < 50
    last = runner("momentum", updates=50, limit=int(run.step))
    before = last(begin(W, "momentum"), KEY, 40.0)
    equal(run, before._replace(status=run.status))


# Convergence.


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
def test_check(status, loss, expected):
    run = start(jnp.ones((2, 3)), optax.sgd(0.1))
    run = run._replace(step=jnp.int32(7), status=jnp.int32(status))
    checked = check(run, jnp.float64(loss), 1e-6)
    assert int(checked.status) == expected
    assert checked.status.dtype == checked.held.dtype == jnp.int32
    assert int(checked.held) == (loss < 1e-6)
    equal(checked._replace(status=run.status, held=run.held), run)


@pytest.mark.parametrize(
    ("below", "hold", "converged_at"),
    [
        ([1, 1, 1], 1, 1),
        ([1, 1, 1], 3, 3),
        ([0, 1, 0, 1, 1, 0], 2, 5),
        ([1, 0, 1, 0, 1], 2, None),
    ],
)
def test_check_holds_in_a_row(below, hold, converged_at):
    run = start(jnp.ones((2, 3)), optax.sgd(0.1))
    statuses = []
    for low in below:
        run = check(run, jnp.float64(1e-7 if low else 1.0), 1e-6, hold=hold)
        statuses.append(int(run.status))
    waits = len(below) if converged_at is None else converged_at - 1
    assert statuses == [RUNNING] * waits + [CONVERGED] * (len(below) - waits)
