"""The mean of n uniform minima, row by row: its loss, aligned and not aligned.

The mean W̄ has rows v with entries >= 0 and column sums 1, so f* - f_W̄ >= 0 by
convexity of relu. Not aligned, rows tend to (1, ..., 1)/m and the loss to a constant;
aligned to one of the minima it stays of the order of m⁻² for every n.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from lmc_jax.theory.barrier import count_distribution, leftover_moments
from lmc_jax.theory.overlap import Floats, widths

DENSITY = 1 / math.sqrt(2 * math.pi)  # of a standard normal at 0


class Expansion(NamedTuple):
    """limit - first/n + second/n^(3/2), for many students."""

    limit: float
    first: float
    second: float = 0.0

    def at(self, n: ArrayLike) -> Floats:
        """Its value at numbers of students ``[...]``."""
        inverse = 1 / np.asarray(n, np.float64)
        return self.limit - self.first * inverse + self.second * inverse**1.5


# --- not aligned ---------------------------------------------------------------------


def unaligned(m: int, k: int) -> Expansion:
    """Expected loss of the mean of n minima that are not aligned.

    limit = ½ [k - 2 k^(3/2) κ(k^(-½)) + k(k-1)/2π]: every row tends to (1, ..., 1)/m
    and f to relu(S), S = Σⱼ xⱼ, whatever the width. For finite n, f is relu(S) but
    where |S| is of the order of n^(-½), since rows sum to (1, ..., 1): there, with T
    the fluctuation of m v·x, of variance τ²/n, τ² = m² α |x|² and α = E |w|²/k,
    ∫ (relu(S + T) - relu(S) - T 1{S > 0}) dS = T²/2 against f* at S = 0 gives

        first = m² α k √(k-1) / 4π,  m² α = m E[2/(n₁ + 1)],

    n₁ = 1 + Binomial(m - k, 1/k). second, of T³, takes T as normal, of correlation
    -1/(m-1) between rows. What is left out is of the order of n⁻².

    >>> [round(part, 3) for part in unaligned(10, 5)]
    [0.881, 5.776, 6.501]

    Takes m >= k; all zero for k = 1.
    """
    trials = int(widths(m, k)) - k
    if k == 1:
        return Expansion(0.0, 0.0)
    extra = np.arange(trials + 1)
    share = scipy.stats.binom.pmf(extra, trials, 1 / k) @ (1 / (extra + 2))
    spread = 2 * m * float(share)  # m² α
    crossed = 2 * k**1.5 * _kernel(k**-0.5)
    limit = (k - crossed + k * (k - 1) / (2 * math.pi)) / 2
    first = spread * k * math.sqrt(k - 1) / (4 * math.pi)
    cubed = spread**1.5 * 2**1.5 * math.gamma((k + 2) / 2) / math.gamma((k - 1) / 2)
    squares = _both(1) / m + (1 - 1 / m) * _both(-1 / (m - 1))
    second = DENSITY / math.sqrt(k) * cubed * (squares / 2 + DENSITY / 3)
    return Expansion(limit, first, second)


def _kernel(t: float) -> float:
    """κ(t) = E[relu(u·x) relu(v·x)] of unit vectors with u·v = t."""
    angle = math.acos(t)
    return (math.sin(angle) + (math.pi - angle) * t) / (2 * math.pi)


def _both(r: float) -> float:
    """∫ E[g(T, s) g(T', s)] ds, g = relu(s + T) - relu(s) - T 1{s > 0}.

    T, T' standard normal with correlation r: 2 E ∫ (T - s)₊ (T' - s)₊ ds over s > 0,
    whose derivative in r is 2 E min(T, T')₊ (Price 1958), and 0 at r = -1.
    """
    return DENSITY * (2 * (1 + r) + ((2 - 2 * r) ** 1.5 - 8) / 3)


# --- aligned -------------------------------------------------------------------------


def merged_certificate(n: float, m: int, k: int) -> float:
    """Expected upper bound of the loss of the mean of n minima aligned to one, exact.

    Let ρⱼ be the mass of type j in the mean that lies on neurons of another type of the
    first minimum. Then L <= ½ [½ Σⱼ ρⱼ² + (Σⱼ ρⱼ)²/2π] for every n. Proof: on a neuron
    of type p, Σⱼ vⱼ relu(xⱼ) - relu(v·x) is at most Σ_{j≠p} vⱼ relu(xⱼ) where x_p < 0,
    and at most Σ_{j≠p} vⱼ relu(-xⱼ) elsewhere, as relu(y) >= y. Moments of these are ½
    for one (p, j), at most ½ for equal j, and 1/2π for others, but 1/π for (p, j) with
    (j, p): in all at most the form, as Σ A_pj A_jp <= Σ A_pj².

    ρ is a mean over students whose leftovers, given the first minimum, are independent
    and distributed as those of a pair.

    >>> [round(merged_certificate(n, 50, 5), 5) for n in (1, 2, 32, math.inf)]
    [0.0, 0.00239, 0.00628, 0.0066]

    Takes n >= 1, ∞ allowed, and m >= k.
    """
    width = int(widths(m, k))
    counts, p = count_distribution(width, k)
    mean, square = leftover_moments(counts)  # [n, n₁]
    rest = (width - k) - (counts - 1)
    share = 1 / max(k - 1, 1)
    joint = p[:, None] * scipy.stats.binom.pmf(counts - 1, rest[:, None], share)
    given = p @ mean  # E[ρⱼ | first minimum], [n₁]
    return _form(
        *(n, k),
        own=float(p @ square @ p),
        pair=float(np.sum(joint * (mean @ joint @ mean.T))),
        twin=float(given**2 @ p),
        cross=float(given @ joint @ given),
    )


def merged_certificate_law(n: float, k: int) -> float:
    """C of `merged_certificate`, which tends to C/m² for m ≫ k.

    A mass is δ₊²/2 · (k/m)² there, δ normal: its moments are arc-cosine kernels of
    degree 2 (Cho & Saul 2009) of the correlations of two δ: 1 and -1/(k-1) of one
    student, ½ and -1/2(k-1) of two that share the first minimum.

    >>> [round(merged_certificate_law(n, 2), 3) for n in (2, 32, math.inf)]
    [0.247, 0.459, 0.473]

    Takes n >= 1, ∞ allowed, and k >= 2.
    """
    other = -1 / (k - 1)
    correlations = {"own": 1, "pair": other, "twin": 1 / 2, "cross": other / 2}
    moments = {name: _squares(r) for name, r in correlations.items()}
    return (k - 1) ** 2 * _form(n, k, **moments)


def _form(
    n: float, k: int, *, own: float, pair: float, twin: float, cross: float
) -> float:
    """The bound from E ρⱼ², E ρⱼ ρₗ: own, pair of one student, twin, cross of two."""
    inverse = 1 / n
    same = (1 - inverse) * inverse
    apart = (1 - inverse) * (1 - 2 * inverse)
    diagonal = k * (1 / 2 + 1 / (2 * math.pi)) * (same * own + apart * twin)
    off_diagonal = k * (k - 1) / (2 * math.pi) * (same * pair + apart * cross)
    return (diagonal + off_diagonal) / 2


def _squares(r: float) -> float:
    """E[(X₊)² (Y₊)²] of standard normals with correlation r."""
    angle = math.acos(r)
    bent = (math.pi - angle) * (1 + 2 * r**2)
    return (3 * math.sin(angle) * r + bent) / (2 * math.pi)


def two_neuron_merging() -> Expansion:
    """C of the mean of n minima at k = 2, aligned by Algorithm 1 (opposed): C - c/n.

    The loss tends to C/m² for m ≫ k. With k = 2 opposed leftovers put the neurons of
    all students in one order, type 1 falling, then type 2 rising, so that it does not
    matter to which they are aligned. With z the scaled numbers of neurons of type 1,
    N(0, ½), and s, c the sine and cosine of θ, the residual along an input is

        R(θ) = min_v mean_z [c ((v - z)₊)² + s ((z - v)₊)²]/2,

    half a variance about an expectile, and C = (8/π) ∫_0^{π/4} E R² dθ. n → ∞ makes
    the mean an expectation; c is the first correction of a minimised mean. The integral
    is over t = √2 v, where c h(t) = s h(-t), h(t) = E (t - Z)₊. For n = 2 the exact C
    is ``two_neuron_limit("opposed")``.

    >>> [round(part, 5) for part in two_neuron_merging()[:2]]
    [0.03781, 0.00209]
    """
    limit, first = scipy.integrate.quad_vec(_expectile, -12, 0)[0].tolist()
    return Expansion(2 / math.pi * limit, 2 / math.pi * first)


def _expectile(t: float) -> Floats:
    """R², and c/n of its mean, at the θ of the expectile t, times dθ/dt; for z = Z."""
    below, above = (float(scipy.special.ndtr(x)) for x in (t, -t))
    density = DENSITY * math.exp(-t * t / 2)
    # Moments of (t - Z)₊ and of (Z - t)₊: first, half the second, the fourth.
    h, h_up = t * below + density, -t * above + density
    H, H_up = (
        ((t * t + 1) * chance + sign * t * density) / 2
        for chance, sign in ((below, 1), (above, -1))
    )
    Q, Q_up = (
        (t**4 + 6 * t**2 + 3) * chance + sign * (t**3 + 5 * t) * density
        for chance, sign in ((below, 1), (above, -1))
    )
    length = math.hypot(h, h_up)
    c, s = h_up / length, h / length
    mean = c * H + s * H_up
    variance = (c * c * Q + s * s * Q_up) / 4 - mean**2
    slope = 2 * (c * c * H + s * s * H_up)
    curvature = c * below + s * above
    turn = (below * h_up + above * h) / length**2
    return turn * np.array([mean**2, mean * slope / curvature - variance])
