"""A lower bound of the barrier of every permutation of two global minima.

Neurons α relu(x_p) and β relu(x_q) mixed with each other, α = (1-t) a and β = t b,
lose δ = α relu(x_p) + β relu(x_q) - relu(α x_p + β x_q): min(α|x_p|, β|x_q|) where x_p
and x_q have opposite signs and p ≠ q, else 0. A permutation makes the residual of the
path f* - f_t = R = Σᵢ δᵢ, and L_t = ½ E[R²]. With

    D₁ = E δ = (α + β - √(α² + β²)) / √2π,    D₂ = E δ²,

1. E[δᵢ δₗ] >= D₁ᵢ D₁ₗ: given the signs, both are increasing functions of independent
   |x|, hence positively correlated (Harris), and both signs are opposed with
   probability ½ for the same {p, q}, else ¼. For the same {p, q} it is >= 2 D₁ᵢ D₁ₗ.
2. So E[R²] >= (Σ D₁)² + Σ (D₂ - D₁²), and, keeping the factor 2 and Σ_{pq} S_pq² >=
   (Σ D₁)²/P over the P = k(k-1)/2 pairs of types (Cauchy-Schwarz), also
   E[R²] >= (1 + 1/P) (Σ D₁)² + Σ (D₂ - 2 D₁²).
3. s² >= 2cs - c² for every c: at any c, the least of Σ (2chD₁ + D₂ - θD₁²) - hc² is a
   linear assignment, and half of it bounds L_t of every permutation (h = 1, θ = 1 or
   h = 1 + 1/P, θ = 2). The best c is s = Σ D₁ itself, found in a few rounds.

The losses at the ends are 0, so a bound of L_t at any t bounds the barrier.
"""

import math

import numpy as np
import scipy  # its parts load when first used

from lmc_jax.matching.contract import Students, checked
from lmc_jax.matching.path import inner_times
from lmc_jax.students.teachers import Teacher
from lmc_jax.students.two_layer import require_teacher

MINIMUM_ERROR = 1e-12  # of a global minimum: rounding of its rows and sums
ROUNDS = 20


def lower_bound(
    students: Students, k: int, *, definition: str = "lerp", points: int = 11
) -> np.ndarray:
    """No permutation of a pair of global minima has a barrier below this.

    Mixing neurons of different types loses a part of the teacher, and the least that a
    permutation must lose is bounded by linear assignments; the proof is the docstring
    of ``lmc_jax.matching.bound``.

    >>> first = np.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # types 1, 2, 2
    >>> second = np.array([[0.3, 0.0], [0.7, 0.0], [0.0, 1.0]])  # types 1, 1, 2
    >>> lower_bound(np.stack([first, second])[None], k=2).round(4).tolist()
    [0.0026]

    Args:
      students: global minima, real ``[pairs, 2, m, d]``, exact to 1e-12, taken in
        float64.
      k: teacher width, 1 <= k <= d; no ``Teacher``.
      definition: of the barrier; all but ``midpoint`` look at the whole path, and are
        the same where the ends have loss 0.
      points: positions along the path, ends included, an odd number.

    Returns:
      float64 ``[pairs]``, in units of the loss ½ E[(f - f*)²], x ~ N(0, I). 0 for
      students of equal counts of every type, whose best barrier is 0. Zero neurons mix
      with any at no loss.

    Raises:
      ValueError: in one line, where a student is not a global minimum, and as
        ``match_exhaustive``, except that m has no limit.
    """
    ts = np.asarray(inner_times(points, definition))
    students = checked(students)
    if isinstance(k, Teacher):
        raise ValueError("the bound is proved for orthonormal teachers: give a width k")
    require_teacher(k, students.shape[-1])
    _require_minima(students, k)
    return np.array([max(_at(pair, k, t) for t in ts) for pair in students])


def _require_minima(students: np.ndarray, k: int) -> None:
    pairs = len(students)
    sums = students.sum(axis=2)  # [pairs, 2, d], e_1 + ... + e_k for a minimum
    wanted = np.arange(students.shape[-1]) < k
    off_axis = np.sort(np.abs(students), axis=-1)[..., :-1]
    faults = (np.abs(sums - wanted), off_axis, -students)
    worst = np.max(
        [fault.reshape(pairs, -1).max(axis=1, initial=0) for fault in faults], axis=0
    )
    if worst.max() > MINIMUM_ERROR:
        raise ValueError(
            f"pair {int(worst.argmax())} is off the set of global minima by "
            f"{worst.max():.1e}: the bound holds for minima only, rows a·e_j, a >= 0, "
            "that sum to 1 in every type"
        )


def _at(pair: np.ndarray, k: int, t: float) -> float:
    """Lower bound of L_t over all permutations of a pair ``[2, m, d]``."""
    sizes, kinds = pair.max(axis=-1), pair.argmax(axis=-1)
    alpha, beta = (1 - t) * sizes[0][:, None], t * sizes[1]
    mean, square = deficit(alpha, beta)
    parted = kinds[0][:, None] != kinds[1]
    mean, square = np.where(parted, mean, 0), np.where(parted, square, 0)
    pairs_of_types = max(k * (k - 1) / 2, 1)
    forms = ((1.0, 1.0), (1 + 1 / pairs_of_types, 2.0))
    return max(_convex(mean, square, *form) for form in forms)


def deficit(alpha: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First two moments of δ for independent x_p, x_q, any shapes that broadcast."""
    size = np.hypot(alpha, beta)
    mean = (alpha + beta - size) / math.sqrt(2 * math.pi)
    # E[(α relu(x_p) + β relu(x_q))²] + E[relu(αx_p + βx_q)²] - 2 E[their product]
    angles = np.arctan2(beta, alpha), np.arctan2(alpha, beta)
    product = sum(
        part * size * (np.sin(angle) + (math.pi - angle) * np.cos(angle))
        for part, angle in zip((alpha, beta), angles, strict=True)
    )
    square = size**2 + (alpha * beta - product) / math.pi
    return mean, np.maximum(square, 0)


def _convex(mean: np.ndarray, square: np.ndarray, h: float, theta: float) -> float:
    """½ max_c [min_perm Σ (2 c h D₁ + D₂ - θ D₁²) - h c²]."""
    extra = square - theta * np.square(mean)
    best, c = 0.0, 0.0
    for _ in range(ROUNDS):
        cost = 2 * c * h * mean + extra
        match = scipy.optimize.linear_sum_assignment(cost)
        best = max(best, float(cost[match].sum() - h * c * c) / 2)
        total = float(mean[match].sum())
        if abs(total - c) <= 1e-12 * total:
            break
        c = total
    return best
