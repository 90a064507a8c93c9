"""Unmatched mass of two minima of the uniform model, and what it bounds."""

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

from lmc_jax.theory.arguments import (
    Floats,
    count_distribution,
    over_widths,
    require,
    whole,
    widths,
)
from lmc_jax.theory.overlap import expected_overlap


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

    def at_width(width: int) -> float:
        n, p = count_distribution(width, k)
        mean, _ = _leftover_moments(n)
        return float(p @ mean @ p)

    return over_widths(at_width, m, k)


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

    def at_width(width: int) -> float:
        n, p = count_distribution(width, k)
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

    return over_widths(at_width, m, k)


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
