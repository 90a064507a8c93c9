"""Sweeps of two-layer students: settings, the grid of cells, words of captions."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.lib.compute import Family
from experiments.lib.curves import NAMES
from experiments.lib.lists import (
    MOST_CURVES,
    Refusal,
    integers,
    joined,
    multiples,
    numbers,
    refusing,
    words,
)
from experiments.lib.settings import OUTPUTS, Setting, Values
from lmc_jax.matching import MATCHINGS
from lmc_jax.results import store, summary
from lmc_jax.students.optimizers import OPTIMIZERS
from lmc_jax.students.teachers import KINDS, ORTHONORMAL
from lmc_jax.sweep import devices
from lmc_jax.sweep.batches import batch_shape
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.cost import expected_cost
from lmc_jax.sweep.estimate import planned
from lmc_jax.sweep.run import sweep

TRAINED = ("gd", "sgd")
ALPHAS: dict[str, float | str] = {
    "uniform": 1.0,
    "dirichlet": 0.5,
    "equal": "equal",
}  # of minima
SOURCES = (*TRAINED, *ALPHAS)
CONVENTION = "L = ½E[(f-f*)²], x ~ N(0, I)"
LOST = "are ours; the text of the paper that we have omits them"

SETTINGS = {
    "k": Setting(str, "Teacher widths: 5,10,20."),
    "m": Setting(
        str,
        "Student widths: 5,10,20 or 5:9 or 5:100:5 (in steps of 5) or 5:400:x25 (25 "
        "widths, evenly spaced on a log axis).",
    ),
    "m_over_k": Setting(
        str, "Widths in units of k: 1,1.5,2 or 1:8:x12; instead of --m."
    ),
    "d": Setting(int, "Input dimension, at least k; none means k."),
    "teacher": Setting(str, f"Neurons of the teacher: {KINDS}.", ORTHONORMAL),
    "source": Setting(
        str,
        "Students: " + ", ".join(f"{one} ({NAMES[one]})" for one in SOURCES) + ".",
        "gd,uniform",
    ),
    "matching": Setting(
        str,
        "Beside the direct path: "
        + "; ".join(
            f"{one.name}: {one.label}, {one.words}" for one in MATCHINGS.values()
        )
        + ".",
        "types_index,types_opposed",
    ),
    "pairs": Setting(int, "Independent pairs a point.", 40),
    "lr_times_m": Setting(str, "Learning rates c, for η = c/m: 0.5,1,2.", "2"),
    "lr": Setting(str, "Learning rates η; instead of --lr_times_m."),
    "steps": Setting(int, "Most steps of a run.", 100_000),
    "tol": Setting(float, "A run ends once its loss is below this.", 1e-6),
    "check_every": Setting(int, "Steps between two looks at the loss.", 200),
    "hold": Setting(int, "Looks in a row that must be below --tol.", 1),
    "init_std": Setting(float, "Standard deviation of an initial weight.", 0.01),
    "zero_row": Setting(float, "Norm up to which a trained neuron is zero.", 1e-6),
    "optimizer": Setting(str, f"One of {', '.join(OPTIMIZERS)}.", "sgd"),
    "batch": Setting(int, "Fresh inputs a step of the source sgd.", 256),
    "precision": Setting(str, "Of the training: float32 or float64.", "float32"),
    "points": Setting(int, "Positions along a path, ends included.", 11),
    "pqi_p": Setting(float, "Exponent p of the PQ index, 0 < p < q.", 1.0),
    "pqi_q": Setting(float, "Exponent q of the PQ index.", 2.0),
    "seed": Setting(int, "Root seed, 0 ... 4294967295.", 0),
    **OUTPUTS,
}
# In place of the setting, of a study whose predictions are of the paper's teacher.
ORTHONORMAL_ONLY = {
    "teacher": Setting(str, "Neurons of the teacher.", ORTHONORMAL, (ORTHONORMAL,))
}


# The sources that a setting is for, where it is not for all.
USED_BY = {
    "batch": ("sgd",),
    **dict.fromkeys(
        (
            *("lr", "lr_times_m", "steps", "tol", "check_every", "hold"),
            *("init_std", "zero_row", "optimizer", "precision"),
        ),
        TRAINED,
    ),
}


# --- cells ---------------------------------------------------------------------------


def cells(setting: Values) -> list[Cell]:
    """The grid k × m × source × learning rate of the settings, validated.

    Raises:
      Refusal: for the first thing wrong, in one line.
    """
    asked = setting["matching"]
    matchings = words(asked, "matching", MATCHINGS) if asked else []
    sources = words(setting["source"], "source", SOURCES)
    grid = joined(
        [
            Cell(
                k=k,
                m=m,
                d=k if setting["d"] is None else setting["d"],
                source=source,
                pairs=setting["pairs"],
                seed=setting["seed"],
                matchings=tuple(matchings),
                points=setting["points"],
                pqi=(setting["pqi_p"], setting["pqi_q"]),
                teacher=setting["teacher"],
            )
            for name in sources
            for source in _sources(name, m, setting)
        ]
        for k in teachers(setting)
        for m in widths(k, setting)
    )
    with refusing():
        for cell in grid:
            cell.validate()
    return grid


def teachers(setting: Values) -> list[int]:
    """Teacher widths asked for."""
    return integers(setting["k"], "k", MOST_CURVES)


def widths(k: int, setting: Values) -> list[int]:
    """Student widths asked for, as they are or in units of k."""
    if setting["m_over_k"] is None:
        return integers(setting["m"], "m")
    return multiples(setting["m_over_k"], "m_over_k", k)


def _sources(name: str, m: int, setting: Values) -> list[Descent | Minima]:
    if name in ALPHAS:
        return [Minima(ALPHAS[name])]
    if setting["lr_times_m"] is None:
        rates = numbers(setting["lr"], "lr")
    else:
        rates = numbers(setting["lr_times_m"], "lr_times_m")
        rates = [c / max(m, 1) for c in rates]
    if name == "sgd" and setting["batch"] < 1:
        raise Refusal(f"--batch={setting['batch']}: give at least 1")
    shared = (
        *("optimizer", "steps", "tol", "check_every", "hold"),
        *("init_std", "precision", "zero_row"),
    )
    return [
        Descent(
            lr=rate,
            batch=setting["batch"] if name == "sgd" else 0,
            **{key: setting[key] for key in shared},
        )
        for rate in rates
    ]


def curves(grid: Sequence[Cell]) -> int:
    """How many curves against m cells give, along which η or ηm is the same."""
    kinds: tuple[set, set] = set(), set()
    for cell in grid:
        source, lr = cell.source, 0.0
        if isinstance(source, Descent):
            source, lr = dataclasses.replace(source, lr=1.0), source.lr
        for kind, same in zip(kinds, (lr, lr * cell.m), strict=True):
            shared = cell.k, cell.d, cell.teacher, cell.matchings
            kind.add((*shared, source, f"{same:.6g}"))
    return min(sum(1 + len(one[3]) for one in kind) for kind in kinds)


def require(grid: Sequence[Cell], kind: type, reason: str) -> None:
    """Refuses cells whose students do not come from a ``kind`` of source."""
    for cell in grid:
        if not isinstance(cell.source, kind):
            raise Refusal(f"--source={cell.source.name} does not serve here: {reason}")


def rate(row: Mapping[str, Any], setting: Values) -> str:
    """The learning rate of a row as the user gave it; empty for minima."""
    if np.isnan(row["lr"]):
        return ""
    if setting["lr_times_m"] is None:
        return f"{row['lr']:.6g}"
    return f"{row['lr_times_m']:.6g}/m"


# --- work ----------------------------------------------------------------------------


def work(grid: Sequence[Cell], save: Callable, progress: tqdm, setting: Values) -> None:
    """``compute.Family.work``: a sweep, its batches halved where memory is short."""
    halvings = 0

    def halved(now: int) -> None:
        nonlocal halvings
        if not halvings and devices.is_first_process():
            line = "warning: a batch does not fit into memory; going on with halves"
            tqdm.write(line, file=sys.stderr)
        halvings = now

    def keep(cell: Cell, arrays: dict[str, Any], weights: Any) -> None:
        notes = {"batch_per_device": list(batch_shape(cell, halvings))}
        save(cell, arrays, None if weights is None else {"W": weights}, notes)

    sweep(
        grid,
        keep,
        progress=progress.update,
        weights=setting["save_weights"],
        halved=halved,
    )


FAMILY = Family(
    task="",
    settings=SETTINGS,
    processes=True,
    unit="pair",
    size=lambda cell: cell.pairs,
    cost=expected_cost,
    plan=lambda cells, setting, progress: planned(cells, progress),
    work=work,
    rows=summary.rows,
    curves=curves,
    named=lambda row, setting: {"rate": rate(row, setting)},
    used_by=USED_BY,
)


def trained(record: store.Record) -> np.ndarray:
    """Students ``[pairs, 2, m, d]`` of a cell, float64, from the file beside it.

    Raises:
      StoreError: where that file is damaged or was lost.
    """
    assert record.path is not None
    stored = store.read_weights(record.path)
    if stored is None:
        raise store.StoreError(
            f"the weights of {str(record.path)!r} were lost just now: run the command "
            "again"
        )
    return stored.arrays["W"].astype(np.float64)


# --- words ---------------------------------------------------------------------------


def convention(setting: Values, pairs: str) -> str:
    """How every caption of a barrier begins: definition, loss, n, interval."""
    return (
        f"Barrier ({setting['barrier']}, {setting['points']} points), {CONVENTION}. "
        f"Means over n = {pairs} independent pairs, 95% bootstrap intervals. "
        f"d = {setting['d'] or 'k'}, seed {setting['seed']}{taught(setting)}."
    )


def taught(setting: Values) -> str:
    """How captions name a teacher that is not the paper's."""
    plain = setting["teacher"] == ORTHONORMAL
    return "" if plain else f", teacher {setting['teacher']}"


def trained_by(setting: Values) -> str:
    """How captions name the training: source, optimiser, batch, scale, precision."""
    asked = [name.upper() for name in setting["source"].split(",") if name in TRAINED]
    batch = f", batches of {setting['batch']}" if "SGD" in asked else ""
    plain = setting["optimizer"] == "sgd"
    steps = "plain steps" if plain else f"optimiser {setting['optimizer']}"
    return (
        f"{' and '.join(asked)} ({steps}{batch}, {setting['precision']}) from "
        f"N(0, {setting['init_std']}²) weights"
    )
