"""One run of gradient descent; `jax.vmap` makes it many.

A run is advanced a fixed number of steps at a time and then checked, so the host can
replace the runs that ended. A run that ended is frozen: it keeps its last finite
weights and no longer disturbs or needs anything.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from lmc_jax.numerics import matmul

RUNNING, CONVERGED, EXHAUSTED, DIVERGED = range(4)
STATUS = ("running", "converged", "exhausted", "diverged")

# A student of this Frobenius norm is lost: global minima have norm at most sqrt(k).
NORM_BOUND = 1e6

Gradient = Callable[[Array, Array], Array]


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
    gradient: Gradient,
    optimizer: optax.GradientTransformation,
    *,
    updates: int,
    limit: int,
) -> Run:
    """Up to ``updates`` optimiser steps, and none beyond step ``limit``.

    Args:
      run: state; left as it is unless running.
      gradient: ``(W, step) -> dW``.
      optimizer: any optax transformation, its learning rate may be traced.
      updates: static number of steps of the loop.
      limit: steps after which the run is ``EXHAUSTED``.

    Returns:
      The new state. A step whose weights are not finite or exceed ``NORM_BOUND`` in
      Frobenius norm is not taken: the run is ``DIVERGED`` and its ``step`` counts
      the updates before.
    """

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
