"""The permutation that moves nothing."""

import numpy as np

from lmc_jax.matching import networks
from lmc_jax.matching.contract import (
    Info,
    Perm,
    Students,
    checked,
    described,
    weight_distance,
)
from lmc_jax.networks.permutations import Spec


def match_identity(
    students: Students, *, spec: Spec | None = None
) -> tuple[Perm, Info]:
    """Leaves every neuron where it is: the direct path.

    Objective: the weight distance Σᵢ |wᵢ - w'ᵢ|², not optimised.

    Args:
      students: real ``[pairs, 2, m, d]``; with ``spec`` a pytree of networks.
      spec: permutation specification of one network.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``, each row 0 ... m - 1; with ``spec``
      ``[pairs, units]`` by group.

    Raises:
      ValueError: as ``match_weights``.
    """
    if spec is not None:
        return networks.unmoved(students, spec)
    students = checked(students)
    pairs, _, m, _ = students.shape
    perm = np.tile(np.arange(m, dtype=np.int32), (pairs, 1))
    return perm, described("weight distance", weight_distance(students, perm))
