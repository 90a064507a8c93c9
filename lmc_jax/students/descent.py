"""One run of gradient descent; `jax.vmap` makes it many.

A run is advanced a fixed number of steps at a time and then checked: by ``run`` until
it ends, by a sweep so that the host can replace runs that have ended. A run that has
ended is frozen at its last finite weights.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.numerics import matmul
from lmc_jax.students import two_layer
from lmc_jax.students.optimizers import optimizer_named
from lmc_jax.students.teachers import Teacher

RUNNING, CONVERGED, EXHAUSTED, DIVERGED = range(4)
STATUS = ("running", "converged", "exhausted", "diverged")

# Beyond this Frobenius norm a run has diverged: global minima have at most that of the
# teacher, sqrt(k) of unit neurons.
NORM_BOUND = 1e6


class Run(NamedTuple):
    """State of one run.

    W: student ``[m, d]``. optimizer: optax state. step: int32, updates done.
    status: int32, an index into ``STATUS``. held: int32, looks in a row below the
    tolerance.
    """

    W: Array
    optimizer: Any
    step: Array
    status: Array
    held: Array


def start(W: Array, optimizer: optax.GradientTransformation) -> Run:
    """A run at step 0 from the student ``W [m, d]``, float32 or float64."""
    zero = jnp.zeros((), jnp.int32)
    return Run(W, optimizer.init(W), zero, zero + RUNNING, zero)


def advance(
    run: Run,
    k: int | Teacher,
    optimizer: optax.GradientTransformation,
    *,
    updates: int,
    limit: int,
    batch: int = 0,
    key: Array | None = None,
    d: int | None = None,
) -> Run:
    """Up to ``updates`` optimiser steps, and none beyond step ``limit``.

    >>> sgd = optimizer_named("sgd")(0.3)
    >>> W = two_layer.init(jax.random.key(0), 6, 3, std=0.01)
    >>> state = advance(start(W, sgd), 3, sgd, updates=50, limit=20)
    >>> state.step.item(), STATUS[state.status]
    (20, 'exhausted')

    Args:
      run: state; unchanged unless running.
      k: teacher width, or a teacher.
      optimizer: made by one of ``optimizers.OPTIMIZERS``; its learning rate may be
        traced.
      updates: static number of steps of the loop.
      limit: steps after which the run is ``EXHAUSTED``.
      batch: fresh inputs x ~ N(0, I_d) a step; 0 for the gradient of the population
        loss.
      key: of a batch; step s draws its inputs from ``fold_in(key, s)``.
      d: input dimension, by default all columns of ``run.W``. Columns beyond are
        padding, zero, and stay zero.

    Returns:
      The new state. A step whose weights are not finite or exceed ``NORM_BOUND`` in
      Frobenius norm is not taken: the run is ``DIVERGED`` and its ``step`` counts
      the updates before.
    """
    columns = run.W.shape[1]
    d = columns if d is None else d

    def gradient(W, step):
        if not batch:
            return two_layer.gradient(W, k)
        assert key is not None, "a batch needs the key of its inputs"
        x = jax.random.normal(jax.random.fold_in(key, step), (batch, d), W.dtype)
        return two_layer.sampled_gradient(W, jnp.pad(x, ((0, 0), (0, columns - d))), k)

    def update(run: Run, _):
        slope = gradient(run.W, run.step)
        change, state = optimizer.update(slope, run.optimizer, run.W)
        W = run.W + change
        # A product with ones: XLA on CPU does not vectorise sums. False for NaN.
        squares = matmul(jnp.square(W), jnp.ones(W.shape[1], W.dtype))
        bounded = jnp.sum(squares) <= NORM_BOUND**2
        wanted = (run.status == RUNNING) & (run.step < limit)
        taken = wanted & bounded
        fresh = Run(W, state, run.step + 1, run.status, run.held)
        kept = jax.tree.map(lambda new, old: jnp.where(taken, new, old), fresh, run)
        spent = (run.status == RUNNING) & (kept.step >= limit)
        status = jnp.where(spent, EXHAUSTED, run.status)
        status = jnp.where(wanted & ~bounded, DIVERGED, status)
        return kept._replace(status=status), None

    return jax.lax.scan(update, run, length=updates)[0]


def check(run: Run, loss: Array, tolerance: ArrayLike, hold: int = 1) -> Run:
    """Marks a run ``CONVERGED`` once ``hold`` looks in a row find a small loss.

    More than one, because near a barely unstable minimum a run may pass below the
    tolerance before the instability has grown. A run at its step limit can still
    converge at its last look.

    >>> run = start(jnp.eye(2), optimizer_named("sgd")(0.1))
    >>> run = check(run, 1e-9, 1e-6, hold=2)
    >>> STATUS[run.status], STATUS[check(run, 1e-9, 1e-6, hold=2).status]
    ('running', 'converged')

    Takes the population loss of ``run.W``, a scalar, which counts below ``tolerance``;
    returns the state with ``status`` and ``held`` brought up to date.
    """
    open_ended = (run.status == RUNNING) | (run.status == EXHAUSTED)
    held = jnp.where(loss < tolerance, run.held + 1, 0)
    reached = open_ended & (held >= hold)
    status = jnp.where(reached, CONVERGED, run.status)
    return run._replace(status=status, held=held)


class Trained(NamedTuple):
    """The end of a run.

    weights: ``[m, d]``, the last within ``NORM_BOUND``. status: int32, an index into
    ``STATUS``. steps: int32, updates done. history: float64 ``[looks]``, the population
    loss of the weights at every look, NaN beyond the end.
    """

    weights: Array
    status: Array
    steps: Array
    history: Array


@functools.partial(
    jax.jit,
    static_argnames=("k", "optimizer", "steps", "check_every", "batch", "hold"),
)
def run(
    W: Array,
    k: int | Teacher,
    *,
    lr: ArrayLike,
    optimizer: str = "sgd",
    steps: int = 100_000,
    tol: ArrayLike = 1e-6,
    check_every: int = 200,
    batch: int = 0,
    key: Array | None = None,
    hold: int = 1,
) -> Trained:
    """Trains one student from given weights to its end, as a sweep does.

    On L = ½ E[(f - f*)²], x ~ N(0, I_d), f* with k orthonormal neurons (paper,
    Assumption 1 and equation 3).

    >>> W = two_layer.init(jax.random.key(0), 6, 3, std=0.01)  # [m, d]
    >>> STATUS[run(W, 3, lr=0.3).status]
    'converged'
    >>> many = jax.vmap(lambda lr: run(W, 3, lr=lr))(jnp.array([0.1, 0.3, 30.0]))
    >>> [STATUS[status] for status in many.status]
    ['converged', 'converged', 'diverged']

    Args:
      W: float32 or float64 ``[m, d]``, whose dtype is that of the training. Many
        students by ``jax.vmap``, over ``lr`` and ``key`` too where they differ.
      k: teacher width, at most d, or a ``Teacher`` of other neurons.
      lr: learning rate η.
      optimizer: one of ``optimizers.OPTIMIZERS``.
      steps: maximal number of updates.
      tol: the run has converged once its float64 loss is below this.
      check_every: updates between two looks at the loss.
      batch: fresh inputs a step; 0 for the gradient of the population loss.
      key: of the inputs, step s draws from ``fold_in(key, s)``.
      hold: looks in a row that must find the loss below tol.

    Returns:
      The end of the run, its history of ``ceil(steps / check_every)`` looks.

    Raises:
      ValueError: in one line, for settings that cannot be trained, and for JAX
        without float64.
    """
    if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError("losses need float64: call lmc_jax.configure() first")
    if W.ndim != 2 or W.dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"W {W.dtype}{list(W.shape)}: give float32 or float64 [m, d], and jax.vmap "
            "over many students"
        )
    for name, value in ("steps", steps), ("check_every", check_every), ("hold", hold):
        if value < 1:
            raise ValueError(f"{name}={value}: give at least 1")
    if batch < 0 or (batch > 0) != (key is not None):
        raise ValueError(f"batch={batch}: give a key with a batch, and only with one")
    transformation = optimizer_named(optimizer)(jnp.asarray(lr, W.dtype))

    def look(state):
        run, looks, history = state
        run = advance(
            run,
            k,
            transformation,
            updates=min(check_every, steps),
            limit=steps,
            batch=batch,
            key=key,
        )
        loss = two_layer.loss(run.W.astype(jnp.float64), k)
        return check(run, loss, tol, hold), looks + 1, history.at[looks].set(loss)

    history = jnp.full(-(-steps // check_every), jnp.nan)
    end, _, history = jax.lax.while_loop(
        lambda state: state[0].status == RUNNING,
        look,
        (start(W, transformation), jnp.int32(0), history),
    )
    return Trained(end.W, end.status, end.step, history)
