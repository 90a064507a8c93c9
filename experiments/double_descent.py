"""Double descent: the barrier from m < k to m > k, with the loss the runs reach.

The paper's Figure 4. Below m = k students are too narrow for a zero loss and settle on
different parts of the teacher; beyond m = k the surplus neurons no longer match.
"""

from typing import Any, NamedTuple

import numpy as np

from experiments.claims.double_descent import SOLVED, by_teacher, claims, stay
from experiments.lib import curves, plot, projected, students
from experiments.lib.lists import Refusal
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import interval, with_interval
from lmc_jax.matching import PATHS
from lmc_jax.results import store, summary
from lmc_jax.results.selection import kept_runs
from lmc_jax.statistics import mean_interval
from lmc_jax.sweep.cell import Cell, Descent

SHARED = {"k": "20", "source": "gd", "lr_times_m": "6", "check_every": 500}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "m": "2,5,10,14,17,19,20,22,24,30,40,60,80,120",
        "pairs": 15,
        "steps": 22_000,
    },
    "paper": {
        "m": "2:19,20:30:2,35:60:5,70:120:10",
        "pairs": 200,
        "steps": 100_000,
        "tol": 1e-7,
    },
}


class Rows(NamedTuple):
    """rows: one a cell and path. on_axes: what is said of the widest cells."""

    rows: list[dict]
    on_axes: str


def cells(setting: Values) -> list[Cell]:
    grid = students.cells(setting)
    students.require(grid, Descent, "it shows what training reaches")
    return grid


def rows(measured: Measured) -> Rows:
    setting, records = measured.setting, measured.records
    definition = setting["barrier"]
    found = [row for record in records for row in described(record, definition)]
    if not found:
        raise Refusal("All runs diverged: give smaller learning rates")
    for row in found:
        row["rate"] = students.rate(row, setting)
    widest = [r for r in records if r.parameters["m"] == found[-1]["m"]]
    return Rows(found, "".join(on_axes(record, definition) for record in widest))


def described(record: store.Record, definition: str) -> list[dict]:
    """Summary rows of a cell, with the quantiles of the losses its runs reached.

    ``solved``: the share of all runs, diverged ones among them, with a loss below
    ``SOLVED``; ``above``: every other loss.
    """
    kept = kept_runs(record.arrays)
    loss = record.arrays["losses"][:, 0, [0, -1]][kept]
    if not loss.size:
        return []
    reached = {
        f"loss_{name}": float(np.quantile(loss, q))
        for name, q in (("low", 0.05), ("mean", 0.5), ("high", 0.95))
    }
    solved = loss < SOLVED
    found = {"solved": solved.sum() / kept.size, "above": loss[~solved]}
    return [row | reached | found for row in summary.rows([record], definition)]


def table(rows: Rows) -> list[dict]:
    """One row per width."""
    groups = curves.group(rows.rows, "k", "rate", "m")
    return [
        {"k": k, "rate": rate, "m": m, "pairs": group[0]["pairs"]}
        | {"loss < 1e-4": group[0]["solved"], "median loss": group[0]["loss_mean"]}
        | {"the others stay at": stay(group[0]["above"])}
        | {row["matching"]: with_interval(row, "barrier") for row in group}
        for (k, rate, m), group in groups.items()
    ]


def draw(rows: Rows):
    """One column per teacher and learning rate: barriers, below them the losses."""
    teachers = by_teacher(rows.rows)
    figure, axes = plot.grid(2, len(teachers), height=2.3, share="row")
    for (k, rate, group), (barriers, losses) in zip(teachers, axes.T, strict=True):
        for panel in (barriers, losses):
            curves.shade(panel, group["direct"])
            panel.axvline(k, color=plot.BLACK, linewidth=0.9, label="m = k")
            panel.set(xlabel="student width m", yscale="log")
            plot.log_axis(panel)
        plot.mark(barriers, 2 * k, "m = 2k")
        curves.draw(barriers, [row for curve in group.values() for row in curve])
        barriers.set(title=f"k = {k}, η = {rate}")
        shown = group["direct"]
        median, low, high = curves.columns(shown, "loss")
        widths = [row["m"] for row in shown]
        own = {"color": curves.COLORS["gd"]}
        losses.fill_between(
            widths, low, high, alpha=0.25, **own, label="5 to 95% of runs"
        )
        losses.plot(widths, median, marker=".", **own, label="median loss reached")
        ticks = [(row["m"], loss) for row in shown for loss in row["above"]]
        if ticks:
            style = {"marker": "_", "linestyle": "none", "markersize": 4}
            label = "each run above 1e-4"
            losses.plot(*zip(*ticks, strict=True), **own, label=label, **style)
        losses.axhline(SOLVED, color=plot.BLACK, linestyle="-.", label="loss 1e-4")
        losses.set(title="losses that the runs reached")
    axes[0, 0].set_ylabel("barrier")
    axes[1, 0].set_ylabel("loss")
    plot.legend(figure, axes)
    return figure


def on_axes(record: store.Record, definition: str) -> str:
    """What is left of the barriers of a cell without the residual loss."""
    cell, arrays = record.parameters, record.arrays
    if "teacher" in cell:
        return ""  # whose neurons are no axes
    found = projected.barriers(record, definition)
    if not all(len(heights) for heights in found.values()) or cell["m"] <= cell["k"]:
        return ""
    trained = summary.barriers(record, definition)[:, 1:].mean(axis=0)
    parts = []
    for (name, heights), before in zip(found.items(), trained, strict=True):
        alone = interval(mean_interval(heights), ".2g")
        parts.append(f"{PATHS[name].label} {alone}, as trained {before:.2g}")
    return (
        f" With the students of k = {cell['k']}, m = {cell['m']} put on their axes, "
        f"without the residual loss ({np.median(arrays['losses'][:, 0, 0]):.1g}), "
        f"barriers are: {'; '.join(parts)}."
    )


def caption(rows: Rows, setting: Values) -> str:
    return (
        f"{students.convention(setting, curves.sizes(rows.rows))} "
        f"{students.trained_by(setting)}, to loss < "
        f"{setting['tol']:g} or {setting['steps']} steps: runs that stay above are "
        "kept and their losses shown, diverged ones are left out. Initial scale and "
        f"learning rate {students.LOST}.{rows.on_axes}"
    )


STUDY = Study(
    name="double_descent",
    paper="Figure 4",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    rows=rows,
    table=table,
    figures=(Figure("double_descent", draw, caption, lambda rows: claims(rows.rows)),),
    weights=True,
)

if __name__ == "__main__":
    STUDY.main()
