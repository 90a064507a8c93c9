"""Where the permuted barrier peaks: against depth and against data set.

The paper's Figure 14: no clear trend in depth, larger widths for harder data. The peak
is the width of the largest mean test NLL barrier after activation matching, its
interval that of a bootstrap over pairs. Depths are compared on the first data set, data
sets at the middle one of the depths.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lib import classifiers, common, peaks, plot
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.results import files, store

common.define_output("peak_position")
classifiers.define_cells()
SHARED = {"data": "mnist,fashion-mnist,cifar-10", "align": "activations"}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": SHARED
    | {
        "widths": "4,8,16",
        "layers": "2,3,5",
        "train_images": 2_000,
        "test_images": 1_000,
        "pairs": 2,
        "steps": 400,
        "looks": 1,
    },
    "paper": SHARED | {"widths": "2,3,4,8,12,16,24,32,48,64,100", "layers": "2,3,4,5"},
}
RESAMPLES = 2000


def main() -> None:
    setting = classifiers.settings(PRESETS)
    if not setting["align"]:
        raise common.Refusal("--align=: give one, the peak is that of permuted paths")
    grid, data = classifiers.load(setting, "mlp")
    layers = list(dict.fromkeys(cell.layers for cell in grid))
    first, middle = next(iter(data)), layers[len(layers) // 2]
    grid = [cell for cell in grid if cell.data == first or cell.layers == middle]
    grid.sort(key=lambda cell: cell.width)
    records = classifiers.computed(grid, data, setting)
    table = classifiers.rows(records, common.FLAGS.barrier)
    csv = Path(common.FLAGS.out, "summary.csv")
    files.write_csv(csv, table)
    depths = [peak(records, first, depth) for depth in layers]
    sets = [peak(records, name, middle) for name in data]
    print(common.table([shown(row) for row in depths]))
    print(common.table([shown(row) for row in sets]))
    said = (
        "The peak is the width of the largest mean test NLL barrier after "
        f"{peaks.LOOKS[setting['align'].split(',')[0]][0]}, its interval 95% over "
        f"bootstrapped pairs. {peaks.caption(table, records, setting)}"
    )
    claims = [depth_claim(depths), data_claim(sets)]
    common.finish("peak_position", draw(table, depths, sets), said, claims, csv)


def peak(records: Sequence[store.Record], data: str, layers: int) -> dict[str, Any]:
    """Width of the largest barrier of one curve, ``draws [RESAMPLES]`` by bootstrap.

    Widths at which every pair has a diverged network are left out.

    Raises:
      Refusal: when no width is left.
    """
    own = [
        record
        for record in records
        if (record.parameters["data"], record.parameters["layers"]) == (data, layers)
        and len(classifiers.kept(record))
    ]
    if not own:
        raise common.Refusal(
            f"all pairs of {layers} layers on {data} diverged: give a smaller --lr"
        )
    widths = np.array([record.parameters["width"] for record in own])
    rng = np.random.default_rng(0)
    place = (slice(None), 1, classifiers.SAMPLES.index("test"), METRICS.index("nll"))
    means, draws, counts, errors = [], [], [], []
    for record in own:
        losses = classifiers.kept(record)
        found = classifiers.barriers(losses, common.FLAGS.barrier)[place]
        index = rng.integers(len(found), size=(RESAMPLES, len(found)))
        means.append(found.mean())
        draws.append(found[index].mean(1))
        counts.append(len(found))
        errors.append(losses[:, 0, [0, -1], place[2], METRICS.index("error")].mean())
    places = widths[np.argmax(draws, axis=0)]
    low, high = np.percentile(places, [2.5, 97.5])
    return {
        "data": data,
        "layers": layers,
        "width_mean": int(widths[np.argmax(means)]),
        "width_low": low,
        "width_high": high,
        "ends": (widths.min(), widths.max()),
        "draws": places,
        "pairs": min(counts),
        "widths": len(widths),
        "error": min(errors),
    }


def shown(row: dict[str, Any]) -> dict[str, Any]:
    names = ("data", "layers", "pairs", "error")
    return {name: row[name] for name in names} | {"peak": placed(row)}


def placed(row: dict[str, Any]) -> str:
    """The peak's width; at an end of the widths the true one may lie beyond."""
    end = " (an end of the widths tried)" * (row["width_mean"] in row["ends"])
    return common.with_interval(row, "width") + end


# --- figure --------------------------------------------------------------------------


def draw(table: Sequence[dict], depths: Sequence[dict], sets: Sequence[dict]):
    """Above barriers against width, below where they peak."""
    figure, axes = plot.grid(2, 2)
    path = next(row["path"] for row in table if row["path"] != "direct")
    widths = sorted({row["width"] for row in table})
    for column, curves in enumerate((depths, sets)):
        names = [
            f"{c['layers']} layers" if curves is depths else c["data"] for c in curves
        ]
        for i, (own, label) in enumerate(zip(curves, names, strict=True)):
            wanted = {"data": own["data"], "layers": own["layers"], "path": path}
            rows = classifiers.select(table, **wanted, sample="test", metric="nll")
            style: dict[str, Any] = {"marker": plot.MARKERS[i % 7], "label": label}
            ends = [[r[f"barrier_{e}"] for r in rows] for e in ("mean", "low", "high")]
            plot.points(axes[0, column], [r["width"] for r in rows], *ends, **style)
        plot.log_axis(axes[0, column])
        axes[0, column].set(xlabel="width", ylabel="permuted barrier, test NLL [nats]")
        axes[0, column].legend()
        below = axes[1, column]
        ends = [[own[f"width_{e}"] for own in curves] for e in ("mean", "low", "high")]
        places = list(range(len(curves)))
        plot.points(below, places, *ends, marker="o", linestyle="", color=plot.BLUE)
        below.set_xticks(places, names)
        below.set(ylabel="width of the peak", yscale="log")
        below.set_yticks(widths, map(str, widths))
        below.minorticks_off()
    return figure


# --- verdicts ------------------------------------------------------------------------


def enough(curves: Sequence[dict], fewest: int) -> bool:
    return len(curves) >= fewest and all(
        own["pairs"] >= peaks.FEWEST_PAIRS and own["widths"] >= peaks.FEWEST_WIDTHS
        for own in curves
    )


RULE = f"; at least {peaks.FEWEST_WIDTHS} widths of {peaks.FEWEST_PAIRS} pairs"


def depth_claim(curves: Sequence[dict]) -> dict:
    """Slope of the logarithm of the peak's width against the number of layers."""
    low = high = float("nan")
    if len(curves) > 1:
        logs = np.log(np.array([own["draws"] for own in curves]))
        slopes = np.polyfit([own["layers"] for own in curves], logs, 1)[0]
        low, high = np.percentile(slopes, [2.5, 97.5])
    said = ", ".join(f"{placed(own)} at {own['layers']}" for own in curves)
    return {
        "paper": "Figure 14",
        "text": "the peak's width has no clear trend in depth",
        "case": curves[0]["data"],
        "measured": f"peaks by layers {said}; slope of its logarithm a layer between "
        f"{low:.2g} and {high:.2g}",
        "rule": "the interval of the slope over at least three depths holds 0" + RULE,
        "n": min(own["pairs"] for own in curves),
        "holds": bool(low <= 0 <= high) if enough(curves, 3) else None,
    }


def data_claim(curves: Sequence[dict]) -> dict:
    """The peak of the hardest data set against that of the easiest."""
    ordered = sorted(curves, key=lambda own: own["error"])
    easy, hard = ordered[0], ordered[-1]
    low = float(np.percentile(np.log(hard["draws"] / easy["draws"]), 2.5))
    return {
        "paper": "Figure 14",
        "text": "the peak is at larger width for harder data",
        "case": f"{easy['layers']} layers",
        "measured": "; ".join(
            f"{placed(own)} for {own['data']} (least test error {own['error']:.2g})"
            for own in ordered
        ),
        "rule": "the interval of the ratio of both peaks' widths, of the data with the "
        "largest over that with the smallest test error, lies above 1" + RULE,
        "n": min(own["pairs"] for own in curves),
        "holds": bool(low > 0) if enough(curves, 2) else None,
    }


if __name__ == "__main__":
    common.run(main)
