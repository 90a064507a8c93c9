"""Double descent: the barrier from m < k to m > k, with the loss the runs reach.

The paper's Figure 4. Below m = k students are too narrow for a zero loss and settle on
different parts of the teacher; beyond m = k the surplus neurons no longer match.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.lib import common, curves, plot, projected
from lmc_jax.matching import PATHS
from lmc_jax.results import store, summary
from lmc_jax.statistics import mean_interval
from lmc_jax.students import descent

common.define_output("double_descent")
common.define_cells()
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "k": "20",
        "m": "2,5,10,14,17,19,20,22,24,30,40,60,80,120",
        "source": "gd",
        "pairs": 15,
        "lr_times_m": "6",
        "steps": 22_000,
        "check_every": 500,
    },
    "paper": {
        "k": "20",
        "m": "2:19,20:30:2,35:60:5,70:120:10",
        "source": "gd",
        "pairs": 200,
        "lr_times_m": "6",
        "steps": 100_000,
        "check_every": 500,
        "tol": 1e-7,
    },
}
SOLVED = 1e-4  # a loss below this counts as fitted in the second axis and the claims


def main() -> None:
    setting = common.settings(PRESETS)
    grid = common.cells(setting)
    common.FLAGS["save_weights"].value = True
    records = common.computed(grid, setting)
    rows = [row for record in records for row in described(record)]
    if not rows:
        raise common.Refusal("all runs diverged: give smaller learning rates")
    for row in rows:
        row["rate"] = curves.rate(row, setting)
    print(common.table(points(rows)))
    csv, _ = common.write_summary(common.FLAGS.out)
    judged = [claim for group in by_teacher(rows) for claim in claims(*group)]
    widest = [record for record in records if record.parameters["m"] == rows[-1]["m"]]
    text = caption(rows, setting) + "".join(map(on_axes, widest))
    common.finish("double_descent", draw(rows), text, judged, csv)


def described(record: store.Record) -> list[dict]:
    """Summary rows of a cell, with the quantiles of the losses its runs reached.

    ``solved``: the share of all runs, diverged ones among them, with a loss below
    ``SOLVED``; ``above``: every other loss.
    """
    kept = record.arrays["status"] != descent.DIVERGED
    loss = record.arrays["losses"][:, 0, [0, -1]][kept]
    if not loss.size:
        return []
    reached = {
        f"loss_{name}": float(np.quantile(loss, q))
        for name, q in (("low", 0.05), ("mean", 0.5), ("high", 0.95))
    }
    solved = loss < SOLVED
    found = {"solved": solved.sum() / kept.size, "above": loss[~solved]}
    rows = summary.rows([record], common.FLAGS.barrier)
    return [row | reached | found for row in rows]


def points(rows: Sequence[dict]) -> list[dict]:
    """One row a width for the terminal."""
    groups = curves.group(rows, "k", "rate", "m")
    return [
        {"k": k, "rate": rate, "m": m, "pairs": group[0]["pairs"]}
        | {"loss < 1e-4": group[0]["solved"], "median loss": group[0]["loss_mean"]}
        | {"the others stay at": _stay(group[0]["above"])}
        | {row["matching"]: common.with_interval(row, "barrier") for row in group}
        for (k, rate, m), group in groups.items()
    ]


def _stay(above: np.ndarray) -> str:
    """Median and range of the losses of the runs that did not fit."""
    if not len(above):
        return "-"
    return f"{np.median(above):.2g} [{above.min():.2g}, {above.max():.2g}]"


def by_teacher(rows: Sequence[dict]) -> list[tuple[int, str, dict[str, list[dict]]]]:
    """Curves by matching, for each k and learning rate."""
    return [
        (
            k,
            rate,
            {row[0]["matching"]: row for row in curves.group(g, "matching").values()},
        )
        for (k, rate), g in curves.group(rows, "k", "rate").items()
    ]


def draw(rows: Sequence[dict]):
    """A row a teacher and learning rate: barriers, and below them the losses."""
    teachers = by_teacher(rows)
    figure, axes = plot.grid(len(teachers), 2)
    for (k, rate, group), (barriers, losses) in zip(teachers, axes, strict=True):
        for panel in (barriers, losses):
            panel.axvline(k, color=plot.BLACK, linewidth=0.9, label="m = k")
            panel.set(xlabel="student width m", yscale="log")
        plot.mark(barriers, 2 * k, "m = 2k")
        for curve in group.values():
            kept = [row for row in curve if row["barrier_mean"] > 1e-9]
            if kept:
                curves.draw(barriers, kept)
        barriers.set(ylabel="barrier", title=f"k = {k}, η = {rate}")
        shown = group["direct"]
        median, low, high = curves.columns(shown, "loss")
        widths = [row["m"] for row in shown]
        losses.fill_between(widths, low, high, alpha=0.25, label="5% to 95% of runs")
        losses.plot(widths, median, marker="o", label="median loss reached")
        ticks = [(row["m"], loss) for row in shown for loss in row["above"]]
        if ticks:
            style = {"marker": "_", "linestyle": "none", "markersize": 7}
            label = f"each run above {SOLVED:g}"
            losses.plot(*zip(*ticks, strict=True), color=plot.RED, label=label, **style)
        losses.axhline(SOLVED, color=plot.BLACK, linestyle="--", label="1e-4")
        losses.set(ylabel="loss of the trained students", title="loss reached")
        losses.legend()
    plot.legend(figure, axes[0, 0])
    return figure


def on_axes(record: store.Record) -> str:
    """What is left of the barriers of a cell without the loss that --tol left."""
    cell, arrays = record.parameters, record.arrays
    found = projected.barriers(record)
    if not all(len(heights) for heights in found.values()) or cell["m"] <= cell["k"]:
        return ""
    trained = summary.barriers(record, common.FLAGS.barrier)[:, 1:].mean(axis=0)
    parts = []
    for (name, heights), before in zip(found.items(), trained, strict=True):
        mean, low, high = mean_interval(heights)
        parts.append(
            f"{PATHS[name].label} {mean:.2g} [{low:.2g}, {high:.2g}], as trained "
            f"{before:.2g}"
        )
    return (
        f" With the students of k = {cell['k']}, m = {cell['m']} put on their axes, "
        f"without the loss left ({np.median(arrays['losses'][:, 0, 0]):.1g}), barriers "
        f"are: {'; '.join(parts)}."
    )


def caption(rows: Sequence[dict], setting: dict) -> str:
    return (
        f"{common.convention(setting, curves.sizes(rows))} "
        f"{common.trained_by(setting)}, to loss < "
        f"{setting['tol']:g} or {setting['steps']} steps: runs that stay above are "
        "kept and their losses shown, diverged ones are left out. Initial scale and "
        "learning rate are ours, the paper's are lost."
    )


def claims(k: int, rate: str, group: dict[str, list[dict]]) -> list[dict]:
    """The three legs of the double descent for each matching, and how many runs fit."""
    judged = [_fitted(k, rate, group["direct"])]
    for matching, curve in group.items():
        if not PATHS[matching].baseline:
            label = f"k = {k}, η = {rate}, {PATHS[matching].label}"
            judged += _legs(k, label, curve)
    return judged


def _fitted(k: int, rate: str, curve: Sequence[dict]) -> dict:
    wide = [row for row in curve if row["m"] >= 1.5 * k]
    least = min((row["solved"] for row in wide), default=0.0)
    shown = f"at least {least:.0%} of the runs below {SOLVED:g}" if wide else "no width"
    narrow = {
        row["m"]: f"{row['solved']:.0%}" for row in curve if k <= row["m"] < 1.5 * k
    }
    stuck = {row["m"]: _stay(row["above"]) for row in curve if len(row["above"])}
    return {
        "paper": "",
        "text": "students of width m >= 1.5k fit the teacher",
        "case": f"k = {k}, η = {rate}",
        "measured": f"{shown}; for k <= m < 1.5k: {narrow}; the others stay, median "
        f"and range by m, at {stuck or 'no loss: there are none'}",
        "rule": "at every m >= 1.5k at least 95% of the runs reach a loss below 1e-4, "
        "diverged ones among those that do not",
        "n": 2 * min((row["pairs"] for row in wide), default=0),
        "holds": bool(least >= 0.95) if wide else None,
    }


def _legs(k: int, label: str, curve: Sequence[dict]) -> list[dict]:
    """Down towards m = k, up to a peak beyond it, down again."""
    below = [row for row in curve if row["m"] < k]
    beyond = [row for row in curve if row["m"] > k]
    if not below or len(beyond) < 3:
        return []
    first = max(below, key=lambda row: row["barrier_mean"])
    least = min(
        (row for row in curve if first["m"] < row["m"] <= k),
        key=lambda row: row["barrier_mean"],
        default=None,
    )
    trough = min(beyond[:-1], key=lambda row: (row["m"] > 1.5 * k, row["barrier_mean"]))
    later = [row for row in beyond if row["m"] > trough["m"]]
    peak, last = max(later, key=lambda row: row["barrier_mean"]), curve[-1]
    legs = [
        ("beyond k it rises to a peak", peak, trough, _RISE),
        ("then it falls a second time", peak, last, _FALL),
    ]
    if least is not None:
        fall = "the barrier first falls as m grows towards k"
        legs.insert(0, (fall, first, least, _FIRST))
    return [_leg(claim, label, high, low, how) for claim, high, low, how in legs]


_APART = "the two intervals do not meet: "
_FIRST = "the largest mean below k, and the smallest after it up to m = k"
_RISE = "the largest mean after the trough, the smallest for k < m <= 1.5k, and it"
_FALL = "that largest mean, and the largest width"


def _leg(claim: str, label: str, high: dict, low: dict, picked: str) -> dict:
    drop = high["barrier_low"] - low["barrier_high"]  # NaN for single pairs
    return {
        "paper": "Figure 4",
        "text": claim,
        "case": label,
        "measured": f"{common.with_interval(high, 'barrier')} at m = {high['m']} "
        f"against {common.with_interval(low, 'barrier')} at m = {low['m']}",
        "rule": _APART + picked,
        "n": high["pairs"],
        "holds": bool(drop > 0) if drop == drop else None,
    }


if __name__ == "__main__":
    common.run(main)
