"""Linear assignment on weights and on activations, on the host.

SciPy's solver: ``optax.assignment.hungarian_algorithm`` took about 3 to 10 times as
long on the same products at m = 8 to 128 on CPU, and does not notice NaN.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when first used
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.matching.alike import CONSTANT, break_ties, tie_labels
from lmc_jax.matching.contract import (
    Info,
    Perm,
    Students,
    checked,
    described,
    weight_distance,
)
from lmc_jax.numerics import MAX_WEIGHT, matmul, relu_kernel, unit


def assign(gains: np.ndarray) -> np.ndarray:
    """Permutations that maximise Σᵢ gains[i, perm[i]]: ``[pairs, m, m]`` to int32
    ``[pairs, m]``.

    Raises:
      ValueError: where a gain is not finite.
    """
    if not np.isfinite(gains).all():
        raise ValueError("assignment needs finite gains, got NaN or infinity")
    matched = [
        scipy.optimize.linear_sum_assignment(gain, maximize=True)[1] for gain in gains
    ]
    return np.stack(matched).astype(np.int32)


def squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|aᵢ - bⱼ|² of rows ``[n, d]`` and ``[m, d]``: ``[n, m]``.

    From differences throughout: at these sizes 2 to 3 times as fast as
    ``squares`` of networks, which is for long rows.
    """
    return scipy.spatial.distance.cdist(first, second, "sqeuclidean")


def _of_some(pair: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """``squares`` of some neurons of the first and some of the second student."""
    return squares(pair[0, rows], pair[1, others])


def match_weights(students: Students) -> tuple[Perm, Info]:
    """Permutations of the least weight distance (Ainsworth et al. 2022).

    Objective: Σᵢ |wᵢ - w'_{perm[i]}|². On the barrier of global minima it is no better
    than Algorithm 1 with leftovers in index order, because every pair of neurons of
    different types costs it the same. Differences below 1e-160 of a student's largest
    weight count as none.

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64, whatever their dtype.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``: row i of an aligned second student
      is row ``perm[i]`` of it.

    Raises:
      ValueError: in one line, for students of another shape or of unequal widths,
        weights that are not real, not finite or beyond 1e150, or JAX without float64.
    """
    students = checked(students)
    # Squares of differences, not products: short neurons find their like too.
    distances = [squares(first, second) for first, second in _scaled(students)]
    perm = assign(-np.stack(distances))
    return perm, described("weight distance", weight_distance(students, perm))


def _scaled(students: np.ndarray) -> np.ndarray:
    """Each student divided by a power of two: the best permutation is the same, nothing
    is rounded, and squares of small weights do not vanish."""
    powers = np.frexp(np.abs(students).max(axis=(2, 3), keepdims=True))[1]
    return np.ldexp(students, -powers)


def match_activations(
    students: Students, x: ArrayLike | None = None
) -> tuple[Perm, Info]:
    """Permutations of the largest total correlation of hidden activations.

    Objective: Σᵢ corr(relu(wᵢ·x), relu(w'_{perm[i]}·x)) (Li et al. 2015; Benzing et al.
    2022). A correlation does not see the norm of a neuron: neurons alike, those that a
    chain of correlations 1 up to rounding links and those that do not vary, have their
    ties broken by the least weight distance, at the same total correlation up to
    rounding. For parallel neurons this is pairing by norm, largest first.

    Args:
      students: real ``[pairs, 2, m, d]``.
      x: inputs ``[n, d]``, n >= 2, over which to correlate; default x ~ N(0, I), in
        closed form: (κ(cos θ) - 1/2π) / (½ - 1/2π). A neuron of constant activation
        has correlation 0.

    Returns:
      ``(perm, info)`` as ``match_weights``.

    Raises:
      ValueError: in one line, for inputs of another shape, not finite or beyond 1e150,
        and as ``match_weights``.
    """
    students = checked(students)
    if x is None:
        gains, own = map(np.asarray, _gaussian(students))
    else:
        x = _checked_inputs(x, students.shape[-1])
        parts = [_sampled(pair, x) for pair in students]
        gains, own = (np.stack(part) for part in zip(*parts, strict=True))
    perm = assign(gains)
    for pair, both in enumerate(_scaled(students)):
        alike = tie_labels(own[pair, 0]), tie_labels(own[pair, 1])
        distances = functools.partial(_of_some, both)
        perm[pair] = break_ties(perm[pair], gains[pair], alike, distances)
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


def _sampled(pair: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same over inputs ``[n, d]`` for one pair."""
    scales = np.abs(pair).max(axis=2)  # of each neuron; squares stay within range
    rows = pair / np.where(scales > 0, scales, 1)[..., None]
    hidden = np.maximum(x @ rows.swapaxes(1, 2), 0)  # [2, n, m]
    sizes = np.mean(np.square(hidden), axis=1)
    hidden -= hidden.mean(axis=1, keepdims=True)
    products = hidden.swapaxes(1, 2) @ hidden / len(x)
    # Of the same sums as the products: 1 with itself, up to rounding, for any n.
    variances = np.diagonal(products, axis1=1, axis2=2)
    varies = variances > CONSTANT * sizes
    deviations = np.sqrt(np.where(varies, variances, np.inf))
    own = products / (deviations[:, :, None] * deviations[:, None])
    return hidden[0].T @ hidden[1] / len(x) / np.outer(*deviations), own


def _checked_inputs(x: ArrayLike, d: int) -> np.ndarray:
    """Inputs, scaled to at most 1: a correlation does not depend on their scale."""
    try:
        inputs = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"inputs that are no array: give finite [n, {d}]") from error
    if inputs.ndim != 2 or inputs.shape[1] != d or len(inputs) < 2:
        raise ValueError(
            f"inputs of shape {list(inputs.shape)}: give finite [n, {d}] with n >= 2"
        )
    scale = np.abs(inputs).max()
    if not scale <= MAX_WEIGHT:
        raise ValueError(
            f"inputs up to {scale:.1e}: give finite ones, to {MAX_WEIGHT:g}"
        )
    return inputs / (scale or 1)
