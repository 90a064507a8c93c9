"""Pairwise-swap descent on the barrier, from any permutation."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.matching.contract import Info, Perm, Students, checked, described
from lmc_jax.matching.path import Path, heights, inner_times, kernel, path_of
from lmc_jax.matching.types import align_types, match_types
from lmc_jax.students.teachers import Teacher
from lmc_jax.students.two_layer import require_teacher

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
    k: int | Teacher,
    *,
    restarts: int = 0,
    definition: str = "midpoint",
    points: int = 11,
) -> tuple[Perm, Info]:
    """Permutations whose barrier no swap of two neurons lowers.

    Objective: the barrier, by default the one at the midpoint of the path: a tenth of
    the work of the whole path, and as good. The descent starts from Algorithm 1 with
    opposed leftovers.

    >>> first = np.array([[1.0, 0.0], [0.0, 0.4], [0.0, 0.6]])  # [m, d]
    >>> students = np.stack([first, first[[2, 0, 1]]])[None]
    >>> perm, info = match_refine(students, k=2)
    >>> perm.tolist(), info.objective, info.value.round(9).tolist()
    ([[1, 2, 0]], 'barrier (midpoint)', [0.0])

    Args:
      students: real ``[pairs, 2, m, d]``, taken in float64.
      k: teacher width, 1 <= k <= d, or a teacher.
      restarts: further descents, from random permutations that are the same in every
        call; the best of all counts.
      definition: of the barrier, one of ``paths.BARRIERS``.
      points: positions along the path, ends included, an odd number.

    Returns:
      ``(perm, info)`` as ``match_weights``. The rounds are the swaps of the best
      descent.

    Raises:
      ValueError: as ``match_exhaustive``, except that m has no limit.
    """
    ts = inner_times(points, definition)
    students = checked(students)
    require_teacher(k, students.shape[-1])
    pairs, _, m, _ = students.shape
    start, _ = match_types(students, k)
    rng = np.random.default_rng(0)
    drawn = np.broadcast_to(np.arange(m), (pairs, restarts, m))
    starts = np.concatenate([start[:, None], rng.permuted(drawn, axis=2)], axis=1)
    best = _descents(students, starts.astype(np.int32), ts, k, definition)
    perm, height, rounds = map(np.asarray, best)
    return perm, described(f"barrier ({definition})", height, rounds)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _descents(
    students: Array, starts: Array, ts: Array, k: int | Teacher, definition: str
):
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

    def swap(state: State) -> State:
        perm, losses = state.perm, _losses_of_swaps(path, state)
        barriers = jnp.where(swappable, heights(path, losses, definition), jnp.inf)
        p, q = jnp.unravel_index(jnp.argmin(barriers), barriers.shape)
        least = state.height - LEAST_GAIN * abs(state.height) - NOISE
        better = barriers[p, q] < least
        swapped = perm.at[p].set(perm[q]).at[q].set(perm[p])
        touched = jnp.stack([p, q]).astype(jnp.int32)[:, None, None]
        after, before = (
            jnp.sum(kernel(path, rows[:, None], rows, touched, order[touched]), axis=1)
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

    start = _start(path, perm, definition)
    return jax.lax.while_loop(lambda state: ~state.done, swap, start)


def _start(path: Path, perm: Array, definition: str) -> State:
    rows = jnp.arange(perm.shape[0], dtype=jnp.int32)

    def add(r, total):
        return total + kernel(path, rows[:, None], rows, r, perm[r])  # [T, m, m]

    # Zeros that vary over devices as the pair does.
    nothing, none = 0 * path.norms, 0 * perm[0]
    pull = jax.lax.fori_loop(0, rows.shape[0], add, nothing)
    now = pull[:, rows, perm]
    solo = path.solo[:, rows, perm] - jnp.square(path.norms[:, rows, perm]) / 2
    losses = (jnp.sum(now + solo, axis=-1) + path.const) / 2
    return State(perm, pull, losses, heights(path, losses, definition), none, none > 0)


def _losses_of_swaps(path: Path, state: State) -> Array:
    """Losses ``[T, rows, rows]`` were neurons i and l to swap their partners."""
    rows = jnp.arange(state.perm.shape[0], dtype=jnp.int32)
    i, l = rows[:, None], rows
    a, b = state.perm[:, None], state.perm  # partners of i and l

    def stacked(*indices):
        full = (rows.shape[0], rows.shape[0])
        return jnp.stack([jnp.broadcast_to(index, full) for index in indices])

    # One call: compiled once. Neurons as they are; i with the partner of l, with the
    # former neuron i, neuron l, and l with the partner of i.
    kinds = kernel(
        path, i, stacked(a, b, b, b), stacked(l, i, l, l), stacked(b, a, b, a)
    )
    now, with_i, with_l, crossed = jnp.moveaxis(kinds, 1, 0)  # [T, rows, rows]
    solo, moved = path.solo[:, rows, b], path.solo[:, :, b]
    moved = moved + 2 * (state.pull[:, :, b] - with_i - with_l)
    stayed = solo + 2 * state.pull[:, rows, b]
    stayed = stayed - jnp.square(path.norms[:, rows, b])
    change = moved + jnp.swapaxes(moved, 1, 2) + 2 * crossed
    change = change - stayed[:, :, None] - stayed[:, None] + 2 * now
    return state.losses[:, None, None] + change / 2


def align_refined(
    pair: Array, k: int | Teacher, *, m: ArrayLike | None = None
) -> Array:
    """Permutation of one pair, refined on the midpoint; for use under ``jit``.

    As ``match_refine`` by default: from Algorithm 1 with opposed leftovers.

    Args:
      pair: students ``[2, rows, d]``; rows from ``m`` on must be zero, stay in place.
      k: teacher width, or a teacher.
      m: true width, may be traced; default all rows.

    Returns:
      int32 ``[rows]``.
    """
    path = path_of(pair, k, inner_times(3, "midpoint"))
    return refine(path, align_types(pair, k, m=m), "midpoint", m=m).perm
