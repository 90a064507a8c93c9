"""Cells of a grid, computed in batches of runs sharded over all devices.

Widths are batched together by zero-row padding, which is exact, into the few sizes of
``padded_width``. Batches are sized from the cell and the machine; on CPU a cell's bits
do not depend on the size, as BUILD_NOTES.md says.
"""

import dataclasses
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from lmc_jax.matching import MATCHINGS, Matching
from lmc_jax.sweep import devices, programs
from lmc_jax.sweep.batches import batch_shape, compiled_ahead, pair_batch
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.pairs import Pair, sampled, trained
from lmc_jax.sweep.programs import padded_width

Save = Callable[[Cell, dict[str, np.ndarray], np.ndarray | None], None]


def sweep(
    cells: Iterable[Cell],
    save: Save,
    *,
    progress: Callable[[int], None] = lambda pairs: None,
    weights: bool = False,
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
      halved: called with the new number of halvings.

    Raises:
      OutOfMemory: when not even two runs a device fit.
    """
    halvings = 0
    ahead = compiled_ahead(grouped(cells), lambda: halvings)
    for number, group in enumerate(ahead, 1):
        results = _Results(group, save, weights)
        while not _computed(results, halvings, progress):
            if batch_shape(cell := group[0], halvings) == (2, 2):
                raise OutOfMemory(
                    f"k={cell.k}, m={cell.m}: 2 runs or 2 pairs a device do not fit "
                    "into its memory: take larger devices or smaller m"
                )
            halvings += 1
            halved(halvings)
            progress(-results.forget())
        if number % programs.MAX_PROGRAMS == 0:
            gc.collect()  # programs that were dropped are held in cycles


def _computed(
    results: "_Results", halvings: int, progress: Callable[[int], None]
) -> bool:
    """Computes what is missing; False where some device ran out of memory."""
    group = list(results.missing)
    stream = trained if isinstance(group[0].source, Descent) else sampled
    try:
        pairs = stream(group, halvings)
        for batch in _batches(pairs, pair_batch(group[0], halvings)):
            results.add(batch, _measured(batch, group[0], halvings))
            progress(len(batch))
    except devices.FailedElsewhere:
        return False
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not devices.out_of_memory(error):
            raise
        return devices.all_well(False)  # tells the others, which wait
    return True


class OutOfMemory(RuntimeError):
    """A batch that cannot be made small enough, in one line."""


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


def grouped(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells of equal programs, which are computed in the same batches."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((padded_width(cell.m), curve(cell)), []).append(cell)
    return list(groups.values())


def curve(cell: Cell) -> Any:
    """What cells of one curve share: all but width, learning rate, initial scale."""
    source = cell.source
    if isinstance(source, Descent):
        source = programs.shared(source)
    return dataclasses.replace(cell, m=1, source=source)


def _batches(stream: Iterator[Pair], size: int) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    for pair in stream:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


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
    students, m, zero, perms = devices.scattered((students, m, zero, perms))
    measure = programs.measurer(cell.taught, cell.pqi)
    join = programs.joiner(cell.taught, cell.matchings, cell.points)
    measured, joined = devices.gathered(
        (measure(students, m, zero), join(students, m, perms))
    )
    arrays = measured | joined
    if not isinstance(cell.source, Minima):
        del arrays["certificate"]  # it bounds paths between global minima only
    return {name: values[: len(batch)] for name, values in arrays.items()}


def _on_host(batch: list[Pair], matching: Matching) -> list[np.ndarray]:
    """Permutations of a batch, on all cores: SciPy's solver releases the GIL.

    One pair at a time: what a pair gets must not depend on its company.
    """

    def matched(pair: Pair) -> np.ndarray:
        (perm,), _ = matching.on_host(
            pair.students[None, :, : pair.cell.m], pair.cell.taught
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
