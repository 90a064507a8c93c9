"""Sparsity of minima against width and learning rate, with the predicted threshold.

The paper's Figures 5 and 6 and its open question. A minimum is stable under gradient
descent only if η λ_max <= 2, and λ_max depends only on how many nonzero neurons each
type has: above η* dense minima are unstable, and what is found has lost neurons.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.claims import sparse_barriers
from experiments.claims.sparsity import (
    MEASURES,
    rate_claims,
    rate_threshold,
    width_claims,
)
from experiments.lib import curves, plot, students
from experiments.lib.claims import Claim
from experiments.lib.edges import edges
from experiments.lib.lists import Refusal
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns, means
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs
from lmc_jax.students import descent
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.theory import stability

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
UNIFORM = curves.NAMES["uniform"]


class Rows(NamedTuple):
    """Rows of the sweep over widths, and of the scan over rates.

    barriers: claims about the barriers of the scan's students.
    """

    widths: list[dict]
    rates: list[dict]
    barriers: list[Claim]


def grids(setting: Values) -> tuple[list[Cell], list[Cell]]:
    """Of widths and of the scan. Zero rows of minima are counted as those of trained
    students are."""
    replace = dataclasses.replace
    zero = {"zero_row": setting["zero_row"]}
    widths = [
        replace(cell, source=replace(cell.source, **zero))
        for cell in students.cells(setting)
    ]
    scan = {"m": setting["fixed_m"], "m_over_k": None, "source": "gd"}
    return widths, students.cells(setting | scan | {"lr_times_m": setting["scan"]})


def cells(setting: Values) -> list[Cell]:
    """Both grids.

    Raises:
      Refusal: for what the prediction does not hold for.
    """
    first, scan = grids(setting)
    if len({cell.k for cell in first}) > 1:
        raise Refusal(f"--k={setting['k']}: give one teacher width here")
    if setting["optimizer"] != "sgd":
        raise Refusal(
            f"--optimizer={setting['optimizer']}: give sgd, the prediction is that of "
            "plain gradient descent"
        )
    if not any(isinstance(cell.source, Descent) for cell in first):
        raise Refusal("--source: give gd or sgd, with uniform for comparison")
    grid = [*first, *scan]
    if min(cell.m for cell in grid) < grid[0].k:
        raise Refusal(
            "global minima exist for m >= k only: give larger --m and --fixed_m"
        )
    return grid


def rows(measured: Measured) -> Rows:
    setting, records = measured.setting, measured.records
    found = [described(record) for record in records]
    own = len(grids(setting)[0])
    widths, rates = found[:own], found[own:]
    barriers = sparse_barriers.claims(records[own:], rates, setting["barrier"])
    return Rows(widths, rates, barriers)


def described(record: store.Record) -> dict[str, Any]:
    """Means over the converged runs of a cell, with intervals; how many there are."""
    cell, arrays = record.parameters, record.arrays
    k, m = cell["k"], cell["m"]
    lr = cell["source"].get("lr", np.nan)
    ended = converged_runs(arrays)
    status = arrays.get("status", np.full(ended.shape, descent.CONVERGED))
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
    row |= _lost(arrays["counts"][ended], m, lr)
    values = {
        "pqi_flat": arrays["pqi_flat"][ended],
        "pqi_rows": arrays["pqi_rows"][ended],
        "zero_fraction": arrays["zero_rows"][ended] / m,
    }
    return row | means(values) | {"values": values}


def _lost(counts: np.ndarray, m: int, lr: float) -> dict[str, int]:
    """How many runs have zero rows, and how many cannot have lost them by instability.

    Of counts ``[runs, k]``: those whose η λ_max is at most 2 with the lost rows given
    back to the type that has most, which is the least stable way.
    """
    gone = m - counts.sum(axis=1)
    lost = np.sort(counts[gone > 0], axis=1)
    lost[:, -1] += gone[gone > 0]
    stable = lr * stability.gauss_newton_sharpness(lost) <= 2 if len(lost) else lost
    return {"lost": len(lost), "lost_stable": int(np.sum(stable))}


def table(rows: Rows) -> list[dict]:
    """One row per point of the scan over rates."""
    edge = {"edge": np.nan, "unstable": 0}  # where no run reached the tolerance
    names = "m lr_times_m runs converged diverged zero_fraction predicted edge unstable"
    return columns([edge | row for row in rows.rates], names)


# --- figures -------------------------------------------------------------------------


def draw_widths(rows: Rows):
    """Each measure against m, one curve per learning rate, and uniform minima."""
    groups = _curves(rows.widths)
    styles = plot.ordered(label for label in groups if label != UNIFORM)
    styles[UNIFORM] = curves.MODEL | {"linestyle": "--"}
    figure, axes = plot.grid(1, len(MEASURES))
    for panel, (name, label) in zip(axes[0], MEASURES.items(), strict=True):
        for rate, curve in groups.items():
            style = {"markerfacecolor": "none", "label": rate} | styles[rate]
            curves.points(panel, curve, name, **style)
        plot.log_axis(panel)
        panel.set(xlabel="student width m", ylabel=label)
    plot.legend(figure, axes)
    return figure


def _curves(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Against m, by learning rate."""
    labelled = [
        {"curve": UNIFORM if row["source"] == "uniform" else _rate(row)} | row
        for row in rows
    ]
    return {name: curve for (name,), curve in curves.group(labelled, "curve").items()}


def _rate(row: dict) -> str:
    return f"η = {row['lr_times_m']:.6g}/m"


def draw_rates(rows: Rows):
    """Each measure against ηm, one row per width, the prediction drawn in.

    In the last column the share of runs that did not converge.
    """
    in_order = sorted(rows.rates, key=lambda row: (row["m"], row["lr_times_m"]))
    groups = curves.group(in_order, "k", "m")
    titles = (*MEASURES.values(), "share of runs")
    figure, axes = plot.grid(len(groups), len(titles), height=1.7, share="col")
    own: Any = {"color": curves.COLORS["gd"], "marker": "o", "linestyle": ""}
    grey = {"color": "0.4", "linewidth": 1}
    for line, ((k, m), curve) in zip(axes, groups.items(), strict=True):
        rates = [row["lr_times_m"] for row in curve]
        room = (rates[-1] - rates[0]) / 20 or 1
        for panel, name in zip(line, MEASURES, strict=False):
            style = own | {"label": "GD, converged runs"}
            curves.points(panel, curve, name, "lr_times_m", **style)
        _draw_prediction(line[2], rates, m, k)
        failed = [1 - row["converged"] for row in curve]
        line[3].plot(rates, failed, ":", **grey, label="runs not converged")
        diverged = [row["diverged"] for row in curve]
        line[3].plot(rates, diverged, "-", **grey, label="runs diverged")
        for panel in line:
            plot.mark(panel, rate_threshold(m, k), "predicted threshold η*m")
            panel.set(xlabel="ηm", xlim=(rates[0] - room, rates[-1] + room))
        line[0].set_ylabel(f"k = {k}, m = {m}")
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title)
    plot.legend(figure, axes)
    return figure


def _draw_prediction(panel, rates: Sequence[float], m: int, k: int) -> None:
    fine = np.linspace(min(rates), max(rates), 400)
    stairs = stability.zero_fraction(fine / m, m, k)
    bound = stability.zero_fraction_bound(fine / m, m, k)
    black = {"color": plot.BLACK}
    panel.plot(fine, stairs, **black, label="least stable, integer counts")
    panel.plot(fine, bound, "--", **black, label="1 - η*/η")


# --- words ---------------------------------------------------------------------------


def width_caption(rows: Rows, setting: Values) -> str:
    counted = (
        " Neurons of uniform minima are counted too where they are so short: their "
        "curve shows how many living ones are."
    )
    sampled = any(row["source"] == "uniform" for row in rows.widths)
    return caption(rows.widths, setting) + counted * sampled


def rate_caption(rows: Rows, setting: Values) -> str:
    return (
        f"{caption(rows.rates, setting | {'source': 'gd'})} Lines: η* = 2k/(m μ_k) "
        "(dotted), the least zero fraction over integer type counts (staircase) and "
        "the bound 1 - η*/η (dashed), no free parameter."
    )


def caption(rows: Sequence[dict], setting: Values) -> str:
    trained = [row for row in rows if row["source"] != "uniform"]
    return (
        f"PQI p = {setting['pqi_p']:g}, q = {setting['pqi_q']:g}; zero rows: norm <= "
        f"{setting['zero_row']:g}; {students.CONVENTION}. Means over those of "
        f"{2 * setting['pairs']} independent runs of a point that reached loss < "
        f"{setting['tol']:g} within {setting['steps']} steps, {setting['hold']} looks "
        f"in a row {setting['check_every']} steps apart: "
        f"{curves.sizes(trained, 'runs')}, none where no point is drawn; 95% bootstrap "
        "intervals. "
        f"{students.trained_by(setting)}, k = {setting['k']}, d = {setting['d']}, seed "
        f"{setting['seed']}. Initial scale, dimension and learning rates "
        f"{students.LOST}."
    )


STUDY = Study(
    name="sparsity",
    paper="Figures 5, 6",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    rows=rows,
    table=table,
    figures=(
        Figure(
            "sparsity_vs_width",
            draw_widths,
            width_caption,
            lambda rows: width_claims(_curves(rows.widths)),
        ),
        Figure(
            "sparsity_vs_rate",
            draw_rates,
            rate_caption,
            lambda rows: [*rate_claims(rows.rates), *rows.barriers],
        ),
    ),
    own=students.ORTHONORMAL_ONLY
    | {
        "fixed_m": Setting(str, "Widths of the scan over rates: 10,20."),
        "scan": Setting(str, "Rates c = ηm of that scan: 4,5,5.6,6."),
    },
    weights=True,  # for the curvature at the weights
)

if __name__ == "__main__":
    STUDY.main()
