"""What all matchings share: pairs of students in, permutations and diagnostics out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lmc_jax.numerics import MAX_WEIGHT

Students = Any  # [pairs, 2, m, d], whatever NumPy makes an array of
Perm = np.ndarray  # int32 [pairs, m]


class Info(NamedTuple):
    """What a matching says of its permutations.

    objective: name of what was optimised. value: float64 ``[pairs]``, the objective of
    the permutation found. rounds: int32 ``[pairs]``, swaps of a descent; 0 elsewhere.
    """

    objective: str
    value: np.ndarray
    rounds: np.ndarray


def checked(students: Students) -> np.ndarray:
    """Students as float64 ``[pairs, 2, m, d]``.

    Raises:
      ValueError: in one line, for two students of unequal shapes, another shape,
        entries that are no real numbers, not finite or beyond ``MAX_WEIGHT``, or JAX
        without float64.
    """
    if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError("matching needs float64: call lmc_jax.configure() first")
    try:
        array = np.asarray(students)
    except ValueError as error:  # of unequal lengths
        raise ValueError(_unequal(students)) from error
    except TypeError:  # of keys, which JAX refuses to convert
        array = np.empty((), object)
    if not _real(array):
        raise ValueError(
            f"students of type {type(students).__name__}, which is no array of real "
            "numbers: give [pairs, 2, m, d]"
        )
    if array.ndim != 4 or array.shape[1] != 2 or 0 in array.shape:
        raise ValueError(
            f"students of shape {list(array.shape)}: give [pairs, 2, m, d], two "
            "students a pair, nothing empty"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("matching needs finite weights, got NaN or infinity")
    if np.abs(array).max() > MAX_WEIGHT:
        raise ValueError(
            f"weights up to {np.abs(array).max():.1e}: give at most {MAX_WEIGHT:g}, "
            "beyond it losses and distances overflow"
        )
    return array


def require_teacher(k: int, students: np.ndarray) -> None:
    """Raises ValueError unless a teacher of width k fits into students ``[..., d]``."""
    d = students.shape[-1]
    if not (whole(k) and 1 <= k <= d):
        raise ValueError(f"k={k!r}: give 1 <= k <= d = {d}, an integer")


def whole(value: Any) -> bool:
    """Whether a setting is an integer, Python's or NumPy's."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _real(array: np.ndarray) -> bool:
    """Whether an array holds real numbers; bfloat16 is floating to JAX only."""
    kinds = (jnp.floating, jnp.integer, np.bool_)
    return any(jnp.issubdtype(array.dtype, kind) for kind in kinds)


def _unequal(students: Students) -> str:
    """What is wrong with students that are no one array."""
    try:
        shapes = [[np.shape(W) for W in pair] for pair in students]
    except (TypeError, ValueError):  # numbers among the pairs, ragged students
        shapes = []
    if {len(shape) for pair in shapes for shape in pair} != {2}:
        return "students of unequal lengths: give [pairs, 2, m, d], two [m, d] a pair"
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


def weight_distance(students: np.ndarray, perm: np.ndarray) -> np.ndarray:
    """Σᵢ |wᵢ - w'_{perm[i]}|², ``[pairs]``."""
    second = np.take_along_axis(students[:, 1], perm[..., None], axis=1)
    return np.sum(np.square(students[:, 0] - second), axis=(1, 2))
