"""Why trained minima have other barriers than uniform ones: type counts or norms?

Students are put together from the type counts of trained or of uniform minima and the
norms of trained or of uniform ones. What each swap does to the permuted barrier splits
the difference (Figure 2) between the two parts of Assumption 3. What is left is how
norms go together: within a type, or between types and students.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.claims import finer_paths
from experiments.claims.why_gd_differs import claims, conditions, factor
from experiments.lib import curves, plot, projected, students
from experiments.lib.claims import Claim
from experiments.lib.lists import Refusal, joined, numbers, words
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from lmc_jax.matching import ALGORITHM_1, PATHS
from lmc_jax.results import store, summary
from lmc_jax.statistics import RESAMPLES, mean_interval, statistic_interval
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory import uniform_model

OWN = {
    "init_std": Setting(str, "Standard deviations of an initial weight: 0.01,0.1."),
    "repeats": Setting(int, "Resampled pairs for each trained pair."),
}
SHARED = {
    **{"k": "5", "source": "gd", "matching": "types_opposed", "zero_row": 1e-6},
    **{"lr_times_m": "2,5", "init_std": "0.01,0.1", "repeats": 5},
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"m": "8,20,48,96", "pairs": 40},
    "paper": {"m": "8,12,20,32,48,64,96", "pairs": 200, "tol": 1e-7},
}
# Type counts/norms of the students put together, in the colour of their counts. No
# marker is used twice.
HOLLOW = {"linestyle": "--", "markerfacecolor": "none"}
GD, MODEL = ({"color": curves.COLORS[name]} for name in ("gd", "uniform"))
MIXES = {
    "trained/trained": GD | {"marker": "o"},
    "trained/uniform": GD | HOLLOW | {"marker": "s"},
    "uniform/trained": MODEL | {"marker": "^"},
    "uniform/uniform": MODEL | HOLLOW | {"marker": "D"},
}
TRAINED = GD | {"marker": "*", "markersize": 6, "linestyle": ":"}
EFFECTS = {
    "by counts": {"color": plot.BLACK, "marker": "v"},
    "by norms": {"color": plot.WINE, "marker": "P"},
    "within types": {"color": plot.TEAL, "marker": "X", "linestyle": ":"},
    "between types": {"color": plot.GREY, "marker": "<", "linestyle": ":"},
}


class Split(NamedTuple):
    """One row per cell, and whether steps along a path are enough in one of them."""

    cells: list[dict]
    steps: list[Claim]


def cells(setting: Values) -> list[Cell]:
    words(setting["source"], "source", ("gd", "sgd"))
    if setting["matching"] not in ALGORITHM_1 or setting["repeats"] < 1:
        known = ", ".join(ALGORITHM_1)
        raise Refusal(f"give one --matching of {known}, and --repeats >= 1")
    if min(students.teachers(setting)) < 2:
        raise Refusal("with k = 1 there is one type: give --k of at least 2")
    stds = numbers(setting["init_std"], "init_std")
    return joined(students.cells(setting | {"init_std": std}) for std in stds)


def rows(measured: Measured) -> Split:
    setting, grid, records, _ = measured
    found = [split(record, setting) for record in records]
    found = [row for row in found if row["pairs"] > 1]
    if not found:
        raise Refusal("No pair converged: give more --steps")
    near = grid.index(min(grid, key=lambda cell: abs(cell.m - 2 * cell.k)))
    matching, definition = setting["matching"], setting["barrier"]
    return Split(found, finer_paths.claims(records[near], matching, definition))


# --- resampling ----------------------------------------------------------------------


def split(record: store.Record, setting: Values) -> dict:
    """Barriers of a cell's students and of the mixes, and the effect of each swap."""
    cell, repeats = record.parameters, setting["repeats"]
    k, m, definition = cell["k"], cell["m"], setting["barrier"]
    trained = projected.minima_of(record)
    row = {
        "k": k,
        "m": m,
        "η m": round(cell["source"]["lr"] * m, 3),
        "σ": cell["source"]["init_std"],
        "pairs": len(trained),
        "left out": cell["pairs"] - len(trained),
        "zero rows": float(np.mean(record.arrays["zero_rows"])),
        "threshold": cell["source"]["zero_row"],
        "unprojected": float(summary.barriers(record, definition)[:, 1].mean()),
    }
    if len(trained) < 2:
        return row
    kinds, sizes = uniform_model.parts(trained, k)
    rng = np.random.default_rng(cell["seed"])

    def height(W: np.ndarray) -> np.ndarray:
        matching = [setting["matching"]]
        return projected.heights(W, matching, cell["points"], definition)[:, 0]

    def mixed(name: str) -> np.ndarray:
        if name == "exchanged":
            return uniform_model.exchanged(rng, kinds, sizes, k)
        counts, norms = name.split("/")
        return uniform_model.resampled(rng, kinds, sizes, k, counts=counts, norms=norms)

    # On the axes, as the mixes are: the contribution of the residual loss to the
    # barrier is no part of the comparison.
    found = {"projected": height(trained)}
    for name in ("exchanged", *MIXES):
        pairs = np.concatenate([mixed(name) for _ in range(repeats)])
        found[name] = height(pairs).reshape(repeats, -1).mean(axis=0)
    tally = np.eye(k, dtype=int)[kinds].sum(axis=-2).reshape(-1, k)
    return row | {
        "index": float(np.mean(uniform_model.dispersion_index(tally, m))),
        "spread": float(np.std(sizes)),
        "barriers": {name: mean_interval(values) for name, values in found.items()},
        **effects(np.stack(list(found.values()))),
    }


def effects(found: np.ndarray, seed: int = 0) -> dict:
    """Logarithms of uniform over trained barriers, and of its four factors.

    Takes barriers ``[6, pairs]`` of projected students, with the norms of whole types
    exchanged, and of ``MIXES``. By counts and by norms: the mean of the two swaps (the
    Shapley value). Between types: from norms as trained to those of types exchanged;
    within types: from there to norms drawn one by one. The factors' product is the
    total.
    "more" is what counts explain of the total beyond the larger of the others. Each
    ``(value, low, high)``, 95% intervals by bootstrap over pairs. "resampled": those
    logarithms, and that of the barrier projected, ``[1 + RESAMPLES]``, value first.
    """
    pairs = found.shape[1]
    drawn = np.random.default_rng(seed).integers(pairs, size=(RESAMPLES, pairs))
    means = np.concatenate([found.mean(1)[:, None], found[:, drawn].mean(-1)], axis=1)
    own, exchanged, trained, norms_swapped, counts_swapped, model = np.log(means)
    counts = (counts_swapped - trained + model - norms_swapped) / 2
    norms = (norms_swapped - trained + model - counts_swapped) / 2
    logs = {"total": model - own, "by counts": counts, "by norms": norms}
    logs |= {"within types": trained - exchanged, "between types": exchanged - own}
    logs["more"] = _beyond(logs)
    intervals: dict[str, Any] = {
        name: statistic_interval(values) for name, values in logs.items()
    }
    return intervals | {"resampled": logs | {"projected": own}}


def _beyond(logs: dict[str, np.ndarray]) -> np.ndarray:
    sign = np.sign(logs["total"][0])
    others = [logs[name] for name in EFFECTS if name != "by counts"]
    return sign * logs["by counts"] - (sign * np.stack(others)).max(axis=0)


# --- table and figure ----------------------------------------------------------------


def table(rows: Split) -> list[dict]:
    """Barriers, and effects as factors on the barrier."""
    names = ("k", "m", "η m", "σ", "pairs", "index", "spread", "unprojected")
    return [
        {name: row[name] for name in names}
        | {name: f"{mean:.2g}" for name, (mean, *_) in row["barriers"].items()}
        | {name: factor(row, name) for name in EFFECTS}
        for row in rows.cells
    ]


def flat(row: dict) -> dict:
    """A line of ``why_gd_differs.csv``: barriers and factors, with intervals."""
    nested = ("barriers", "total", "more", "resampled", *EFFECTS)
    factors = {name: np.exp(row[name]).tolist() for name in ("total", *EFFECTS)}
    return {name: value for name, value in row.items() if name not in nested} | {
        f"{name} {end}": value
        for name, values in (row["barriers"] | factors).items()
        for end, value in zip(("mean", "low", "high"), values, strict=True)
    }


def draw(rows: Split):
    """One column per condition: barriers of the mixes, below them the factors."""
    groups = conditions(rows.cells)
    figure, axes = plot.grid(2, len(groups), height=2.2, share="row")
    for panels, (key, curve) in zip(axes.T, groups.items(), strict=True):
        for name, style in ({"projected": TRAINED} | MIXES).items():
            heights = [row["barriers"][name] for row in curve]
            _points(panels[0], curve, heights, style | {"label": _label(name)})
        for name, style in EFFECTS.items():
            factors = np.exp([row[name] for row in curve])
            _points(panels[1], curve, factors, style | {"label": f"factor {name}"})
        panels[0].set_title("k = {}, η = {:g}/m, σ = {:g}".format(*key))
        panels[1].axhline(1, color=plot.BLACK, linewidth=0.9)
    axes[0, 0].set_ylabel("permuted barrier")
    axes[1, 0].set_ylabel("factor, GD to uniform")
    plot.legend(figure, axes, columns=2)
    return figure


def _label(name: str) -> str:
    """What a reader calls the students put together."""
    if "/" not in name:
        return f"GD, {name}"
    sources = {"trained": "GD", "uniform": curves.NAMES["uniform"]}
    counts, norms = (sources[part] for part in name.split("/"))
    return f"counts of {counts}, norms of {norms}"


def _points(axes, curve: Sequence[dict], intervals: Any, style: dict) -> None:
    plot.points(axes, [row["m"] for row in curve], *np.transpose(intervals), **style)
    plot.log_axis(axes)
    axes.set(yscale="log", xlabel="student width m")


# --- words ---------------------------------------------------------------------------


def caption(rows: Split, setting: Values) -> str:
    return (
        f"{students.convention(setting, curves.sizes(rows.cells))} Matching "
        f"{PATHS[setting['matching']].label}; {setting['source'].upper()}, d = "
        f"{setting['d'] or 'k'}, from N(0, σ²) weights to loss < {setting['tol']:g}. "
        "Above: students put together from type counts and norms of GD, drawn from all "
        "neurons of the cell, or of uniform minima. Projected: the students "
        "themselves, put on their axes, without the residual loss. Below: factors on "
        "the barrier from GD to uniform minima; their product is the whole. By counts, "
        "by norms: those of uniform minima for those of GD, the mean of both orders. "
        "Within types: norms drawn one by one for all norms of another type of as many "
        "neurons. Between types: those of another type for a type's own. "
        f"{setting['repeats']} draws a trained pair; "
        f"{sum(row['left out'] for row in rows.cells)} pairs without convergence or "
        f"with a norm <= {setting['zero_row']:g} left out. η, σ and d {students.LOST}."
    )


def judged(rows: Split) -> list[Claim]:
    return [*claims(rows.cells), *rows.steps]


STUDY = Study(
    name="why_gd_differs",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=OWN | students.ORTHONORMAL_ONLY,
    weights=True,
    rows=rows,
    table=table,
    tables={"why_gd_differs.csv": lambda rows: [flat(row) for row in rows.cells]},
    figures=(Figure("why_gd_differs", draw, caption, judged),),
)

if __name__ == "__main__":
    STUDY.main()
