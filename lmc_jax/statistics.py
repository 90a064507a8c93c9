"""Means and ratios over independent pairs, with bootstrap intervals; NumPy."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

# Of the bootstrap in tables of many rows: its own error is a tenth of an interval.
RESAMPLES = 2000
NORMAL = 1.959964  # 95% of a normal variable are within so many deviations


def mean_interval(
    values: np.ndarray, *, confidence: float = 0.95, resamples: int = 9999
) -> np.ndarray:
    """Mean and percentile-bootstrap interval over independent values.

    >>> mean_interval(np.array([1.0, 2.0, 3.0])).round(2).tolist()
    [2.0, 1.0, 3.0]

    Args:
      values: ``[n]``, one value a pair, or columns ``[n, c]``.
      confidence: of the interval.
      resamples: bootstrap resamples, the same for equal n.

    Returns:
      ``[3]``, or ``[c, 3]``: mean, low, high; all NaN for n = 0, no interval (NaN) for
      n = 1.
    """
    ones = np.ones_like(values)
    return ratio_interval(values, ones, confidence=confidence, resamples=resamples)


def ratio_interval(
    numerator: np.ndarray,
    denominator: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> np.ndarray:
    """Ratio of means with a percentile-bootstrap interval that resamples pairs.

    For the normalised barrier: mean permuted over mean direct barrier.

    Args:
      numerator: ``[n]``, or columns ``[n, c]``.
      denominator: the same shape, of the same pairs.
      confidence: of the interval.
      resamples: bootstrap resamples, the same for every column and for equal n.

    Returns:
      ``[3]``, or ``[c, 3]``: ratio, low, high; NaN where the mean denominator is 0 or n
      is too small.
    """
    if numerator.ndim == 1:
        columns = numerator[:, None], denominator[:, None]
        return ratio_interval(*columns, confidence=confidence, resamples=resamples)[0]
    count, width = numerator.shape
    intervals = np.full((width, 3), np.nan)
    if not count:
        return intervals
    means = np.mean(denominator, axis=0)
    defined = means != 0
    intervals[defined, 0] = np.mean(numerator, axis=0)[defined] / means[defined]
    if count == 1:
        return intervals
    sampled = np.flatnonzero(np.isfinite(intervals[:, 0]))
    values = np.concatenate([numerator[:, sampled], denominator[:, sampled]], axis=1)
    blocks = enumerate(_blocks(count, resamples))
    sums = [_draws(count, size, block) @ values for block, size in blocks]
    top, bottom = np.split(np.concatenate(sums), 2, axis=1)
    # Where a resample has no denominator the interval is NaN, and says so.
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(bottom == 0, np.nan, top / bottom)
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        intervals[sampled, 1:] = np.quantile(ratios, ends, axis=0).T
    return intervals


def resampled_means(groups: Sequence[np.ndarray], *, first: int = 0) -> np.ndarray:
    """Means of independent groups of values, and those of their bootstrap resamples.

    Any statistic of the means has its interval from here:

    >>> means = resampled_means([np.array([1.0, 1.0]), np.array([3.0, 3.0])])
    >>> statistic_interval(means[:, 1] / means[:, 0]).tolist()
    [3.0, 3.0, 3.0]

    Args:
      groups: each ``[n]``, with an n of its own of at least 1.
      first: number of the first group; groups of other numbers are resampled
        independently.

    Returns:
      ``[1 + RESAMPLES, groups]``; the first row is of the groups themselves.
    """
    columns = []
    for number, values in enumerate(groups, first):
        count = len(values)
        rng = np.random.default_rng([1, number])
        often = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        columns.append(np.append(np.mean(values), often @ values / count))
    return np.stack(columns, axis=1)


def statistic_interval(values: np.ndarray) -> np.ndarray:
    """A statistic of groups and its 95% percentile interval, ``[3]``.

    Takes its values ``[1 + resamples]`` of the rows of ``resampled_means``. No interval
    (NaN) where one of them is not finite.
    """
    if not np.isfinite(values).all():
        return np.array([values[0], np.nan, np.nan])
    return np.array([values[0], *np.quantile(values[1:], [0.025, 0.975])])


def slopes(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slopes of lines through values against x, by least squares.

    >>> slopes(np.array([0.0, 1.0, 2.0]), np.array([[1.0, 3.0, 5.0]])).tolist()
    [2.0]

    Takes x ``[n]``, not all equal, and values ``[..., n]``; returns ``[...]``.
    """
    centred = x - np.mean(x)
    return values @ (centred / np.sum(centred**2))


def largest_shares(means: np.ndarray) -> np.ndarray:
    """How often each group has the largest mean, of the bootstrap resamples.

    >>> means = resampled_means([np.array([1.0, 2.0]), np.array([5.0, 6.0])])
    >>> largest_shares(means).tolist()
    [0.0, 1.0]

    Takes rows as of ``resampled_means``; returns shares ``[groups]`` with sum 1.
    """
    places = np.argmax(means[1:], axis=1)
    return np.bincount(places, minlength=means.shape[1]) / len(places)


def share_interval(count: ArrayLike, of: ArrayLike) -> np.ndarray:
    """Shares of independent trials with their 95% Wilson intervals.

    They have a width where no trial or every trial is counted, and a bootstrap has
    none.

    >>> share_interval(0, 40).round(3).tolist()
    [0.0, 0.0, 0.088]

    Takes counts and numbers of trials, whole numbers of any equal shape ``[...]``, the
    latter at least 1; returns ``[..., 3]``: share, low, high.
    """
    share, spread = np.divide(count, of), np.square(NORMAL) / np.asarray(of)
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return np.stack([share, middle - half, middle + half], axis=-1)


def controlled(values: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Values less what controls of mean zero explain of them, by least squares.

    The mean is that of the values, to the order of 1/n, and its error smaller: the part
    of the values that goes with the controls is known on average.

    >>> known = np.arange(40.0)[:, None] - 19
    >>> controlled(np.arange(40.0), known).round(9)[:3].tolist()
    [19.0, 19.0, 19.0]

    Args:
      values: ``[n]``; fewer than 30 come back as they are.
      controls: ``[n, c]``, whose expectation is exactly zero.

    Returns:
      ``[n]``.
    """
    if len(values) < 30:
        return values
    scale = np.abs(controls).max(axis=0)
    scaled = controls / np.where(scale > 0, scale, 1)
    centred = scaled - scaled.mean(axis=0)
    slopes, *_ = np.linalg.lstsq(centred, values - values.mean())
    return values - scaled @ slopes


def named(name: str, interval: Iterable[float]) -> dict[str, float]:
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
def _draws(count: int, size: int, block: int) -> np.ndarray:
    """How often each of ``count`` values is in each resample, ``[size, count]``.

    Kept for the next call: cells of a sweep have equally many pairs.
    """
    rng = np.random.default_rng([0, block])
    drawn = rng.integers(count, size=(size, count))
    flat = (drawn + count * np.arange(size)[:, None]).ravel()
    return np.bincount(flat, minlength=size * count).reshape(size, count).astype(float)
