"""Algorithm 1 of the paper: neurons of equal type, largest first."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.matching.contract import Info, Perm, Students, checked, described
from lmc_jax.numerics import safe_norm
from lmc_jax.students.minima import counts, types
from lmc_jax.students.teachers import Teacher, width
from lmc_jax.students.two_layer import require_teacher

LEFTOVERS = ("index", "sorted", "opposed")


def match_types(
    students: Students, k: int | Teacher, *, leftovers: str = "opposed"
) -> tuple[Perm, Info]:
    """Permutations that align the second students with the first by Algorithm 1.

    Objective: the overlap (paper, Definition 4), the number of neurons matched with one
    of their type, which this makes as large as it can be. ``align_types`` says how the
    others, the leftovers, are paired.

    >>> first = np.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # [m, d]
    >>> students = np.stack([first, first[[2, 0, 1]]])[None]
    >>> perm, info = match_types(students, k=2)
    >>> perm.tolist(), info.value.tolist()
    ([[1, 2, 0]], [3.0])

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64.
      k: teacher width, 1 <= k <= d, or a teacher, to whose neurons angles decide.
      leftovers: one of ``LEFTOVERS``.

    Returns:
      ``(perm, info)`` as ``match_weights``.

    Raises:
      ValueError: in one line, for unknown leftovers, another k, and as
        ``match_weights``.
    """
    students = checked(students)
    require_teacher(k, students.shape[-1])
    perm, matched = _matched(students, k, leftovers)
    return np.asarray(perm), described("overlap", matched)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _matched(students: Array, k: int | Teacher, leftovers: str) -> tuple[Array, Array]:
    def align(pair):
        perm = align_types(pair, k, leftovers=leftovers)
        first, second = types(pair, k)
        return perm, jnp.sum((first == second[perm]) & (first < width(k)))

    return jax.vmap(align)(students)


def align_types(
    pair: Array,
    k: int | Teacher,
    *,
    leftovers: str = "opposed",
    m: ArrayLike | None = None,
) -> Array:
    """Permutation of one pair's second student by Algorithm 1; for use under ``jit``.

    >>> first = jnp.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # [m, d]
    >>> pair = jnp.stack([first, first[jnp.array([2, 0, 1])]])
    >>> jax.jit(align_types, static_argnums=1)(pair, 2).tolist()
    [1, 2, 0]

    In each type both students' neurons are ranked by norm, largest first, and
    matched rank by rank until one side runs out. The paper leaves open how the
    leftovers are paired; here

    - ``index``: in row order (the paper's reading);
    - ``sorted``: largest with largest;
    - ``opposed``: largest with smallest, which lowers the barrier of uniform minima,
      to about half of ``index`` for m well above k.

    Neurons without type (zero rows) are leftovers. Neurons of equal type and norm are
    ranked by two combinations of their weights. Where these agree too, the neurons are
    equal up to rounding, 1e-13 of a norm, and keep their row order.

    Args:
      pair: students ``[2, rows, d]``, float32 or float64; rows from ``m`` on must be
        zero and stay in place.
      k: teacher width, or a teacher.
      leftovers: one of ``LEFTOVERS``.
      m: true width, may be traced; default all rows.

    Returns:
      int32 ``[rows]``: row i of the aligned second student is row ``perm[i]`` of it.

    Raises:
      ValueError: for unknown leftovers.
    """
    if leftovers not in LEFTOVERS:
        known = ", ".join(LEFTOVERS)
        raise ValueError(f"unknown leftovers {leftovers!r}: choose one of {known}")
    rows = jnp.arange(pair.shape[1], dtype=jnp.int32)
    kinds = types(pair, k)  # [2, m]
    norms = safe_norm(pair)  # [2, m]
    # Distinct neurons of equal norm meet by it, wherever they stand.
    angles = jnp.arange(1, pair.shape[-1] + 1, dtype=pair.dtype)
    ties = [jnp.sum(pair * wave(angles), axis=-1) for wave in (jnp.sin, jnp.cos)]
    none = width(k)  # the type of a neuron without one
    tally = counts(kinds, none + 1)  # [2, k + 1], typeless last
    shared = jnp.min(tally, axis=0).at[none].set(0)
    starts = (jnp.cumsum(tally, axis=1) - tally).astype(jnp.int32)
    index = rows.astype(norms.dtype)

    def arrange(kind, norm, tie, start, order):
        by_type = jnp.lexsort((*tie, -norm, kind))
        rank = jnp.zeros_like(rows).at[by_type].set(rows - start[kind[by_type]])
        matched = rank < shared[kind]
        rest = index if leftovers == "index" else order * norm
        within = jnp.where(matched, rank.astype(norm.dtype), rest)
        group = jnp.where(matched, kind, none)
        if m is not None:
            group = jnp.where(rows < m, group, none + 1)
            within = jnp.where(rows < m, within, index)
        return jnp.lexsort((within, group))

    # Both at once: sorts are slow to compile.
    orders = jnp.array([-1, 1 if leftovers == "opposed" else -1], norms.dtype)
    first, second = jax.vmap(arrange)(kinds, norms, ties, starts, orders)
    return jnp.zeros_like(rows).at[first].set(second.astype(jnp.int32))
