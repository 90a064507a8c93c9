"""Widths as the predictions take them: looked at, one by one, with their counts."""

from collections.abc import Callable

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def widths(m: ArrayLike, k: int, *, integer: bool = True) -> Floats:
    """Widths m ``[...]`` as float64.

    Raises:
      ValueError: in one line, for one below k, one that is not an integer (or, with
        ``integer=False``, not finite), or a k that is not an integer >= 1.
    """
    require(whole(k) & (k >= 1), k, "teacher width k must be an integer >= 1")
    values = np.asarray(m, np.float64)
    valid = whole(values) if integer else np.isfinite(values)
    kind = "an integer" if integer else "finite and"
    require(valid & (values >= k), values, f"width m must be {kind} >= k = {k}")
    return values


def whole(values: ArrayLike) -> NDArray[np.bool_]:
    """Which of the values ``[...]`` are integers."""
    values = np.asarray(values, np.float64)  # an integer of Python may be beyond int64
    return np.isfinite(values) & (np.floor(values) == values)


def require(valid: ArrayLike, values: ArrayLike, rule: str) -> None:
    """Raises ValueError, the rule with the first value ``[...]`` that is not valid."""
    wrong = np.asarray(values)[~np.asarray(valid)]
    if wrong.size:
        raise ValueError(f"{rule}, got {wrong[0]:g}")


def over_widths(function: Callable[[int], float], m: ArrayLike, k: int) -> Floats:
    """The function of a width at each of the widths m ``[...]``."""
    each = widths(m, k).astype(np.int64)
    return np.vectorize(function, otypes=[np.float64])(each)[()]


def count_distribution(m: int, k: int) -> tuple[NDArray[np.int64], Floats]:
    """Counts n [S] of one type and their probabilities p [S], p <= 1e-18 left out."""
    n = np.arange(1, m - k + 2)
    p = scipy.stats.binom.pmf(n - 1, m - k, 1 / k)
    kept = p > 1e-18
    return n[kept], p[kept]
