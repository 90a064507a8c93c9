"""What a study will take, before it is begun: --estimate."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.lib import shards
from experiments.lib.compute import Family, lacking
from experiments.lib.settings import Values
from lmc_jax.sweep.estimate import Plan

SHARDS = (2, 8, 64)
WAIT = (
    "timing short trials of the smallest, middle and largest networks, which may take "
    "minutes"
)


def report(family: Family, grid: Sequence[Any], setting: Values) -> str:
    """Lines that say what is to be computed and the time expected.

    Nothing is stored. While it measures, a line and a bar of its trials are shown on
    stderr. Time is that of computing the missing cells: starting Python and
    drawing come on top.
    """
    cells = list(dict.fromkeys(grid))
    missing = lacking(Path(setting["out"]), cells, setting["save_weights"])
    todo = [cells[i] for i in np.flatnonzero(missing)]
    found = f"{len(cells) - len(todo)} of {len(cells)} cells found in {setting['out']}"
    if not todo:
        return found
    print(WAIT, file=sys.stderr)
    with tqdm(desc="trials", leave=False, disable=None) as bar:

        def progress(done: int, trials: int) -> None:
            bar.total = trials
            bar.update(done - bar.n)
            bar.refresh()

        plan = family.plan(todo, setting, progress)
    lines = [
        found,
        f"runs: {plan.runs}",
        f"programs to compile: {plan.programs}",
        f"memory: {plan.memory / 2**20:.0f} MiB",
        f"time here: {duration(plan.seconds(todo))}",
    ]
    costs = [family.cost(cell) for cell in cells]
    for count in SHARDS:
        slowest = makespan(plan, cells, missing, shards.dealt(costs, count))
        lines.append(f"time of {count} shards like this: {duration(slowest)}")
    return "\n".join(lines)


def makespan(
    plan: Plan, cells: list[Any], missing: np.ndarray, of_cell: np.ndarray
) -> float:
    """Seconds of the shard that takes longest, none of which helps another.

    ``missing`` and ``of_cell``, the shard of each cell, are ``[cells]``.
    """
    hands: dict[int, list[Any]] = {}
    for i in np.flatnonzero(missing):
        hands.setdefault(of_cell[i], []).append(cells[i])
    return max(map(plan.seconds, hands.values()))


def duration(seconds: float) -> str:
    """To two parts: days, hours, minutes, seconds.

    >>> duration(3725.0), duration(42.4)
    ('1 h 2 min', '42 s')
    """
    left, parts = round(seconds), list[str]()
    for unit, size in ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
