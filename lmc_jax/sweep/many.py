"""Groups of students in batches of one size: aligned, evaluated, their centres sought.

Groups are ``[g, n, rows, d]`` of a ``Cell``, float64, padded to ``padded_width`` rows.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax.matching import align_types
from lmc_jax.students import two_layer
from lmc_jax.sweep import devices, programs
from lmc_jax.sweep.cell import Cell, Descent

ROUNDS = 20  # of cycles over all, at most
BATCH = 16  # students that a device works on in a call
STEPS = 2000  # of the search for a centre


def to_first(groups: np.ndarray, cell: Cell) -> np.ndarray:
    """Every student aligned to the first of its group by Algorithm 1 (opposed)."""
    targets = np.broadcast_to(groups[:, :1], groups.shape)
    return _aligned(targets, groups, cell)


def by_cycles(groups: np.ndarray, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Each student in turn aligned to the mean of the others, until nothing changes.

    As models are merged by Ainsworth et al. (2022, Algorithm 3), with Algorithm 1
    (opposed) for each. Returns the students, and which groups settled within
    ``ROUNDS``.
    """
    current, settled = groups.copy(), np.zeros(len(groups), bool)
    students = np.arange(groups.shape[1])
    for _ in range(ROUNDS):
        if settled.all():
            break
        active = current[~settled]
        for s in students:
            others = active[:, students != s].mean(axis=1)
            active[:, s] = _aligned(others, active[:, s], cell)
        still = (active == current[~settled]).all(axis=(1, 2, 3))
        current[~settled] = active
        settled[~settled] = still
    return current, settled


def _aligned(targets: np.ndarray, students: np.ndarray, cell: Cell) -> np.ndarray:
    """Students ``[..., rows, d]`` with their rows in the order of their targets'."""
    own = students.reshape(-1, *students.shape[-2:])
    found = np.empty_like(own)
    _fill(found, _aligner(cell.k), cell, targets.reshape(own.shape), own)
    return found.reshape(students.shape)


def losses(W: np.ndarray, cell: Cell) -> np.ndarray:
    """Losses ``[...]`` of students ``[..., rows, d]``."""
    own = W.reshape(-1, *W.shape[-2:])
    found = np.empty(len(own))
    _fill(found, _evaluator(cell.k), cell, own)
    return found.reshape(W.shape[:-2])


def kinds(groups: np.ndarray, cell: Cell) -> np.ndarray:
    """Types ``[g, n, rows]``, k for zero neurons."""
    kinds = np.argmax(groups[..., : cell.k], axis=-1)
    norms = np.linalg.norm(groups, axis=-1)
    return np.where(norms > cell.source.zero_row, kinds, cell.k)


def sought(groups: np.ndarray, cell: Cell) -> np.ndarray:
    """Centres ``[g, rows, d]`` by descent from the means of trained students.

    On the loss of the centre plus the mean loss in the middle of its paths, at the
    learning rate of the students.
    """
    assert isinstance(cell.source, Descent)
    found = np.empty_like(groups[:, 0])
    _fill(found, _seeker(cell.k, cell.source.lr), cell, groups)
    return found


def _fill(
    found: np.ndarray, program: jax.stages.Wrapped, cell: Cell, *arrays: np.ndarray
) -> None:
    """What a program makes of items ``[n, ...]``, in batches of one size."""
    size = jax.device_count() * BATCH
    widths = np.full(size, cell.m, np.int32)
    for begin in range(0, len(found), size):
        items = np.arange(begin, min(begin + size, len(found)))
        filled = np.resize(items, size)
        given = devices.scattered((widths, *(array[filled] for array in arrays)))
        found[items] = devices.gathered(program(*given))[: len(items)]


@functools.lru_cache(programs.MAX_PROGRAMS)
def _aligner(k: int) -> jax.stages.Wrapped:
    """Program of widths, targets and students to the aligned students."""

    def align(item):
        m, target, student = item
        return student[align_types(jnp.stack([target, student]), k, m=m)]

    return programs.sharded(lambda *items: jax.lax.map(align, items))


@functools.lru_cache(programs.MAX_PROGRAMS)
def _evaluator(k: int) -> jax.stages.Wrapped:
    """Program of widths and students to their losses, one after another."""

    def evaluate(item):
        return two_layer.loss(item[1], k)

    return programs.sharded(lambda *items: jax.lax.map(evaluate, items))


@functools.lru_cache(programs.MAX_PROGRAMS)
def _seeker(k: int, lr: float) -> jax.stages.Wrapped:
    """Program of widths and groups ``[n, rows, d]`` to centres by descent."""

    def seek(item):
        _, group = item

        def step(W, _):
            middle = two_layer.gradient((W + group) / 2, k).mean(axis=0) / 2
            return W - lr * (two_layer.gradient(W, k) + middle), None

        return jax.lax.scan(step, group.mean(axis=0), length=STEPS)[0]

    return programs.sharded(lambda *items: jax.lax.map(seek, items))
