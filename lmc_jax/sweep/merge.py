"""Cells of groups of students: the mean of n of them, aligned in several ways.

The students are those of a ``Cell``, sampled or trained. For every n all of them are
used, in groups of n, so that there are more groups of few than of many.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lmc_jax import environment, versions
from lmc_jax.students import descent
from lmc_jax.students.merged import merged_certificate
from lmc_jax.sweep import many
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.cost import expected_cost as cost_of_students
from lmc_jax.sweep.estimate import Plan
from lmc_jax.sweep.pairs import Pair, sampled, trained
from lmc_jax.sweep.programs import padded_width

TASK = "merge"
WAYS = ("direct", "first", "cycles")  # not aligned, to the first, by cycles over all
DESCENTS = 16  # groups whose centre is looked for, at most


@dataclasses.dataclass(frozen=True)
class MergeCell:
    """Independent groups of n students of one kind, for several n.

    Attributes:
      students: the cell whose pairs are the students, 2 · pairs of them.
      sizes: numbers n of students in a group, each at least 2.
    """

    students: Cell
    sizes: tuple[int, ...]

    @property
    def source(self) -> Descent | Minima:
        """Where the students come from."""
        return self.students.source

    def parameters(self) -> dict[str, Any]:
        """The cell as plain JSON types, with the name of its task."""
        own = self.students.parameters()
        kept = {name: own[name] for name in ("k", "m", "d", "source", "pairs", "seed")}
        made = "sampling" if isinstance(self.source, Minima) else "descent"
        needed = versions.of(made, "matching", "merging")
        return kept | {"task": TASK, "sizes": list(self.sizes), "versions": needed}

    def validate(self) -> None:
        """Raises ValueError, in one line, for the first value that cannot be."""
        self.students.validate()
        count = 2 * self.students.pairs
        for n in self.sizes:
            if not 2 <= n <= count:
                raise ValueError(f"n={n}: give groups of 2 to {count}, all students")


def expected_cost(cell: MergeCell) -> float:
    """What a cell is expected to cost: its students, and the losses of their means."""
    size = padded_width(cell.students.m)
    loss = size * (size + cell.students.k)
    means = len(WAYS) * sum(2 * cell.students.pairs / n for n in cell.sizes)
    return cost_of_students(cell.students) + means * loss


def planned(cells: Sequence[MergeCell]) -> Plan:
    """What the cells will take here, from a few students of the most costly one."""
    largest = max(cells, key=expected_cost)
    pairs = min(largest.students.pairs, max(2, max(largest.sizes) // 2))
    students = dataclasses.replace(largest.students, pairs=pairs)
    pilot = dataclasses.replace(largest, students=students)
    times = [time.perf_counter()]
    for _ in range(2):
        measure(pilot)
        times.append(time.perf_counter())
    first, again = np.diff(times)
    shapes = {(one.students.k, padded_width(one.students.m)) for one in cells}
    unit, compiling = again / expected_cost(pilot), max(first - again, 0)

    def seconds(cells: Sequence[MergeCell]) -> float:
        return compiling * len(shapes) + unit * sum(map(expected_cost, cells))

    runs = sum(2 * cell.students.pairs for cell in cells)
    return Plan(runs, len(shapes), environment.peak_memory(), seconds)


# --- measures ------------------------------------------------------------------------


def measure(
    cell: MergeCell, progress: Callable[[int], None] = lambda students: None
) -> dict[str, np.ndarray]:
    """Every group of a cell, for every n.

    Returns:
      ``losses [students]`` and ``used [students]``, the sampled or converged ones,
      which alone are grouped. For each n, of g groups: ``n/excess [g, ways]``, the loss
      of the mean less the mean loss; ``n/settled [g]``, whether the last cycle changed
      nothing; ``n/centre [g, ways]``, whether each type has a neuron of which it is the
      type in all n; ``n/alike [g]``, whether all n have equally many neurons of each
      type. Aligned to the first, for global minima ``n/certificate [g]``, of the mean;
      for trained ones ``n/reach [g]``, the largest excess in the middle of a path to
      the centre by types, and of the first ``DESCENTS`` groups ``n/sought [g, 2]``, the
      loss of the centre found by descent and the largest such excess to it.
    """
    W, used = _students(cell.students, progress)
    losses = many.losses(W, cell.students)
    arrays = {"losses": losses, "used": used}
    for n in cell.sizes:
        count = used.sum() // n * n
        groups = W[used][:count].reshape(-1, n, *W.shape[1:])
        found = _of_groups(cell.students, groups, losses[used][:count].reshape(-1, n))
        arrays |= {f"{n}/{name}": value for name, value in found.items()}
    return arrays


def _students(
    cell: Cell, progress: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Students ``[students, rows, d]`` in order, float64, and which are used."""
    stream = trained if isinstance(cell.source, Descent) else sampled
    by_number: dict[int, Pair] = {}
    for pair in stream([cell], 0):
        by_number[pair.number] = pair
        progress(2)
    pairs = [by_number[number] for number in range(cell.pairs)]
    sound = np.full(2, descent.CONVERGED)  # minima have no status
    status = [pair.run.get("status", sound) for pair in pairs]
    W = np.concatenate([pair.students for pair in pairs]).astype(np.float64)
    return W, np.concatenate(status) == descent.CONVERGED


def _of_groups(
    cell: Cell, groups: np.ndarray, losses: np.ndarray
) -> dict[str, np.ndarray]:
    """The arrays of one n, of groups ``[g, n, rows, d]`` with losses ``[g, n]``."""
    first = many.to_first(groups, cell)
    cycles, settled = many.by_cycles(first, cell)
    ways = (groups, first, cycles)
    merged = np.stack([one.mean(axis=1) for one in ways], axis=1)
    kinds = [many.kinds(one, cell) for one in ways]
    shared = [_shared(one, cell.k) for one in kinds]
    tally = np.stack([(kinds[0] == j).sum(axis=-1) for j in range(cell.k)], axis=-1)
    found = {
        "excess": many.losses(merged, cell) - losses.mean(axis=1, keepdims=True),
        "settled": settled,
        "centre": np.stack([one.any(axis=1).all(axis=-1) for one in shared], axis=1),
        "alike": (tally == tally[:, :1]).all(axis=(1, 2)),
    }
    if isinstance(cell.source, Minima):
        mean = merged[:, WAYS.index("first"), :, : cell.k]
        found["certificate"] = merged_certificate(mean, kinds[1][:, 0])
    else:
        found["reach"] = _reach(first, losses, _centre(first, shared[1], cell), cell)
        few, few_losses = first[:DESCENTS], losses[:DESCENTS]
        sought = many.sought(few, cell)
        reach = _reach(few, few_losses, sought, cell)
        found["sought"] = np.stack([many.losses(sought, cell), reach], axis=1)
    return found


def _shared(kinds: np.ndarray, k: int) -> np.ndarray:
    """Which neurons have which type in all students, ``[g, rows, k]``.

    Takes types ``[g, n, rows]``, k for zero neurons.
    """
    return (kinds[..., None] == np.arange(k)).all(axis=1)


def _reach(
    groups: np.ndarray, losses: np.ndarray, centre: np.ndarray, cell: Cell
) -> np.ndarray:
    """Largest excess ``[g]`` in the middle of the paths to centres ``[g, rows, d]``."""
    chord = (losses + many.losses(centre, cell)[:, None]) / 2
    middle = many.losses((groups + centre[:, None]) / 2, cell)
    return (middle - chord).max(axis=1)


def _centre(groups: np.ndarray, shared: np.ndarray, cell: Cell) -> np.ndarray:
    """Centres by types ``[g, rows, d]``.

    The mean of the students in neurons of a shared type, its masses scaled to sum 1 in
    every type, and zeros elsewhere; a type without such a neuron is missing.
    """
    kept = np.where(shared, groups.mean(axis=1)[..., : cell.k], 0)
    total = kept.sum(axis=1, keepdims=True)
    centre = np.zeros_like(groups[:, 0])
    centre[..., : cell.k] = kept / np.where(total > 0, total, 1)
    return centre
