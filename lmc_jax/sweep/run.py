"""Cells of a grid, computed in batches of runs sharded over all devices.

Widths are batched together by zero-row padding, which is exact, into the few sizes of
``padded_width``. Descent runs in slots: a slot whose run ended is given the next run,
so that ended runs cost nothing and every batch keeps one shape. Slots and batches are
sized from the cell alone, so a cell has the same bits in any company.
"""

import functools
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.environment import root_key
from lmc_jax.matching import MATCHINGS, Matching
from lmc_jax.students import descent
from lmc_jax.sweep import devices, programs
from lmc_jax.sweep.batches import Jobs, batch_shape, compiled_ahead, pair_batch, slots
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.programs import padded_width

Save = Callable[[Cell, dict[str, np.ndarray], np.ndarray | None], None]


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


def sweep(
    cells: Iterable[Cell],
    save: Save,
    *,
    progress: Callable[[int], None] = lambda pairs: None,
    weights: bool = False,
    halvings: int = 0,
    halved: Callable[[int], None] = lambda halvings: None,
) -> None:
    """Computes cells and hands each to ``save`` as soon as its last pair is measured.

    A batch that does not fit into the memory of the devices is halved, for the rest of
    the sweep, and the cells under way are started again.

    Args:
      cells: valid cells; leave out those that are already done.
      save: called as ``save(cell, arrays, weights)``. ``arrays`` holds, for n pairs,
        ``losses [n, 1 + matchings, points]`` along the direct and the permuted paths,
        ``overlap [n]``, and for both students of a pair ``counts [n, 2, k]``,
        ``zero_rows``, ``off_axis``, ``distance``, ``pqi_flat``, ``pqi_rows``
        ``[n, 2]``; for trained students also ``status`` and ``steps`` ``[n, 2]``, for
        global minima ``certificate``, of the shape of ``losses``.
      progress: called with the number of pairs measured since the last call; negative
        where pairs must be computed again.
      weights: hand the students ``[n, 2, m, d]`` over as well, else None.
      halvings: how often batches are halved from the start.
      halved: called with the new number of halvings.

    Raises:
      OutOfMemory: when not even two runs a device fit.
    """
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_program(cell), []).append(cell)
    ahead = compiled_ahead(list(groups.values()), lambda: halvings)
    for number, group in enumerate(ahead, 1):
        results = _Results(group, save, weights)
        while not _computed(results, halvings, progress):
            if batch_shape(group[0], halvings) == (2, 2):
                raise OutOfMemory(_too_large(group[0], halvings))
            halvings += 1
            halved(halvings)
            progress(-results.forget())
        if number % programs.KEPT == 0:
            gc.collect()  # programs that were dropped are held in cycles


def _computed(
    results: "_Results", halvings: int, progress: Callable[[int], None]
) -> bool:
    """Computes what is missing; False where some device ran out of memory."""
    group = list(results.missing)
    stream = _trained if isinstance(group[0].source, Descent) else _sampled
    try:
        pairs = stream(group, halvings)
        for batch in _batches(pairs, pair_batch(group[0], halvings)):
            results.add(batch, _measured(batch, group[0], halvings))
            progress(len(batch))
    except devices.Elsewhere:
        return False
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not devices.out_of_memory(error):
            raise
        return devices.all_well(False)  # the others wait for word
    return True


class OutOfMemory(RuntimeError):
    """A batch that cannot be made small enough, in one line."""


def _too_large(cell: Cell, halvings: int) -> str:
    runs, pairs = batch_shape(cell, halvings)
    return (
        f"k={cell.k}, m={cell.m}: {runs} runs or {pairs} pairs a device do not fit "
        "into its memory: take larger devices or smaller m"
    )


def measure(cell: Cell, students: np.ndarray) -> dict[str, np.ndarray]:
    """What ``sweep`` measures, of given pairs of students.

    Args:
      cell: what they are taken for: k, d, matchings, points, the norm of zero rows.
        Its ``pairs`` sizes the batches.
      students: ``[n, 2, m, d]``.

    Returns:
      The arrays of ``sweep`` for n pairs, without ``status`` and ``steps``.
    """
    rows = padded_width(cell.m) - cell.m
    padded = np.pad(students, ((0, 0), (0, 0), (0, rows), (0, 0)))
    stream = (Pair(cell, number, both, {}) for number, both in enumerate(padded))
    parts = [_measured(part, cell) for part in _batches(stream, pair_batch(cell))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Pair(NamedTuple):
    """Two students ready to be measured: ``students [2, rows, d]`` of a cell's pair."""

    cell: Cell
    number: int
    students: np.ndarray
    run: dict[str, np.ndarray]


def _program(cell: Cell) -> Any:
    """Cells with equal programs are computed in the same batches."""
    source = cell.source
    if isinstance(source, Descent):
        source = programs.any_lr(source)
    shape = (cell.k, cell.d, padded_width(cell.m), cell.pairs)
    return (*shape, cell.seed, cell.matchings, cell.points, cell.pqi, source)


def _descent(cell: Cell) -> Descent:
    assert isinstance(cell.source, Descent)
    return cell.source


def _batches(stream: Iterator[Pair], size: int) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    for pair in stream:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


# --- students ------------------------------------------------------------------------


def _sampled(group: Sequence[Cell], halvings: int) -> Iterator[Pair]:
    """Pairs of global minima."""
    first = group[0]
    draw = programs.sampler(first.k, first.d, padded_width(first.m), first.source)
    batch = pair_batch(first, halvings)
    for cell in group:
        keys = _key_data(cell)
        for begin in range(0, cell.pairs, batch):
            part = range(begin, min(begin + batch, cell.pairs))
            rows = np.minimum(np.arange(begin, begin + batch), cell.pairs - 1)
            widths = np.full(batch, cell.m, np.int32)
            drawn = draw(*devices.split((keys[rows], widths)))
            students = devices.gathered(drawn)
            for number, both in zip(part, students, strict=False):
                yield Pair(cell, number, both, {})


def _trained(group: Sequence[Cell], halvings: int) -> Iterator[Pair]:
    """Pairs of trained students, in the order in which their runs end."""
    first = group[0]
    count = slots(first, halvings)
    size, spec = padded_width(first.m), programs.any_lr(_descent(first))
    start, descend = programs.descender(first.k, first.d, size, spec)
    queue = _queue(group)
    jobs = Jobs(
        np.zeros((count, 2), np.uint32),
        np.zeros(count, np.int32),
        np.zeros(count),
        np.zeros(count, bool),
    )
    runs = start(devices.split(jobs.m))
    work: dict[int, tuple[Cell, int, int]] = {}  # cell, pair, role by slot
    waiting: dict[tuple[Cell, int], tuple[int, np.ndarray, dict]] = {}
    while True:
        jobs.fresh[:] = False
        free = [slot for slot in range(count) if slot not in work]
        for slot, (job, key_data) in zip(free, queue, strict=False):
            cell = job[0]
            work[slot] = job
            jobs.key_data[slot], jobs.fresh[slot] = key_data, True
            jobs.m[slot], jobs.lr[slot] = cell.m, _descent(cell).lr
        if not work:
            return
        runs = descend(runs, *devices.split(jobs))
        status, steps = devices.gathered((runs.status, runs.step))
        ended = [slot for slot in work if status[slot] != descent.RUNNING]
        weights = devices.gathered(runs.W) if ended else np.empty(0)
        for slot in ended:
            cell, number, role = work.pop(slot)
            run = {"status": status[slot], "steps": steps[slot]}
            end = role, weights[slot, :, : cell.d].copy(), run
            other = waiting.pop((cell, number), None)
            if other is None:
                waiting[cell, number] = end
                continue
            ends = sorted((end, other), key=lambda end: end[0])
            both = {name: np.stack([run[name] for _, _, run in ends]) for name in run}
            yield Pair(cell, number, np.stack([W for _, W, _ in ends]), both)


def _queue(group: Sequence[Cell]) -> Iterator[tuple[tuple[Cell, int, int], np.ndarray]]:
    """Every run of the cells, ``((cell, pair, role), key_data)``."""
    for cell in group:
        for number, keys in enumerate(_key_data(cell)):
            for role, key_data in enumerate(keys):
                yield (cell, number, role), key_data


# --- measures ------------------------------------------------------------------------


def _measured(
    batch: list[Pair], cell: Cell, halvings: int = 0
) -> dict[str, np.ndarray]:
    """Measures of a batch of pairs, padded to the batch size by repeating the last."""
    size = pair_batch(cell, halvings)
    padded = batch + [batch[-1]] * (size - len(batch))
    students = np.stack([pair.students for pair in padded]).astype(np.float64)
    m = np.array([pair.cell.m for pair in padded], np.int32)
    perms = programs.unmoved(cell.matchings, size, students.shape[2])
    for name, rows in perms.items():
        for row, perm in zip(rows, _on_host(batch, MATCHINGS[name]), strict=False):
            row[: len(perm)] = perm
    zero = np.array([pair.cell.source.zero_row for pair in padded])
    students, m, zero, perms = devices.split((students, m, zero, perms))
    measure = programs.measurer(cell.k, cell.pqi)
    join = programs.joiner(cell.k, cell.matchings, cell.points)
    measured, joined = devices.gathered(
        (measure(students, m, zero), join(students, m, perms))
    )
    found = measured | joined
    if not isinstance(cell.source, Minima):
        del found["certificate"]  # it bounds paths between global minima only
    return {name: values[: len(batch)] for name, values in found.items()}


def _on_host(batch: list[Pair], matching: Matching) -> list[np.ndarray]:
    """Permutations of a batch, on all cores: SciPy's solver releases the GIL.

    One pair at a time: what a pair gets must not depend on its company.
    """

    def matched(pair: Pair) -> np.ndarray:
        (perm,), _ = matching.on_host(
            pair.students[None, :, : pair.cell.m], pair.cell.k
        )
        return perm

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(matched, batch))


class _Results:
    """Arrays of the cells under way; a cell is saved with its last pair."""

    def __init__(self, group: Sequence[Cell], save: Save, weights: bool):
        self.missing = {cell: cell.pairs for cell in group}
        self.arrays: dict[Cell, dict[str, np.ndarray]] = {}
        self.save = save
        self.weights = weights

    def add(self, batch: list[Pair], measured: dict[str, np.ndarray]) -> None:
        for row, pair in enumerate(batch):
            cell = pair.cell
            values = {name: rows[row] for name, rows in measured.items()} | pair.run
            if self.weights:
                values["weights"] = pair.students[:, : cell.m]
            arrays = self.arrays.setdefault(cell, {})
            for name, value in values.items():
                if name not in arrays:
                    arrays[name] = np.empty((cell.pairs, *value.shape), value.dtype)
                arrays[name][pair.number] = value
            self.missing[cell] -= 1
            if not self.missing[cell]:
                arrays = self.arrays.pop(cell)
                self.save(cell, arrays, arrays.pop("weights", None))
                del self.missing[cell]

    def forget(self) -> int:
        """Drops the cells under way, and returns how many pairs were measured."""
        dropped = sum(cell.pairs - left for cell, left in self.missing.items())
        self.missing = {cell: cell.pairs for cell in self.missing}
        self.arrays.clear()
        return dropped
