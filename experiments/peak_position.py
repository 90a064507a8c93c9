"""Where the permuted barrier peaks: against depth and against data set.

The paper's Figure 14: no clear trend in depth, larger widths for harder data. The peak
is the width of the largest mean test NLL barrier after activation matching, its
interval that of a bootstrap over pairs. Depths are compared on the first data set, data
sets at the middle one of the depths.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.lib import classifiers, curves, peaks, plot
from experiments.lib.claims import Claim, Statement
from experiments.lib.lists import Refusal
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import with_interval
from lmc_jax.networks.cell import ClassifierCell
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.results import store
from lmc_jax.statistics import RESAMPLES, named, slopes, statistic_interval

SHARED = {"data": "mnist,fashion-mnist,cifar-10", "align": "activations"}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "widths": "4,8,16",
        "layers": "2,3,5",
        "train_images": 2_000,
        "test_images": 1_000,
        "pairs": 2,
        "steps": 400,
        "looks": 1,
    },
    "paper": {"widths": "2,3,4,8,12,16,24,32,48,64,100", "layers": "2,3,4,5"},
}


class Rows(NamedTuple):
    """The cells, and what ``peak`` gives by depth and by data set."""

    cells: peaks.Cells
    depths: list[dict[str, Any]]
    sets: list[dict[str, Any]]


def cells(setting: Values) -> list[ClassifierCell]:
    """The cells of the first data set and those of the middle depth."""
    if not setting["align"]:
        raise Refusal("--align=: give one, the peak is that of permuted paths")
    grid = classifiers.cells(setting, "mlp")
    first, layers = grid[0].data, list(dict.fromkeys(cell.layers for cell in grid))
    middle = layers[len(layers) // 2]
    return [cell for cell in grid if cell.data == first or cell.layers == middle]


def rows(measured: Measured) -> Rows:
    every = peaks.rows(measured)
    groups: dict[tuple, list[store.Record]] = {}
    for record in every.records:
        cell = record.parameters
        groups.setdefault((cell["data"], cell["layers"]), []).append(record)
    found = [peak(records, measured.setting["barrier"]) for records in groups.values()]
    depths = [curve for curve in found if curve["data"] == found[0]["data"]]
    middle = depths[len(depths) // 2]["layers"]
    return Rows(every, depths, [curve for curve in found if curve["layers"] == middle])


def peak(records: Sequence[store.Record], definition: str) -> dict[str, Any]:
    """Width of the largest barrier of one curve, ``draws [RESAMPLES]`` by bootstrap.

    Widths at which every pair has a diverged network are left out.

    Raises:
      Refusal: when no width is left.
    """
    data, layers = (records[0].parameters[name] for name in ("data", "layers"))
    losses = {
        record.parameters["width"]: kept
        for record in records
        if len(kept := classifiers.kept(record))
    }
    if not losses:
        raise Refusal(
            f"all pairs of {layers} layers on {data} diverged: give a smaller --lr"
        )
    widths, own = np.array(list(losses)), list(losses.values())
    test, nll = classifiers.SAMPLES.index("test"), METRICS.index("nll")
    heights = [classifiers.barriers(kept, definition)[:, 1, test, nll] for kept in own]
    errors = [kept[:, 0, [0, -1], test, METRICS.index("error")] for kept in own]
    rng = np.random.default_rng(0)
    drawn = (rng.integers(len(h), size=(RESAMPLES, len(h))) for h in heights)
    draws = [h[index].mean(1) for h, index in zip(heights, drawn, strict=True)]
    places = widths[np.argmax(draws, axis=0)]
    largest = widths[np.argmax([h.mean() for h in heights])]
    return {
        **{"data": data, "layers": layers},
        **named("width", statistic_interval(np.append(largest, places))),
        **{"ends": (widths.min(), widths.max()), "draws": places},
        **{"pairs": min(map(len, heights)), "widths": len(widths)},
        "error": min(float(error.mean()) for error in errors),
    }


def table(rows: Rows) -> list[dict]:
    """One row per curve: the depths of the first data set, then the other data sets."""
    names = ("data", "layers", "pairs", "error")
    return [
        {name: own[name] for name in names} | {"peak": placed(own)}
        for own in [*rows.depths, *rows.sets[1:]]
    ]


def placed(row: dict[str, Any]) -> str:
    """The peak's width; at an end of the widths the true one may lie beyond."""
    end = " (an end of the widths tried)" * (row["width_mean"] in row["ends"])
    return with_interval(row, "width") + end


# --- figure --------------------------------------------------------------------------


def draw(rows: Rows):
    """Above barriers against width, below where they peak."""
    figure, axes = plot.grid(2, 2, share="row")
    table = rows.cells.table
    path = peaks.permuted(table)[0]
    widths = sorted({row["width"] for row in table})
    depths = [f"{own['layers']} layers" for own in rows.depths]
    sets = [classifiers.data_name(own["data"]) for own in rows.sets]
    columns = (rows.depths, depths), (rows.sets, sets)
    for (above, below), (found, names) in zip(axes.T, columns, strict=True):
        styles = plot.ordered(names)
        for own, name in zip(found, names, strict=True):
            wanted = {"data": own["data"], "layers": own["layers"]}
            curve = classifiers.select(peaks.curve(table, path), **wanted)
            style = styles[name] | {"label": name}
            curves.points(above, curve, "barrier", "width", **style)
        plot.log_axis(above)
        above.set(xlabel="width")
        above.legend()
        places, peak = list(range(len(found))), curves.columns(found, "width")
        plot.points(below, places, *peak, marker="o", linestyle="", color=plot.BLACK)
        below.set_xticks(places, names)
        below.set_yscale("log")
        below.set_yticks(widths, map(str, widths))
        below.minorticks_off()
    axes[0, 0].set_ylabel("permuted barrier [nats]")
    axes[1, 0].set_ylabel("width of the peak")
    return figure


def caption(rows: Rows, setting: Values) -> str:
    how = curves.NETWORKS[peaks.permuted(rows.cells.table)[0]]["label"]
    return (
        f"The peak is the width of the largest mean test NLL barrier after {how}, its "
        "interval 95% over bootstrapped pairs. "
        f"{peaks.caption(rows.cells, setting)}"
    )


# --- verdicts ------------------------------------------------------------------------


def claims(rows: Rows) -> list[Claim]:
    return [depth_claim(rows.depths), data_claim(rows.sets)]


def enough(found: Sequence[dict], fewest: int) -> bool:
    return len(found) >= fewest and all(
        own["pairs"] >= peaks.FEWEST_PAIRS and own["widths"] >= peaks.FEWEST_WIDTHS
        for own in found
    )


RULE = f"; {peaks.SOME_WIDTHS}"
NO_TREND = Statement(
    "the peak's width has no clear trend in depth",
    "the interval of the slope over at least three depths holds 0" + RULE,
    "Figure 14",
)
HARDER = Statement(
    "the peak is at larger width for harder data",
    "the interval of the ratio of both peaks' widths, of the data with the largest "
    "over that with the smallest test error, lies above 1" + RULE,
    "Figure 14",
)


def depth_claim(found: Sequence[dict]) -> Claim:
    """Slope of the logarithm of the peak's width against the number of layers."""
    low = high = float("nan")
    if len(found) > 1:
        logs = np.log(np.stack([own["draws"] for own in found], axis=1))
        layers = np.array([own["layers"] for own in found])
        low, high = np.percentile(slopes(layers, logs), [2.5, 97.5])
    said = ", ".join(f"{placed(own)} at {own['layers']}" for own in found)
    measured = (
        f"peaks by layers {said}; slope of its logarithm a layer between {low:.2g} and "
        f"{high:.2g}"
    )
    case, n = classifiers.data_name(found[0]["data"]), min(r["pairs"] for r in found)
    holds = low <= 0 <= high if enough(found, 3) else None
    return NO_TREND.judged(case, measured, n, holds)


def data_claim(found: Sequence[dict]) -> Claim:
    """The peak of the hardest data set against that of the easiest."""
    ordered = sorted(found, key=lambda own: own["error"])
    easy, hard = ordered[0], ordered[-1]
    low = float(np.percentile(np.log(hard["draws"] / easy["draws"]), 2.5))
    measured = "; ".join(
        f"{placed(own)} for {classifiers.data_name(own['data'])} (least test error "
        f"{own['error']:.2g})"
        for own in ordered
    )
    case, n = f"{easy['layers']} layers", min(own["pairs"] for own in found)
    return HARDER.judged(case, measured, n, low > 0 if enough(found, 2) else None)


STUDY = Study(
    name="peak_position",
    paper="Figure 14",
    shared=SHARED,
    presets=PRESETS,
    rows=rows,
    table=table,
    figures=(Figure("peak_position", draw, caption, claims),),
    cells=cells,
    family=classifiers.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()
