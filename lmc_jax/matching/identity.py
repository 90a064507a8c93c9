"""The permutation that moves nothing."""

import numpy as np

from lmc_jax.matching.contract import (
    Info,
    Perm,
    Students,
    checked,
    described,
    weight_distance,
)


def match_identity(students: Students) -> tuple[Perm, Info]:
    """Leaves every neuron where it is: the direct path.

    Objective: the weight distance Σᵢ |wᵢ - w'ᵢ|², not optimised.

    >>> perm, info = match_identity(np.ones((1, 2, 3, 2)))
    >>> perm.tolist(), info.objective, info.value.tolist()
    ([[0, 1, 2]], 'weight distance', [0.0])

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``, each row 0 ... m - 1.

    Raises:
      ValueError: as ``match_weights``.
    """
    students = checked(students)
    pairs, _, m, _ = students.shape
    perm = np.tile(np.arange(m, dtype=np.int32), (pairs, 1))
    return perm, described("weight distance", weight_distance(students, perm))
