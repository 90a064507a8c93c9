"""Sweeps of uniform minima of any width, by the leftovers of Algorithm 1."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from experiments.lib import students
from experiments.lib.compute import Family
from experiments.lib.lists import Refusal, joined, refusing
from experiments.lib.settings import OUTPUTS, Setting, Values
from lmc_jax import paths, theory
from lmc_jax.matching import ALGORITHM_1
from lmc_jax.results import store
from lmc_jax.results.summary import made_by
from lmc_jax.statistics import controlled, mean_interval, named
from lmc_jax.sweep.wide import (
    TASK,
    WideCell,
    expected_cost,
    measure,
    planned,
)

SETTINGS = {
    **{name: students.SETTINGS[name] for name in ("k", "m", "m_over_k")},
    **{name: students.SETTINGS[name] for name in ("pairs", "points", "seed")},
    "most_work": Setting(
        int,
        "The most k m of a cell, in neurons of the teacher times of the student: a "
        "pair costs as much, and wider students are left out.",
    ),
    "barrier": OUTPUTS["barrier"],  # there are no weights to save
}


def cells(setting: Values) -> list[WideCell]:
    """The grid k × m of the settings, validated; a line says what is left out.

    Raises:
      Refusal: for the first thing wrong, in one line.
    """
    shared = {name: setting[name] for name in ("pairs", "seed", "points")}
    shapes = joined(
        [(k, m) for m in students.widths(k, setting)]
        for k in students.teachers(setting)
    )
    grid = [WideCell(k=k, m=m, **shared) for k, m in shapes]
    with refusing():
        for cell in grid:
            cell.validate()
    for k, m in shapes:
        if not m > k > 1:
            raise Refusal(f"k={k}, m={m}: without barrier, give m > k > 1")
    most = setting["most_work"]
    left = [cell for cell in grid if cell.k * cell.m > most]
    grid = [cell for cell in grid if cell.k * cell.m <= most]
    if left:
        first = min(left, key=lambda cell: cell.k * cell.m)
        words = f"k={first.k}, m={first.m}, where k m is {first.k * first.m}"
        if not grid:
            raise Refusal(f"--most_work={most} leaves nothing, the least is {words}")
        line = f"--most_work={most} leaves out {len(left)} cells, from {words}, on"
        print(line, file=sys.stderr)
    return grid


def work(
    grid: Sequence[WideCell], save: Callable, progress: tqdm, setting: Values
) -> None:
    """``compute.Family.work``: one cell after another."""
    for cell in grid:
        save(cell, measure(cell, progress.update), None, {})


def barriers(record: store.Record, definition: str) -> np.ndarray:
    """Barriers of the pairs, float64 ``[n, orders]`` by ``ALGORITHM_1``."""
    losses = jnp.asarray(record.arrays["losses"])
    ts = paths.times(losses.shape[-1])
    return np.asarray(paths.barrier(losses, ts, definition))


def estimates(record: store.Record, definition: str) -> np.ndarray:
    """Values ``[n, orders]`` with the mean of ``barriers`` and a smaller error.

    Less what type counts alone explain, whose expectation is known.
    """
    return _controlled(record, barriers(record, definition))


def certificates(record: store.Record) -> np.ndarray:
    """The certificates at t = ½, values ``[n]`` as those of ``estimates``."""
    bounds = record.arrays["certificate"]
    return _controlled(record, bounds[:, [bounds.shape[1] // 2]])[:, 0]


def _controlled(record: store.Record, values: np.ndarray) -> np.ndarray:
    cell = record.parameters
    forms = theory.count_forms(record.arrays["counts"])
    controls = forms - theory.expected_count_forms(cell["m"], cell["k"])
    return np.stack([controlled(column, controls) for column in values.T], axis=1)


def rows(records: Iterable[store.Record], definition: str) -> list[dict[str, Any]]:
    """Rows of ``summary.csv``: one per cell and order of leftovers.

    ``barrier_*`` are means of ``estimates``, ``plain_*`` of the barriers themselves,
    each with its 95% percentile-bootstrap interval over pairs.
    """
    table = []
    for record in records:
        cell = record.parameters
        means = mean_interval(estimates(record, definition))
        plain = mean_interval(barriers(record, definition))
        for column, matching in enumerate(ALGORITHM_1):
            table.append(
                {
                    **{name: cell[name] for name in ("k", "m", "seed")},
                    "made_by": made_by(record),
                    "matching": matching,
                    "barrier": definition,
                    "pairs": cell["pairs"],
                    **named("barrier", means[column]),
                    **named("plain", plain[column]),
                    "cell": store.fingerprint(cell),
                }
            )
    return sorted(table, key=lambda row: (row["k"], row["m"], row["cell"]))


FAMILY = Family(
    task=TASK,
    settings=SETTINGS,
    processes=False,
    unit="pair",
    size=lambda cell: cell.pairs,
    cost=expected_cost,
    plan=lambda cells, setting, progress: planned(cells),
    work=work,
    rows=rows,
    curves=lambda grid: len({cell.k for cell in grid}) * len(ALGORITHM_1),
)
