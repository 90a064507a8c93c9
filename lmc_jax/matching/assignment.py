"""Linear assignment on weights and on activations, and none at all, on the host.

SciPy's solver: ``optax.assignment.hungarian_algorithm``, batched, takes 2 to 18 times
as long at m = 10 to 100 on CPU (experiments.bench.matching), and does not notice NaN.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when first used
from jax import Array

from lmc_jax.matching.alike import break_ties, tie_labels
from lmc_jax.matching.contract import Info, Perm, Students, checked, described
from lmc_jax.numerics import matmul, relu_kernel, unit


def assign(gains: np.ndarray) -> np.ndarray:
    """Permutations that maximise Σᵢ gains[i, perm[i]]: ``[pairs, m, m]`` to int32
    ``[pairs, m]``.
    """
    matched = [
        scipy.optimize.linear_sum_assignment(gain, maximize=True)[1] for gain in gains
    ]
    return np.stack(matched).astype(np.int32)


def _squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|aᵢ - bⱼ|² of rows ``[n, d]`` and ``[m, d]``: ``[n, m]``.

    By differences: at these sizes 2 to 3 times as fast as products, for long rows
    (``networks.alignment.distances``).
    """
    return scipy.spatial.distance.cdist(first, second, "sqeuclidean")


def match_identity(students: Students) -> tuple[Perm, Info]:
    """Leaves every neuron where it is: the direct path.

    Objective: the weight distance Σᵢ |wᵢ - w'ᵢ|², not optimised. Arguments, result
    and errors as ``match_weights``; every row of perm is 0 ... m - 1.

    >>> perm, info = match_identity(np.ones((1, 2, 3, 2)))
    >>> perm.tolist(), info.objective, info.value.tolist()
    ([[0, 1, 2]], 'weight distance', [0.0])
    """
    students = checked(students)
    pairs, _, m, _ = students.shape
    perm = np.tile(np.arange(m, dtype=np.int32), (pairs, 1))
    return perm, _distance(students, perm)


def match_weights(students: Students) -> tuple[Perm, Info]:
    """Permutations of the least weight distance (Ainsworth et al. 2022).

    Objective: Σᵢ |wᵢ - w'_{perm[i]}|². On the barrier of global minima it is no better
    than Algorithm 1 with leftovers in index order, because every pair of neurons of
    different types costs it the same. Differences below 1e-160 of a student's largest
    weight count as none.

    >>> first = np.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # [m, d]
    >>> students = np.stack([first, first[[2, 0, 1]]])[None]
    >>> perm, info = match_weights(students)
    >>> perm.tolist(), info.value.tolist()
    ([[1, 2, 0]], [0.0])

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64, whatever their dtype.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``: row i of an aligned second student
      is row ``perm[i]`` of it.

    Raises:
      ValueError: in one line, for students of another shape or of unequal widths,
        weights that are not real, not finite, or JAX without float64.
    """
    students = checked(students)
    # Squares of differences, not products: short neurons find their like too.
    distances = [_squares(first, second) for first, second in _scaled(students)]
    perm = assign(-np.stack(distances))
    return perm, _distance(students, perm)


def _distance(students: np.ndarray, perm: np.ndarray) -> Info:
    """Σᵢ |wᵢ - w'_{perm[i]}|²."""
    second = np.take_along_axis(students[:, 1], perm[..., None], axis=1)
    value = np.sum(np.square(students[:, 0] - second), axis=(1, 2))
    return described("weight distance", value)


def _scaled(students: np.ndarray) -> np.ndarray:
    """Each student divided by a power of two: the best permutation is the same, nothing
    is rounded, and squares of small weights do not vanish."""
    powers = np.frexp(np.abs(students).max(axis=(2, 3), keepdims=True))[1]
    return np.ldexp(students, -powers)


def match_activations(students: Students) -> tuple[Perm, Info]:
    """Permutations of the largest total correlation of hidden activations.

    Objective: Σᵢ corr(relu(wᵢ·x), relu(w'_{perm[i]}·x)) (Li et al. 2015; Benzing et al.
    2022), over x ~ N(0, I), in closed form: (κ(cos θ) - 1/2π) / (½ - 1/2π). A zero
    neuron has correlation 0. A correlation does not see the norm of a neuron: ties
    between neurons whose correlation is 1 up to rounding, and between zero neurons, are
    broken by the least weight distance, at the same total correlation up to rounding.
    For parallel neurons this is pairing by norm, largest first.

    >>> first = np.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # [m, d]
    >>> students = np.stack([first, first[[2, 0, 1]]])[None]
    >>> perm, info = match_activations(students)
    >>> perm.tolist(), info.value.round(9).tolist()
    ([[1, 2, 0]], [3.0])

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64.

    Returns:
      ``(perm, info)`` as ``match_weights``.

    Raises:
      ValueError: as ``match_weights``.
    """
    students = checked(students)
    gains, own = map(np.asarray, _gaussian(students))
    perm = assign(gains)
    for pair, both in enumerate(_scaled(students)):
        alike = tie_labels(own[pair, 0]), tie_labels(own[pair, 1])
        perm[pair] = break_ties(perm[pair], gains[pair], alike, _squares(*both))
    total = np.take_along_axis(gains, perm[..., None], axis=2).sum(axis=(1, 2))
    return perm, described("correlation", total)


@jax.jit
def _gaussian(students: Array) -> tuple[Array, Array]:
    """Over x ~ N(0, I): correlations ``[pairs, m, m]`` across students and ``[pairs, 2,
    m, m]`` within."""
    directions, norms = unit(students)

    def correlations(first, second):
        (U, a), (V, b) = first, second
        product = 1 / (2 * jnp.pi)  # of the means of two unit neurons
        kappa = relu_kernel(matmul(U, jnp.swapaxes(V, -1, -2)))
        alive = (a[..., :, None] > 0) & (b[..., None, :] > 0)
        return jnp.where(alive, (kappa - product) / (0.5 - product), 0)

    both = directions, norms
    first, second = (tuple(part[:, i] for part in both) for i in range(2))
    return correlations(first, second), correlations(both, both)
