"""What is measured of students and pairs of students."""

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.numerics import safe_norm


def overlap(counts: Array) -> Array:
    """Overlap of two students: Σⱼ min(nⱼ, n'ⱼ) (paper, Definition 4).

    Takes neurons of each type ``[..., 2, k]``; returns ``[...]``, m times the share.
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
