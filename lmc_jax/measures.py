"""What is measured of students and pairs of students."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy import stats

from lmc_jax.numerics import safe_norm


def overlap(counts: Array) -> Array:
    """Overlap of two students: Σⱼ min(nⱼ, n'ⱼ) (paper, Definition 4).

    Args:
      counts: neurons of each type, ``[..., 2, k]``.

    Returns:
      ``[...]``; divide by m for the proportion.
    """
    return jnp.sum(jnp.min(counts, axis=-2), axis=-1)


def zero_rows(W: Array, m: ArrayLike, threshold: float) -> Array:
    """Number of the first m rows of ``W [..., m, d]`` with norm <= threshold."""
    real = jnp.arange(W.shape[-2], dtype=jnp.int32) < m
    return jnp.sum(real & (safe_norm(W) <= threshold), axis=-1)


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
    count = len(numerator)
    if count == 0 or not np.mean(denominator):
        return np.nan, np.nan, np.nan
    value = float(np.mean(numerator) / np.mean(denominator))
    if count == 1:
        return value, np.nan, np.nan

    def ratio(top, bottom, axis):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.mean(top, axis) / np.mean(bottom, axis)

    interval = stats.bootstrap(
        (numerator, denominator),
        ratio,
        paired=True,
        vectorized=True,
        confidence_level=confidence,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return value, float(interval.low), float(interval.high)
