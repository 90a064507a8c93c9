"""The best of all permutations of a narrow pair."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.matching.contract import Info, Perm, Students, checked, described
from lmc_jax.matching.path import heights, inner_times, kernel, path_of
from lmc_jax.students.teachers import Teacher
from lmc_jax.students.two_layer import require_teacher

WIDEST = 9  # m! permutations: 362,880
CHUNK = 5040  # permutations at a time; divides m! from m = 7 on


def match_exhaustive(
    students: Students,
    k: int | Teacher,
    *,
    definition: str = "lerp",
    points: int = 11,
) -> tuple[Perm, Info]:
    """Permutations of the least barrier, by trying all m! of them.

    Objective: the barrier. One table of the kernel between all mixed neurons makes
    the loss of a permutation a sum of m(m+1)/2 entries.

    >>> first = np.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # [m, d]
    >>> students = np.stack([first, first[[2, 0, 1]]])[None]
    >>> perm, info = match_exhaustive(students, k=2)
    >>> info.value.round(9).tolist()  # the barrier; permutations within a type tie
    [0.0]

    Args:
      students: real ``[pairs, 2, m, d]``, m <= 9, taken in float64.
      k: teacher width, 1 <= k <= d, or a teacher.
      definition: of the barrier, one of ``paths.BARRIERS``.
      points: positions along the path, ends included, an odd number.

    Returns:
      ``(perm, info)`` as ``match_weights``. Of equally good permutations the first in
      lexicographic order, up to rounding.

    Raises:
      ValueError: in one line, for wider students, another k, an unknown definition,
        points that are even or below 3, and as ``match_weights``.
    """
    ts = inner_times(points, definition)
    students = checked(students)
    require_teacher(k, students.shape[-1])
    m = students.shape[2]
    if m > WIDEST:
        raise ValueError(f"m={m}: trying all m! permutations ends at m = {WIDEST}")
    best, perm = _search(students, _permutations(m), ts, k, definition)
    return np.asarray(perm), described(f"barrier ({definition})", best)


@functools.cache
def _permutations(m: int) -> np.ndarray:
    """All permutations ``[chunks, perms, m]``."""
    every = np.array(list(itertools.permutations(range(m))), np.int32)
    return every.reshape(-1, min(CHUNK, math.factorial(m)), m)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _search(
    students: Array, perms: Array, ts: Array, k: int | Teacher, definition: str
):
    m = students.shape[2]
    row = jnp.arange(m, dtype=jnp.int32)

    def search(pair):
        path = path_of(pair, k, ts)
        mixed = kernel(path, *jnp.meshgrid(row, row, row, row, indexing="ij"))
        table = jnp.moveaxis(mixed, 0, -1)  # [m, m, m, m, T]
        solo = jnp.moveaxis(path.solo, 0, -1)  # [m, m, T]

        def best(perms):  # [n, m]
            twice = jnp.full((perms.shape[0], solo.shape[-1]), path.const)
            for i in range(m):
                twice = twice + solo[i, perms[:, i]]
            for i, l in itertools.combinations(range(m), 2):
                twice = twice + 2 * table[i, perms[:, i], l, perms[:, l]]
            barriers = heights(path, twice.T / 2, definition)
            least = jnp.argmin(barriers)
            return barriers[least], perms[least]

        barriers, candidates = jax.lax.map(best, perms)
        least = jnp.argmin(barriers)
        return barriers[least], candidates[least]

    return jax.lax.map(search, students)
