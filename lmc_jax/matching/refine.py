"""Pairwise-swap descent on the barrier, from any permutation."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.matching.contract import (
    Info,
    Perm,
    Students,
    checked,
    described,
    require_teacher,
    whole,
)
from lmc_jax.matching.path import Path, heights, inner_times, kernel, path_of
from lmc_jax.matching.types import align_types, match_types

# A swap must take off this share of the barrier, and this much: less is rounding.
LEAST_GAIN, NOISE = 1e-9, 1e-14
ELEMENTS = 2**20  # of an array [pairs, starts, T, m, m] worked on at a time


class State(NamedTuple):
    """Where a descent stands.

    perm ``[rows]``. pull ``[T, rows, rows]``: Σᵣ K(v_ia, vᵣ) over the aligned neurons.
    losses ``[T]``, height: of the path. rounds: swaps done. done: no swap helps.
    """

    perm: Array
    pull: Array
    losses: Array
    height: Array
    rounds: Array
    done: Array


def match_refine(
    students: Students,
    k: int,
    *,
    start: Perm | None = None,
    restarts: int = 0,
    seed: int = 0,
    definition: str = "midpoint",
    points: int = 11,
) -> tuple[Perm, Info]:
    """Permutations whose barrier no swap of two neurons lowers.

    Objective: the barrier, by default the one at the midpoint of the path: a tenth of
    the work of the whole path, and as good.

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64.
      k: teacher width, 1 <= k <= d.
      start: permutations as another matching returns them; default Algorithm 1 with
        opposed leftovers.
      restarts: further descents from random permutations; the best of all counts.
      seed: of the random permutations.
      definition: of the barrier, one of ``interpolation.BARRIERS``.
      points: positions along the path, ends included, an odd number.

    Returns:
      ``(perm, info)``; perm int32 ``[pairs, m]``: row i of an aligned second student
      is row ``perm[i]`` of it. The rounds are the swaps of the best descent.

    Raises:
      ValueError: in one line, for a start that holds no permutations, restarts or a
        seed that are no integer of at least 0, and as ``match_exhaustive``, except that
        m has no limit.
    """
    for name, value in (("restarts", restarts), ("seed", seed)):
        if not whole(value) or value < 0:
            raise ValueError(f"{name}={value!r}: give an integer of at least 0")
    ts = inner_times(points, definition)
    students = checked(students)
    require_teacher(k, students)
    if start is None:
        start, _ = match_types(students, k)
    pairs, _, m, _ = students.shape
    if not _permutes(start, pairs, m):
        raise ValueError(f"start: give permutations of 0 ... {m - 1}, [{pairs}, {m}]")
    start = np.asarray(start)
    rng = np.random.default_rng(seed)
    drawn = np.broadcast_to(np.arange(m), (pairs, restarts, m))
    starts = np.concatenate([start[:, None], rng.permuted(drawn, axis=2)], axis=1)
    best = _descents(students, starts.astype(np.int32), ts, k, definition)
    perm, height, rounds = map(np.asarray, best)
    return perm, described(f"barrier ({definition})", height, rounds)


def _permutes(start: ArrayLike, pairs: int, m: int) -> bool:
    try:
        perms = np.asarray(start)
    except ValueError:  # of unequal lengths
        return False
    fits = perms.shape == (pairs, m) and np.issubdtype(perms.dtype, np.integer)
    return fits and bool((np.sort(perms, axis=1) == np.arange(m)).all())


@functools.partial(jax.jit, static_argnums=(3, 4))
def _descents(students: Array, starts: Array, ts: Array, k: int, definition: str):
    def best_of(pair, starts):
        path = path_of(pair, k, ts)
        ends = jax.vmap(lambda start: refine(path, start, definition))(starts)
        best = jnp.argmin(ends.height)
        return ends.perm[best], ends.height[best], ends.rounds[best]

    pairs, tries, m = starts.shape
    most = ELEMENTS // (tries * ts.shape[0] * m * m)
    batch = max(n for n in range(1, max(most, 1) + 1) if pairs % n == 0)
    students = students.reshape(-1, batch, *students.shape[1:])
    best = jax.lax.map(
        lambda args: jax.vmap(best_of)(*args),
        (students, starts.reshape(-1, batch, tries, m)),
    )
    return jax.tree.map(lambda part: part.reshape(pairs, *part.shape[2:]), best)


def refine(
    path: Path, perm: Array, definition: str, *, m: ArrayLike | None = None
) -> State:
    """Takes the best of all swaps of two neurons until none lowers the barrier.

    A round costs O(T m²) kernel evaluations: ``pull`` is kept up to date, so that what
    a swap does to the loss is a sum of a few entries.

    Args:
      path: of one pair.
      perm: int32 ``[rows]``, the start.
      definition: of the barrier.
      m: true width, may be traced; rows from there on stay in place.

    Returns:
      The final state.
    """
    rows = jnp.arange(perm.shape[0], dtype=jnp.int32)
    real = rows < (perm.shape[0] if m is None else m)
    swappable = (rows[:, None] < rows) & real
    i, l = rows[:, None], rows
    full = (rows.shape[0], rows.shape[0])

    def stacked(*indices):
        return jnp.stack([jnp.broadcast_to(index, full) for index in indices])

    def pulled(r):
        return kernel(path, i, l, r, perm[r])  # [T, m, m]

    def begin():
        # Zeros that vary over devices as the pair does.
        nothing, none = 0 * path.norms, 0 * perm[0]
        pull = jax.lax.fori_loop(
            0, rows.shape[0], lambda r, total: total + pulled(r), nothing
        )
        now = pull[:, rows, perm]
        solo = path.solo[:, rows, perm] - jnp.square(path.norms[:, rows, perm]) / 2
        losses = (jnp.sum(now + solo, axis=-1) + path.const) / 2
        height = heights(path, losses, definition)
        return State(perm, pull, losses, height, none, none > 0)

    def swap(state: State) -> State:
        perm = state.perm
        a, b = perm[:, None], perm  # partners of i and l
        # One call: compiled once. Neurons as they are; i with the partner of l, with
        # the former neuron i, neuron l, and l with the partner of i.
        kinds = kernel(
            path, i, stacked(a, b, b, b), stacked(l, i, l, l), stacked(b, a, b, a)
        )
        now, with_i, with_l, crossed = jnp.moveaxis(kinds, 1, 0)  # [T, rows, rows]
        solo, moved = path.solo[:, rows, perm], path.solo[:, :, perm]
        moved = moved + 2 * (state.pull[:, :, perm] - with_i - with_l)
        stayed = solo + 2 * state.pull[:, rows, perm]
        stayed = stayed - jnp.square(path.norms[:, rows, perm])
        change = moved + jnp.swapaxes(moved, 1, 2) + 2 * crossed
        change = change - stayed[:, :, None] - stayed[:, None] + 2 * now
        losses = state.losses[:, None, None] + change / 2
        barriers = jnp.where(swappable, heights(path, losses, definition), jnp.inf)
        p, q = jnp.unravel_index(jnp.argmin(barriers), barriers.shape)
        least = state.height - LEAST_GAIN * abs(state.height) - NOISE
        better = barriers[p, q] < least
        swapped = perm.at[p].set(perm[q]).at[q].set(perm[p])
        touched = jnp.stack([p, q]).astype(jnp.int32)[:, None, None]
        after, before = (
            jnp.sum(kernel(path, i, l, touched, order[touched]), axis=1)
            for order in (swapped, perm)
        )
        taken = State(
            swapped,
            state.pull + after - before,
            losses[:, p, q],
            barriers[p, q],
            state.rounds + 1,
            ~better,
        )
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), taken, state)
        return kept._replace(done=~better)

    return jax.lax.while_loop(lambda state: ~state.done, swap, begin())


def align_refined(pair: Array, k: int, *, m: ArrayLike | None = None) -> Array:
    """Permutation of one pair, refined on the midpoint; for use under ``jit``.

    As ``match_refine`` by default: from Algorithm 1 with opposed leftovers.

    Args:
      pair: students ``[2, rows, d]``; rows from ``m`` on must be zero, stay in place.
      k: teacher width.
      m: true width, may be traced; default all rows.

    Returns:
      int32 ``[rows]``.
    """
    path = path_of(pair, k, inner_times(3, "midpoint"))
    return refine(path, align_types(pair, k, m=m), "midpoint", m=m).perm
