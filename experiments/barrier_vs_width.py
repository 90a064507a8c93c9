"""Barrier against student width m: direct and permuted, trained and uniform minima.

The paper's Figures 2 and 10-13, and with --normalize Figure 3. The permuted barrier
rises from zero at m = k, peaks, and falls to zero as m grows.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.claims.barrier_vs_width import CURVE, claims, normalized_claims
from experiments.lib import curves, plot, students
from experiments.lib.lists import Refusal
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import with_interval
from lmc_jax import theory
from lmc_jax.matching import PATHS
from lmc_jax.results import store, summary
from lmc_jax.statistics import largest_shares, resampled_means, statistic_interval
from lmc_jax.sweep.cell import Cell

# The paper's algorithm, and the one that is best by matching_gap.
SHARED = {"matching": "types_index,refine"}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"k": "5", "m": "5,6,8,10,12,16,20,24,32,48,64,100", "pairs": 60},
    "paper": {
        "k": "3,5,10,20",
        "m_over_k": "1:20:x24",
        "source": "gd,sgd,uniform",
        "pairs": 200,
        "lr_times_m": "0.5,2,4",
    },
}
# Figure 3 shows uniform minima only: the paper saves the cost of training. No refined
# matching either: swap descent takes long at the widths of large k.
UNIFORM = {"source": "uniform", "matching": "types_index,types_opposed"}
NORMALIZED_PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"k": "5,10,20", "m_over_k": "1:8:x10", "pairs": 100},
    "paper": {"k": "5,10,20,50", "m_over_k": "1:16:x24", "pairs": 400},
}
ENDS = ("converged", "diverged")  # of runs
# Figures 10 to 13, many curves at a size that a laptop affords.
PANELS = {
    **{"k": "3,10", "m_over_k": "1,1.6,2,5", "source": "gd,sgd,uniform", "pairs": 20},
    **{"lr_times_m": "2,4", "steps": 20_000, "tol": 1e-5, "batch": 64},
    "matching": "types_index",
}


def rows(measured: Measured) -> list[dict]:
    """The table with what claims compare, by bootstrap over pairs.

    "largest": the share of resamples in which a point has the largest mean of its curve
    beyond m = k. "over_uniform": the ratio of means to that of uniform minima of the
    same k, m and matching, with its interval, where both are above zero.
    """
    pairs = _pairs(measured)

    def means(rows: Iterable[dict]) -> np.ndarray:
        return resampled_means([pairs[row["cell"], row["matching"]] for row in rows])

    for (k, *_), curve in curves.group(measured.table, *CURVE).items():
        wide = [row for row in curve if row["m"] > k and row["pairs"]]
        if wide:
            for row, share in zip(wide, largest_shares(means(wide)), strict=True):
                row["largest"] = share
    for group in curves.group(measured.table, "k", "m", "matching").values():
        above = [row for row in group if row["barrier_low"] > curves.NONE]
        models = [row for row in above if row["source"] == "uniform"]
        for row in above if models else ():
            own, model = means([row, models[0]]).T
            row["over_uniform"] = statistic_interval(own / model)
    return measured.table


def _pairs(measured: Measured) -> dict[tuple[str, str], np.ndarray]:
    """Barriers of the kept pairs of every cell and matching."""
    found = {}
    for record in measured.records:
        cell = record.parameters
        heights = summary.barriers(record, measured.setting["barrier"])
        for name, own in zip(["direct", *cell["matchings"]], heights.T, strict=True):
            found[store.fingerprint(cell), name] = own
    return found


def table(rows: Sequence[dict]) -> list[dict]:
    """One row per point, one column per matching."""
    return [
        {"k": k, "source": source, "rate": rate, "m": m, "pairs": group[0]["pairs"]}
        | {name: f"{group[0][f'{name}_fraction']:.0%}" for name in ENDS}
        | {row["matching"]: with_interval(row, "barrier") for row in group}
        for (k, source, rate, m), group in curves.group(
            rows, "k", "source", "rate", "m"
        ).items()
    ]


# --- figures -------------------------------------------------------------------------


def draw(rows: Sequence[dict]):
    """One row per teacher: one column per learning rate, or log and linear axes.

    With several rates all panels share the axis of barriers, and those of a teacher
    that of widths.
    """
    teachers = sorted({row["k"] for row in rows})
    rates = list(dict.fromkeys(row["rate"] for row in rows if row["rate"])) or [""]
    single = len(rates) == 1
    columns = 2 if single else len(rates)
    figure, axes = plot.grid(len(teachers), columns, share=not single)
    for line, k in zip(axes, teachers, strict=True):
        for panel, shown in zip(line, rates, strict=False):
            kept = [r for r in rows if r["k"] == k and r["rate"] in ("", shown)]
            panel.set_yscale("log")
            title = f"k = {k}" + (f", η = {shown}" if shown else "")
            _panel(panel, kept, k, title)
            if single:
                permuted = [r for r in kept if not PATHS[r["matching"]].baseline]
                _panel(line[1], permuted, k, f"{title}, permuted only")
        line[0].set_ylabel("barrier")
        widths = [row["m"] for row in rows if row["k"] == k]
        for panel in line:
            panel.set_xlim(min(widths) / 1.1, max(widths) * 1.1)
    for panel in axes[-1]:
        panel.set_xlabel("student width m")
    plot.legend(figure, axes)
    return figure


def _panel(axes, rows: Sequence[dict], k: int, title: str) -> None:
    curves.shade(axes, rows)
    curves.draw(axes, rows)
    heights = {row["barrier_mean"] for row in rows if row["barrier_mean"] > curves.NONE}
    if len(heights) < 2 and axes.get_yscale() == "log":  # which needs a span to show
        axes.set_ylim(curves.NONE, max(heights, default=0.1) * 10)
    plot.mark(axes, 2 * k, "m = 2k, the paper's peak")
    if k > 1:
        plot.mark(axes, theory.overlap_minimum(k), "least overlap, exact", "--")
    plot.log_axis(axes)
    axes.set(title=title)


def draw_normalized(rows: Sequence[dict]):
    """Permuted/direct against m/k, one curve per teacher.

    One row of panels per source and learning rate, one column per matching.
    """
    permuted = [row for row in rows if not PATHS[row["matching"]].baseline]
    groups = curves.group(permuted, "source", "rate", "matching")
    styles = plot.ordered(sorted({row["k"] for row in rows}))
    matchings = len({matching for *_, matching in groups})
    figure, axes = plot.panels(len(groups), matchings, share="row")
    for panel, ((source, rate, matching), group) in zip(
        axes.flat, groups.items(), strict=True
    ):
        for (k,), curve in curves.group(group, "k").items():
            style = styles[k] | {"label": f"k = {k}"}
            curves.points(panel, curve, "normalized", "m/k", **style)
        plot.mark(panel, 2, "m = 2k, the paper's peak")
        plot.mark(panel, theory.LIMIT_MINIMUM_RATIO, "m = 2.292k, least overlap", "--")
        plot.log_axis(panel)
        shown = f"η = {rate}, " if rate else ""
        title = f"{curves.NAMES[source]}, {shown}{PATHS[matching].label}"
        panel.set(xlabel="m/k", title=title)
    for line in axes:
        line[0].set_ylabel("permuted / direct barrier")
    plot.legend(figure, axes)
    return figure


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: Values) -> str:
    beside = " Points of several sources stand side by side at each m."
    several = len({row["source"] for row in rows}) > 1
    return _caption(rows, setting) + beside * several


def _caption(rows: Sequence[dict], setting: Values) -> str:
    text = students.convention(setting, curves.sizes(rows))
    shown = dict.fromkeys(PATHS[row["matching"]] for row in rows)
    said = [f"{one.label}: {one.words}" for one in shown if not one.baseline]
    text += f" Matchings: {'; '.join(said)}." if said else ""
    text += " Least overlap: where uniform minima overlap least."
    trained = [row for row in rows if row["rate"]]
    if trained:
        text += (
            f" {students.trained_by(setting)}, to loss < {setting['tol']:g} or "
            f"{setting['steps']} steps: {_reached(trained)}. The initial scale and the "
            f"learning rates {students.LOST}. The residual loss adds to small barriers."
        )
    return text


def _reached(rows: Sequence[dict]) -> str:
    """How many runs of every point converged, and what is shown where some diverged."""
    least = min(row["converged_fraction"] for row in rows)
    said = "all runs" if least == 1 else f"at least {least:.1%} of the runs of a point"
    said += " got there"
    if any(row["diverged_fraction"] for row in rows):
        said += "; pairs with a diverged run are left out"
    return said


# --- Figure 3 ------------------------------------------------------------------------


def normalized_cells(setting: Values) -> list[Cell]:
    if not setting["matching"]:
        raise Refusal("a ratio needs a permuted barrier: give a --matching")
    return students.cells(setting)


def normalized_caption(rows: Sequence[dict], setting: Values) -> str:
    ratio = "Ratio of the mean barriers, resampled pair by pair."
    return f"{_caption(rows, setting)} {ratio}"


STUDY = Study(
    name="barrier_vs_width",
    paper="Figure 2",
    shared=SHARED,
    presets=PRESETS,
    rows=rows,
    table=table,
    figures=(Figure("barrier_vs_width", draw, caption, claims),),
)
NORMALIZED = dataclasses.replace(
    STUDY,
    name="normalized_barrier",
    paper="Figure 3",
    command="barrier_vs_width --normalize",
    shared=UNIFORM,
    presets=NORMALIZED_PRESETS,
    cells=normalized_cells,
    figures=(
        Figure(
            "normalized_barrier",
            draw_normalized,
            normalized_caption,
            lambda rows: [*normalized_claims(rows), *claims(rows)],
        ),
    ),
)
RATES = dataclasses.replace(
    STUDY,
    name="barrier_panels",
    paper="Figures 10-13",
    command="barrier_vs_width --panels",
    shared=PANELS,
    presets={"quick": {}, "paper": {}},
    figures=(STUDY.figures[0]._replace(name="barrier_panels"),),
)

if __name__ == "__main__":
    STUDY.main(NORMALIZED, RATES)
