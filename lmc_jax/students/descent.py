"""One run of gradient descent; `jax.vmap` makes it many.

A run is advanced a fixed number of steps at a time and then checked, so the host can
replace the runs that ended. A run that ended is frozen: it keeps its last finite
weights and no longer disturbs or needs anything.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from lmc_jax.numerics import matmul
from lmc_jax.students import two_layer

RUNNING, CONVERGED, EXHAUSTED, DIVERGED = range(4)
STATUS = ("running", "converged", "exhausted", "diverged")

# A student of this Frobenius norm is lost: global minima have norm at most sqrt(k).
NORM_BOUND = 1e6


class Run(NamedTuple):
    """State of one run.

    W: student ``[m, d]``. optimizer: optax state. step: int32, updates done.
    status: int32, an index into ``STATUS``. held: int32, checks in a row below the
    tolerance.
    """

    W: Array
    optimizer: Any
    step: Array
    status: Array
    held: Array


def start(W: Array, optimizer: optax.GradientTransformation) -> Run:
    """A run at step 0 from the student ``W [m, d]``."""
    zero = jnp.zeros((), jnp.int32)
    return Run(W, optimizer.init(W), zero, zero + RUNNING, zero)


def advance(
    run: Run,
    k: int,
    optimizer: optax.GradientTransformation,
    *,
    updates: int,
    limit: int,
    batch: int = 0,
    key: Array | None = None,
    d: int | None = None,
) -> Run:
    """Up to ``updates`` optimiser steps, and none beyond step ``limit``.

    Args:
      run: state; left as it is unless running.
      k: teacher width.
      optimizer: made by one of ``optimizers.OPTIMIZERS``; its learning rate may be
        traced.
      updates: static number of steps of the loop.
      limit: steps after which the run is ``EXHAUSTED``.
      batch: fresh inputs x ~ N(0, I_d) a step; 0 for the gradient of the population
        loss.
      key: step s draws its inputs from ``fold_in(key, s)``; not used with batch 0.
      d: input dimension, by default all columns of ``run.W``. Columns beyond are
        padding, zero, and stay zero.

    Returns:
      The new state. A step whose weights are not finite or exceed ``NORM_BOUND`` in
      Frobenius norm is not taken: the run is ``DIVERGED`` and its ``step`` counts
      the updates before.

    Raises:
      ValueError: for k > d, or a batch without a key.
    """
    columns = run.W.shape[1]
    d = columns if d is None else d
    if k > d:
        raise ValueError(f"k={k} > d={d}: the teacher's k neurons need d >= k")

    def gradient(W, step):
        if not batch:
            return two_layer.gradient(W, k)
        if key is None:
            raise ValueError(f"batch={batch}: give the key of its inputs")
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


def check(run: Run, loss: Array, tolerance: float, hold: int = 1) -> Run:
    """Marks a run ``CONVERGED`` whose loss is below the tolerance ``hold`` times.

    In a row, that is: near a minimum that is barely unstable a run may pass below the
    tolerance before the instability has grown. A run at its step limit counts as
    converged if its last check makes it so.

    Args:
      run: state, running or not.
      loss: population loss of ``run.W``.
      tolerance: least loss that does not count.
      hold: checks in a row that must find less.

    Returns:
      The state with ``status`` and ``held`` brought up to date.
    """
    open_ended = (run.status == RUNNING) | (run.status == EXHAUSTED)
    held = jnp.where(loss < tolerance, run.held + 1, 0)
    reached = open_ended & (held >= hold)
    status = jnp.where(reached, CONVERGED, run.status)
    return run._replace(status=status, held=held)
