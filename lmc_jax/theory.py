"""Predictions without free parameters: overlap, unmatched mass, certificates.

Conventions: ``L(W) = ½ E[(f - f*)²]``, inputs ``x ~ N(0, I)``. m is the width of the
student, k of the teacher, n the numbers of neurons of each type. The *uniform model*
is the paper's Assumption 3: ``n = 1 + Multinomial(m - k, 1/k)``, and in each type the
norms are uniform on the simplex. NumPy and SciPy, float64.

Throughout k is an integer >= 1, widths m are integers >= k unless called real, and an
argument outside its stated range raises ValueError.
"""

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


def expected_overlap(m: ArrayLike, k: int) -> Floats:
    """Expected overlap proportion of the uniform model, exact (Definition 4).

    E = 1 - (k/m) Σ_s P(s)(1 - P(s)), P the cdf of Binomial(m - k, 1/k); what Theorem 5
    approximates. Follows from 2 min(n, n') = n + n' - |n - n'|.

    Takes integers m ``[...]`` >= k; returns ``[...]``, 1 for m = k and for k = 1. To
    1e-12 up to m = 10^6, where 1 - E has six digits; to 1e-9 at 10^7.

    Raises:
      ValueError: for m < k, or m or k that is no integer.
    """

    def one(width: int) -> float:
        binomial = np.arange(width - k + 1), width - k, 1 / k
        below, above = scipy.special.bdtr(*binomial), scipy.special.bdtrc(*binomial)
        return 1 - k / width * float(below @ above)

    return _over_widths(one, m, k)


def expected_overlap_clt(m: ArrayLike, k: int) -> Floats:
    """Central-limit form of the expected overlap: 1 - √((m - k)(k - 1)/π) / m.

    The paper's approximation (Theorem 5, Appendix A.1), smallest at m = 2k, where it
    tends to 1 - 1/(2√π) ≈ 0.7179 as k → ∞.

    Takes real m ``[...]`` >= k; returns ``[...]``.

    Raises:
      ValueError: for m < k or not finite.
    """
    m = widths(m, k, integer=False)
    return 1 - np.sqrt((m - k) * (k - 1) / np.pi) / m


def expected_overlap_limit(ratio: ArrayLike) -> Floats:
    """Expected overlap proportion as k → ∞ at fixed m/k = 1 + λ.

    E = 1 - λ e^{-2λ} (I₀(2λ) + I₁(2λ)) / (1 + λ): the counts become 1 + Poisson(λ),
    their difference a Skellam variable (Skellam 1946). Smallest at
    `LIMIT_MINIMUM_RATIO`, value ≈ 0.7352.

    Takes ratios m/k ``[...]`` in [1, 1e8], beyond which SciPy's Bessel functions end;
    returns ``[...]``.

    Raises:
      ValueError: for a ratio outside [1, 1e8].
    """
    ratio = np.asarray(ratio, np.float64)
    require((ratio >= 1) & (ratio <= 1e8), ratio, "ratio m/k must be in [1, 1e8]")
    excess = ratio - 1
    half_gap = excess * (
        scipy.special.ive(0, 2 * excess) + scipy.special.ive(1, 2 * excess)
    )
    return 1 - half_gap / ratio


def overlap_minimum(k: int) -> int:
    """Width m at which `expected_overlap` is smallest: 11, 46, 229 for k = 5, 20, 100.

    Takes k >= 2 (for k = 1 the overlap is 1 at every width); returns the smallest such
    width (for k = 2 both 4 and 5 are).

    Raises:
      ValueError: for k < 2, or no integer.
    """
    require(whole(k) & (k >= 2), k, "teacher width k must be an integer >= 2 here")
    # The overlap falls and then rises in m (Appendix A.1): bisect on its increments.
    low, high = k, 4 * k
    while low < high:
        middle = (low + high) // 2
        here, after = expected_overlap([middle, middle + 1], k)
        # A tie, up to rounding, is no fall.
        low, high = (low, middle) if after > here - 1e-14 else (middle + 1, high)
    return low


# Unmatched mass and the certificate for the barrier.


def spacing_order_statistics(n: int) -> Floats:
    """Expected norms of the n neurons of one type, largest first (Lemma 8).

    E a₍ⱼ₎ = (1/n) Σ_{i=j}^{n} 1/i for n normalised Exp(1) draws (Rényi 1953).

    Takes an integer n >= 1; returns ``[n]``, falling, with sum 1.

    Raises:
      ValueError: for n < 1, or no integer.
    """
    require(whole(n) & (n >= 1), n, "number of neurons n must be an integer >= 1")
    return np.cumsum(1 / np.arange(n, 0, -1))[::-1] / n


def unmatched_mass(m: ArrayLike, k: int) -> Floats:
    """Expected mass E ρⱼ of one type that Algorithm 1 leaves unmatched, exact.

    Uniform model. Algorithm 1 leaves the (n - n')₊ smallest of the n neurons of a type;
    about (k - 1)/2m for m ≫ k.

    Takes integers m ``[...]`` >= k; returns ``[...]``, in [0, 1), 0 for k = 1.

    Raises:
      ValueError: for m < k, or m or k that is no integer.
    """

    def one(width: int) -> float:
        n, p = _count_distribution(width, k)
        mean, _ = _leftover_moments(n)
        return float(p @ mean @ p)

    return _over_widths(one, m, k)


def expected_certificate(m: ArrayLike, k: int, t: float = 0.5) -> Floats:
    """Expected upper bound ½ E[ρ(t)ᵀ K ρ(t)] of L(W_t), exact in the uniform model.

    Let ρ, ρ' be the masses of each type that a matching of equal types leaves unmatched
    in two global minima, ρ(t) = (1-t) ρ + t ρ', and K = ½ on the diagonal and 1/2π off
    it. Then L((1-t) W + t W') <= ½ ρ(t)ᵀ K ρ(t) for every such pair: the residual is
    Σⱼ ρⱼ(t) relu(xⱼ) less the leftover neurons, which lie between 0 and that sum by
    convexity of relu. Here the matching is Algorithm 1's. Falls like m⁻² for m ≫ k,
    faster than the O(m^-½) of Theorem 6.

    Args:
      m: widths, m >= k.
      k: teacher width.
      t: position on the path, in [0, 1].

    Returns:
      Shape of ``m``.

    Raises:
      ValueError: for m < k, m or k that is no integer, or t outside [0, 1].
    """
    require(0 <= t <= 1, t, "position t on the path must be in [0, 1]")
    same, opposed = (1 - t) ** 2 + t**2, 2 * t * (1 - t)

    def one(width: int) -> float:
        n, p = _count_distribution(width, k)
        mean, square = _leftover_moments(n)  # [n, n']
        # Joint distribution of the counts of two types; given them, masses of different
        # types are independent.
        rest = (width - k) - (n - 1)
        joint = p[:, None] * scipy.stats.binom.pmf(
            n - 1, rest[:, None], 1 / max(k - 1, 1)
        )
        own = p @ square @ p  # E ρᵢ²; ρᵢ ρ'ᵢ = 0, only one side has leftovers
        pair = np.sum(joint * (mean @ joint @ mean.T))  # E ρᵢ ρⱼ
        cross = np.sum(joint * (mean @ joint @ mean))  # E ρᵢ ρ'ⱼ
        diagonal = k / 2 * same * own
        off_diagonal = k * (k - 1) / (2 * np.pi) * (same * pair + opposed * cross)
        return float(diagonal + off_diagonal) / 2

    return _over_widths(one, m, k)


def certificate_rate(m: ArrayLike, k: int, r: ArrayLike | None = None) -> Floats:
    """The certificate when a share r of the mass of every type is matched.

    ½ (1 - r)² (k/2 + k(k-1)/2π): `expected_certificate` under the assumption of
    Theorem 6. With r the overlap proportion it is O(m⁻¹); r → 1 as 1 - O(m^-½).

    Args:
      m: widths, m >= k; used only where ``r`` is not given.
      k: teacher width.
      r: matched share in [0, 1], broadcast with ``m``; default `expected_overlap`.

    Returns:
      Common shape of ``m`` and ``r``.

    Raises:
      ValueError: for m < k, m or k that is no integer, or r outside [0, 1].
    """
    m = widths(m, k)
    r = expected_overlap(m, k) if r is None else np.asarray(r, np.float64)
    require((r >= 0) & (r <= 1), r, "matched share r must be in [0, 1]")
    m, r = np.broadcast_arrays(m, r)
    return (1 - r) ** 2 * (k / 2 + k * (k - 1) / (2 * np.pi)) / 2


# Parts.


def _over_widths(function: Callable[[int], float], m: ArrayLike, k: int) -> Floats:
    each = widths(m, k).astype(np.int64)
    return np.vectorize(function, otypes=[np.float64])(each)[()]


def _count_distribution(m: int, k: int) -> tuple[NDArray[np.int64], Floats]:
    """Counts n [S] of one type and their probabilities p [S], p <= 1e-18 left out."""
    n = np.arange(1, m - k + 2)
    p = scipy.stats.binom.pmf(n - 1, m - k, 1 / k)
    kept = p > 1e-18
    return n[kept], p[kept]


def _leftover_moments(counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """First two moments [n, n'] of the mass of the (n - n')₊ smallest of n norms.

    With v = min(n, n') the mass is Σ_{i>v} cᵢ Dᵢ, cᵢ = 1 - v/i, for D uniform on the
    simplex of n points: the spacings of sorted Exp(1) draws are Exp(1)/i (Rényi 1953).
    """
    inverse = 1 / np.arange(1.0, counts.max() + 1)
    harmonic = np.append(0, np.cumsum(inverse))
    harmonic2 = np.append(0, np.cumsum(inverse**2))
    n, v = counts[:, None], np.minimum.outer(counts, counts)
    gap, gap2 = harmonic[n] - harmonic[v], harmonic2[n] - harmonic2[v]
    total = n - v - v * gap  # Σ cᵢ
    total2 = n - v - 2 * v * gap + v**2 * gap2  # Σ cᵢ²
    return total / n, (total**2 + total2) / (n * (n + 1))


def widths(m: ArrayLike, k: int, *, integer: bool = True) -> Floats:
    """Widths m ``[...]`` as float64.

    Raises:
      ValueError: in one line, for one below k, one that is no integer (or, with
        ``integer=False``, not finite), or a k that is no integer >= 1.
    """
    require(whole(k) & (k >= 1), k, "teacher width k must be an integer >= 1")
    found = np.asarray(m, np.float64)
    valid = whole(found) if integer else np.isfinite(found)
    kind = "an integer" if integer else "finite and"
    require(valid & (found >= k), found, f"width m must be {kind} >= k = {k}")
    return found


def whole(values: ArrayLike) -> NDArray[np.bool_]:
    """Which of the values ``[...]`` are integers."""
    return np.isfinite(values) & (np.floor(values) == values)


def require(valid: ArrayLike, values: ArrayLike, rule: str) -> None:
    """Raises ValueError, the rule with the first value ``[...]`` that is not valid."""
    wrong = np.asarray(values)[~np.asarray(valid)]
    if wrong.size:
        raise ValueError(f"{rule}, got {wrong[0]:g}")
