"""Losses on the paths of all permutations of a pair, from its inner products alone.

At position t of the path, neuron i aligned with row a of the second student is
v_ia = (1-t) wᵢ + t w'ₐ, and the loss of a permutation p is

    2 L_t = Σᵢₗ K(v_{i,p(i)}, v_{l,p(l)}) - 2 Σᵢ Σⱼ K(v_{i,p(i)}, e_j) + const,

K(u, v) = E[relu(u·x) relu(v·x)]: a quadratic assignment problem with costs for every
(i, a, l, b). A teacher has its own neurons in place of the e_j. Losses
½ E[(f - f*)²], x ~ N(0, I), all in float64.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lmc_jax import paths
from lmc_jax.numerics import matmul, relu_kernel, unit
from lmc_jax.students import two_layer
from lmc_jax.students.teachers import Teacher, components, energies, weighted


class Path(NamedTuple):
    """A pair seen from positions ts ``[T]`` inside its path.

    own, cross, other: inner products ``[m, m]`` wᵢ·wₗ, wᵢ·w'ₐ, w'ₐ·w'_b.
    norms: |v_ia| ``[T, m, m]``. solo: K(v_ia, v_ia) - 2 Σⱼ K(v_ia, e_j) ``[T, m, m]``.
    ends: losses of the two students ``[2]``. const: of the loss, E[f*²].
    """

    ts: Array
    own: Array
    cross: Array
    other: Array
    norms: Array
    solo: Array
    ends: Array
    const: float


def inner_times(points: int, definition: str) -> Array:
    """Positions inside a path that a barrier's definition looks at, ``[T]``.

    Raises ValueError, in one line, for an unknown definition, and for points that have
    no middle.
    """
    if definition not in paths.BARRIERS:
        known = ", ".join(paths.BARRIERS)
        raise ValueError(f"unknown barrier {definition!r}: choose one of {known}")
    if points < 3 or points % 2 == 0:
        raise ValueError(f"points={points}: give an odd number of at least 3")
    ts = paths.times(points)[1:-1]
    return ts[points // 2 - 1 : points // 2] if definition == "midpoint" else ts


def path_of(pair: Array, k: int | Teacher, ts: Array) -> Path:
    """``Path`` of students ``[2, m, d]``, float64."""
    first, second = pair

    def at(t):
        mixed = (1 - t) * first[:, None] + t * second  # [m, m, d]
        directions, norms = unit(mixed)
        cross = weighted(relu_kernel(components(directions, k)), k)
        teacher = norms * jnp.sum(cross, axis=-1)
        return norms, jnp.square(norms) / 2 - 2 * teacher

    norms, solo = jax.lax.map(at, ts)
    own, cross, other = (
        matmul(a, b.T) for a, b in ((first, first), (first, second), (second, second))
    )
    ends = two_layer.loss(pair, k)
    return Path(ts, own, cross, other, norms, solo, ends, sum(energies(k)))


def kernel(path: Path, i: Array, a: Array, l: Array, b: Array) -> Array:
    """K(v_ia, v_lb) at every t, ``[T, ...]``, for indices that broadcast to ``[...]``.

    The norms are not taken from the inner products: where v is a small difference of
    large weights, the error stays that of an inner product.
    """
    i, a, l, b = jnp.broadcast_arrays(i, a, l, b)
    t = path.ts.reshape(-1, *(1,) * i.ndim)
    mixed = path.cross[i, b] + path.cross[l, a]
    inner = (1 - t) ** 2 * path.own[i, l] + t**2 * path.other[a, b]
    inner = inner + t * (1 - t) * mixed
    scale = path.norms[:, i, a] * path.norms[:, l, b]
    return scale * relu_kernel(inner / jnp.where(scale > 0, scale, 1))


def heights(path: Path, losses: Array, definition: str) -> Array:
    """Barriers ``[...]`` of losses ``[T, ...]`` inside the path."""
    full = jnp.concatenate(
        [
            jnp.broadcast_to(path.ends[0], (1, *losses.shape[1:])),
            losses,
            jnp.broadcast_to(path.ends[1], (1, *losses.shape[1:])),
        ]
    )
    ts = jnp.concatenate([jnp.zeros(1), path.ts, jnp.ones(1)])
    return paths.barrier(jnp.moveaxis(full, 0, -1), ts, definition)
