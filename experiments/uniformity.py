"""Are trained students uniform minima? Their types, norms, and dispersion of counts.

The paper's Figure 9 and Appendix B.2, tests of its Assumption 3: which type is doubled
at m = k + 1, and weights at k = 1 against normalised Exp(1) draws; then how much type
counts vary between runs at larger m, against the multinomial.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy  # its parts load when first used
from absl import flags

from experiments.lib import common, curves, plot
from lmc_jax import theory
from lmc_jax.results import store
from lmc_jax.statistics import mean_interval
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory import stability, uniform_model

common.define_output("uniformity")
common.define_cells()
SCALES = "Standard deviations of an initial weight: 0.01,0.1."
flags.DEFINE_string("init_std", None, SCALES, allow_override=True)
flags.DEFINE_integer("type_pairs", None, "Pairs for the doubled type at m = k + 1.")
flags.DEFINE_integer("m_one", None, "Student width at k = 1.")
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
    "quick": SHARED
    | {"m": "10,20,48,96", "pairs": 25, "lr_times_m": "1,5", "init_std": "0.01,0.1"},
    "paper": SHARED
    | {
        "m": "8,12,16,24,32,48,64,80,96",
        "pairs": 200,
        "lr_times_m": "0.5,2,5",
        "init_std": "0.001,0.01,0.1",
    },
}
LEVEL = 0.01  # of the tests


def main() -> None:
    setting = common.settings(PRESETS)
    grids = cells(setting)
    common.FLAGS["save_weights"].value = True  # for the norms at k = 1
    every = [cell for grid in grids for cell in grid]
    records = dict(zip(every, common.computed(every, setting), strict=True))
    parts = [
        [condition(records[cell]) | measure(records[cell]) for cell in grid]
        for grid, measure in zip(grids, MEASURES, strict=True)
    ]
    print(common.table([line(row) for part in parts for row in part]))
    csv, _ = common.write_summary(common.FLAGS.out)
    text, judged = caption(setting, *parts), claims(*parts)
    common.finish("uniformity", draw(*parts), text, judged, csv)


def cells(setting: dict) -> tuple[list[Cell], list[Cell], list[Cell]]:
    """Grids of the three parts; the last two with the uniform model at every width."""
    teachers = common.integers(setting["k"], "k")
    k = teachers[0]
    if len(teachers) > 1 or k < 2 or min(common.widths(k, setting)) <= k:
        raise common.Refusal("give one --k of at least 2, and widths --m beyond it")
    common.words(setting["source"], "source", ("gd", "sgd"))
    pairs = {"pairs": setting["type_pairs"]}
    width = {"m_over_k": None}  # other widths than those asked for
    one = {"k": "1", "m": str(setting["m_one"]), "d": setting["d"] or k} | width
    if setting["lr_times_m"] is not None:
        # At k = 1 the same shares of the largest stable learning rate.
        rates = common.numbers(setting["lr_times_m"], "lr_times_m")
        scaled = (f"{rate * limit(1) / limit(k):.6g}" for rate in rates)
        one["lr_times_m"] = ",".join(scaled)
    stds = common.numbers(str(setting["init_std"]), "init_std")
    first, second, third = (
        [c for std in stds for c in common.cells(setting | part | {"init_std": std})]
        for part in (pairs | {"m": str(k + 1)} | width, one, {})
    )
    uniform = pairs | {"source": "uniform", "init_std": 1.0}
    one |= {"lr_times_m": None, "lr": None}
    models = [common.cells(setting | part | uniform) for part in (one, {})]
    return first, second + models[0], third + models[1]


def limit(k: int) -> float:
    """η* m, the largest stable learning rate of a balanced dense minimum, times m."""
    return float(k * stability.critical_learning_rate(k, k))


# --- measures ------------------------------------------------------------------------


def condition(record: store.Record) -> dict:
    """What the runs of a cell have in common, and how many of them are used."""
    cell, used = record.parameters, uniform_model.regular_runs(record.arrays)
    source = cell["source"]
    trained = "lr" in source
    share = source["lr"] * cell["m"] / limit(cell["k"]) if trained else 0.0
    return {
        "source": source["name"],
        "k": cell["k"],
        "m": cell["m"],
        "η/η*": round(share, 3) if trained else "",
        "σ": source["init_std"] if trained else "",
        "runs": int(used.sum()),
        "left out": int((~used).sum()),
    }


def doubled(record: store.Record) -> dict:
    """How often each type is the doubled one, with the chi-square p-value."""
    used = uniform_model.regular_runs(record.arrays)
    often = np.sum(record.arrays["counts"][used] == 2, axis=0)
    p = uniform_model.equal_chances(often)
    return {"often": often, **_measured("p, doubled type", p, np.nan, np.nan)}


def norms_at_one(record: store.Record) -> dict:
    """Sorted weights along the teacher at k = 1, and their KS distance to the model."""
    stored = store.read_weights(store.cell_path(common.FLAGS.out, record.parameters))
    assert stored is not None
    W = stored.arrays["W"][uniform_model.regular_runs(record.arrays)].astype(np.float64)
    shares = -np.sort(-W[..., 0] / W[..., 0].sum(axis=1, keepdims=True), axis=1)
    distance = _measured("KS distance, k = 1", *uniform_model.ks_interval(shares))
    top = uniform_model.ks_limit(len(W), W.shape[1], LEVEL)
    return distance | {"shares": shares, "limit": top}


def dispersion(record: store.Record) -> dict:
    """The dispersion index with its interval over runs."""
    used = uniform_model.regular_runs(record.arrays)
    counts = record.arrays["counts"][used]
    each = uniform_model.dispersion_index(counts, record.parameters["m"])
    _, least, most = mean_interval(each, confidence=1 - LEVEL / 10)
    wider = {"least": least, "most": most}  # for a verdict over several widths
    return wider | _measured("dispersion index", *mean_interval(each))


def _measured(name: str, mean: float, low: float, high: float) -> dict:
    return {"measure": name, "mean": mean, "low": low, "high": high}


def line(row: dict) -> dict:
    """A row as a line of the terminal."""
    hidden = ("often", "shares", "limit", "least", "most")
    return {name: value for name, value in row.items() if name not in hidden}


MEASURES = (doubled, norms_at_one, dispersion)  # of the grids of ``cells``


def conditions(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Rows by the words for their condition, each in order of m."""
    groups = curves.group(rows, "source", "η/η*", "σ")
    return {words(group[0]): group for group in groups.values()}


def trained(row: dict) -> bool:
    return row["source"] != "uniform"


def words(row: dict) -> str:
    if not trained(row):
        return "uniform model"
    return f"{row['source'].upper()}, η = {row['η/η*']:.2g} η*, σ = {row['σ']:g}"


# --- figure --------------------------------------------------------------------------


def draw(types: Sequence[dict], ones: Sequence[dict], wide: Sequence[dict]):
    """Doubled types, weights at k = 1 in two panels, dispersion against m."""
    figure, axes = plot.grid(2, 2)
    names = [name for name in conditions(wide) if name != "uniform model"]
    styles = {"uniform model": {"color": plot.BLACK, "marker": "x"}}
    for i, name in enumerate(dict.fromkeys([*conditions(types), *names])):
        styles[name] = {
            "color": plot.CYCLE[i % 6],  # the seventh is black
            "marker": plot.MARKERS[i % 7],
            "linestyle": "-" if i < 6 else "--",
        }
    _draw_types(axes[0, 0], types, styles)
    _draw_norms(axes[0, 1], axes[1, 0], ones, styles)
    _draw_dispersion(axes[1, 1], wide, styles)
    plot.legend(figure, axes[1, 1], columns=2)
    return figure


def _draw_types(axes, rows: Sequence[dict], styles: dict) -> None:
    k = rows[0]["k"]
    for i, row in enumerate(rows):
        shift = 0.6 * ((i + 0.5) / len(rows) - 0.5)
        tests = [
            scipy.stats.binomtest(int(n), max(row["runs"], 1)) for n in row["often"]
        ]
        ends = [test.proportion_ci(method="wilson") for test in tests]
        x = [kind + shift for kind in range(1, k + 1)]
        share, low = [t.statistic for t in tests], [end.low for end in ends]
        look = styles[words(row)] | {"linestyle": "none", "label": f"{row['mean']:.2g}"}
        plot.points(axes, x, share, low, [end.high for end in ends], **look)
    axes.axhline(1 / k, color=plot.BLACK, linewidth=0.9)
    axes.set(xticks=range(1, k + 1), xlabel="type", ylabel="share of runs")
    axes.set(ylim=(0, 2 / k), title=f"doubled type, k = {k}, m = {k + 1}")
    axes.legend(ncols=4, title="p of chi-square", title_fontsize=7.5)


def _draw_norms(ranked, distances, rows: Sequence[dict], styles: dict) -> None:
    m = rows[0]["m"]
    expected = m * theory.spacing_order_statistics(m)
    for i, row in enumerate(rows):
        look = styles.get(words(row), {})
        if row["runs"]:
            each = [mean_interval(rank, resamples=400) for rank in m * row["shares"].T]
            values = zip(*each, strict=True)
            dots = look | {"linestyle": "none"}
            plot.points(ranked, expected, *values, **dots)
        plot.points(distances, [i], [row["mean"]], [row["low"]], [row["high"]], **look)
    ranked.axline((0, 0), slope=1, color=plot.BLACK, linewidth=0.9)
    ranked.set(xlabel="m × expected order statistic, normalised Exp(1)")
    ranked.set(ylabel="m × sorted weight", title=f"k = 1, m = {m}: quantiles")
    top = max(row["limit"] for row in rows)
    text = f"exceeded by {LEVEL:.0%} of uniform samples"
    distances.axhline(top, color=plot.BLACK, linestyle="--", label=text)
    many = len(rows) > 6
    parting = ", " if many else "\n"
    labels = [
        f"{row['η/η*']:.2g} η*{parting}σ = {row['σ']:g}" if trained(row) else "uniform"
        for row in rows
    ]
    turned = {"rotation": 45, "ha": "right"} if many else {}
    distances.set_xticks(range(len(rows)), labels, fontsize=7, **turned)
    distances.set(ylabel="KS distance", title=f"k = 1, m = {m}: distance to the model")
    distances.set(ylim=(0, None), xlim=(-0.5, len(rows) - 0.5))
    distances.legend()


def _draw_dispersion(axes, rows: Sequence[dict], styles: dict) -> None:
    for name, curve in conditions(rows).items():
        values = ([row[end] for row in curve] for end in ("mean", "low", "high"))
        widths = [row["m"] for row in curve]
        plot.points(axes, widths, *values, **styles[name], label=name)
    axes.axhline(1, color=plot.BLACK, linewidth=0.9, label="Assumption 3")
    plot.log_axis(axes)
    axes.set(xlabel="student width m", ylabel="dispersion index", yscale="log")
    axes.set_title(f"variance of type counts, k = {rows[0]['k']}")


# --- words ---------------------------------------------------------------------------


def caption(setting: dict, types: list, ones: list, wide: list) -> str:
    left_out = sum(row["left out"] for row in (*types, *ones, *wide))
    k, parts = wide[0]["k"], [filter(trained, part) for part in (types, ones, wide)]
    runs = [min(row["runs"] for row in part) for part in parts]
    return (
        f"{setting['source'].upper()} from N(0, σ²) weights to loss < "
        f"{setting['tol']:g} ({common.CONVENTION}), at most {setting['steps']} steps, "
        f"{setting['precision']}, d = {setting['d'] or k}; η* = {limit(k):.4g}/m, at "
        f"k = 1 {limit(1):.4g}/m, is the largest stable rate. n = {runs[0]} runs a "
        f"point for doubled types, {runs[1]} at k = 1, {runs[2]} for dispersion (model "
        f"{2 * setting['type_pairs']}); {left_out} runs without convergence or with a "
        f"norm <= {setting['zero_row']:g} left out. 95% intervals over runs: Wilson "
        "for types, else bootstrap. Equal σ means equal initial weights for every η. "
        "Dispersion index: mean squared deviation of a count from m/k over the "
        "multinomial variance (m-k)(1-1/k)/k. η, σ, d and the width at k = 1 are ours, "
        "the paper's are lost."
    )


def claims(types: list, ones: list, wide: list) -> list[dict]:
    judged = [_equal_types(row) for row in types] + [_exponential(row) for row in ones]
    kept = [row for row in ones if row["runs"] > 1 and trained(row)]
    judged += [_moving(kept)] if len(kept) > 1 else []
    judged.append(_tends_to_exponential())
    return judged + [_dispersed(*group) for group in conditions(wide).items()]


def _equal_types(row: dict) -> dict:
    return {
        "paper": "Figure 9",
        "text": "every type is equally likely to be the doubled one",
        "case": f"k = {row['k']}, m = {row['m']}, {words(row)}",
        "measured": f"{row['often'].tolist()} of {row['runs']} runs, chi-square p = "
        f"{row['mean']:.2g}; {row['left out']} runs left out",
        "rule": f"the chi-square test of equal chances has p > {LEVEL}",
        "n": row["runs"],
        "holds": bool(row["mean"] > LEVEL) if row["runs"] else None,
    }


def _exponential(row: dict) -> dict:
    own = trained(row)
    return {
        "paper": "Figure 9" if own else "Lemma 8",
        "text": ("weights are" if own else "points drawn uniformly on the simplex are")
        + " distributed as normalised Exp(1) draws",
        "case": f"k = 1, m = {row['m']}, {words(row)}",
        "measured": f"KS distance {shown(row)}; {LEVEL:.0%} of uniform samples of "
        f"this size exceed {row['limit']:.3g}; {row['left out']} runs left out",
        "rule": "the KS distance of all weights to Beta(1, m-1), their marginal on the "
        f"simplex, is one that at least {LEVEL:.0%} of uniform samples exceed",
        "n": row["runs"],
        "holds": bool(row["mean"] <= row["limit"]) if row["runs"] else None,
    }


def _tends_to_exponential() -> dict:
    sizes, x = (10, 100, 1000), np.linspace(0, 10, 10_001)
    gaps = [
        float(np.max(np.abs(scipy.stats.beta.sf(x / n, 1, n - 1) - np.exp(-x))))
        for n in sizes
    ]
    return {
        "paper": "Lemma 8",
        "text": (
            "n times a coordinate of a uniform point of the simplex tends "
            "to Exp(1) in distribution"
        ),
        "measured": "largest difference of both distribution functions "
        + ", ".join(f"{g:.2g} at n = {n}" for g, n in zip(gaps, sizes, strict=True)),
        "rule": "it falls at least fivefold from each n to the next; computed without "
        "sampling, from the coordinate's Beta(1, n-1)",
        "n": 0,
        "holds": all(5 * b <= a for a, b in itertools.pairwise(gaps)),
    }


def _moving(rows: Sequence[dict]) -> dict:
    least, *_, most = sorted(rows, key=lambda row: row["mean"])
    return {
        "paper": "Appendix B.2",
        "text": (
            "the distribution of weights at k = 1 is not stable against "
            "learning rate and initial scale"
        ),
        "measured": f"KS distance from {shown(least)} at {words(least)} to "
        f"{shown(most)} at {words(most)}",
        "rule": "the intervals of the least and the largest distance do not meet",
        "n": min(row["runs"] for row in rows),
        "holds": bool(least["high"] < most["low"]),
    }


def _dispersed(name: str, curve: Sequence[dict]) -> dict:
    kept = [row for row in curve if row["runs"] > 1]
    found = "; ".join(f"{shown(row)} at m = {row['m']}" for row in kept)
    # What is sampled from the model says nothing of the paper's assumption.
    model = name == "uniform model"
    return {
        "paper": "" if model else "Assumption 3",
        "text": (
            f"type counts of {'sampled' if model else 'trained'} students "
            "vary as the multinomial of Assumption 3"
        ),
        "case": f"k = {curve[0]['k']}, {name}",
        "measured": f"dispersion index {found}",
        "rule": f"the {1 - LEVEL / 10:.1%} interval of the index holds 1 at every m",
        "n": min((row["runs"] for row in kept), default=0),
        "holds": all(r["least"] <= 1 <= r["most"] for r in kept) if kept else None,
    }


def shown(row: dict) -> str:
    return f"{row['mean']:.3g} [{row['low']:.2g}, {row['high']:.2g}]"


if __name__ == "__main__":
    common.run(main)
