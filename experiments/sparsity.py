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

from experiments import common, curves
from lmc_jax import descent, figures, store, theory
from lmc_jax.measures import mean_interval
from lmc_jax.spec import Cell

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
    "zero_row": 1e-3,  # at this tol the dying are below 3e-4, the living above 1e-2
}
MEASURES = {
    "pqi_flat": "PQI, flattened",
    "pqi_rows": "PQI, row norms",
    "zero_fraction": "zero-row fraction",
}


def main() -> None:
    presets = {name: SHARED | preset for name, preset in PRESETS.items()}
    setting = common.settings(presets)
    by_width = [_same_threshold(cell, setting) for cell in common.cells(setting)]
    if len({cell.k for cell in by_width}) > 1:
        raise common.Refusal(f"--k={setting['k']}: give one teacher width here")
    scan = {"m": setting["fixed_m"], "lr_times_m": setting["scan"], "source": "gd"}
    by_rate = common.cells({**setting, **scan})
    records = common.computed([*by_width, *by_rate], setting)
    rows = [described(record) for record in records]
    width_rows, rate_rows = rows[: len(by_width)], rows[len(by_width) :]
    print(common.table([_shown(row) for row in rate_rows]))
    csv = common.write_summary(common.FLAGS.out)
    common.finish(
        "sparsity_vs_width",
        draw_widths(width_rows),
        caption(width_rows, setting),
        width_claims(width_rows),
    )
    common.finish(
        "sparsity_vs_rate",
        draw_rates(rate_rows),
        caption(rate_rows, setting)
        + " Lines: η* = 2k/(m μ_k) (dotted), the least zero fraction over integer type "
        "counts (staircase) and the bound 1 - η*/η (dashed), no free parameter.",
        rate_claims(rate_rows),
        csv,
    )


def _same_threshold(cell: Cell, setting: dict[str, Any]) -> Cell:
    """Zero rows of minima are counted as those of trained students are."""
    source = dataclasses.replace(cell.source, zero_row=setting["zero_row"])
    return dataclasses.replace(cell, source=source)


def described(record: store.Record) -> dict[str, Any]:
    """Means over the converged runs of a cell, with intervals, and how many there are.

    ``edge`` is the largest η λ_max of these runs, from their types (NaN for minima
    that are not trained); ``unstable`` the fraction of them above 2 + 1e-6.
    """
    cell, arrays = record.parameters, record.arrays
    k, m = cell["k"], cell["m"]
    lr = cell["source"].get("lr", np.nan)
    status = arrays.get("status", np.full_like(arrays["zero_rows"], descent.CONVERGED))
    ended = status == descent.CONVERGED
    edges = lr * sharpness(arrays["counts"][ended])
    row = {
        "k": k,
        "m": m,
        "source": cell["source"]["name"],
        "lr_times_m": lr * m,
        "runs": int(ended.sum()),
        "converged": float(ended.mean()),
        "diverged": float(np.mean(status == descent.DIVERGED)),
        "predicted": float(theory.zero_fraction(lr, m, k)) if lr == lr else np.nan,
        "edge": float(np.max(edges)) if ended.any() else np.nan,
        "unstable": int(np.sum(edges > 2 + 1e-6)),
    }
    values = {
        "pqi_flat": arrays["pqi_flat"][ended],
        "pqi_rows": arrays["pqi_rows"][ended],
        "zero_fraction": arrays["zero_rows"][ended] / m,
    }
    for name, value in values.items():
        ends = zip(("mean", "low", "high"), mean_interval(value), strict=True)
        row |= {f"{name}_{end}": found for end, found in ends}
    return row


def sharpness(counts: np.ndarray) -> np.ndarray:
    """λ_max of each count vector ``[n, k]``, each distinct multiset computed once."""
    distinct, where = np.unique(np.sort(counts, axis=1), axis=0, return_inverse=True)
    return theory.gauss_newton_sharpness(distinct)[where.ravel()]


def _shown(row: dict) -> dict[str, Any]:
    names = ("m", "lr_times_m", "runs", "converged", "diverged")
    return (
        {name: row[name] for name in names}
        | {"zero rows": common.with_interval(row, "zero_fraction")}
        | {name: row[name] for name in ("predicted", "edge", "unstable")}
    )


# --- figures -------------------------------------------------------------------------


def draw_widths(rows: Sequence[dict]):
    """Each measure against m, a curve a learning rate, uniform minima in black."""
    figure, axes = figures.grid(1, len(MEASURES))
    for panel, (name, label) in zip(axes[0], MEASURES.items(), strict=True):
        for i, curve in enumerate(_curves(rows).values()):
            uniform = curve[0]["source"] == "uniform"
            figures.points(
                panel,
                [row["m"] for row in curve],
                *curves.columns(curve, name),
                color=figures.BLACK if uniform else figures.CYCLE[i],
                marker="x" if uniform else figures.MARKERS[i],
                linestyle="--" if uniform else "-",
                label=_label(curve[0]),
            )
        figures.log_axis(panel)
        panel.set(xlabel="student width m", ylabel=label)
    figures.legend(figure, axes[0, 0])
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
    figure, axes = figures.grid(len(widths), len(MEASURES))
    for line, m in zip(axes, widths, strict=True):
        curve = sorted(
            (row for row in rows if row["m"] == m), key=lambda row: row["lr_times_m"]
        )
        k = curve[0]["k"]
        rates = [row["lr_times_m"] for row in curve]
        threshold = float(theory.critical_learning_rate(m, k)) * m
        for panel, (name, label) in zip(line, MEASURES.items(), strict=True):
            figures.points(
                panel,
                rates,
                *curves.columns(curve, name),
                color=figures.BLUE,
                marker="o",
                linestyle="",
                label="converged runs",
            )
            figures.mark(panel, threshold, f"η*m = {threshold:.4g}")
            panel.set(xlabel="ηm", ylabel=label, title=f"k = {k}, m = {m}")
        _draw_prediction(line[-1], rates, m, k)
        line[-1].plot(
            rates,
            [row["diverged"] for row in curve],
            color=figures.ORANGE,
            marker=".",
            linewidth=0.8,
            label="diverged runs",
        )
    figures.legend(figure, axes[0, -1])
    return figure


def _draw_prediction(panel, rates: Sequence[float], m: int, k: int) -> None:
    fine = np.linspace(min(rates), max(rates), 400)
    stairs = theory.zero_fraction(fine / m, m, k)
    bound = theory.zero_fraction_bound(fine / m, m, k)
    panel.plot(fine, stairs, color=figures.RED, label="least stable, integer counts")
    panel.plot(fine, bound, color=figures.RED, linestyle="--", label="1 - η*/η")


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: dict) -> str:
    runs = [row["runs"] for row in rows if row["runs"]]
    trained = [row for row in rows if row["source"] != "uniform"]
    kept = min(row["converged"] for row in trained)
    return (
        f"PQI p = {setting['pqi_p']:g}, q = {setting['pqi_q']:g}; zero rows, of "
        f"uniform minima as well: norm <= {setting['zero_row']:g}; "
        f"{common.CONVENTION}. Means over the n = {min(runs)} to {max(runs)} "
        f"independent runs of a point that reached loss < {setting['tol']:g} within "
        f"{setting['steps']} steps, {setting['hold']} looks "
        f"in a row {setting['check_every']} steps apart (at least {kept:.0%} of "
        "them; points without such runs are left out), 95% bootstrap intervals. GD, "
        f"d = {setting['d']}, "
        f"from N(0, {setting['init_std']}²) weights, {setting['precision']}. Initial "
        "scale, dimension and learning rates are ours, the paper's are lost."
    )


def width_claims(rows: Sequence[dict]) -> list[dict]:
    """Figure 5: uniform minima are the least sparse, sparsity grows with η."""
    groups = {label: _finished(curve) for label, curve in _curves(rows).items()}
    uniform = groups.pop("uniform", [])
    judged = []
    for name in ("pqi_flat", "pqi_rows"):
        judged.append(_uniform_lowest(name, uniform, groups))
        judged.append(_grows_with_rate(name, groups))
        judged += [_grows_with_width(name, label, c) for label, c in groups.items()]
    return judged


def _finished(curve: Sequence[dict]) -> list[dict]:
    return [row for row in curve if row["runs"]]


def _uniform_lowest(name: str, uniform: Sequence[dict], groups: dict) -> dict:
    below, compared = 0, 0
    for reference in uniform:
        for curve in groups.values():
            for row in (row for row in curve if row["m"] == reference["m"]):
                compared += 1
                below += reference[f"{name}_low"] <= row[f"{name}_high"]
    return {
        "paper": "Figure 5",
        "claim": f"uniform minima have the lowest {MEASURES[name]}",
        "measured": f"at {below} of {compared} (m, η) the uniform value is not above "
        "the trained one's",
        "rule": "at every (m, η) the uniform interval does not lie above GD's",
        "n": min((row["runs"] for row in uniform), default=0),
        "holds": bool(below == compared) if compared else None,
    }


def _not_run(claim: str, measured: str) -> dict:
    rule = "needs two rates at the largest width, each with two converged runs"
    shared = {"paper": "Figure 5", "claim": claim, "n": 0, "holds": None}
    return shared | {"measured": measured, "rule": rule}


def _grows_with_rate(name: str, groups: dict[str, list[dict]]) -> dict:
    claim = f"{MEASURES[name]} grows with the learning rate"
    widest = max((row["m"] for curve in groups.values() for row in curve), default=0)
    ends = [row for curve in groups.values() for row in curve if row["m"] == widest]
    ends = [row for row in ends if row[f"{name}_low"] == row[f"{name}_low"]]
    if len(ends) < 2:
        measured = "fewer than two rates converged at the largest width"
        return _not_run(claim, measured)
    slow = min(ends, key=lambda row: row["lr_times_m"])
    fast = max(ends, key=lambda row: row["lr_times_m"])
    return {
        "paper": "Figure 5",
        "claim": claim,
        "measured": f"m = {fast['m']}: {common.with_interval(fast, name)} at "
        f"η = {fast['lr_times_m']:.3g}/m against {common.with_interval(slow, name)} at "
        f"η = {slow['lr_times_m']:.3g}/m",
        "rule": "at the largest width the intervals of the largest and the smallest "
        "rate do not meet, and the largest is higher",
        "n": fast["runs"],
        "holds": bool(fast[f"{name}_low"] > slow[f"{name}_high"]),
    }


def _grows_with_width(name: str, label: str, curve: Sequence[dict]) -> dict:
    large = bool(curve) and curve[0]["lr_times_m"] >= 5
    claim = {
        "paper": "Figure 5",
        "claim": f"{MEASURES[name]} {'grows' if large else 'does not grow'} with m "
        f"({label})",
        "rule": "it grows if the interval at the largest m lies above that at the "
        "smallest; large rates are η >= 5/m",
    }
    if len(curve) < 2:
        return claim | {"measured": "too few widths converged", "n": 0, "holds": None}
    first, last = curve[0], curve[-1]
    grew = last[f"{name}_low"] > first[f"{name}_high"]
    measured = (
        f"{common.with_interval(first, name)} at m = {first['m']}, "
        f"{common.with_interval(last, name)} at m = {last['m']}"
    )
    return claim | {"measured": measured, "n": last["runs"], "holds": grew == large}


def rate_claims(rows: Sequence[dict]) -> list[dict]:
    """Figure 6: a sharp threshold where linear stability puts it."""
    judged = []
    for m in sorted({row["m"] for row in rows}):
        curve = _finished([row for row in rows if row["m"] == m])
        if curve:
            judged += [_sharp(m, curve), _threshold(m, curve), _stable(m, curve)]
    return judged


def _sharp(m: int, curve: Sequence[dict]) -> dict:
    """The paper's threshold: none below, some at every rate above, PQI higher there."""
    curve = sorted(curve, key=lambda row: row["lr_times_m"])
    dense = [row for row in curve if row["zero_fraction_high"] < 1 / (2 * m)]
    sparse = [row for row in curve if row["zero_fraction_low"] > 1 / (2 * m)]
    claim = {
        "paper": "Figure 6",
        "claim": "zero rows appear at a threshold of the learning rate, and the PQI "
        f"rises with them (m = {m})",
        "rule": "ordered by rate, the points with fewer than half a zero row all come "
        "before those with more, each by its interval, at most one point between; the "
        "PQI of row norms is higher at the largest rate above than at the last below, "
        "without meeting intervals",
        "n": sum(row["runs"] for row in curve),
    }
    if not dense or not sparse:
        return claim | {"measured": "no rate on one side of it", "holds": None}
    last, first, most = dense[-1], sparse[0], sparse[-1]
    ordered = last["lr_times_m"] < first["lr_times_m"]
    between = len(curve) - len(dense) - len(sparse)
    risen = most["pqi_rows_low"] > last["pqi_rows_high"]
    return claim | {
        "measured": f"no zero rows up to ηm = {last['lr_times_m']:.4g}, some from "
        f"{first['lr_times_m']:.4g} on, {between} rates between; PQI of row norms "
        f"{common.with_interval(last, 'pqi_rows')} below, "
        f"{common.with_interval(most, 'pqi_rows')} at ηm = {most['lr_times_m']:.4g}",
        "holds": bool(ordered and between <= 1 and risen),
    }


def _threshold(m: int, curve: Sequence[dict]) -> dict:
    k = curve[0]["k"]
    near = [
        row["zero_fraction_high"] >= row["predicted"] - 1e-9
        and row["zero_fraction_low"] <= row["predicted"] + 1 / m + 1e-9
        for row in curve
    ]
    largest = max(row["zero_fraction_mean"] - row["predicted"] for row in curve)
    threshold = float(theory.critical_learning_rate(m, k)) * m
    return {
        "paper": "",
        "claim": f"zero rows appear where linear stability predicts them (m = {m})",
        "measured": f"{sum(near)} of {len(near)} rates, on both sides of η*m = "
        f"{threshold:.4g}, within one neuron above the least stable zero fraction; the "
        f"largest excess is {largest:.3g}",
        "rule": "at every rate the interval meets [predicted, predicted + 1/m]",
        "n": sum(row["runs"] for row in curve),
        "holds": all(near),
    }


def _stable(m: int, curve: Sequence[dict]) -> dict:
    runs = sum(row["runs"] for row in curve)
    broken = sum(row["unstable"] for row in curve)
    edge = max(row["edge"] for row in curve)
    return {
        "paper": "",
        "claim": f"every minimum that GD reaches has η λ_max <= 2 (m = {m})",
        "measured": f"{broken} of {runs} violate it; the largest η λ_max is {edge:.5f}",
        "rule": "no run above 2 + 1e-6",
        "n": runs,
        "holds": broken == 0,
    }


if __name__ == "__main__":
    common.run(main)
