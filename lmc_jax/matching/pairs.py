"""What all matchings share: pairs of students in, permutations and diagnostics out."""

from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

Students = ArrayLike  # [pairs, 2, m, d]


class Info(NamedTuple):
    """What a matching says of its permutations.

    objective: name of what was optimised. value: float64 ``[pairs]``, the objective of
    the permutation found. rounds: int32 ``[pairs]``, swaps of a descent; 0 elsewhere.
    """

    objective: str
    value: np.ndarray
    rounds: np.ndarray


def checked(students: Students, k: int | None = None) -> np.ndarray:
    """Students as float64 ``[pairs, 2, m, d]``, of a teacher of width k if given.

    Raises:
      ValueError: in one line, for two students of unequal shapes, another shape,
        weights that are not finite, k outside 1 ... d, or JAX without float64.
    """
    if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError("matching needs float64: call lmc_jax.configure() first")
    try:
        found = np.asarray(students, np.float64)
    except ValueError as error:
        raise ValueError(_unequal(students)) from error
    if found.ndim != 4 or found.shape[1] != 2 or 0 in found.shape:
        raise ValueError(
            f"students of shape {list(found.shape)}: give [pairs, 2, m, d], two "
            "students a pair, nothing empty"
        )
    if not np.isfinite(found).all():
        raise ValueError("matching needs finite weights, got NaN or infinity")
    if k is not None and not 1 <= k <= found.shape[-1]:
        raise ValueError(f"k={k}: give 1 <= k <= d = {found.shape[-1]}")
    return found


def _unequal(students: Students) -> str:
    """What is wrong with students that are no one array."""
    shapes = [[np.shape(W) for W in pair] for pair in students]  # type: ignore
    odd = next((pair for pair in shapes if len(set(pair)) > 1), None)
    if odd is None:
        return f"pairs of shapes {shapes[0]} and others: match each shape on its own"
    if len({shape[:1] for shape in odd}) > 1:
        return (
            f"students of shapes {odd} in a pair: a permutation needs equal widths; "
            "pad the narrower student with zero rows, which changes nothing"
        )
    return f"students of shapes {odd} in a pair: give both the same input dimension"


def described(objective: str, value: ArrayLike, rounds: ArrayLike = 0) -> Info:
    """``Info`` of a batch from values ``[pairs]``."""
    value = np.asarray(value, np.float64)
    every = np.broadcast_to(np.asarray(rounds, np.int32), value.shape)
    return Info(objective, value, every)


def match_identity(students: Students) -> tuple[np.ndarray, Info]:
    """The permutation that moves nothing: the direct path. Objective: weight distance.

    Takes ``[pairs, 2, m, d]``; returns ``(perm [pairs, m], info)``, perm int32.

    Raises:
      ValueError: as ``checked``.
    """
    students = checked(students)
    pairs, _, m, _ = students.shape
    perm = np.tile(np.arange(m, dtype=np.int32), (pairs, 1))
    return perm, described("weight distance", weight_distance(students, perm))


def weight_distance(students: np.ndarray, perm: np.ndarray) -> np.ndarray:
    """Σᵢ |wᵢ - w'_{perm[i]}|², ``[pairs]``."""
    second = np.take_along_axis(students[:, 1], perm[..., None], axis=1)
    return np.sum(np.square(students[:, 0] - second), axis=(1, 2))
