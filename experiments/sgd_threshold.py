"""At which learning rate SGD leaves dense minima, with the threshold predicted for it.

Beyond the paper, whose Section 5 speaks of GD and SGD alike. Near a minimum SGD on
fresh batches is a random linear map, stable in mean square up to η*(B): no parameter is
fitted. A second figure follows GD above its own threshold.
"""

from typing import Any, NamedTuple

import numpy as np

from experiments.claims import sgd_threshold as claims
from experiments.lib import curves, plot, restarts, students
from experiments.lib.lists import (
    MOST_CURVES,
    Refusal,
    integers,
    joined,
    numbers,
    refusing,
    words,
)
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns, means
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs
from lmc_jax.statistics import share_interval
from lmc_jax.students import descent
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory.sgd_stability import sgd_critical_learning_rate
from lmc_jax.theory.stability import balanced_counts

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "k": "5",
        "m_over_k": "2",
        "batch": "4,16,64",
        "scan": "0.75,0.85,0.95,1.05,1.15,1.25",
        "raised": "1.05,1.15,1.25,1.5,1.95",
        "pairs": 10,
        "steps": 30_000,
    },
    "paper": {
        "k": "5,10",
        "m_over_k": "2,3",
        "batch": "1,2,4,8,16,32,64,256,1024",
        "scan": "0.65,0.75,0.85,0.95,1.05,1.15,1.25",
        "raised": "1.05,1.1,1.15,1.2,1.25,1.3,1.4,1.6,1.95,2.5,2.95",
        "pairs": 20,
        "steps": 200_000,
    },
}
SHARED = {
    "d": 10,
    "source": "gd,sgd",
    "tol": 1e-7,
    "check_every": 200,
    "hold": 5,  # a run may pass an unstable minimum before it is thrown out
    "matching": "",
    "lr_times_m": None,
    "zero_row": 3e-3,  # the dying shrink as √loss: to 3e-4 at 1e-8 in sparsity
}
COLUMNS = "k m B lr_times_m threshold runs dense converged diverged zero_fraction"
FAR = 1.25  # in units of η*: a rate at which GD is followed step by step


# --- cells ---------------------------------------------------------------------------


def cells(setting: Values) -> list[Cell]:
    """Every k, m and batch, each at rates in units of its own threshold.

    Raises:
      Refusal: for rates given otherwise, or sources that are not trained.
    """
    for name in ("lr", "lr_times_m"):
        if setting[name] is not None:
            raise Refusal(f"--{name}: give rates in units of the threshold, as --scan")
    numbers(setting["raised"], "raised")
    sizes: list[float] = []
    for source in words(setting["source"], "source", students.TRAINED):
        batches = integers(setting["batch"], "batch", MOST_CURVES)
        sizes += [np.inf] if source == "gd" else batches
    with refusing():
        return joined(
            _of_shape(k, m, sizes, setting)
            for k in students.teachers(setting)
            for m in students.widths(k, setting)
        )


def _of_shape(k: int, m: int, sizes: list[float], setting: Values) -> list[Cell]:
    found = []
    shape = setting | {"k": f"{k}", "m": f"{m}", "m_over_k": None}
    # Refuses what does not fit into memory before a threshold is computed of it.
    students.cells(shape | {"source": "gd", "batch": 0, "lr_times_m": "1"})
    for batch in sizes:
        limit = threshold(k, m, setting["d"], batch) * m
        rates = [f"{c * limit:.4g}" for c in numbers(setting["scan"], "scan")]
        one: Values = {"lr_times_m": ",".join(rates)}
        one |= {"source": "gd"} if batch == np.inf else {"source": "sgd"}
        one |= {"batch": 0 if batch == np.inf else batch}
        found += students.cells(shape | one)
    return found


def threshold(k: int, m: int, d: int | None, batch: float) -> float:
    """η*(B) of the dense minima with the most equal counts."""
    counts = balanced_counts(m, k)
    return float(sgd_critical_learning_rate(counts, k if d is None else d, batch))


def _between(k: int, m: int, d: int | None, batch: float) -> float:
    """Halfway from η*(B) of dense minima to that of the sparsest, k neurons."""
    return (threshold(k, m, d, batch) + threshold(k, k, d, batch)) / 2


# --- rows ----------------------------------------------------------------------------


class Rows(NamedTuple):
    """One row per cell, and what became of descent from other starts.

    fates: of GD. noisy: of SGD near sparse minima. paths: GD's first steps.
    """

    cells: list[dict]
    fates: list[dict]
    noisy: list[dict]
    paths: list[restarts.Path]


def rows(measured: Measured) -> Rows:
    setting = measured.setting
    found = [described(record) for record in measured.records]
    fates, noisy, paths = [], [], []
    for (k, m), own in curves.group(found, "k", "m").items():
        setup = restarts.Setup(k, m, setting["d"] or k, 2 * setting["pairs"], setting)
        limit = threshold(k, m, setting["d"], np.inf)
        rates = [c * limit for c in numbers(setting["raised"], "raised")]
        fates += [row | {"threshold": limit * m} for row in setup.fates(limit, rates)]
        sizes = [
            int(batch) for batch in claims.batches(own) if batch < np.inf and m > k
        ]
        noisy += setup.noisy({B: _between(k, m, setting["d"], B) for B in sizes})
        paths.append(setup.path(FAR * limit))
    return Rows(found, fates, noisy, paths)


def described(record: store.Record) -> dict[str, Any]:
    """Shares of the runs of a cell, and the zero rows of those that converged."""
    cell, arrays = record.parameters, record.arrays
    k, m, lr = cell["k"], cell["m"], cell["source"]["lr"]
    batch = cell["source"]["batch"] or np.inf
    ended, zeros = converged_runs(arrays), arrays["zero_rows"]
    shares = {
        "dense": ended & (zeros == 0),
        "converged": ended,
        "diverged": arrays["status"] == descent.DIVERGED,
    }
    row = {"k": k, "m": m, "B": batch, "lr_times_m": lr * m, "runs": ended.size}
    row |= {"threshold": m * threshold(k, m, cell["d"], batch)}
    row |= means({name: share.mean(axis=1) for name, share in shares.items()})
    row |= means({"zero_fraction": zeros[ended] / m, "sparse": zeros[ended] > 0})
    return row | {"ended": int(ended.sum())}


# --- figures -------------------------------------------------------------------------

PANELS = {
    "dense": "share at dense minima",
    "zero_fraction": "zero-row fraction",
    "diverged": "share diverged",
}
KINDS = {
    "converged": ("half left all minima", plot.ORANGE, "s"),
    "dense": ("half left dense minima", plot.RED, "o"),
}


def draw(rows: Rows):
    """A line per k and m: the threshold against B, then shares of runs against ηm."""
    groups = curves.group(rows.cells, "k", "m")
    figure, axes = plot.grid(len(groups), 1 + len(PANELS), height=1.6)
    for line, ((k, m), found) in zip(axes, groups.items(), strict=True):
        by_batch = claims.batches(found)
        _draw_thresholds(line[0], by_batch)
        line[0].set(xlabel="batch size B", ylabel=f"k = {k}, m = {m}\nηm")
        for panel, name in zip(line[1:], PANELS, strict=True):
            _draw_shares(panel, by_batch, name)
    axes[0, 0].set_title("threshold")
    for panel, title in zip(axes[0, 1:], PANELS.values(), strict=True):
        panel.set_title(title)
    plot.legend(figure, axes, columns=5)
    return figure


def _draw_thresholds(panel, curves_by_batch: dict[float, list[dict]]) -> None:
    """GD stands at the right end, at four times the largest batch."""
    finite = [batch for batch in curves_by_batch if batch < np.inf]
    end = 4 * max(finite, default=1)
    places = [min(batch, end) for batch in curves_by_batch]
    predicted = [curve[0]["threshold"] for curve in curves_by_batch.values()]
    panel.plot(places, predicted, color=plot.BLACK, label="predicted η*m")
    for share, (label, color, marker) in KINDS.items():
        style: Any = {"color": color, "marker": marker, "linestyle": ""}
        for x, curve in zip(places, curves_by_batch.values(), strict=True):
            if (found := claims.crossing(curve, share)) is not None:
                plot.points(panel, [x], *np.transpose([found]), **style, label=label)
    ticks = [x for x in (1, 10, 100, 1000) if x < end / 2]
    panel.set(xscale="log")
    panel.set_xticks([*ticks, end], labels=[*map(str, ticks), "∞"])
    panel.minorticks_off()


def _draw_shares(panel, curves_by_batch: dict[float, list[dict]], name: str) -> None:
    styles = plot.ordered(curves_by_batch)
    for batch, curve in curves_by_batch.items():
        label = "GD" if batch == np.inf else f"B = {batch:g}"
        style: Any = styles[batch] | {"label": label, "markerfacecolor": "none"}
        curves.points(panel, curve, name, "lr_times_m", **style)
        dotted = {"color": style["color"], "linewidth": 0.9, "linestyle": ":"}
        panel.axvline(curve[0]["threshold"], **dotted)
    plot.log_axis(panel)
    panel.set(xlabel="ηm")


def draw_paths(rows: Rows):
    """A line per k and m: how many runs of GD diverge, from four starts, and how."""
    groups = curves.group(rows.fates, "k", "m")
    figure, axes = plot.grid(len(rows.paths), 3, height=1.6)
    for line, path in zip(axes, rows.paths, strict=True):
        k, m = path.k, path.m
        found = groups.get((k, m), [])
        if not found:
            line[0].set(title="no sparser minima are stable", xticks=[], yticks=[])
        for i, start in enumerate(restarts.STARTS if found else ()):
            curve = [row for row in found if row["start"] == start]
            rates = [row["lr_times_m"] for row in curve]
            style: Any = {"color": plot.CYCLE[i], "marker": plot.MARKERS[i]}
            style |= {"markersize": 7 - 1.5 * i, "linewidth": 2 - 0.4 * i}  # all seen
            style |= {"label": restarts.STARTS[start]}
            runs = np.array([row["runs"] for row in curve])
            lost = np.array([row["diverged"] for row in curve]) * runs
            plot.points(line[0], rates, *share_interval(lost, runs).T, **style)
        for row in found[:1]:
            plot.mark(line[0], row["threshold"], "η*m of dense minima")
            plot.mark(line[0], row["sparsest"], "that of the sparsest minima", "--")
        line[0].set(xlabel="ηm", ylabel=f"k = {k}, m = {m}\nshare diverged")
        steps = np.arange(len(path.losses))
        for panel, values in zip(line[1:], (path.losses, path.edges), strict=True):
            low, middle, high = np.quantile(values, [0, 0.5, 1], axis=1)
            panel.fill_between(steps, low, high, color=plot.SKY, alpha=0.4, linewidth=0)
            panel.plot(steps, middle, color=plot.BLUE)
            panel.set(xlabel="step")
        line[1].set(yscale="log", ylabel="loss")
        line[1].locator_params(axis="y", numticks=4)
        line[2].axhline(path.lr * m / 2, color=plot.BLACK, linestyle=":")
        line[2].set_ylabel("η λ_max")
    plot.legend(figure, axes)
    return figure


# --- words ---------------------------------------------------------------------------


def caption(rows: Rows, setting: Values) -> str:
    runs = 2 * setting["pairs"]
    return (
        f"{students.CONVENTION}. {runs} independent runs a point; 95% bootstrap "
        f"intervals over pairs of runs. {students.trained_by(setting)}, fresh inputs "
        f"every step; d = {setting['d'] or 'k'}, seed {setting['seed']}. Lines: η*(B) "
        "of minima with the most equal type counts, mean-square stability, no free "
        "parameter; dotted in the colour of its B. Dense minima have no zero row (norm "
        f"<= {setting['zero_row']:g}); a run is at a minimum when its loss is below "
        f"{setting['tol']:g} at {setting['hold']} looks in a row, "
        f"{setting['check_every']} steps apart, within {setting['steps']} steps. "
        "Zero-row fraction: of the runs at a minimum. Left: the rates between which "
        "the share of runs at minima, dense or all, falls through one half, and the "
        "place by interpolation. Initial scale, dimension and learning rates "
        f"{students.LOST}."
    )


def path_caption(rows: Rows, setting: Values) -> str:
    return (
        f"{students.CONVENTION}. GD (plain steps, float64), {2 * setting['pairs']} "
        f"runs a point, of up to {restarts.STEPS} steps; d = {setting['d'] or 'k'}, "
        f"seed {setting['seed']}. Left: share of runs that diverge, 95% "
        "Wilson intervals. Starts: N(0, "
        f"{setting['init_std']}²) weights; dense minima that GD found from there at "
        f"η = {restarts.SLOW:g}η*; sparse minima, the densest that are stable at this "
        f"η, their living rows moved by N(0, {restarts.LIVING:g}²), with zero rows "
        f"exactly 0, or moved by N(0, {restarts.DEAD:g}²). Middle and right: the first "
        f"steps from small weights at η = {FAR:g}η*, median and range of the runs; "
        "dotted: ηm/2, its value once all neurons lie on one ray. SGD from near the "
        "sparsest minima is not drawn, and judged with the others."
    )


STUDY = Study(
    name="sgd_threshold",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    # Against the learning rate.
    curves=lambda grid: len({(cell.k, cell.m, cell.source.batch) for cell in grid}),
    rows=rows,
    table=lambda rows: columns(rows.cells, COLUMNS),
    tables={"sgd_threshold.csv": lambda rows: rows.cells},
    figures=(
        Figure("sgd_threshold", draw, caption, lambda rows: claims.sgd(rows.cells)),
        Figure(
            "divergence",
            draw_paths,
            path_caption,
            lambda rows: [
                *claims.gd(rows.fates, rows.paths),
                *claims.noisy(rows.noisy),
            ],
        ),
    ),
    own=students.ORTHONORMAL_ONLY
    | {
        "batch": Setting(str, "Fresh inputs a step of SGD: 1,4,16."),
        "scan": Setting(str, "Rates in units of the predicted threshold: 0.9,1.1."),
        "raised": Setting(str, "Rates of GD from other starts, in these units."),
    },
)

if __name__ == "__main__":
    STUDY.main()
