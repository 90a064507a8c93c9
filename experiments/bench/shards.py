"""What imbalance costs: 10^6 runs on 64 shards, one of them twice as slow, simulated.

Seconds until the last cell is finished over the least possible, of cells dealt as
``experiments.lib.shards`` deals them and taken as it says. True costs are the expected
ones times a lognormal factor; compilation is left out. With --stored=OUT,OUT,... it
prints instead how the steps of the trained cells in these folders compare with the
expected ones.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from absl import flags

from experiments.bench import timing
from experiments.lib import shards
from lmc_jax.results import store
from lmc_jax.students import descent
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.cost import expected_cost, expected_steps

STORED = flags.DEFINE_list("stored", [], "Folders of sweeps, to compare steps.")
SPREAD = 0.35  # standard deviation of log(true/expected) of cells without divergence
SHARDS = 64
SLOW = 2.0  # seconds of the first shard for what takes the others one
GRIDS: dict[str, dict[int, Iterable[int]]] = {
    "k = 5": {5: range(8, 13)},
    "k = 5 and 20": {5: range(8, 13), 20: (32, 46)},
}
PAIRS = (20, 200)  # of a cell
RUNS = 10**6
SEEDS = 5
# Whether shards go on with the cells of others.
WAYS = {"dealt": False, "dealt, --finish": True}


def grid(widths: dict[int, Iterable[int]], pairs: int) -> list[Cell]:
    """Cells k × m × learning rate that have ``RUNS`` runs in all."""
    shapes = [(k, m) for k, ms in widths.items() for m in ms]
    rates = np.geomspace(0.5, 5, RUNS // (2 * pairs * len(shapes)))
    return [
        Cell(k, m, k, Descent(lr=rate / m), pairs) for k, m in shapes for rate in rates
    ]


def makespan(
    true: np.ndarray, of_cell: np.ndarray, *, finish: bool
) -> tuple[float, float]:
    """When the last cell is finished, and the work done over the work there is.

    Args:
      true: seconds of each cell on an ordinary shard, in the order they are taken in.
      of_cell: the shard of each.
      finish: whether shards go on with the cells of others.
    """
    done = np.full(len(true), np.inf)  # when each cell is first finished
    worked = 0.0
    free = [(0.0, number) for number in range(SHARDS)]
    while free:
        now, number = heapq.heappop(free)
        part = shards.part(
            done > now, of_cell == number, shards.Shard(number, SHARDS), finish=finish
        )
        if part.size:
            ends = now + np.cumsum(true[part]) * (SLOW if number == 0 else 1.0)
            done[part] = np.minimum(done[part], ends)
            worked += true[part].sum()
            heapq.heappush(free, (ends[-1], number))
    return done.max(), worked / true.sum()


def simulated() -> Iterator[dict]:
    """A row for each grid, size of cells and way: means over seeds."""
    speeds = SHARDS - 1 + 1 / SLOW
    for (name, widths), pairs in itertools.product(GRIDS.items(), PAIRS):
        cells = grid(widths, pairs)
        expected = np.array([expected_cost(cell) for cell in cells])
        order = shards.ranked(expected)
        of_cell = shards.dealt(expected, SHARDS)[order]
        for way, finish in WAYS.items():
            found = []
            for seed in range(SEEDS):
                rng = np.random.default_rng(seed)
                true = (expected * rng.lognormal(0, SPREAD, len(cells)))[order]
                end, work = makespan(true, of_cell, finish=finish)
                found.append((end / (true.sum() / speeds), work))
            times, works = zip(*found, strict=True)
            yield {
                "grid": name,
                "cells": len(cells),
                "pairs": pairs,
                "cells are": way,
                "time over least": f"{np.mean(times):.3f}",
                "at most": f"{max(times):.3f}",
                "work": f"{np.mean(works):.3f}",
            }


def compared(folders: Iterable[str]) -> Iterator[dict]:
    """Mean steps of stored cells over the expected ones: a row for all cells, one for
    those of which no run diverged."""
    ratios, diverged = [], []
    for record in itertools.chain.from_iterable(map(store.load, folders)):
        if "steps" in record.arrays:
            ratios.append(record.arrays["steps"].mean() / expected_steps(_cell(record)))
            diverged.append((record.arrays["status"] == descent.DIVERGED).any())
    for name, kept in ("all", slice(None)), ("none diverged", ~np.array(diverged)):
        logs = np.log(ratios)[kept]
        low, middle, high = np.exp(np.percentile(logs, [5, 50, 95]))
        yield {
            "cells": name,
            "n": len(logs),
            "5%": f"{low:.2f}",
            "median": f"{middle:.2f}",
            "95%": f"{high:.2f}",
            "within 2": f"{np.mean(np.abs(logs) < np.log(2)):.0%}",
            "deviation of the log": f"{logs.std():.2f}",
        }


def _cell(record: store.Record) -> Cell:
    """The cell of a record of trained students, as far as its steps depend on it."""
    own = record.parameters
    source = {name: own["source"][name] for name in own["source"] if name != "name"}
    return Cell(own["k"], own["m"], own["d"], Descent(**source), own["pairs"])


def main() -> None:
    rows = compared(STORED.value) if STORED.value else simulated()
    timing.show(list(rows))


if __name__ == "__main__":
    timing.run(main)
