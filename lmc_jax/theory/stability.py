"""Linear stability: which global minima gradient descent can stay at (Section 5).

Conventions as in ``theory``.
"""

import functools

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

from lmc_jax.students.teachers import Teacher
from lmc_jax.theory.gates import least_sharpness, top
from lmc_jax.theory.overlap import Floats, widths

ROUNDING = 1e-14  # of a largest stable learning rate, which is stable itself


def gauss_newton_sharpness(counts: ArrayLike, teacher: Teacher | None = None) -> Floats:
    """Largest eigenvalue λ_max(n) of the Hessian at a global minimum.

    There the residual vanishes and the Hessian of the loss has, for neurons of types
    p and q, the block B_pq = E[x xᵀ 1{x_p > 0} 1{x_q > 0}]: ½ I for p = q, else
    ¼ I + (e_p e_qᵀ + e_q e_pᵀ)/2π. Zero neurons have no block. Changes of the neurons
    of one type that sum to 0 are in the kernel; on the rest it is the matrix with
    blocks √(n_p n_q) B_pq, whose largest eigenvalue is the same for every d >= k and
    costs a few [k+1, k+1] eigenproblems. Convex and symmetric in n, hence least for
    balanced counts.

    Of a teacher that is not orthonormal B_pq = E[x xᵀ 1{v_p·x > 0} 1{v_q·x > 0}]
    (`gates.gate_blocks`): the angles of its neurons enter, their norms do not.

    >>> gauss_newton_sharpness([[3, 3], [5, 1]]).round(3).tolist()
    [2.727, 2.855]

    Takes counts ``[..., k]`` >= 0 of nonzero neurons, and such a teacher; returns
    ``[...]``, 0 for none.
    """
    n = np.asarray(counts, np.float64)
    if teacher is not None:
        found = [top(teacher, row)[0] for row in n.reshape(-1, teacher.k)]
        return np.asarray(found, np.float64).reshape(n.shape[:-1])[()]
    rows = np.sort(n, axis=-1).reshape(-1, n.shape[-1])
    sharpness = [_sharpness(tuple(row)) for row in rows.tolist()]
    return np.asarray(sharpness, np.float64).reshape(n.shape[:-1])[()]


def balanced_sharpness(k: int) -> float:
    """μ_k = λ_max of one neuron per type; λ_max = c μ_k for c neurons per type.

    The top eigenvalue of [[½ + (k-1)/2π, (k-1)/4], [¼, k/4 + 1/2π]]: the top
    eigenvector is symmetric in the types, with one value on the neurons' own
    coordinates and one on the coordinates of the others.

    >>> round(balanced_sharpness(5), 4)
    1.7911
    """
    own, other = 1 / 2 + (k - 1) / (2 * np.pi), k / 4 + 1 / (2 * np.pi)
    return (own + other + float(np.hypot(own - other, np.sqrt(k - 1) / 2))) / 2


def balanced_counts(m: ArrayLike, k: int) -> NDArray[np.int64]:
    """Numbers of neurons of each type, as equal as can be: those of least λ_max.

    >>> balanced_counts([6, 8], 3).tolist()
    [[2, 2, 2], [3, 3, 2]]

    Takes widths ``[...]`` >= k; returns ``[..., k]``.
    """
    each = widths(m, k).astype(np.int64)[..., None]
    return each // k + (np.arange(k) < each % k)


def critical_learning_rate(m: ArrayLike, k: int | Teacher) -> Floats:
    """η* = 2k/(m μ_k): the largest stable learning rate without zero neurons.

    Gradient descent can stay at a minimum only if η λ_max <= 2 (linear stability: Wu,
    Ma & E 2018; the paper's Section 5). Exact where k divides m, else an upper bound.
    Of a teacher it is 2/(m `gates.least_sharpness`), and exact where the shares of that
    are whole numbers of neurons.

    >>> (critical_learning_rate([10, 20], 5) * [10, 20]).round(3).tolist()
    [5.583, 5.583]

    Takes real m ``[...]`` >= k; returns ``[...]``.
    """
    if isinstance(k, Teacher):
        return 2 / (widths(m, k.k) * least_sharpness(k))
    return 2 * k / (widths(m, k) * balanced_sharpness(k))


def zero_fraction_bound(lr: ArrayLike, m: ArrayLike, k: int | Teacher) -> Floats:
    """Lower bound max(0, 1 - η*/η) of the fraction of zero neurons at learning rate η.

    `zero_fraction` with counts that need not be integers; defined even where no global
    minimum is stable.

    >>> zero_fraction_bound([0.5, 0.8], 10, 5).round(3).tolist()
    [0.0, 0.302]

    Takes learning rates η > 0 and real widths m >= k, which broadcast; returns their
    common shape.
    """
    return np.maximum(0, 1 - critical_learning_rate(m, k) / np.asarray(lr))


def zero_fraction(lr: ArrayLike, m: int, k: int) -> Floats:
    """Smallest fraction of zero neurons among the linearly stable global minima.

    Over integer counts n_j >= 1, Σ n_j <= m, with η λ_max(n) <= 2: a staircase in η.

    >>> zero_fraction([0.5, 0.8], 10, 5).tolist()
    [0.0, 0.4]

    Takes learning rates η > 0 of any shape; returns that shape, NaN where even
    n = (1, ..., 1) is unstable.
    """
    limits = _limits(int(widths(m, k)), k)
    stable = np.searchsorted(-limits * (1 + ROUNDING), -np.asarray(lr), side="right")
    return np.where(stable > 0, 1 - (k - 1 + stable) / m, np.nan)[()]


@functools.lru_cache
def _limits(m: int, k: int) -> Floats:
    """Largest stable learning rates of minima with k, ..., m neurons that are not zero.

    λ_max is convex and symmetric in n: of all n with the same sum the most balanced has
    the least, and that grows with the sum, so that the limits fall.
    """
    return 2 / gauss_newton_sharpness(balanced_counts(np.arange(k, m + 1), k))


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
    scale = n.max()
    n /= scale
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
    low, high = 3 / 8 + 1 / (4 * np.pi), n.sum()
    return scale * scipy.optimize.brentq(excess, low, high, xtol=1e-15, rtol=1e-15)
