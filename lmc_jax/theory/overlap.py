"""Overlap of two minima of the uniform model: exact, by the central limit, k → ∞."""

from collections.abc import Callable

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CLT_MINIMUM_RATIO = 2.0
"""m/k at which `expected_overlap_clt` is smallest, for every k >= 2 (Theorem 5)."""

LIMIT_MINIMUM_RATIO = 2.2921998129408268
"""m/k ≈ 2.292 at which `expected_overlap_limit` is smallest.

With λ = m/k - 1, d/dλ [λ e^{-2λ}(I₀ + I₁)] = e^{-2λ} I₀, all at 2λ, so that the
minimum solves I₀(2λ) = λ I₁(2λ).
"""


def widths(m: ArrayLike, k: int) -> Floats:
    """Widths m ``[...]`` as float64; raises ValueError unless m >= k >= 1."""
    values = np.asarray(m, np.float64)
    least = np.min(values, initial=np.inf)
    if not 1 <= k <= least:
        raise ValueError(f"width m={least:g}, teacher width k={k}: give m >= k >= 1")
    return values


def over_widths(function: Callable[[int], float], m: ArrayLike, k: int) -> Floats:
    """The function of a width at each of the widths m ``[...]``."""
    each = widths(m, k).astype(np.int64)
    return np.vectorize(function, otypes=[np.float64])(each)[()]


def expected_overlap(m: ArrayLike, k: int) -> Floats:
    """Expected overlap proportion of the uniform model, exact (Definition 4).

    E = 1 - (k/m) Σ_s P(s)(1 - P(s)), P the cdf of Binomial(m - k, 1/k); what Theorem 5
    approximates. Follows from 2 min(n, n') = n + n' - |n - n'|.

    >>> expected_overlap([5, 11, 50], 5).round(4).tolist()
    [1.0, 0.7606, 0.8495]

    Takes integers m ``[...]``; returns ``[...]``, 1 for m = k and for k = 1. To 1e-12
    up to m = 10^6, where 1 - E has six digits; to 1e-9 at 10^7.
    """

    def at_width(width: int) -> float:
        trials = width - k
        # Beyond twelve deviations and a few more P(1 - P) is nothing.
        mean, reach = trials / k, 12 * np.sqrt(trials / k) + 40
        first, last = max(0, int(mean - reach)), min(trials, int(mean + reach))
        binomial = np.arange(first, last + 1), trials, 1 / k
        below, above = scipy.special.bdtr(*binomial), scipy.special.bdtrc(*binomial)
        return 1 - k / width * float(below @ above)

    return over_widths(at_width, m, k)


def expected_overlap_clt(m: ArrayLike, k: int) -> Floats:
    """Central-limit form of the expected overlap: 1 - √((m - k)(k - 1)/π) / m.

    The paper's approximation (Theorem 5, Appendix A.1), smallest at m = 2k, where it
    tends to 1 - 1/(2√π) ≈ 0.7179 as k → ∞. Takes real m ``[...]``; returns ``[...]``.

    >>> expected_overlap_clt([5, 10, 50], 5).round(4).tolist()
    [1.0, 0.7477, 0.8486]
    """
    m = widths(m, k)
    return 1 - np.sqrt((m - k) * (k - 1) / np.pi) / m


def expected_overlap_limit(ratio: ArrayLike) -> Floats:
    """Expected overlap proportion as k → ∞ at fixed m/k = 1 + λ.

    E = 1 - λ e^{-2λ} (I₀(2λ) + I₁(2λ)) / (1 + λ): the counts become 1 + Poisson(λ),
    their difference a Skellam variable (Skellam 1946). Smallest at
    `LIMIT_MINIMUM_RATIO`, value ≈ 0.7352.

    >>> expected_overlap_limit([1, LIMIT_MINIMUM_RATIO, 10]).round(4).tolist()
    [1.0, 0.7352, 0.8319]

    Takes ratios m/k ``[...]`` in [1, 1e8], beyond which SciPy's Bessel functions end;
    returns ``[...]``.
    """
    ratio = np.asarray(ratio, np.float64)
    excess = ratio - 1
    half_gap = excess * (
        scipy.special.ive(0, 2 * excess) + scipy.special.ive(1, 2 * excess)
    )
    return 1 - half_gap / ratio


def overlap_minimum(k: int) -> int:
    """Width m at which `expected_overlap` is smallest, about 2.29 k for large k.

    >>> [overlap_minimum(k) for k in (5, 20, 100)]
    [11, 46, 229]

    Takes k >= 2 (for k = 1 the overlap is 1 at every width); returns the smallest such
    width (for k = 2 both 4 and 5 are).
    """
    # The overlap falls and then rises in m (Appendix A.1): bisect on its increments.
    low, high = k, 4 * k
    while low < high:
        middle = (low + high) // 2
        here, after = expected_overlap([middle, middle + 1], k)
        # A tie, up to rounding, is not a fall.
        low, high = (low, middle) if after > here - 1e-14 else (middle + 1, high)
    return low
