"""Teachers of a common cosine ρ: does the paper's picture survive non-orthogonality?

Beyond the paper's Assumption 1. Predicted before anything was measured:

1. Algorithm 1 pairs uniform minima by their types and shares alone, whatever ρ is: the
   permuted barrier peaks where it does at ρ = 0, within a factor of 1.5 of 2k. Trained
   minima are expected to peak there as well.
2. A mixed pair of types at angle θ = arccos ρ loses θ - sin θ (`mixed_pair_loss`), so
   that the peak of uniform minima is (θ - sin θ)/(π/2 - 1) times as high as at ρ = 0,
   within a factor of 1.5: pairs that are lost together are not counted.
3. Dense minima are stable up to η* = 2k/(m μ_k(ρ)) (`least_sharpness`), which falls
   from 5.58/m to 4/m as ρ → 1 for k = 5; above it 1 - η*/η of the neurons are zero at
   least.
4. The barrier falls towards m = k, rises beyond it, and falls again, at every ρ.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.claims import teachers as judge
from experiments.double_descent import described
from experiments.lib import curves, plot, students
from experiments.lib.lists import Refusal, joined, numbers
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns, with_interval
from lmc_jax import theory
from lmc_jax.results import store, summary
from lmc_jax.results.selection import converged_runs
from lmc_jax.statistics import (
    largest_shares,
    mean_interval,
    named,
    resampled_means,
    statistic_interval,
)
from lmc_jax.students.teachers import ORTHONORMAL
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory import stability

OWN = {
    "rho": Setting(str, "Common cosines ρ beside 0: 0.5,0.9."),
    "fixed_m": Setting(int, "Width of the scan over rates."),
    "scan": Setting(str, "Rates of that scan in units of η*(ρ): 0.9,1.1."),
    "matching": Setting(str, "Of barriers.", "types_opposed", ("types_opposed",)),
    "source": Setting(str, "Students beside uniform minima.", "gd", ("gd",)),
    "optimizer": Setting(str, "Of which η* is the limit.", "sgd", ("sgd",)),
} | students.ORTHONORMAL_ONLY
SHARED = {
    **{"k": "5", "tol": 1e-7, "check_every": 500, "lr_times_m": "2"},
    # As in sgd_threshold: a run may pass an unstable minimum, the dying are short.
    **{"hold": 5, "zero_row": 3e-3},
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "rho": "0.5,0.9",
        "m": "3,4,5,6,8,10,14,40",
        "fixed_m": 10,
        "scan": "0.9,1.05,1.15",
        "pairs": 20,
        "steps": 8_000,
    },
    "paper": {
        "rho": "0.1,0.3,0.5,0.7,0.8,0.9",
        "m": "2,3,4,5,6,7,8,9,10,11,12,13,14,16,20,24,32,48,64,100",
        "fixed_m": 20,
        "scan": "0.8,0.9,0.95,0.98,1.02,1.05,1.1,1.15,1.2",
        "pairs": 200,
        "steps": 400_000,
    },
}
CURVE = ("k", "rho", "source")


# --- cells ---------------------------------------------------------------------------


def cells(setting: Values) -> list[Cell]:
    """The widths of every ρ, then the scans over rates.

    Raises:
      Refusal: for what a figure against ρ cannot show.
    """
    teachers = students.teachers(setting)
    k = teachers[0]
    if len(teachers) > 1 or k < 2:
        raise Refusal(f"--k={setting['k']}: give one teacher width of at least 2")
    if setting["lr_times_m"] is None or "," in setting["lr_times_m"]:
        raise Refusal("give one learning rate as --lr_times_m")
    if max(students.widths(k, setting)) <= k or setting["fixed_m"] < k:
        raise Refusal(f"give widths --m beyond k = {k}, and --fixed_m of at least it")
    return joined(grids(setting))


def grids(setting: Values) -> tuple[list[Cell], list[Cell]]:
    """Of widths, trained students before uniform minima of each ρ, and of the scan."""
    k = students.teachers(setting)[0]
    wide = [m for m in students.widths(k, setting) if m >= k]
    minima = {"source": "uniform", "m": ",".join(map(str, wide)), "m_over_k": None}
    shares = numbers(setting["scan"], "scan")
    widths, scan = [], []
    for name in names(setting):
        own = setting | {"teacher": name}
        widths += students.cells(own) + students.cells(own | minima)
        one = {"m": str(setting["fixed_m"]), "m_over_k": None, "matching": ""}
        (first,) = students.cells(own | one)
        limit = float(stability.critical_learning_rate(first.m, first.taught)) * first.m
        rates = ",".join(f"{share * limit:.6g}" for share in shares)
        scan += students.cells(own | one | {"lr_times_m": rates})
    return widths, scan


def names(setting: Values) -> list[str]:
    """The teachers, in order of ρ."""
    return [ORTHONORMAL] + [
        f"equiangular:{rho:g}" for rho in sorted(numbers(setting["rho"], "rho"))
    ]


def cosine(cell: dict[str, Any]) -> float:
    """ρ of the teacher of a cell's parameters."""
    return float(cell.get("teacher", "").partition(":")[2] or 0)


# --- rows ----------------------------------------------------------------------------


class Rows(NamedTuple):
    """widths: one a cell and path. peaks: one a curve. scan: one a ρ and rate."""

    widths: list[dict]
    peaks: list[dict]
    scan: list[dict]


def rows(measured: Measured) -> Rows:
    setting, records = measured.setting, measured.records
    count, definition = len(grids(setting)[0]), setting["barrier"]
    found, heights = [], {}
    for record in records[:count]:
        own = {"rho": cosine(record.parameters)}
        for row in described(record, definition):
            found.append(row | own | {"rate": students.rate(row, setting)})
        name = store.fingerprint(record.parameters)
        heights[name] = summary.barriers(record, definition)[:, 1]
    permuted = [row for row in found if row["matching"] == setting["matching"]]
    peaks = _peaks(permuted, heights)
    if not peaks:
        raise Refusal("All runs beyond m = k diverged: give a smaller --lr_times_m")
    scan = zip(measured.grid[count:], records[count:], strict=True)
    return Rows(found, peaks, [scanned(*one) for one in scan])


def _peaks(rows: Sequence[dict], heights: dict[str, np.ndarray]) -> list[dict]:
    """Place and height of the peak beyond m = k of each curve, by bootstrap over pairs.

    ``relative``: to the height at ρ = 0 of the same source, whose students have the
    same keys, resampled with the same pairs.
    """
    found: list[dict] = []
    reference: dict[str, np.ndarray] = {}
    for (k, rho, source), curve in curves.group(rows, *CURVE).items():
        wide = [row for row in curve if row["m"] > k and row["pairs"]]
        if not wide:
            continue
        means = resampled_means([heights[row["cell"]] for row in wide])
        widths, top = np.array([row["m"] for row in wide]), means.max(axis=1)
        peak = widths[means.argmax(axis=1)]
        if rho == 0:
            reference[source] = np.where(top > 0, top, np.nan)  # or nothing to compare
        relative = top / reference.get(source, np.full_like(top, np.nan))
        lost = theory.mixed_pair_loss([rho, 0])
        found.append(
            {"k": k, "rho": rho, "source": source, "rate": wide[0]["rate"]}
            | {"pairs": min(row["pairs"] for row in wide)}
            | {"ratios": widths / k, "shares": largest_shares(means)}
            | named("peak", statistic_interval(peak / k))
            | named("height", statistic_interval(top))
            | named("relative", statistic_interval(relative))
            | {"predicted": float(lost[0] / lost[1])}
        )
    return found


def scanned(cell: Cell, record: store.Record) -> dict[str, Any]:
    """Zero rows of the converged runs of a cell of the scan, and what is predicted."""
    arrays, lr = record.arrays, record.parameters["source"]["lr"]
    ended = converged_runs(arrays)
    limit = float(stability.critical_learning_rate(cell.m, cell.taught))
    bound = float(stability.zero_fraction_bound(lr, cell.m, cell.taught))
    zeros = mean_interval(arrays["zero_rows"][ended] / cell.m)
    return {
        **{"k": cell.k, "m": cell.m, "rho": cosine(record.parameters)},
        **{"lr_times_m": lr * cell.m, "threshold": limit * cell.m, "share": lr / limit},
        **{"runs": int(ended.sum()), "converged": float(ended.mean()), "bound": bound},
        **named("zero_fraction", zeros),
    }


def flat(rows: Rows) -> list[dict]:
    """The rows of teachers.csv: of each curve its peak."""
    arrays = ("ratios", "shares")
    return [
        {name: value for name, value in row.items() if name not in arrays}
        for row in rows.peaks
    ]


def table(rows: Rows) -> list[dict]:
    """One row per curve."""
    shown = []
    for row in rows.peaks:
        own = [one for one in rows.scan if one["rho"] == row["rho"]]
        limit = {"η* m": own[0]["threshold"]} if own else {"η* m": np.nan}
        places = columns([row], "rho source pairs")[0]
        measured = {name: with_interval(row, name) for name in ("peak", "relative")}
        shown.append(places | measured | {"predicted": row["predicted"]} | limit)
    return shown


# --- figure --------------------------------------------------------------------------


def draw(rows: Rows):
    """Barriers against width, and where and how high they peak; below sparsity."""
    styles = plot.ordered(dict.fromkeys(row["rho"] for row in rows.widths))
    figure, axes = plot.grid(2, 3)
    (uniform, trained, place), (height, zeros, reached) = axes
    groups = curves.group(rows.widths, "source", "matching", "rho")
    for (source, matching, rho), curve in groups.items():
        style = styles[rho] | {"label": f"ρ = {rho:g}", "markerfacecolor": "none"}
        if matching != "direct":
            panel = uniform if source == "uniform" else trained
            above = [row for row in curve if row["barrier_mean"] > curves.NONE]
            curves.points(panel, above, "barrier", **style)
        elif source == "gd":
            converged = [row["converged_fraction"] for row in curve]
            reached.plot([row["m"] for row in curve], converged, **style)
    k = rows.widths[0]["k"]
    for panel, title in (uniform, "uniform minima"), (trained, "GD"), (reached, "GD"):
        plot.mark(panel, 2 * k, "m = 2k")
        plot.log_axis(panel)
        panel.set(xlabel="student width m", title=title)
    for panel in (uniform, trained):
        panel.set(yscale="log", ylabel="permuted barrier")
    trained.axvline(k, color=plot.BLACK, linewidth=0.9, label="m = k")
    reached.set(ylabel="share of runs converged", ylim=(-0.05, 1.05))
    _draw_peaks(place, height, rows.peaks)
    _draw_zeros(zeros, rows.scan, styles)
    plot.legend(figure, axes)
    return figure


def _draw_peaks(place, height, peaks: Sequence[dict]) -> None:
    """Against ρ, with what is predicted."""
    for source in dict.fromkeys(row["source"] for row in peaks):
        curve = [row for row in peaks if row["source"] == source]  # in order of ρ
        label = f"{curves.NAMES[source]}, peak"
        style = {"color": curves.COLORS[source], "marker": "o", "label": label}
        curves.points(place, curve, "peak", "rho", **style)
        curves.points(height, curve, "relative", "rho", linestyle="none", **style)
    place.axhline(2, color=plot.BLACK, linewidth=0.9, linestyle=":", label="m = 2k")
    place.set(xlabel="ρ", ylabel="m/k of the peak", ylim=(0, None))
    rho = np.linspace(0, max(row["rho"] for row in peaks), 200)
    lost = theory.mixed_pair_loss(rho) / theory.mixed_pair_loss(0)
    height.plot(rho, lost, color=plot.BLACK, label="a mixed pair's loss, θ - sin θ")
    height.set(xlabel="ρ", ylabel="height of the peak, of ρ = 0", yscale="log")


def _draw_zeros(panel, scan: Sequence[dict], styles: dict[Any, dict[str, Any]]) -> None:
    """Zero rows against the rate in units of η*, one curve for each ρ."""
    for (rho,), own in curves.group(scan, "rho").items():
        curve = [row for row in sorted(own, key=lambda r: r["share"]) if row["runs"]]
        curves.points(panel, curve, "zero_fraction", "share", **styles[rho])
    rates = [row["share"] for row in scan]
    shares = np.linspace(min(rates), max(rates), 200)
    bound = np.maximum(0, 1 - 1 / shares)
    panel.plot(shares, bound, "--", color=plot.BLACK, label="1 - η*/η, at least")
    panel.set(xlabel="η/η*(ρ)", ylabel="zero-row fraction", title="GD, converged")


# --- words ---------------------------------------------------------------------------


def caption(rows: Rows, setting: Values) -> str:
    limits = {row["rho"]: row["threshold"] for row in rows.scan}
    said = ", ".join(f"{limit:.3f} at ρ = {rho:g}" for rho, limit in limits.items())
    return (
        f"{students.convention(setting, curves.sizes(rows.peaks))} Teachers of "
        f"k = {setting['k']} unit neurons of a common cosine ρ; leftovers of Algorithm "
        "1 largest with smallest. Heights are relative to ρ = 0, of students of the "
        "same keys; their intervals resample pairs. "
        f"{students.trained_by(setting)}, η = {setting['lr_times_m']}/m, to loss < "
        f"{setting['tol']:g} or {setting['steps']} steps: runs that stay above are "
        f"kept, diverged ones left out. Zero rows: norm <= {setting['zero_row']:g}, of "
        f"the converged runs at m = {setting['fixed_m']}; η*m predicted: {said}."
    )


STUDY = Study(
    name="teachers",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=OWN,
    rows=rows,
    table=table,
    tables={"teachers.csv": flat},
    figures=(Figure("teachers", draw, caption, judge.claims),),
)

if __name__ == "__main__":
    STUDY.main()
