"""The straight path between two sets of weights, and the barrier along it.

Works for any pytree of arrays and any loss of it that JAX can trace.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import keystr

BARRIERS = ("lerp", "mean", "max", "midpoint")


def times(points: int = 11) -> Array:
    """Evenly spaced path positions t from 0 to 1, float64 ``[points]``.

    The paper uses 11: 0, 0.1, ..., 1 (Section 2).

    >>> times(5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]

    Raises:
      ValueError: for less than 2 points, or a number that is not an integer.
    """
    if not isinstance(points, Integral) or points < 2:
        raise ValueError(f"points={points}: a path has at least 2, a whole number")
    return jnp.arange(points, dtype=jnp.float64) / (points - 1)


def lerp(start: Any, end: Any, t: Array) -> Any:
    """(1 - t) start + t end, leaf by leaf; exact at t = 0 and t = 1.

    Leaves are arrays or plain numbers, mixed in their own precision.

    >>> lerp({"w": 1.0}, {"w": 3.0}, 0.5)["w"].item()
    2.0

    Raises:
      ValueError: for ends of different structures or shapes, and for weights that are
        not floating-point, such as counts or masks; names the array.
    """

    def mix(path, a, b):
        a, b, name = jnp.asarray(a), jnp.asarray(b), _named(path)
        if a.shape != b.shape:
            raise ValueError(f"array {name!r} is {a.shape} and {b.shape} at the ends")
        for dtype in (a.dtype, b.dtype):
            if not jnp.issubdtype(dtype, jnp.inexact):
                raise ValueError(
                    f"array {name!r} has dtype {dtype}: a path mixes floating-point "
                    "weights, leave it out"
                )
        weight = jnp.asarray(t, a.dtype)  # the path keeps the precision of the weights
        return (1 - weight) * a + weight * b

    _require_alike(start, end)
    return jax.tree_util.tree_map_with_path(mix, start, end)


def _require_alike(start: Any, end: Any) -> None:
    """Raises ValueError for pytrees of different structures."""
    ends = (jax.tree_util.tree_leaves_with_path(tree) for tree in (start, end))
    one, other = ({_named(path) for path, _ in leaves} for leaves in ends)
    if missing := sorted(one ^ other):
        raise ValueError(f"array {missing[0]!r} is at one end of the path only")
    if len({jax.tree.structure(start), jax.tree.structure(end)}) > 1:
        raise ValueError("the ends of the path are pytrees of different types")


def _named(path: tuple) -> str:
    return keystr(path, simple=True, separator="/")


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

    Raises:
      ValueError: as ``lerp``.
    """
    return jax.lax.map(lambda t: loss(lerp(start, end, t)), ts)


def barrier(losses: Any, ts: Any, definition: str = "lerp") -> Array:
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
      losses: ``[..., T]``, at ``ts``; arrays or lists.
      ts: ``[T]``, rising from 0 to 1.
      definition: one of ``BARRIERS``.

    Returns:
      ``[...]``, in the units of the loss; float32 at least.

    Raises:
      ValueError: for an unknown definition, ``midpoint`` on an even number of
        positions, other shapes, masked arrays, what is not real numbers, and, where
        values are not traced, other positions or ends that are not finite.
    """
    if definition not in BARRIERS:
        known = ", ".join(BARRIERS)
        raise ValueError(f"unknown barrier {definition!r}: choose one of {known}")
    losses, ts = _real(losses, "losses"), _real(ts, "ts")
    if ts.ndim != 1 or losses.shape[-1:] != ts.shape:
        raise ValueError(
            f"losses {losses.shape} at positions {ts.shape}: give [..., T] at [T]"
        )
    if not isinstance(ts, jax.core.Tracer):
        _require_path(np.asarray(ts))
    first, last = losses[..., 0], losses[..., -1]
    for end in (first, last):
        if not (isinstance(end, jax.core.Tracer) or np.isfinite(end).all()):
            raise ValueError(
                "losses at an end are not finite: leave out diverged networks"
            )
    if definition == "mean":
        return losses.max(-1) - (first / 2 + last / 2)
    if definition == "max":
        return losses.max(-1) - losses[..., (0, -1)].max(-1)
    excess = losses - ((1 - ts) * first[..., None] + ts * last[..., None])
    if definition == "lerp":
        return excess.max(-1)
    if ts.shape[0] % 2 == 0:
        raise ValueError(f"midpoint needs an odd number of points, got {ts.shape[0]}")
    return excess[..., ts.shape[0] // 2]


def _real(values: Any, name: str) -> Any:
    """An array of real numbers, float32 at least; of NumPy, where it is not of JAX."""
    array = values if isinstance(values, jax.Array) else np.asarray(values)
    kinds = (jnp.floating, jnp.integer)
    real = any(jnp.issubdtype(array.dtype, kind) for kind in kinds)
    parts = values if isinstance(values, list | tuple) else [values]
    if any(map(np.ma.isMaskedArray, parts)) or not real:
        raise ValueError(f"{name} masked or of {array.dtype}: give real numbers")
    return array.astype(np.promote_types(array.dtype, np.float32))


def _require_path(ts: np.ndarray) -> None:
    """Raises ValueError unless positions rise from 0 to 1, to rounding."""
    ends = ts[[0, -1]] if len(ts) > 1 else np.zeros(2)
    if not (np.allclose(ends, (0, 1), atol=1e-6) and (np.diff(ts) > 0).all()):
        raise ValueError(f"ts={ts}: give positions that rise from 0 to 1")
