"""Linear assignment on weights and on activations, on the host.

SciPy's solver: ``optax.assignment.hungarian_algorithm`` took 2.4 to 19 times as long at
m = 8 to 512 on CPU, and does not notice NaN.
"""

from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when first used
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.alignment.activations import ROUNDING, Activations
from lmc_jax.kernels import relu_kernel
from lmc_jax.matching import networks
from lmc_jax.matching.pairs import (
    Info,
    Perm,
    Students,
    checked,
    described,
    weight_distance,
    whole,
)
from lmc_jax.numerics import LARGEST, matmul, unit
from lmc_jax.permutations import Spec


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


def match_weights(
    students: Students,
    *,
    spec: Spec | None = None,
    leave_out: Collection[str] = (),
    seed: int = 0,
) -> tuple[Perm, Info]:
    """Permutations of the least weight distance (Ainsworth et al. 2022).

    Objective: Σᵢ |wᵢ - w'_{perm[i]}|². On the barrier of global minima it is no better
    than Algorithm 1 with leftovers in index order, because every pair of neurons of
    different types costs it the same. For networks of several groups the distance of
    all arrays with permuted axes, at a local optimum of ``alignment.align_weights``.

    Args:
      students: real ``[pairs, 2, m, d]``; with ``spec`` a pytree of networks, each
        array ``[pairs, 2, ...]``. Taken in float64, whatever their dtype.
      spec: permutation specification of one network.
      leave_out: paths of arrays of networks that do not count, such as statistics.
      seed: of the order in which groups of networks are visited.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``: row i of an aligned second student
      is row ``perm[i]``; with ``spec`` ``[pairs, units]`` by group.

    Raises:
      ValueError: in one line, for students of another shape or of unequal widths,
        weights that are not real, not finite or beyond 1e150, a specification that
        does not fit, or JAX without float64.
    """
    if not whole(seed) or seed < 0:
        raise ValueError(f"seed={seed!r}: give an integer of at least 0")
    if spec is not None:
        return networks.by_weights(students, spec, leave_out, seed)
    students = checked(students)
    # Each student divided by a power of two: the best permutation is the same, nothing
    # is rounded, and products of small weights do not vanish.
    powers = np.frexp(np.abs(students).max(axis=(2, 3), keepdims=True))[1]
    first, second = np.ldexp(students, -powers).swapaxes(0, 1)
    perm = assign(np.einsum("pid,pjd->pij", first, second))
    return perm, described("weight distance", weight_distance(students, perm))


def match_activations(
    students: Students,
    x: ArrayLike | None = None,
    *,
    spec: Spec | None = None,
    activations: Activations | None = None,
) -> tuple[Perm, Info]:
    """Permutations of the largest total correlation of hidden activations.

    Objective: Σᵢ corr(relu(wᵢ·x), relu(w'_{perm[i]}·x)) (Li et al. 2015; Benzing et al.
    2022), for networks the sum over groups. A correlation does not see the norm of a
    neuron: neurons of a two-layer student that are equally correlated with all others,
    as those of one direction are, meet by rank, largest first.

    Args:
      students: real ``[pairs, 2, m, d]``; with ``spec`` a pytree of networks, each
        array ``[pairs, 2, ...]``.
      x: inputs ``[n, d]``, n >= 2, over which to correlate; default x ~ N(0, I), in
        closed form: (κ(cos θ) - 1/2π) / (½ - 1/2π). A neuron of constant activation
        has correlation 0. For networks whatever ``activations`` takes, not optional.
      spec: permutation specification of one network.
      activations: of a network, ``(weights, x)`` to ``[n, ..., units]`` by group, as of
        ``alignment.align_activations``; default relu(W x) of a two-layer student.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``, with ``spec`` ``[pairs, units]`` by
      group.

    Raises:
      ValueError: in one line, for inputs of another shape, not finite or beyond 1e150,
        networks without x or ``activations``, and as ``match_weights``.
    """
    if activations is not None:
        if spec is None or x is None:
            raise ValueError(
                "activations of networks: give spec and inputs x with them"
            )
        return networks.by_activations(students, spec, activations, x)
    students, handed = networks.one_layer(students, spec)
    if x is None:
        gains, sizes = map(np.asarray, _gaussian(students))
    else:
        x = _checked_inputs(x, students.shape[-1])
        parts = [_sampled(pair, x) for pair in students]
        gains, sizes = (np.stack(part) for part in zip(*parts, strict=True))
    perm = assign(gains)
    perm = np.stack([_ranked(*one) for one in zip(gains, sizes, perm, strict=True)])
    total = np.take_along_axis(gains, perm[..., None], axis=2).sum(axis=(1, 2))
    return handed(perm), described("correlation", total)


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
    scales = np.abs(pair).max(axis=2)  # of each neuron; squares stay within range
    rows = pair / np.where(scales > 0, scales, 1)[..., None]
    hidden = np.maximum(x @ rows.swapaxes(1, 2), 0)  # [2, n, m]
    squares = np.mean(np.square(hidden), axis=1)
    hidden -= hidden.mean(axis=1, keepdims=True)
    variances = np.mean(np.square(hidden), axis=1)
    varies = variances > ROUNDING * squares
    sizes = np.sqrt(np.where(varies, variances, 0))
    hidden *= (varies / np.where(varies, sizes, 1))[:, None]
    return hidden[0].T @ hidden[1] / len(x), sizes * scales


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


def _checked_inputs(x: ArrayLike, d: int) -> np.ndarray:
    """Inputs, scaled to at most 1: a correlation does not depend on their scale."""
    try:
        found = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"inputs that are no array: give finite [n, {d}]") from error
    if found.ndim != 2 or found.shape[1] != d or len(found) < 2:
        raise ValueError(
            f"inputs of shape {list(found.shape)}: give finite [n, {d}] with n >= 2"
        )
    scale = np.abs(found).max()
    if not scale <= LARGEST:
        raise ValueError(f"inputs up to {scale:.1e}: give finite ones, to {LARGEST:g}")
    return found / (scale or 1)
