"""Linear assignment on weights and on activations, on the host (one hidden layer).

SciPy's solver: ``optax.assignment.hungarian_algorithm`` took 2.4 to 19 times as long at
m = 8 to 512 on CPU, and does not notice NaN.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when first used
from jax import Array

from lmc_jax.kernels import relu_kernel
from lmc_jax.matching.pairs import (
    Info,
    Students,
    checked,
    described,
    weight_distance,
)
from lmc_jax.numerics import matmul, unit


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


def match_weights(students: Students) -> tuple[np.ndarray, Info]:
    """Permutations that maximise Σᵢ wᵢ · w'_{perm[i]} (Ainsworth et al. 2022).

    The objective is the distance of the aligned weights, which this makes least; on
    the barrier of global minima it is no better than Algorithm 1 with leftovers in
    index order, because every pair of neurons of different types costs it the same.

    Args:
      students: ``[pairs, 2, m, d]``, any float dtype.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``: row i of an aligned second student
      is row ``perm[i]``.

    Raises:
      ValueError: as ``pairs.checked``.
    """
    students = checked(students)
    first, second = students.swapaxes(0, 1)
    perm = assign(np.einsum("pid,pjd->pij", first, second))
    return perm, described("weight distance", weight_distance(students, perm))


def match_activations(
    students: Students, x: np.ndarray | None = None
) -> tuple[np.ndarray, Info]:
    """Permutations of the largest total correlation of hidden activations.

    Σᵢ corr(relu(wᵢ·x), relu(w'_{perm[i]}·x)) (Li et al. 2015; Benzing et al. 2022). A
    correlation does not see the norm of a neuron: neurons that are equally correlated
    with all others, as those of one direction are, meet by rank, largest first.

    Args:
      students: ``[pairs, 2, m, d]``.
      x: inputs ``[n, d]``, n >= 2, over which to correlate; default x ~ N(0, I), in
        closed form: (κ(cos θ) - 1/2π) / (½ - 1/2π). A neuron of constant activation
        has correlation 0.

    Returns:
      ``(perm [pairs, m], info)``, the objective the sum of correlations.

    Raises:
      ValueError: for inputs of another shape or not finite, and as ``pairs.checked``.
    """
    students = checked(students)
    if x is None:
        gains, sizes = map(np.asarray, _gaussian(students))
    else:
        x = _checked_inputs(x, students.shape[-1])
        parts = [_sampled(pair, x) for pair in students]
        gains, sizes = (np.stack(part) for part in zip(*parts, strict=True))
    perm = assign(gains)
    perm = np.stack([_ranked(*one) for one in zip(gains, sizes, perm, strict=True)])
    total = np.take_along_axis(gains, perm[..., None], axis=2).sum(axis=(1, 2))
    return perm, described("correlation", total)


@jax.jit
def _gaussian(students: Array) -> tuple[Array, Array]:
    """Correlations ``[pairs, m, m]`` and, up to a factor, deviations ``[pairs, 2, m]``
    of activations over x ~ N(0, I)."""
    directions, norms = unit(students)
    cosines = matmul(directions[:, 0], jnp.swapaxes(directions[:, 1], 1, 2))
    product = 1 / (2 * jnp.pi)  # of the means of two unit neurons
    gains = (relu_kernel(cosines) - product) / (0.5 - product)
    alive = (norms[:, 0, :, None] > 0) & (norms[:, 1, None] > 0)
    return jnp.where(alive, gains, 0), norms


def _sampled(pair: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlations ``[m, m]`` and deviations ``[2, m]`` over inputs ``[n, d]``."""
    hidden = np.maximum(x @ pair.swapaxes(1, 2), 0)  # [2, n, m]
    hidden -= hidden.mean(axis=1, keepdims=True)
    sizes = np.sqrt(np.mean(np.square(hidden), axis=1))
    hidden /= np.where(sizes > 0, sizes, 1)[:, None]
    return hidden[0].T @ hidden[1] / len(x), sizes


def _ranked(gains: np.ndarray, sizes: np.ndarray, perm: np.ndarray) -> np.ndarray:
    """``perm`` with neurons of equal gains ranked by their sizes, on both sides."""
    first, second = sizes
    inverse = np.argsort(_rank(gains, first, second, perm))
    return np.argsort(_rank(gains.T, second, first, inverse)).astype(np.int32)


def _rank(
    gains: np.ndarray, size: np.ndarray, size_of_partner: np.ndarray, perm: np.ndarray
) -> np.ndarray:
    """Of rows of equal gains, the largest gets the partner of most gain, then size."""
    gains = np.round(gains, 9)
    _, groups = np.unique(gains, axis=0, return_inverse=True)
    ranked = np.array(perm)
    for group in range(groups.max() + 1):
        rows = np.flatnonzero(groups.ravel() == group)
        partners = perm[rows]
        best = np.lexsort((-size_of_partner[partners], -gains[rows[0], partners]))
        ranked[rows[np.argsort(-size[rows], kind="stable")]] = partners[best]
    return ranked


def _checked_inputs(x: np.ndarray, d: int) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[1] != d or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"inputs of shape {list(x.shape)}: give finite [n, {d}] with n >= 2"
        )
    return x
