"""What is measured of students and pairs of students."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.numerics import safe_norm
from lmc_jax.students.minima import types


def overlap(counts: Array) -> Array:
    """Overlap of two students: Σⱼ min(nⱼ, n'ⱼ) (paper, Definition 4).

    Args:
      counts: neurons of each type, ``[..., 2, k]``.

    Returns:
      ``[...]``; divide by m for the proportion.
    """
    return jnp.sum(jnp.min(counts, axis=-2), axis=-1)


def zero_rows(W: Array, m: ArrayLike, threshold: ArrayLike) -> Array:
    """Number of the first m rows of ``W [..., m, d]`` with norm <= threshold."""
    real = jnp.arange(W.shape[-2], dtype=jnp.int32) < m
    return jnp.sum(real & (safe_norm(W) <= threshold), axis=-1)


def pqi(
    values: Array, p: float = 1.0, q: float = 2.0, *, size: ArrayLike | None = None
) -> Array:
    """PQ index over the last axis: 1 - dim^{1/q - 1/p} |v|_p / |v|_q.

    Sparsity by Definition 7 of the paper (Diao et al. 2023): 0 for entries of one
    magnitude, largest, 1 - dim^{1/q - 1/p}, for a single nonzero entry. Neither the
    scale nor the order of the entries matters. Computed as 1 - M_p / M_q, with the
    power means M_r = (Σ|vᵢ|^r / dim)^{1/r} of entries scaled by the largest, so that
    no scale leaves the range of the dtype. Not meant to be differentiated.

    Args:
      values: ``[..., n]``.
      p: smaller exponent, a number.
      q: larger exponent, 0 < p < q < ∞.
      size: dim, the number of entries that count: ``[...]`` or scalar, may be traced;
        default n. The n - dim others must be zeros, the padding.

    Returns:
      ``[...]``, in [0, 1), dtype of ``values``. NaN for the zero vector, which has no
      index (near it are vectors of every index), and for entries that are not finite.

    Raises:
      ValueError: unless 0 < p < q < ∞.
    """
    if not 0 < p < q < math.inf:
        raise ValueError(f"p={p}, q={q}: give 0 < p < q")
    dim = jnp.asarray(values.shape[-1] if size is None else size, values.dtype)
    sizes = jnp.abs(values)
    largest = jnp.max(sizes, axis=-1, keepdims=True)
    defined = largest > 0
    # Divisors of full shape: XLA may turn those that are broadcast into reciprocals,
    # and does so or not by the number of devices.
    scaled = sizes / jnp.where(sizes > 0, largest, 1)  # [..., n], in [0, 1]

    def power_mean(r):
        total = jnp.sum(scaled**r, axis=-1)
        return (total / jnp.where(total > 0, dim, 1)) ** (1 / r)

    # The means of almost constant entries may come out in the wrong order.
    index = jnp.maximum(1 - power_mean(p) / power_mean(q), 0)
    return jnp.where(defined[..., 0], index, jnp.nan)


def certificate(pair: Array, perm: Array, k: int, ts: Array) -> Array:
    """Upper bound of the loss on the path between two aligned global minima.

    ½ ρ(t)ᵀ K ρ(t) >= L((1-t) W + t W'[perm]), with K = ½ on the diagonal and 1/2π off
    it, ρ(t) = (1-t) ρ + t ρ', and ρⱼ (ρ'ⱼ) the norm of all type-j neurons of the first
    (second) student whose partner has another type. Proof: f* - f_t is Σⱼ ρⱼ(t)
    relu(xⱼ) less the neurons mixed of two types, which lie between 0 and that sum by
    convexity of relu; its square has mean ρᵀKρ. A neuron paired with a zero one stays
    on its axis, and is not in ρ.

    A bound for the t it is given: it is convex in t, so that its values at 0 and 1
    (losses there are 0) exceed all between, and no barrier is to be compared with them.

    Args:
      pair: global minima ``[2, m, d]``; of other students nothing is bounded.
      perm: permutation ``[m]``: row ``perm[i]`` of the second is partner of row i.
      k: teacher width.
      ts: positions on the path ``[T]``, dtype of ``pair``.

    Returns:
      ``[T]``, in units of the loss ½ E[(f - f*)²], x ~ N(0, I).
    """
    aligned = jnp.stack([pair[0], pair[1][perm]])
    kinds = types(aligned, k)  # [2, m], k for zero neurons
    parted = (kinds[0] != kinds[1]) & (kinds < k).all(axis=0)
    masses = jnp.where(parted, safe_norm(aligned), 0)
    own = jax.nn.one_hot(kinds, k, dtype=pair.dtype)  # [2, m, k]
    rho = jnp.sum(own * masses[..., None], axis=1)  # [2, k]
    along = (1 - ts)[:, None] * rho[0] + ts[:, None] * rho[1]  # [T, k]
    same = jnp.sum(jnp.square(along), axis=-1)
    total = jnp.square(jnp.sum(along, axis=-1))
    return (same / 2 + (total - same) / (2 * math.pi)) / 2
