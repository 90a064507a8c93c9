"""What Algorithm 1 leaves unmatched in two minima of the uniform model, and bounds."""

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

from lmc_jax.students.teachers import Teacher, energies, width
from lmc_jax.theory.overlap import Floats, expected_overlap, over_widths


def spacing_order_statistics(n: int) -> Floats:
    """Expected norms of the n neurons of one type, largest first (Lemma 8).

    E a₍ⱼ₎ = (1/n) Σ_{i=j}^{n} 1/i for n normalised Exp(1) draws (Rényi 1953). Takes
    n >= 1; returns ``[n]``, falling, with sum 1.

    >>> spacing_order_statistics(2).tolist()
    [0.75, 0.25]
    """
    return np.cumsum(1 / np.arange(n, 0, -1))[::-1] / n


def expected_certificate(m: ArrayLike, k: int | Teacher) -> Floats:
    """Expected upper bound ½ E[ρᵀ K ρ] of the midpoint's loss, exact (uniform model).

    Let ρ be half the mass of each type that a matching of equal types leaves unmatched
    in two global minima, both added, and K = ½ on the diagonal and 1/2π off it. Then
    L((W + W')/2) <= ½ ρᵀ K ρ for every such pair (`students.mixed.certificate`). Here
    the matching is Algorithm 1's, which leaves the (n - n')₊ smallest of the n neurons
    of a type. Falls like m⁻² for m ≫ k, faster than the O(m^-½) of Theorem 6. Masses of
    a teacher go with its |vⱼ|, and K is its kernel.

    >>> expected_certificate([5, 10, 50], 5).round(4).tolist()
    [0.0, 0.0307, 0.005]

    Takes integers m ``[...]``, and a teacher's width or a teacher; returns ``[...]``.
    """
    alone, mixed = energies(k)
    k = width(k)

    def at_width(width: int) -> float:
        n, p = count_distribution(width, k)
        mean, square = leftover_moments(n)  # [n, n']
        # Joint distribution of the counts of two types; given them, masses of different
        # types are independent.
        rest = (width - k) - (n - 1)
        joint = p[:, None] * scipy.stats.binom.pmf(
            n - 1, rest[:, None], 1 / max(k - 1, 1)
        )
        own = p @ square @ p  # E ρᵢ² of one student; only one side has leftovers
        pair = np.sum(joint * (mean @ joint @ mean.T))  # E ρᵢ ρⱼ of one student
        cross = np.sum(joint * (mean @ joint @ mean))  # E ρᵢ ρ'ⱼ of both
        return float(alone * own + mixed * (pair + cross)) / 4

    return over_widths(at_width, m, k)


def mixed_pair_loss(cosine: ArrayLike) -> Floats:
    """Loss (θ - sin θ)/8π of one neuron (v + v')/2 in place of v/2 and v'/2.

    Of unit vectors at angle θ = arccos(cosine), as where a path mixes two types. What
    is lost, ½ (relu(v·x) + relu(v'·x) - relu((v + v')·x)), is half the smaller of
    |v·x| and |v'·x| where their signs differ, else 0. Vanishes like θ³/48π as the two
    become parallel.

    >>> mixed_pair_loss([0.0, 1.0]).round(6).tolist()
    [0.022711, 0.0]

    Takes cosines ``[...]`` in [-1, 1]; returns ``[...]``.
    """
    theta = np.arccos(np.asarray(cosine, np.float64))
    return (theta - np.sin(theta)) / (8 * np.pi)


def certificate_rate(m: ArrayLike, k: int) -> Floats:
    """The certificate under Theorem 6's assumption, ½ (1 - r)² (k/2 + k(k-1)/2π).

    It assumes that a share r of the mass of every type is matched; here r is
    `expected_overlap`, which makes it O(m⁻¹), as 1 - r is O(m^-½).

    >>> certificate_rate([5, 10, 50], 5).round(4).tolist()
    [0.0, 0.1607, 0.0644]

    Takes integers m ``[...]``; returns ``[...]``.
    """
    unmatched = 1 - expected_overlap(m, k)
    return unmatched**2 * (k / 2 + k * (k - 1) / (2 * np.pi)) / 2


def count_distribution(m: int, k: int) -> tuple[NDArray[np.int64], Floats]:
    """Counts n [S] of one type and their probabilities p [S], p <= 1e-18 left out."""
    n = np.arange(1, m - k + 2)
    p = scipy.stats.binom.pmf(n - 1, m - k, 1 / k)
    kept = p > 1e-18
    return n[kept], p[kept]


def leftover_moments(counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
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
