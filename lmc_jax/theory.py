"""Predictions without free parameters: overlap, certificates, linear stability.

Conventions: ``L(W) = ½ E[(f - f*)²]``, inputs ``x ~ N(0, I)``. m is the width of the
student, k of the teacher, n the numbers of neurons of each type. The *uniform model*
is the paper's Assumption 3: ``n = 1 + Multinomial(m - k, 1/k)``, and in each type the
norms are uniform on the simplex. NumPy and SciPy, float64.

Throughout k is an integer >= 1, widths m are integers >= k unless called real, and an
argument outside its stated range raises ValueError.
"""

import functools
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

    Takes integers m ``[...]`` >= k; returns ``[...]``, 1 for m = k and for k = 1.
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
    """
    m = _widths(m, k, integer=False)
    return 1 - np.sqrt((m - k) * (k - 1) / np.pi) / m


def expected_overlap_limit(ratio: ArrayLike) -> Floats:
    """Expected overlap proportion as k → ∞ at fixed m/k = 1 + λ.

    E = 1 - λ e^{-2λ} (I₀(2λ) + I₁(2λ)) / (1 + λ): the counts become 1 + Poisson(λ),
    their difference a Skellam variable (Skellam 1946). Smallest at
    `LIMIT_MINIMUM_RATIO`, value ≈ 0.7352.

    Takes ratios m/k ``[...]`` in [1, 1e8], beyond which SciPy's Bessel functions end;
    returns ``[...]``.
    """
    ratio = np.asarray(ratio, np.float64)
    _require((ratio >= 1) & (ratio <= 1e8), ratio, "ratio m/k must be in [1, 1e8]")
    excess = ratio - 1
    half_gap = excess * (
        scipy.special.ive(0, 2 * excess) + scipy.special.ive(1, 2 * excess)
    )
    return 1 - half_gap / ratio


def overlap_minimum(k: int) -> int:
    """Width m at which `expected_overlap` is smallest: 11, 46, 229 for k = 5, 20, 100.

    Takes k >= 2 (for k = 1 the overlap is 1 at every width); returns the smallest such
    width (for k = 2 both 4 and 5 are).
    """
    _require(_whole(k) & (k >= 2), k, "teacher width k must be an integer >= 2 here")
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
    """
    _require(_whole(n) & (n >= 1), n, "number of neurons n must be an integer >= 1")
    return np.cumsum(1 / np.arange(n, 0, -1))[::-1] / n


def unmatched_mass(m: ArrayLike, k: int) -> Floats:
    """Expected mass E ρⱼ of one type that Algorithm 1 leaves unmatched, exact.

    Uniform model. Algorithm 1 leaves the (n - n')₊ smallest of the n neurons of a type;
    about (k - 1)/2m for m ≫ k.

    Takes integers m ``[...]`` >= k; returns ``[...]``, in [0, 1), 0 for k = 1.
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
    """
    _require(0 <= t <= 1, t, "position t on the path must be in [0, 1]")
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
    """
    m = _widths(m, k)
    r = expected_overlap(m, k) if r is None else np.asarray(r, np.float64)
    _require((r >= 0) & (r <= 1), r, "matched share r must be in [0, 1]")
    m, r = np.broadcast_arrays(m, r)
    return (1 - r) ** 2 * (k / 2 + k * (k - 1) / (2 * np.pi)) / 2


# Linear stability: which minima gradient descent can stay at (Section 5).


def gauss_newton(counts: ArrayLike, d: int) -> Floats:
    """Nonzero spectrum of the Hessian at a global minimum, as a dense matrix.

    There the residual vanishes and the Hessian of the loss has, for neurons of types
    p and q, the block B_pq = E[x xᵀ 1{x_p > 0} 1{x_q > 0}]: ½ I for p = q, else
    ¼ I + (e_p e_qᵀ + e_q e_pᵀ)/2π. Zero neurons have no block. Changes of the neurons
    of one type that sum to 0 are in the kernel; what is left is the matrix with blocks
    √(n_p n_q) B_pq.

    Args:
      counts: ``[k]`` nonzero neurons of each type, >= 0.
      d: input dimension, d >= k.

    Returns:
      ``[k d, k d]``, symmetric, positive semidefinite.
    """
    n = _counts(counts)
    if n.ndim != 1 or d < n.size:
        raise ValueError(
            f"counts must be [k] with k <= d = {d}, got shape {list(n.shape)}"
        )
    same, axes = np.eye(n.size), np.eye(n.size, d)
    swap = np.einsum("pq,qa,pb->paqb", 1 - same, axes, axes)
    keep = np.einsum("pq,pa,qb->paqb", 1 - same, axes, axes)
    blocks = np.einsum("pq,ab->paqb", (1 + same) / 4, np.eye(d))
    blocks += (swap + keep) / (2 * np.pi)
    root = np.repeat(np.sqrt(n), d)
    return np.multiply.outer(root, root) * blocks.reshape(root.size, root.size)


def gauss_newton_sharpness(counts: ArrayLike) -> Floats:
    """Largest eigenvalue λ_max(n) of the Hessian at a global minimum.

    Equals that of `gauss_newton` for every d >= k, at the cost of a few [k+1, k+1]
    eigenproblems. Convex and symmetric in n, hence least for balanced counts.

    Args:
      counts: ``[..., k]`` nonzero neurons of each type, >= 0.

    Returns:
      ``[...]``; 0 where no neuron is left.
    """
    n = _counts(counts)
    rows = np.sort(n, axis=-1).reshape(-1, n.shape[-1])
    sharpness = [_sharpness(tuple(row)) for row in rows.tolist()]
    return np.asarray(sharpness, np.float64).reshape(n.shape[:-1])[()]


def balanced_sharpness(k: int) -> float:
    """μ_k = λ_max of one neuron per type; λ_max = c μ_k for c neurons per type.

    The top eigenvalue of [[½ + (k-1)/2π, (k-1)/4], [¼, k/4 + 1/2π]]: the top
    eigenvector is symmetric in the types, with one value on the neurons' own
    coordinates and one on the coordinates of the others.
    """
    _widths(k, k)
    own, other = 1 / 2 + (k - 1) / (2 * np.pi), k / 4 + 1 / (2 * np.pi)
    return (own + other + float(np.hypot(own - other, np.sqrt(k - 1) / 2))) / 2


def critical_learning_rate(m: ArrayLike, k: int) -> Floats:
    """η* = 2k/(m μ_k): the largest stable learning rate without zero neurons.

    Gradient descent can stay at a minimum only if η λ_max <= 2 (linear stability: Wu,
    Ma & E 2018). Exact where k divides m, else an upper bound; k = 5: η* = 5.583/m.

    Takes real m ``[...]`` >= k; returns ``[...]``.
    """
    return 2 * k / (_widths(m, k, integer=False) * balanced_sharpness(k))


def zero_fraction_bound(lr: ArrayLike, m: ArrayLike, k: int) -> Floats:
    """Lower bound max(0, 1 - η*/η) of the fraction of zero neurons at learning rate η.

    `zero_fraction` with counts that need not be integers; it goes on where no global
    minimum is stable.

    Args:
      lr: learning rates η > 0, broadcast with ``m``.
      m: widths, real m >= k.
      k: teacher width.

    Returns:
      Common shape of ``lr`` and ``m``, in [0, 1).
    """
    return np.maximum(0, 1 - critical_learning_rate(m, k) / _learning_rates(lr))


def zero_fraction(lr: ArrayLike, m: int, k: int) -> Floats:
    """Smallest fraction of zero neurons among the linearly stable global minima.

    Over integer counts n_j >= 1, Σ n_j <= m, with η λ_max(n) <= 2: a staircase in η.

    Args:
      lr: learning rates η > 0, any shape.
      m: width, m >= k.
      k: teacher width.

    Returns:
      Shape of ``lr``; nan where even n = (1, ..., 1) is unstable.
    """
    lr = _learning_rates(lr)
    active = np.arange(k, int(_widths(m, k)) + 1)
    # λ_max is convex and symmetric in n: of all n with the same sum the most balanced
    # has the least, and that grows with the sum.
    balanced = active[:, None] // k + (np.arange(k) < active[:, None] % k)
    limits = 2 / gauss_newton_sharpness(balanced)  # falling
    stable = np.searchsorted(-limits, -lr, side="right")
    return np.where(stable > 0, 1 - (k - 1 + stable) / m, np.nan)[()]


# Parts.


def _over_widths(function: Callable[[int], float], m: ArrayLike, k: int) -> Floats:
    widths = _widths(m, k).astype(np.int64)
    return np.vectorize(function, otypes=[np.float64])(widths)[()]


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


@functools.cache
def _sharpness(counts: tuple[float, ...]) -> float:
    """λ_max(n) of one count vector [k].

    The top eigenvector V [type, coordinate] is nonnegative (Perron-Frobenius). Entries
    V_pc and V_cp couple to each other, and to the rest only through the column sums
    u_c = Σ_p √n_p V_pc and the trace D = Σ_p √n_p V_pp. Eliminating V leaves
    T(λ) (u, D) = (u, D), with T > 0 falling in λ: at λ_max its top eigenvalue is 1.
    Coordinates beyond the types with neurons only see the column sums, so that their
    eigenvalues are not larger.
    """
    n = np.array([count for count in counts if count > 0])
    if n.size == 0:
        return 0.0
    product = np.multiply.outer(n, n)

    def excess(value: float) -> float:
        alpha = value - n / 4
        minor = np.multiply.outer(alpha, alpha) - product / (4 * np.pi**2)  # pairs, > 0
        trace = n / (alpha + n / (2 * np.pi))
        pairs = alpha[:, None] * n / (4 * minor)
        T = np.empty((n.size + 1, n.size + 1))
        T[:-1, :-1] = product / (8 * np.pi * minor)
        T[:-1, -1] = T[-1, :-1] = trace / np.sqrt(8 * np.pi)  # D scaled: T is symmetric
        T[-1, -1] = np.sum(trace) / (2 * np.pi)
        own = np.sum(pairs, axis=1) - np.diag(pairs) + trace / 4
        T[np.arange(n.size), np.arange(n.size)] = own
        return 1 - 1 / np.linalg.eigvalsh(T)[-1]  # nearly linear in λ: few iterations

    # Pairs have eigenvalues up to (¼ + 1/2π) max n; ½ max n <= λ_max < Σ n, the latter
    # by Cauchy-Schwarz.
    low, high = (3 / 8 + 1 / (4 * np.pi)) * n.max(), n.sum()
    return scipy.optimize.brentq(excess, low, high, xtol=1e-15 * low, rtol=1e-15)


def _widths(m: ArrayLike, k: int, *, integer: bool = True) -> Floats:
    _require(_whole(k) & (k >= 1), k, "teacher width k must be an integer >= 1")
    widths = np.asarray(m, np.float64)
    valid = _whole(widths) if integer else np.isfinite(widths)
    kind = "an integer" if integer else "finite and"
    _require(valid & (widths >= k), widths, f"width m must be {kind} >= k = {k}")
    return widths


def _counts(counts: ArrayLike) -> Floats:
    n = np.asarray(counts, np.float64)
    if n.ndim == 0 or n.shape[-1] == 0:
        raise ValueError(f"counts must be [..., k] with k >= 1, got {list(n.shape)}")
    _require(np.isfinite(n) & (n >= 0), n, "counts must be finite and >= 0")
    return n


def _learning_rates(lr: ArrayLike) -> Floats:
    rates = np.asarray(lr, np.float64)
    _require(rates > 0, rates, "learning rate must be > 0")
    return rates


def _whole(values: ArrayLike) -> NDArray[np.bool_]:
    return np.isfinite(values) & (np.floor(values) == values)


def _require(valid: ArrayLike, values: ArrayLike, rule: str) -> None:
    wrong = np.asarray(values)[~np.asarray(valid)]
    if wrong.size:
        raise ValueError(f"{rule}, got {wrong[0]:g}")
