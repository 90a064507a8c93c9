"""Cells of uniform minima of any width: paths of Algorithm 1 from its leftovers alone.

Nothing of the size of a student is made: a pair of width m and teacher width k costs
of the order of m k, the square of the number of its leftovers, and memory does not
depend on m but through their number.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from lmc_jax import environment, paths, versions
from lmc_jax.matching import LEFTOVERS
from lmc_jax.matching.leftovers import leftovers, paired, uniform_counts
from lmc_jax.students import mixed
from lmc_jax.students.mixed import Mixed
from lmc_jax.sweep import devices, programs
from lmc_jax.sweep.cell import require_integers, require_path
from lmc_jax.sweep.estimate import Plan

TASK = "wide"
PILOTS = 4  # pairs that an estimate measures
BATCH = 2**10  # leftovers of the pairs that a device works on in a call


@dataclasses.dataclass(frozen=True)
class WideCell:
    """Independent pairs of uniform minima (Assumption 3) aligned by Algorithm 1.

    All orders of leftovers are measured, of the same pairs. The input dimension does
    not enter: students and paths lie in the span of the teacher's k axes.

    Attributes:
      k: teacher width.
      m: student width, at least k.
      pairs: number of independent pairs.
      seed: root seed, a uint32.
      points: positions along the path, 0 and 1 included.
    """

    k: int
    m: int
    pairs: int
    seed: int = 0
    points: int = 11

    def parameters(self) -> dict[str, Any]:
        """The cell as plain JSON types, with the name of its task."""
        return {"task": TASK, "versions": versions.of("leftovers")} | vars(self)

    def validate(self) -> None:
        """Raises ValueError, in one line, for the first value that cannot be."""
        require_integers(self, "k", "m", "pairs", "points")
        require_integers(self, "seed", least=0, most=2**32 - 1)
        require_path(self.points)
        if self.m < self.k:
            raise ValueError(f"m={self.m} < k={self.k}: minima exist for m >= k only")


def expected_cost(cell: WideCell) -> float:
    """What a cell is expected to cost, in units of a pair of k m = 1.

    A pair of few leftovers costs no less than a thousand: it must be drawn as well.
    """
    return cell.pairs * (1000.0 + cell.k * cell.m)


def planned(cells: Sequence[WideCell]) -> Plan:
    """What the cells will take here, from a few pairs of the most costly one."""
    largest = max(cells, key=lambda cell: cell.k * cell.m)
    pilot = dataclasses.replace(largest, pairs=min(largest.pairs, PILOTS))
    times = [time.perf_counter()]
    for _ in range(2):
        measure(pilot)
        times.append(time.perf_counter())
    first, again = np.diff(times)
    sizes = {(cell.k, int(padded(_left(_drawn(cell, 0)[1])))) for cell in cells}
    unit, compiling = again / expected_cost(pilot), max(first - again, 0)

    def seconds(cells: Sequence[WideCell]) -> float:
        return compiling * len(sizes) + unit * sum(map(expected_cost, cells))

    runs = 2 * sum(cell.pairs for cell in cells)
    return Plan(runs, len(sizes), environment.peak_memory(), seconds)


def measure(
    cell: WideCell, progress: Callable[[int], None] = lambda pairs: None
) -> dict[str, np.ndarray]:
    """Every pair of a cell, those with about as many leftovers together.

    Returns:
      Of n pairs ``losses [n, orders, points]`` by ``LEFTOVERS``, ``certificate
      [n, points]``, which the order does not change, and ``counts [n, 2, k]``.
    """
    ts = np.asarray(paths.times(cell.points))
    inner = np.zeros((cell.pairs, len(LEFTOVERS), len(ts) - 2))
    bounds = np.zeros((cell.pairs, len(ts)))
    counts = np.stack([_drawn(cell, pair)[1] for pair in range(cell.pairs)])
    sizes = padded(_left(counts))
    for size in np.unique(sizes):
        program = _paths(cell.k, len(LEFTOVERS), cell.points)
        members = np.flatnonzero(sizes == size)
        batch = jax.device_count() * max(1, BATCH // size)
        for begin in range(0, len(members), batch):
            part = members[begin : begin + batch]
            every = [_orders(cell, pair, size) for pair in part]
            every += every[-1:] * (batch - len(part))
            stacked = Mixed(*map(np.stack, zip(*every, strict=True)))
            losses, bound = devices.gathered(program(*stacked))
            inner[part], bounds[part] = losses[: len(part)], bound[: len(part)]
            progress(len(part))
    losses = np.pad(inner, ((0, 0), (0, 0), (1, 1)))  # the ends are global minima
    return {"losses": losses, "certificate": bounds, "counts": counts}


def _drawn(cell: WideCell, pair: int) -> tuple[np.random.Generator, np.ndarray]:
    """The type counts of a pair, and its generator after them: folded from integers."""
    rng = np.random.default_rng([cell.seed, cell.k, cell.m, pair])
    return rng, uniform_counts(rng, cell.m, cell.k)


def _left(counts: np.ndarray) -> np.ndarray:
    """How many neurons of either side type counts ``[..., 2, k]`` leave."""
    return np.maximum(counts[..., 0, :] - counts[..., 1, :], 0).sum(axis=-1)


def _orders(cell: WideCell, pair: int, size: int) -> Mixed:
    """What is mixed in one pair, by order of leftovers: ``[orders, 2, size]``."""
    rng, counts = _drawn(cell, pair)
    sides = leftovers(rng, counts)
    each = [paired(rng, sides, order) for order in LEFTOVERS]
    room = [(0, 0), (0, 0), (0, size - each[0].masses.shape[1])]
    return Mixed(*(np.pad(np.stack(part), room) for part in zip(*each, strict=True)))


def padded(leftovers: np.ndarray) -> np.ndarray:
    """The smallest of 16, 32, 64, ..., 512, 768, 1024, 1536, ... that holds so many.

    More sizes compile longer, fewer compute more.
    """
    power = 2 ** np.ceil(np.log2(np.maximum(leftovers, 16))).astype(int)
    between = 3 * power // 4
    return np.where((power > 512) & (leftovers <= between), between, power)


@functools.lru_cache(programs.MAX_PROGRAMS)
def _paths(k: int, orders: int, points: int) -> jax.stages.Wrapped:
    """Program of mixed pairs ``[n, orders, 2, size]`` to losses and certificates.

    One path after another: memory is that of one, and a pair sees nothing of others.
    """
    ts = paths.times(points)

    def along(masses, kinds):
        return mixed.path_losses(Mixed(masses, kinds), k, ts[1:-1])

    def measured(both):
        losses = jax.lax.map(lambda one: along(*one), both)
        first = Mixed(*(part[0] for part in both))
        return losses, mixed.certificate(first, k, ts)

    return programs.sharded(lambda *pairs: jax.lax.map(measured, pairs), effort=3)
