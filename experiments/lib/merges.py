"""Sweeps of groups of students: settings, cells, and a row for each n and alignment."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.lib import students
from experiments.lib.compute import Family
from experiments.lib.lists import MOST_CURVES, Refusal, integers, refusing
from experiments.lib.settings import OUTPUTS, Setting, Values
from lmc_jax.results import store
from lmc_jax.results.summary import made_by
from lmc_jax.statistics import RESAMPLES, mean_interval, named
from lmc_jax.sweep.merge import (
    TASK,
    WAYS,
    MergeCell,
    expected_cost,
    measure,
    planned,
)

# What only paths of pairs have; groups have their own.
PAIRS = ("matching", "pairs", "points", "pqi_p", "pqi_q", *OUTPUTS)
SETTINGS = {
    **{name: one for name, one in students.SETTINGS.items() if name not in PAIRS},
    "n": Setting(str, "Numbers of students in a group: 2,4,8."),
    "groups": Setting(int, "Independent groups of the largest n; of others more."),
}


def cells(setting: Values) -> list[MergeCell]:
    """The grid k × m × source × learning rate, groups of every n in each cell.

    Raises:
      Refusal: for the first thing wrong, in one line.
    """
    sizes = integers(setting["n"], "n", MOST_CURVES)
    if min(sizes) < 2 or setting["groups"] < 1:
        raise Refusal(
            f"--n={setting['n']} --groups={setting['groups']}: give groups of at least "
            "2, and at least 1 of them"
        )
    for name in ("lr_times_m", "lr"):  # students are told apart by source and width
        if "," in str(setting[name]):
            raise Refusal(f"--{name}={setting[name]}: give one")
    defaults = {name: students.SETTINGS[name].default for name in PAIRS}
    pairs = -(-setting["groups"] * max(sizes) // 2)
    own = {"matching": "", "pairs": pairs, "points": 3}
    grid = [
        MergeCell(cell, tuple(sizes))
        for cell in students.cells(defaults | setting | own)
    ]
    with refusing():
        for cell in grid:
            cell.validate()
    return grid


def work(
    grid: Sequence[MergeCell], save: Callable, progress: tqdm, setting: Values
) -> None:
    """``compute.Family.work``: one cell after another."""
    for cell in grid:
        save(cell, measure(cell, progress.update), None, {})


def excesses(record: store.Record, n: int) -> np.ndarray:
    """Losses of means less mean losses, float64 ``[groups, ways]`` by ``WAYS``."""
    return record.arrays[f"{n}/excess"]


def rows(records: Iterable[store.Record], definition: str) -> list[dict[str, Any]]:
    """Rows of ``summary.csv``: one per cell, number of students n and way to align.

    ``merged_*`` is the mean excess of the loss of the mean, with its 95%
    percentile-bootstrap interval over groups.
    """
    table = []
    for record in records:
        cell, source = record.parameters, record.parameters["source"]
        shared = {
            **{name: cell[name] for name in ("k", "m", "d")},
            "source": source["name"],
            "lr_times_m": source.get("lr", np.nan) * cell["m"],
            "seed": cell["seed"],
            "made_by": made_by(record),
            "students": 2 * cell["pairs"],
            "used": int(record.arrays["used"].sum()),
            "cell": store.fingerprint(cell),
        }
        for n in cell["sizes"]:
            heights = excesses(record, n)
            means = mean_interval(heights, resamples=RESAMPLES)
            for way, interval in zip(WAYS, means, strict=True):
                own = {"n": n, "way": way, "groups": len(heights)}
                table.append(shared | own | named("merged", interval))
    return sorted(table, key=lambda r: (r["k"], r["source"], r["m"], r["cell"], r["n"]))


FAMILY = Family(
    task=TASK,
    settings=SETTINGS,
    processes=False,
    unit="student",
    size=lambda cell: 2 * cell.students.pairs,
    cost=expected_cost,
    plan=lambda cells, setting, progress: planned(cells),
    work=work,
    rows=rows,
    curves=lambda grid: students.curves([cell.students for cell in grid]) * len(WAYS),
    used_by=students.USED_BY,
)
