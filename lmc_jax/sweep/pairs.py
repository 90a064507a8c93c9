"""Pairs of students of cells: sampled in batches, or trained in slots.

A slot whose run has ended takes the next run, so that ended runs cost nothing and every
batch keeps its shape.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.environment import root_key
from lmc_jax.students import descent
from lmc_jax.sweep import devices, programs
from lmc_jax.sweep.batches import Jobs, pair_batch, slots
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.programs import padded_width


@functools.partial(jax.jit, static_argnames="pairs")
def run_keys(root: Array, k: int, m: int, d: int, *, pairs: int) -> Array:
    """Keys of a cell's runs, folded from integers only.

    In this order: root seed, k, m, d, pair, role in the pair. Equal across sources and
    learning rates on purpose: the points of a curve over learning rates start from the
    same students.

    Returns:
      Keys ``[pairs, 2]``.
    """
    for number in (k, m, d):
        root = jax.random.fold_in(root, number)
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    by_pair = fold(root, jnp.arange(pairs, dtype=jnp.uint32))
    return jax.vmap(fold, in_axes=(0, None))(by_pair, jnp.arange(2, dtype=jnp.uint32))


def _key_data(cell: Cell) -> np.ndarray:
    keys = run_keys(root_key(cell.seed), cell.k, cell.m, cell.d, pairs=cell.pairs)
    return np.asarray(jax.random.key_data(keys))  # [pairs, 2, 2]


class Pair(NamedTuple):
    """Two students ready to be measured: ``students [2, rows, d]`` of a cell's pair.

    run: ``status`` and ``steps``, each ``[2]``, of trained students; else empty.
    """

    cell: Cell
    number: int
    students: np.ndarray
    run: dict[str, np.ndarray]


def sampled(group: Sequence[Cell], halvings: int) -> Iterator[Pair]:
    """Pairs of global minima, of cells of one program."""
    first = group[0]
    draw = programs.sampler(first.taught, first.d, padded_width(first.m), first.source)
    batch = pair_batch(first, halvings)
    for cell in group:
        keys = _key_data(cell)
        for begin in range(0, cell.pairs, batch):
            part = range(begin, min(begin + batch, cell.pairs))
            rows = np.minimum(np.arange(begin, begin + batch), cell.pairs - 1)
            widths = np.full(batch, cell.m, np.int32)
            drawn = draw(*devices.scattered((keys[rows], widths)))
            students = devices.gathered(drawn)
            for number, both in zip(part, students, strict=False):
                yield Pair(cell, number, both, {})


def trained(group: Sequence[Cell], halvings: int) -> Iterator[Pair]:
    """Pairs of trained students, of cells of one program, in the order they end."""
    alone: dict[tuple[Cell, int], _End] = {}  # whose partner still runs
    for end in _Slots(group, halvings).ends():
        pair = end.run.cell, end.run.number
        if pair in alone:
            both = sorted((alone.pop(pair), end), key=lambda end: end.run.role)
            run = {
                "status": np.stack([end.status for end in both]),
                "steps": np.stack([end.steps for end in both]),
            }
            yield Pair(*pair, np.stack([end.weights for end in both]), run)
        else:
            alone[pair] = end


class _Run(NamedTuple):
    """One run to be done: the student of this role, 0 or 1, in a pair of a cell."""

    cell: Cell
    number: int
    role: int
    key_data: np.ndarray


class _End(NamedTuple):
    """How a run ended, with its weights ``[rows, d]``."""

    run: _Run
    status: np.ndarray
    steps: np.ndarray
    weights: np.ndarray


class _Slots:
    """Runs that descend at a time.

    queue: runs not begun. under_way: by slot. states: of the runs of all slots, on the
    devices. jobs: what the program is told of each slot.
    """

    def __init__(self, group: Sequence[Cell], halvings: int):
        first = group[0]
        source = programs.shared(_descent(first))
        start, self.descend = programs.descender(
            first.taught, first.d, padded_width(first.m), source
        )
        self.count = slots(first, halvings)
        self.jobs = Jobs(
            key_data=np.zeros((self.count, 2), np.uint32),
            m=np.zeros(self.count, np.int32),
            lr=np.zeros(self.count),
            std=np.zeros(self.count),
            fresh=np.zeros(self.count, bool),
        )
        self.queue = _runs(group)
        self.under_way: dict[int, _Run] = {}
        self.states = start(devices.scattered(self.jobs.m))

    def ends(self) -> Iterator[_End]:
        """Every run when it has ended.

        The devices are at work on the next round while the caller has the runs that
        ended in the last one.
        """
        ended: dict[int, _Run] = {}
        last = self.states
        status = steps = np.zeros(self.count, np.int32)
        while self.filled() or ended:
            if self.under_way:
                self.states = self.descend(last, *devices.scattered(self.jobs))
            if ended:
                weights = devices.gathered(last.W)
            for slot, run in ended.items():
                own = weights[slot, :, : run.cell.d].copy()  # not a view that keeps all
                yield _End(run, status[slot], steps[slot], own)
            last = self.states
            status, steps = devices.gathered((last.status, last.step))
            ended = {
                slot: self.under_way.pop(slot)
                for slot in list(self.under_way)
                if status[slot] != descent.RUNNING
            }

    def filled(self) -> bool:
        """Gives the free slots runs of the queue; False when no run is under way."""
        free = [slot for slot in range(self.count) if slot not in self.under_way]
        # Copies: the program of the last round may not have read its own yet.
        self.jobs = Jobs(*map(np.copy, self.jobs))
        self.jobs.fresh[:] = False
        for slot, run in zip(free, self.queue, strict=False):
            self.under_way[slot] = run
            self.jobs.key_data[slot] = run.key_data
            self.jobs.m[slot] = run.cell.m
            self.jobs.lr[slot] = _descent(run.cell).lr
            self.jobs.std[slot] = _descent(run.cell).init_std
            self.jobs.fresh[slot] = True
        return bool(self.under_way)


def _runs(group: Sequence[Cell]) -> Iterator[_Run]:
    """Every run of the cells, in their order."""
    for cell in group:
        for number, keys in enumerate(_key_data(cell)):
            for role, key_data in enumerate(keys):
                yield _Run(cell, number, role, key_data)


def _descent(cell: Cell) -> Descent:
    assert isinstance(cell.source, Descent)
    return cell.source
