"""Means and ratios over independent pairs, with bootstrap intervals; NumPy."""

import functools
from collections.abc import Sequence

import numpy as np


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
    intervals = np.full((columns, 3), np.nan)
    if not count:
        return intervals
    means = np.mean(denominators, axis=0)
    defined = means != 0
    intervals[defined, 0] = np.mean(numerators, axis=0)[defined] / means[defined]
    if count == 1:
        return intervals
    sampled = np.flatnonzero(np.isfinite(intervals[:, 0]))
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
        intervals[sampled, 1:] = np.quantile(ratios, ends, axis=0).T
    return intervals


def named(name: str, interval: Sequence[float]) -> dict[str, float]:
    """A mean or ratio with its interval as columns of a table.

    >>> named("barrier", (0.5, 0.25, 0.75))
    {'barrier_mean': 0.5, 'barrier_low': 0.25, 'barrier_high': 0.75}
    """
    mean, low, high = map(float, interval)
    return {f"{name}_mean": mean, f"{name}_low": low, f"{name}_high": high}


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
