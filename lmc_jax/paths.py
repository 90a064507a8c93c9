"""The straight path between two sets of weights, and the barrier along it.

Works for any pytree of arrays and any loss of it that JAX can trace.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

BARRIERS = ("lerp", "mean", "max", "midpoint")


def times(points: int = 11) -> Array:
    """Evenly spaced path positions t from 0 to 1, float64 ``[points]``.

    The paper uses 11: 0, 0.1, ..., 1 (Section 2).

    >>> times(5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]

    Raises:
      ValueError: for less than 2 points.
    """
    if points < 2:
        raise ValueError(f"points={points}: a path has at least 2")
    return jnp.arange(points, dtype=jnp.float64) / (points - 1)


def lerp(start: Any, end: Any, t: Array) -> Any:
    """(1 - t) start + t end, leaf by leaf; exact at t = 0 and t = 1.

    Leaves are arrays or plain numbers, mixed in their own precision. Integers and
    booleans, such as a count of steps or a mask, are those of ``start`` for t < 1 and
    those of ``end`` at t = 1.

    >>> lerp({"w": 1.0, "step": 7}, {"w": 3.0, "step": 9}, 0.5)["w"].item()
    2.0
    """

    def mix(a, b):
        a, b = jnp.asarray(a), jnp.asarray(b)
        if not jnp.issubdtype(a.dtype, jnp.inexact):
            return jnp.where(t == 1, b, a)
        weight = jnp.asarray(t, a.dtype)  # the path keeps the precision of the weights
        return (1 - weight) * a + weight * b

    return jax.tree.map(mix, start, end)


def path_losses(loss: Callable[[Any], Array], start: Any, end: Any, ts: Array) -> Array:
    """Losses along the straight path, one position at a time (bounded memory).

    >>> start, end = {"w": jnp.array(-1.0)}, {"w": jnp.array(1.0)}
    >>> path_losses(lambda point: 1 - point["w"] ** 2, start, end, times(3)).tolist()
    [0.0, 1.0, 0.0]

    Args:
      loss: weights to a scalar; traced by JAX, so made of its operations.
      start: pytree of arrays, reached at t = 0; mixed as by ``lerp``.
      end: pytree of the same structure, reached at t = 1.
      ts: positions ``[T]``.

    Returns:
      ``[T]``, in the dtype of the loss.
    """
    return jax.lax.map(lambda t: loss(lerp(start, end, t)), ts)


def barrier(losses: Array, ts: Array, definition: str = "lerp") -> Array:
    """Height of the barrier in losses along a path.

    Definitions, with L_t the loss at t:

    - ``lerp``: max_t [L_t - ((1-t) L_0 + t L_1)], the excess over the chord
      (Frankle et al. 2020; Entezari et al. 2021);
    - ``mean``: max_t L_t - (L_0 + L_1)/2;
    - ``max``: max_t L_t - max(L_0, L_1);
    - ``midpoint``: the excess over the chord at t = ½, the middle one of ``ts``.

    >>> losses = jnp.array([0.0, 0.5, 0.9, 0.8, 0.4])
    >>> {name: round(barrier(losses, times(5), name).item(), 3) for name in BARRIERS}
    {'lerp': 0.7, 'mean': 0.7, 'max': 0.5, 'midpoint': 0.7}

    Args:
      losses: ``[..., T]``, at ``ts``; the first at t = 0, the last at t = 1.
      ts: ``[T]``.
      definition: one of ``BARRIERS``.

    Returns:
      ``[...]``, in the units of the loss.

    Raises:
      ValueError: for an unknown definition, or ``midpoint`` on an even number of
        positions.
    """
    first, last = losses[..., 0], losses[..., -1]
    if definition == "mean":
        return losses.max(-1) - (first + last) / 2
    if definition == "max":
        return losses.max(-1) - losses[..., (0, -1)].max(-1)
    if definition not in BARRIERS:
        known = ", ".join(BARRIERS)
        raise ValueError(f"unknown barrier {definition!r}: choose one of {known}")
    excess = losses - ((1 - ts) * first[..., None] + ts * last[..., None])
    if definition == "lerp":
        return excess.max(-1)
    if ts.shape[0] % 2 == 0:
        raise ValueError(f"midpoint needs an odd number of points, got {ts.shape[0]}")
    return excess[..., ts.shape[0] // 2]
