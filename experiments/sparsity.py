"""Sparsity of minima against width and learning rate, with the predicted threshold.

The paper's Figures 5 and 6 and its open question. A minimum is stable under gradient
descent only if η λ_max <= 2, and λ_max depends only on how many nonzero neurons each
type has: above η* dense minima are unstable, and what is found has lost neurons.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from experiments.claims.sparsity import MEASURES, rate_claims, width_claims
from experiments.lib import common, curves, plot, sparse_barriers
from experiments.lib.edges import edges
from lmc_jax.results import store
from lmc_jax.results.summary import RESAMPLES
from lmc_jax.statistics import ratio_intervals
from lmc_jax.students import descent
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.theory import stability

common.define_output("sparsity")
common.define_cells()
WIDTHS = flags.DEFINE_string("fixed_m", None, "Widths of the scan over rates: 10,20.")
SCAN = flags.DEFINE_string("scan", None, "Rates c = ηm of that scan: 4,5,5.6,6.")

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "m": "6,10,15,22,32,46",
        "lr_times_m": "1,3,5,5.9",
        "fixed_m": "10,20",
        "scan": "3,4,5,5.4,5.5,5.6,5.7,5.8,5.9,6,6.1,6.2,6.3,6.4,6.6,7",
        "pairs": 15,
        "steps": 30_000,
    },
    "paper": {
        "m": "6:100:x20",
        "lr_times_m": "0.5,1,2,3,4,5,5.4,5.7,6",
        "fixed_m": "10,20,40",
        "scan": "1,2,3,4,5,5.2,5.3,5.4,5.5,5.6,5.7,5.8,5.9,6,6.1,6.2,6.3,6.4,6.5,6.6,7",
        "pairs": 250,
        "steps": 400_000,
    },
}
SHARED = {
    "k": "5",
    "d": 10,
    "tol": 1e-8,
    "check_every": 500,
    "hold": 10,  # a run may pass an unstable minimum before it is thrown out
    "matching": "",
    "zero_row": 1e-3,  # at this tol the dying are below 3e-4; of the living few are
}


def main() -> None:
    presets = {name: SHARED | preset for name, preset in PRESETS.items()}
    setting = common.settings(presets)
    by_width = [_same_threshold(cell, setting) for cell in common.cells(setting)]
    if len({cell.k for cell in by_width}) > 1:
        raise common.Refusal(f"--k={setting['k']}: give one teacher width here")
    if setting["optimizer"] != "sgd":
        raise common.Refusal(
            f"--optimizer={setting['optimizer']}: give sgd, the prediction is that of "
            "plain gradient descent"
        )
    if not any(isinstance(cell.source, Descent) for cell in by_width):
        raise common.Refusal("--source: give gd or sgd, with uniform for comparison")
    common.FLAGS["save_weights"].value = True  # for the curvature at the weights
    scan = {"m": setting["fixed_m"], "m_over_k": None, "source": "gd"}
    by_rate = common.cells({**setting, **scan, "lr_times_m": setting["scan"]})
    if min(cell.m for cell in (*by_width, *by_rate)) < by_rate[0].k:
        raise common.Refusal(
            "global minima exist for m >= k only: give larger --m and --fixed_m"
        )
    records = common.computed([*by_width, *by_rate], setting)
    rows = [described(record) for record in records]
    width_rows, rate_rows = rows[: len(by_width)], rows[len(by_width) :]
    print(common.table([_shown(row) for row in rate_rows]))
    csv, _ = common.write_summary(common.FLAGS.out)
    common.finish(
        "sparsity_vs_width",
        draw_widths(width_rows),
        caption(width_rows, setting),
        width_claims(_curves(width_rows)),
    )
    common.finish(
        "sparsity_vs_rate",
        draw_rates(rate_rows),
        caption(rate_rows, setting | {"source": "gd"})
        + " Lines: η* = 2k/(m μ_k) (dotted), the least zero fraction over integer type "
        "counts (staircase) and the bound 1 - η*/η (dashed), no free parameter.",
        [
            *rate_claims(rate_rows),
            *sparse_barriers.claims(records[len(by_width) :], rate_rows),
        ],
        csv,
    )


def _same_threshold(cell: Cell, setting: dict[str, Any]) -> Cell:
    """Zero rows of minima are counted as those of trained students are."""
    source = dataclasses.replace(cell.source, zero_row=setting["zero_row"])
    return dataclasses.replace(cell, source=source)


def described(record: store.Record) -> dict[str, Any]:
    """Means over the converged runs of a cell, with intervals; how many there are."""
    cell, arrays = record.parameters, record.arrays
    k, m = cell["k"], cell["m"]
    lr = cell["source"].get("lr", np.nan)
    status = arrays.get("status", np.full_like(arrays["zero_rows"], descent.CONVERGED))
    ended = status == descent.CONVERGED
    row = {
        "k": k,
        "m": m,
        "source": cell["source"]["name"],
        "lr_times_m": lr * m,
        "runs": int(ended.sum()),
        "converged": float(ended.mean()),
        "diverged": float(np.mean(status == descent.DIVERGED)),
        "predicted": float(stability.zero_fraction(lr, m, k)) if lr == lr else np.nan,
        "distance": float(arrays["distance"][ended].max(initial=0)),
        "incomplete": int((arrays["counts"][ended] == 0).any(axis=-1).sum()),
    } | edges(record)
    values = {
        "pqi_flat": arrays["pqi_flat"][ended],
        "pqi_rows": arrays["pqi_rows"][ended],
        "zero_fraction": arrays["zero_rows"][ended] / m,
    }
    stacked = np.stack(list(values.values()), axis=1)
    found = ratio_intervals(stacked, np.ones_like(stacked), resamples=RESAMPLES)
    for name, interval in zip(values, found.tolist(), strict=True):
        ends = zip(("mean", "low", "high"), interval, strict=True)
        row |= {f"{name}_{end}": value for end, value in ends}
    return row


def _shown(row: dict) -> dict[str, Any]:
    names = ("m", "lr_times_m", "runs", "converged", "diverged")
    return (
        {name: row[name] for name in names}
        | {"zero rows": common.with_interval(row, "zero_fraction")}
        | {name: row.get(name, np.nan) for name in ("predicted", "edge", "unstable")}
    )


# --- figures -------------------------------------------------------------------------


def draw_widths(rows: Sequence[dict]):
    """Each measure against m, a curve a learning rate, uniform minima in black."""
    figure, axes = plot.grid(1, len(MEASURES))
    for panel, (name, label) in zip(axes[0], MEASURES.items(), strict=True):
        for i, curve in enumerate(_curves(rows).values()):
            uniform = curve[0]["source"] == "uniform"
            plot.points(
                panel,
                [row["m"] for row in curve],
                *curves.columns(curve, name),
                color=plot.BLACK if uniform else plot.CYCLE[i],
                marker="x" if uniform else plot.MARKERS[i],
                linestyle="--" if uniform else "-",
                label=_label(curve[0]),
            )
        plot.log_axis(panel)
        panel.set(xlabel="student width m", ylabel=label)
    plot.legend(figure, axes[0, 0])
    return figure


def _label(row: dict) -> str:
    return "uniform" if row["source"] == "uniform" else f"η = {row['lr_times_m']:.6g}/m"


def _curves(rows: Sequence[dict]) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda row: row["m"]):
        groups.setdefault(_label(row), []).append(row)
    return groups


def draw_rates(rows: Sequence[dict]):
    """Each measure against ηm, a row a width, the prediction drawn in."""
    widths = sorted({row["m"] for row in rows})
    figure, axes = plot.grid(len(widths), len(MEASURES))
    for line, m in zip(axes, widths, strict=True):
        curve = sorted(
            (row for row in rows if row["m"] == m), key=lambda row: row["lr_times_m"]
        )
        k = curve[0]["k"]
        rates = [row["lr_times_m"] for row in curve]
        threshold = float(stability.critical_learning_rate(m, k)) * m
        for panel, (name, label) in zip(line, MEASURES.items(), strict=True):
            plot.points(
                panel,
                rates,
                *curves.columns(curve, name),
                color=plot.BLUE,
                marker="o",
                linestyle="",
                label="converged runs",
            )
            plot.mark(panel, threshold, f"η*m = {threshold:.4g}")
            panel.set(xlabel="ηm", ylabel=label, title=f"k = {k}, m = {m}")
        _draw_prediction(line[-1], rates, m, k)
        line[-1].plot(
            rates,
            [row["diverged"] for row in curve],
            color=plot.ORANGE,
            marker=".",
            linewidth=0.8,
            label="diverged runs",
        )
        line[-1].plot(
            rates,
            [1 - row["converged"] for row in curve],
            color="0.5",
            linestyle=":",
            linewidth=1,
            label="runs not converged, diverged or not",
        )
    plot.legend(figure, axes[0, -1])
    return figure


def _draw_prediction(panel, rates: Sequence[float], m: int, k: int) -> None:
    fine = np.linspace(min(rates), max(rates), 400)
    stairs = stability.zero_fraction(fine / m, m, k)
    bound = stability.zero_fraction_bound(fine / m, m, k)
    panel.plot(fine, stairs, color=plot.RED, label="least stable, integer counts")
    panel.plot(fine, bound, color=plot.RED, linestyle="--", label="1 - η*/η")


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: dict) -> str:
    trained = [row for row in rows if row["source"] != "uniform"]
    runs = [row["runs"] for row in trained if row["runs"]]
    every = sum(row["converged"] == 1 for row in trained)
    none = len(trained) - len(runs)
    missing = f", {none} without any left out" if none else ""
    return (
        f"PQI p = {setting['pqi_p']:g}, q = {setting['pqi_q']:g}; zero rows, of "
        f"uniform minima as well: norm <= {setting['zero_row']:g}; "
        f"{common.CONVENTION}. Means over those of {2 * setting['pairs']} independent "
        f"runs of a point that reached loss < {setting['tol']:g} within "
        f"{setting['steps']} steps, {setting['hold']} looks in a row "
        f"{setting['check_every']} steps apart: all at {every} of {len(trained)} "
        f"trained points, n = {min(runs, default=0)} to {max(runs, default=0)} at "
        f"the others{missing}; 95% bootstrap intervals. "
        f"{common.trained_by(setting)}, k = {setting['k']}, d = {setting['d']}, seed "
        f"{setting['seed']}. "
        "Living neurons so short are counted as zero rows too: the uniform curve shows "
        "how many. Initial scale, dimension and learning rates are ours, the paper's "
        "are lost."
    )


if __name__ == "__main__":
    common.run(main)
