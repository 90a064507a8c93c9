"""What is measured of students and pairs of students."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.minima import types
from lmc_jax.numerics import safe_norm


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


def mean_interval(
    values: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean and percentile-bootstrap interval over independent values.

    Args:
      values: ``[n]``, one value a pair.
      confidence: of the interval.
      resamples: bootstrap resamples.
      seed: of the resampling, so that equal data give equal intervals.

    Returns:
      ``(mean, low, high)``: (NaN, NaN, NaN) for n = 0, no interval (NaN) for n = 1.
    """
    return ratio_interval(
        values,
        np.ones_like(values),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def ratio_interval(
    numerator: np.ndarray,
    denominator: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Ratio of means with a percentile-bootstrap interval that resamples pairs.

    For the normalised barrier: mean permuted over mean direct barrier.

    Args:
      numerator: ``[n]``.
      denominator: ``[n]``, of the same pairs.
      confidence: of the interval.
      resamples: bootstrap resamples.
      seed: of the resampling.

    Returns:
      ``(ratio, low, high)``; NaN where the mean denominator is 0 or n is too small.
    """
    columns = np.stack([numerator, denominator], axis=1)
    value, low, high = ratio_intervals(
        columns[:, :1],
        columns[:, 1:],
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )[0]
    return float(value), float(low), float(high)


def ratio_intervals(
    numerators: np.ndarray,
    denominators: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> np.ndarray:
    """``ratio_interval`` of each column of ``[n, c]``, all over the same resamples.

    Returns:
      ``[c, 3]``: ratio, low, high.
    """
    count, columns = numerators.shape
    found = np.full((columns, 3), np.nan)
    if not count:
        return found
    means = np.mean(denominators, axis=0)
    defined = means != 0
    found[defined, 0] = np.mean(numerators, axis=0)[defined] / means[defined]
    if count == 1:
        return found
    sampled = np.flatnonzero(np.isfinite(found[:, 0]))
    values = np.concatenate([numerators[:, sampled], denominators[:, sampled]], axis=1)
    sums = np.concatenate(
        [
            _draws(count, size, seed, block) @ values
            for block, size in enumerate(_blocks(count, resamples))
        ]
    )
    top, bottom = np.split(sums, 2, axis=1)
    # Where a resample has no denominator the interval is NaN, and says so.
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(bottom == 0, np.nan, top / bottom)
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        found[sampled, 1:] = np.quantile(ratios, ends, axis=0).T
    return found


def _blocks(count: int, resamples: int) -> list[int]:
    """Resamples a block of at most 2²² draws, 32 MiB."""
    size = min(resamples, max(1, 2**22 // count))
    return [min(size, resamples - begin) for begin in range(0, resamples, size)]


@functools.lru_cache(maxsize=1)
def _draws(count: int, size: int, seed: int, block: int) -> np.ndarray:
    """How often each of ``count`` values is in each resample, ``[size, count]``.

    Kept for the next call: cells of a sweep have equally many pairs.
    """
    rng = np.random.default_rng([seed, block])
    drawn = rng.integers(count, size=(size, count))
    flat = (drawn + count * np.arange(size)[:, None]).ravel()
    return np.bincount(flat, minlength=size * count).reshape(size, count).astype(float)
