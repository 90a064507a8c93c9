"""What --estimate expects beside what then happens: three sweeps from the beginning."""

import tempfile
import time
from typing import Any

from tqdm import tqdm

from experiments import barrier_vs_width, mnist_mlp
from experiments.bench import timing
from experiments.lib.study import Study

# Settings over those of the quick preset.
SWEEPS: dict[str, tuple[Study, dict[str, Any]]] = {
    "GD and uniform minima": (
        barrier_vs_width.STUDY,
        {"pairs": 400, "matching": "types_index,types_opposed"},
    ),
    "SGD, float64": (
        barrier_vs_width.STUDY,
        {
            **{"k": "5", "m": "6,8,12,16,24,40", "source": "sgd", "batch": 64},
            **{"lr_times_m": "1,2", "pairs": 100, "precision": "float64"},
        },
    ),
    "MLPs on MNIST": (
        mnist_mlp.STUDY,
        {"widths": "8,16,24,32,48,64", "steps": 4000, "measure_at_looks": ""},
    ),
}


def main() -> None:
    rows = []
    for name, (study, given) in tqdm(SWEEPS.items(), disable=None):
        setting = {key: chosen.default for key, chosen in study.choices.items()}
        setting |= {**study.shared, **study.presets["quick"], **given}
        with tempfile.TemporaryDirectory() as out:
            rows.append({"sweep": name, **compared(study, setting | {"out": out})})
    timing.show(rows)


def compared(study: Study, setting: dict[str, Any]) -> dict[str, Any]:
    """Seconds expected and taken by a sweep, and seconds that the estimate took."""
    grid, family = study.cells(setting), study.family
    begun = time.perf_counter()
    plan = family.plan(grid, setting, lambda *_: None)
    expected, planned = plan.seconds(grid), time.perf_counter()
    timing.forget()
    with tqdm(disable=True) as progress:
        family.work(grid, lambda *_: None, progress, setting)
    took = time.perf_counter() - planned
    return {
        "cells": len(grid),
        "runs": plan.runs,
        "programs": plan.programs,
        "expected s": expected,
        "took s": took,
        "ratio": expected / took,
        "to estimate s": planned - begun,
    }


if __name__ == "__main__":
    timing.run(main)
