"""Are trained students uniform minima? Their types, norms, and dispersion of counts.

The paper's Figure 9 and Appendix B.2, tests of its Assumption 3: which type is doubled
at m = k + 1, and weights at k = 1 against normalised Exp(1) draws; then how much type
counts vary between runs at larger m, against the multinomial.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.claims.uniformity import LEVEL, claims, conditions, label, trained
from experiments.lib import curves, plot, students
from experiments.lib.lists import Refusal, joined, numbers, words
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from lmc_jax import theory
from lmc_jax.results import store
from lmc_jax.results.selection import regular_runs
from lmc_jax.statistics import mean_interval, named, share_interval
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory import stability, uniform_model

OWN = {
    "init_std": Setting(str, "Standard deviations of an initial weight: 0.01,0.1."),
    "type_pairs": Setting(int, "Pairs for the doubled type at m = k + 1."),
    "m_one": Setting(int, "Student width at k = 1."),
}
SHARED = {
    "k": "5",
    "source": "gd",
    # Norms here are of the order of k/m, but vary: the uniform model's go down to 1e-4.
    "zero_row": 1e-6,
    "type_pairs": 250,
    "m_one": 20,
    # Counts and weights are needed, no path but the direct one, three points on it.
    "matching": "",
    "points": 3,
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "m": "10,20,48,96",
        "pairs": 25,
        "lr_times_m": "1,5",
        "init_std": "0.01,0.1",
    },
    "paper": {
        "m": "8,12,16,24,32,48,64,80,96",
        "pairs": 200,
        "lr_times_m": "0.5,2,5",
        "init_std": "0.001,0.01,0.1",
    },
}


class Parts(NamedTuple):
    """Rows, one a cell: doubled types, norms at k = 1, dispersion of type counts."""

    types: list[dict]
    ones: list[dict]
    wide: list[dict]


def cells(setting: Values) -> list[Cell]:
    return [cell for grid in grids(setting) for cell in grid]


def grids(setting: Values) -> tuple[list[Cell], list[Cell], list[Cell]]:
    """Cells of the three parts; the last two with the uniform model at every width."""
    teachers = students.teachers(setting)
    k = teachers[0]
    if len(teachers) > 1 or k < 2 or min(students.widths(k, setting)) <= k:
        raise Refusal("give one --k of at least 2, and widths --m beyond it")
    words(setting["source"], "source", ("gd", "sgd"))
    pairs = {"pairs": setting["type_pairs"]}
    width = {"m_over_k": None}  # other widths than those asked for
    one = {"k": "1", "m": str(setting["m_one"]), "d": setting["d"] or k} | width
    if setting["lr_times_m"] is not None:
        # At k = 1 the same shares of the largest stable learning rate.
        rates = numbers(setting["lr_times_m"], "lr_times_m")
        scaled = (f"{rate * limit(1) / limit(k):.6g}" for rate in rates)
        one["lr_times_m"] = ",".join(scaled)
    stds = numbers(setting["init_std"], "init_std")
    first, second, third = (
        joined(students.cells(setting | part | {"init_std": std}) for std in stds)
        for part in (pairs | {"m": str(k + 1)} | width, one, {})
    )
    uniform = pairs | {"source": "uniform", "init_std": 1.0}
    one |= {"lr_times_m": None, "lr": None}
    models = [students.cells(setting | part | uniform) for part in (one, {})]
    return first, second + models[0], third + models[1]


def limit(k: int) -> float:
    """η* m, the largest stable learning rate of a balanced dense minimum, times m."""
    return float(k * stability.critical_learning_rate(k, k))


# --- measures ------------------------------------------------------------------------


def rows(measured: Measured) -> Parts:
    records = iter(measured.records)
    measures = (doubled, norms_at_one, dispersion)
    parts = [
        [condition(r) | measure(r) for r in itertools.islice(records, len(grid))]
        for grid, measure in zip(grids(measured.setting), measures, strict=True)
    ]
    return Parts(*parts)


def condition(record: store.Record) -> dict:
    """What the runs of a cell have in common, and how many of them are used."""
    cell, used = record.parameters, regular_runs(record.arrays)
    k, m, source = (cell[name] for name in ("k", "m", "source"))
    row = {"source": source["name"], "k": k, "m": m, "η/η*": "", "σ": ""}
    if "lr" in source:
        row["η/η*"] = round(source["lr"] * m / limit(k), 3)
        row["σ"] = source["init_std"]
    return row | {"runs": int(used.sum()), "left out": int((~used).sum())}


def doubled(record: store.Record) -> dict:
    """How often each type is the doubled one, with the chi-square p-value."""
    counts = record.arrays["counts"][regular_runs(record.arrays)]
    often = np.sum(counts == 2, axis=0)
    p = uniform_model.equal_chances(often)
    shown = {"measure": "p, doubled type", **named("value", (p, np.nan, np.nan))}
    return shown | {"often": often}


def norms_at_one(record: store.Record) -> dict:
    """Sorted weights along the teacher at k = 1, and their KS distance to the model."""
    W = students.trained(record)[regular_runs(record.arrays)]
    shares = -np.sort(-W[..., 0] / W[..., 0].sum(axis=1, keepdims=True), axis=1)
    distance = named("value", uniform_model.ks_interval(shares))
    top = uniform_model.ks_limit(len(W), W.shape[1], LEVEL)
    shown = {"measure": "KS distance, k = 1", **distance}
    return shown | {"shares": shares, "limit": top}


def dispersion(record: store.Record) -> dict:
    """The dispersion index with its interval over runs."""
    counts = record.arrays["counts"][regular_runs(record.arrays)]
    each = uniform_model.dispersion_index(counts, record.parameters["m"])
    _, least, most = mean_interval(each, confidence=1 - LEVEL / 10)
    shown = {"measure": "dispersion index", **named("value", mean_interval(each))}
    return shown | {"least": least, "most": most}  # for a verdict over several widths


def table(parts: Parts) -> list[dict]:
    hidden = ("often", "shares", "limit", "least", "most")
    return [
        {name.removeprefix("value_"): row[name] for name in row if name not in hidden}
        for part in parts
        for row in part
    ]


# --- figure --------------------------------------------------------------------------


def draw(parts: Parts):
    """Doubled types, weights at k = 1 in two panels, dispersion against m."""
    types, ones, wide = parts
    figure, axes = plot.grid(2, 2, height=2.4)
    styles = _styles([*types, *ones, *wide])
    _draw_types(axes[0, 0], types, styles)
    _draw_norms(axes[0, 1], axes[1, 0], ones, styles)
    last = axes[1, 1]
    for name, curve in conditions(wide).items():
        curves.points(last, curve, "value", **styles[name], label=name)
    last.axhline(1, color=plot.BLACK, linewidth=0.9, label="Assumption 3")
    plot.log_axis(last)
    last.set(xlabel="student width m", ylabel="dispersion index", yscale="log")
    last.set_title(f"variance of type counts, k = {wide[0]['k']}")
    plot.legend(figure, axes, columns=3)
    return figure


def _styles(rows: Sequence[dict]) -> dict[str, dict]:
    """Looks of the conditions: a colour for each σ, a marker for each η."""
    own = [row for row in rows if trained(row)]
    rates, stds = (
        plot.ordered(dict.fromkeys(row[name] for row in own)) for name in ("η/η*", "σ")
    )
    hollow = {"markerfacecolor": "none"}
    return {"uniform model": curves.MODEL} | {
        label(row): stds[row["σ"]] | {"marker": rates[row["η/η*"]]["marker"]} | hollow
        for row in own
    }


def _draw_types(axes, rows: Sequence[dict], styles: dict) -> None:
    k = rows[0]["k"]
    for i, row in enumerate(rows):
        shift = 0.6 * ((i + 0.5) / len(rows) - 0.5)
        ends = share_interval(row["often"], max(row["runs"], 1)).T
        x = [kind + shift for kind in range(1, k + 1)]
        style = styles[label(row)] | {"linestyle": "none"}
        plot.points(axes, x, *ends, **style)
    axes.axhline(1 / k, color=plot.BLACK, linewidth=0.9)
    axes.set(xticks=range(1, k + 1), xlabel="type", ylabel="share of runs")
    axes.set(ylim=(0, 2 / k), title=f"doubled type, k = {k}, m = {k + 1}")


def _draw_norms(ranked, distances, rows: Sequence[dict], styles: dict) -> None:
    m = rows[0]["m"]
    expected = m * theory.spacing_order_statistics(m)
    for i, row in enumerate(rows):
        style = styles[label(row)] | {"linestyle": "none"}
        if row["runs"]:
            values = mean_interval(m * row["shares"], resamples=400).T
            plot.points(ranked, expected, *values, **style, label=label(row))
        plot.points(distances, [i], *curves.columns([row], "value"), **style)
    ranked.axline((0, 0), slope=1, color=plot.BLACK, linewidth=0.9)
    ranked.set(xlabel="m × expected order statistic, normalised Exp(1)")
    ranked.set(ylabel="m × sorted weight", title=f"k = 1, m = {m}: quantiles")
    top = max(row["limit"] for row in rows)
    text = f"{LEVEL:.0%} of uniform samples exceed it"
    distances.axhline(top, color=plot.BLACK, linestyle="--", label=text)
    distances.set(ylabel="KS distance", title=f"k = 1, m = {m}: distance to the model")
    places: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(f"{row['σ']}" or "model", []).append(i)
    distances.set_xticks([np.mean(own) for own in places.values()], [*places])
    distances.set(xlabel="initial scale σ, η rising from left to right")
    distances.set(ylim=(0, None), xlim=(-0.5, len(rows) - 0.5))


# --- words ---------------------------------------------------------------------------


def caption(parts: Parts, setting: Values) -> str:
    k = parts.wide[0]["k"]
    left_out = sum(row["left out"] for part in parts for row in part)
    runs = [min(row["runs"] for row in filter(trained, part)) for part in parts]
    return (
        f"{setting['source'].upper()} from N(0, σ²) weights to loss < "
        f"{setting['tol']:g} ({students.CONVENTION}), at most {setting['steps']} "
        f"steps, {setting['precision']}, d = {setting['d'] or k}; η* = {limit(k):.4g}/m"
        f", at k = 1 {limit(1):.4g}/m, is the largest stable rate. n = {runs[0]} runs "
        f"a point for doubled types, {runs[1]} at k = 1, {runs[2]} for dispersion "
        f"(model {2 * setting['type_pairs']}); {left_out} runs without convergence or "
        f"with a norm <= {setting['zero_row']:g} left out. 95% intervals over runs: "
        "Wilson for types, else bootstrap. Equal σ means equal initial weights for "
        "every η. Dispersion index: mean squared deviation of a count from m/k over "
        "the multinomial variance (m-k)(1-1/k)/k. η, σ, d and the width at k = 1 "
        f"{students.LOST}."
    )


STUDY = Study(
    name="uniformity",
    paper="Figure 9",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=OWN | students.ORTHONORMAL_ONLY,
    weights=True,  # for the norms at k = 1
    rows=rows,
    table=table,
    figures=(Figure("uniformity", draw, caption, lambda parts: claims(*parts)),),
)

if __name__ == "__main__":
    STUDY.main()
