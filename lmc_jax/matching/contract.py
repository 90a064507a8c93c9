"""What all matchings share: pairs of students in, permutations and diagnostics out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

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
      ValueError: in one line, for students of unequal or other shapes, entries that
        are masked, not real or not finite, or JAX without float64.
    """
    if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError("matching needs float64: call lmc_jax.configure() first")
    try:
        array = np.asarray(students)
    except ValueError as error:
        raise ValueError(
            "students of unequal shapes: give [pairs, 2, m, d]; the narrower of a pair "
            "can be padded with zero rows, which changes nothing"
        ) from error
    kinds = (jnp.floating, jnp.integer, np.bool_)  # bfloat16 is floating to JAX only
    real = any(jnp.issubdtype(array.dtype, kind) for kind in kinds)
    if np.ma.isMaskedArray(students):
        raise ValueError("masked students: give plain arrays, every weight counts")
    if not real or array.ndim != 4 or array.shape[1] != 2 or 0 in array.shape:
        raise ValueError(
            f"students {array.dtype}{list(array.shape)}: give [pairs, 2, m, d], real "
            "numbers, two students a pair, nothing empty"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("matching needs finite weights, got NaN or infinity")
    return array


def described(objective: str, value: ArrayLike, rounds: ArrayLike = 0) -> Info:
    """``Info`` of a batch from values ``[pairs]``."""
    value = np.asarray(value, np.float64)
    every = np.broadcast_to(np.asarray(rounds, np.int32), value.shape)
    return Info(objective, value, every)
