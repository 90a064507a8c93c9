"""Barrier against student width m: direct and permuted, trained and uniform minima.

The paper's Figures 2 and 10-13, and with --normalize Figure 3. The permuted barrier
rises from zero at m = k, peaks, and falls to zero as m grows.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.claims.barrier_vs_width import (
    claims,
    has_panels,
    highest,
    normalized_claims,
)
from experiments.lib import common, curves, plot
from lmc_jax import theory
from lmc_jax.matching import PATHS

NORMALIZE = flags.DEFINE_bool(
    "normalize", False, "Draw the ratio permuted/direct (Figure 3)."
)

common.define_output("barrier_vs_width")
common.define_cells()
# The paper's algorithm, and the one that is best by matching_gap.
SHARED = {"matching": "types_index,refine"}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": SHARED | {"k": "5", "m": "5,6,8,10,12,16,20,24,32,48,64,100", "pairs": 60},
    "paper": SHARED
    | {
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
NORMALIZED: dict[str, dict[str, Any]] = {
    "quick": UNIFORM | {"k": "5,10,20", "m_over_k": "1:8:x10", "pairs": 100},
    "paper": UNIFORM | {"k": "5,10,20,50", "m_over_k": "1:16:x24", "pairs": 400},
}


def main() -> None:
    setting = common.settings(NORMALIZED if NORMALIZE.value else PRESETS)
    if NORMALIZE.value and not setting["matching"]:
        raise common.Refusal("--normalize needs a permuted barrier: give a --matching")
    grid = common.cells(setting)
    common.computed(grid, setting)
    csv, table = common.write_summary(common.FLAGS.out)
    rows = common.of_grid(table, grid)
    for row in rows:
        row["rate"] = curves.rate(row, setting)
    print(common.table(points(rows)))
    name = "barrier_panels" if has_panels(rows) else "barrier_vs_width"
    name = "normalized_barrier" if NORMALIZE.value else name
    draw = draw_normalized if NORMALIZE.value else draw_barriers
    judged = normalized_claims(rows) if NORMALIZE.value else []
    judged += claims(rows)
    common.finish(name, draw(rows), caption(rows, setting), judged, csv)


def points(rows: Sequence[dict]) -> list[dict]:
    """One row a point for the terminal, a column a matching."""
    groups = curves.group(rows, "k", "source", "rate", "m")
    return [
        {"k": k, "source": source, "rate": rate_shown, "m": m}
        | {"pairs": group[0]["pairs"], "converged": group[0]["converged_fraction"]}
        | {row["matching"]: common.with_interval(row, "barrier") for row in group}
        for (k, source, rate_shown, m), group in groups.items()
    ]


# --- figures -------------------------------------------------------------------------


def draw_barriers(rows: Sequence[dict]):
    """A row a teacher: a column a learning rate, or one rate on log and linear axes."""
    teachers = sorted({row["k"] for row in rows})
    rates = list(dict.fromkeys(row["rate"] for row in rows if row["rate"])) or [""]
    single = len(rates) == 1
    figure, axes = plot.grid(len(teachers), 2 if single else len(rates))
    for line, k in zip(axes, teachers, strict=True):
        for panel, shown in zip(line, rates, strict=False):
            kept = [r for r in rows if r["k"] == k and r["rate"] in ("", shown)]
            title = f"k = {k}" + (f", η = {shown}" if shown else "")
            _panel(panel, kept, k, title, log=True)
            if single:
                permuted = [r for r in kept if not PATHS[r["matching"]].baseline]
                _panel(line[1], permuted, k, f"{title}, permuted", log=False)
    plot.legend(figure, axes[0, 0])
    return figure


def _panel(axes, rows: Sequence[dict], k: int, title: str, *, log: bool) -> None:
    for curve in curves.group(rows, "source", "matching").values():
        # Barriers at m = k are zero up to rounding: they have no place on a log axis.
        kept = [row for row in curve if row["barrier_mean"] > 1e-9 or not log]
        if kept:
            curves.draw(axes, kept)
    _mark_minima(axes, k)
    plot.log_axis(axes)
    axes.set(xlabel="student width m", ylabel="barrier", title=title)
    if log:
        axes.set_yscale("log")


def _mark_minima(axes, k: int) -> None:
    """Where the overlap is least: the paper's 2k and the exact width."""
    plot.mark(axes, 2 * k, "2k, the paper's peak")
    if k > 1:
        plot.mark(axes, theory.overlap_minimum(k), "least overlap, exact", "--")


def draw_normalized(rows: Sequence[dict]):
    """Permuted/direct against m/k, a curve a teacher.

    A row of panels a source and learning rate, a column a matching.
    """
    permuted = [row for row in rows if row["matching"] != "direct"]
    panels = curves.group(permuted, "source", "rate", "matching")
    matchings = len({matching for *_, matching in panels})
    figure, axes = plot.grid(-(-len(panels) // matchings), matchings)
    for panel, ((source, rate_shown, matching), group) in zip(
        axes.flat, panels.items(), strict=True
    ):
        for i, ((k,), curve) in enumerate(curves.group(group, "k").items()):
            plot.points(
                panel,
                [row["m"] / k for row in curve],
                *curves.columns(curve, "normalized"),
                color=plot.CYCLE[i % len(plot.CYCLE)],
                marker=plot.MARKERS[i % len(plot.MARKERS)],
                label=f"k = {k}",
            )
        plot.mark(panel, 2, "2, the paper's peak")
        plot.mark(panel, theory.LIMIT_MINIMUM_RATIO, "2.292, least overlap", "--")
        plot.log_axis(panel)
        panel.set(xlabel="m/k", ylabel="permuted / direct barrier")
        shown = f"{source}, η = {rate_shown}" if rate_shown else source
        panel.set_title(f"{shown}, {PATHS[matching].label}", fontsize=9)
    plot.legend(figure, axes[0, 0])
    return figure


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: dict) -> str:
    text = common.convention(setting, curves.sizes(rows))
    if NORMALIZE.value:
        text += " Ratio of the mean barriers, resampled pair by pair."
    text += " Least overlap: where uniform minima overlap least."
    text += "".join(f" {sentence}" for sentence in departures(rows))
    trained = [row for row in rows if row["rate"]]
    if trained:
        text += (
            f" Trained from N(0, {setting['init_std']}²) entries to loss < "
            f"{setting['tol']:g} or {setting['steps']} steps ({setting['optimizer']}, "
            f"{setting['precision']}); at least "
            f"{min(row['converged_fraction'] for row in trained):.1%} of the runs of a "
            "point got there, all pairs without divergence are shown. The initial "
            "scale and the learning rates are ours, the paper's are lost. The loss "
            "that is left adds to small barriers."
        )
    return text


def departures(rows: Sequence[dict]) -> list[str]:
    """By how much trained students differ from uniform minima: last width, and peak.

    Of many curves only the ranges.
    """
    said, last, there, places = [], [], [], []
    groups = curves.group(rows, "k", "source", "rate", "matching")
    for (k, source, rate_shown, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        compared = not PATHS[matching].baseline and source in ("gd", "sgd")
        if compared and reference:
            shared = {row["m"] for row in reference} & {row["m"] for row in curve}
            ours, theirs = (
                [row for row in c if row["m"] in shared] for c in (curve, reference)
            )
            if not shared or not theirs[-1]["barrier_mean"] > 0:
                continue
            last.append(ours[-1]["barrier_mean"] / theirs[-1]["barrier_mean"])
            top, other = highest(ours), highest(theirs)
            [beside] = [row for row in theirs if row["m"] == top["m"]]
            there.append(top["barrier_mean"] / (beside["barrier_mean"] or float("nan")))
            places.append([row["m"] / k for row in (top, other)])
            said.append(
                f"{source}/uniform at k = {k}, η = {rate_shown}, "
                f"{PATHS[matching].label}: {last[-1]:.2g} at m = {ours[-1]['m']}, "
                f"{there[-1]:.2g} at its peak, m = {top['m']}; uniform minima peak at "
                f"m = {other['m']}."
            )
    if len(said) > 8:
        peaks, model = zip(*places, strict=True)
        return [
            "Permuted barriers of trained students over those of uniform minima, "
            f"{len(said)} curves: {min(last):.2g} to {max(last):.2g} at the largest m, "
            f"{min(there):.2g} to {max(there):.2g} at their peaks, m/k = "
            f"{min(peaks):.3g} to {max(peaks):.3g}; uniform minima peak at m/k = "
            f"{min(model):.3g} to {max(model):.3g}."
        ]
    return said


if __name__ == "__main__":
    common.run(main)
