"""Barrier against width of classifiers: tables, figures and verdicts of one curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lib import classifiers, common, plot
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.results import files, store
from lmc_jax.statistics import mean_interval

LOOKS = {
    "direct": ("direct", plot.BLACK, "x", "--"),
    "weights": ("weight matching", plot.BLUE, "o", "-"),
    "activations": ("activation matching", plot.RED, "s", "-"),
    "weights_repaired": ("weight matching, REPAIR", plot.SKY, "^", "-"),
    "activations_repaired": ("activation matching, REPAIR", plot.ORANGE, "D", "-"),
}
KINDS = {"mlp": "MLPs", "cnn": "CNNs (3 × 3 convolutions, channels doubling)"}
WORDS = {"nll": "NLL [nats]", "error": "error"}
FEWEST_WIDTHS, FEWEST_PAIRS = 5, 3  # of a verdict about a curve
PATH_PANELS = 4
PAPER_WIDTHS = 15, 100  # of the MLPs of Figure 7


def report(
    name: str, records: Sequence[store.Record], setting: Mapping[str, Any], paper: str
) -> list[dict]:
    """Table, barriers by width and losses along paths; returns the rows.

    Args:
      name: stem of the figures.
      records: cells of one data set and one number of layers.
      setting: what they were computed with.
      paper: where the paper shows the barriers, empty if it does not.
    """
    table = classifiers.rows(records, common.FLAGS.barrier)
    print(common.table(points(table)))
    csv = Path(common.FLAGS.out, "summary.csv")
    files.write_csv(csv, table)
    said = f"{caption(table, records, setting)} {numbers(table)}"
    claims = [*peak_claims(table, paper), direct_claim(table, paper)]
    common.finish(name, draw_barriers(table), said, claims, csv)
    claims = benefit_claims(table, "Figure 8" if paper else "")
    common.finish(f"{name}_paths", draw_paths(records), said, claims)
    return table


def points(rows: Sequence[dict]) -> list[dict]:
    """One row a cell for the terminal: accuracy, and test NLL barriers by path."""
    shown = []
    for first in rows:
        if first["path"] != "direct" or first["sample"] != "test":
            continue
        if first["metric"] != "error":
            continue
        same = {"cell": first["cell"], "sample": "test", "metric": "nll"}
        paths = classifiers.select(rows, **same)
        shown.append(
            {"data": first["data"], "layers": first["layers"], "width": first["width"]}
            | {"pairs": first["kept"], "accuracy": f"{1 - first['end_mean']:.2%}"}
            | {row["path"]: common.with_interval(row, "barrier") for row in paths}
        )
    return shown


# --- figures -------------------------------------------------------------------------


def draw_barriers(rows: Sequence[dict]):
    """A row a sample: NLL with and without the direct path, then the error."""
    panels = (("nll", True), ("nll", False), ("error", True))
    figure, axes = plot.grid(2, len(panels))
    for line, sample in zip(axes, reversed(classifiers.SAMPLES), strict=True):
        for panel, (metric, direct) in zip(line, panels, strict=True):
            for path in dict.fromkeys(row["path"] for row in rows):
                if direct or path != "direct":
                    wanted = {"path": path, "sample": sample, "metric": metric}
                    curve(panel, classifiers.select(rows, **wanted))
            title = sample if direct else f"{sample}, permuted"
            panel.set(xlabel="width", ylabel=f"barrier, {WORDS[metric]}", title=title)
            plot.log_axis(panel)
    plot.legend(figure, axes[0, 0], columns=3)
    return figure


def curve(axes, rows: Sequence[dict]) -> None:
    """Barriers of one path against width, in its look."""
    label, color, marker, linestyle = LOOKS[rows[0]["path"]]
    ends = [[row[f"barrier_{end}"] for row in rows] for end in ("mean", "low", "high")]
    style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": linestyle}
    plot.points(axes, [row["width"] for row in rows], *ends, label=label, **style)


def draw_paths(records: Sequence[store.Record]):
    """Mean test NLL along the path, a panel a width: at most four, evenly chosen."""
    inner = np.linspace(0, len(records) - 1, min(PATH_PANELS, len(records)))
    chosen = [records[i] for i in np.unique(inner.round().astype(int))]
    figure, axes = plot.grid(1, len(chosen), size=(3.0, 2.7))
    sample, metric = classifiers.SAMPLES.index("test"), METRICS.index("nll")
    for panel, record in zip(axes[0], chosen, strict=True):
        losses = classifiers.kept(record)[..., sample, metric]  # [pairs, orders, T]
        ts = np.linspace(0, 1, losses.shape[2])
        for i, path in enumerate(classifiers.orders(record.parameters)):
            label, color, marker, linestyle = LOOKS[path]
            along = [mean_interval(column) for column in losses[:, i].T]
            ends = [list(values) for values in zip(*along, strict=True)]
            style: dict[str, Any] = {"color": color, "marker": marker}
            style |= {"linestyle": linestyle, "label": label}
            plot.points(panel, list(ts), *ends, **style)
        panel.set(xlabel="t", title=f"width {record.parameters['width']}")
    axes[0, 0].set_ylabel("test NLL [nats]")
    plot.legend(figure, axes[0, 0], columns=3)
    return figure


# --- words ---------------------------------------------------------------------------


def caption(
    rows: Sequence[dict], records: Sequence[store.Record], setting: Mapping[str, Any]
) -> str:
    """Definition, n, and how the networks were trained."""
    cells = [record.parameters for record in records]
    first = cells[0]
    kept = sorted({row["kept"] for row in rows})
    pairs = f"{kept[0]}" if len(kept) == 1 else f"{kept[0]} to {kept[-1]}"
    notes = {r.parameters["data"]: r.provenance.get("note") for r in records}
    data = " and ".join(
        f"{name} ({count:,} training, {tested:,} test images"
        + (f"; {notes[name]})" if notes[name] else ")")
        for name, count, tested in dict.fromkeys(
            (cell["data"], cell["train_images"], cell["test_images"]) for cell in cells
        )
    )
    ends = [
        row["end_mean"]
        for row in rows
        if (row["path"], row["sample"], row["metric"]) == ("direct", "test", "error")
    ]
    kind = KINDS[first["architecture"]]
    norm = "" if first["norm"] == "none" else f", {first['norm']} normalisation"
    *depths, deepest = dict.fromkeys(str(cell["layers"]) for cell in cells)
    layers = f"{', '.join(depths)} and {deepest}" if depths else deepest
    return (
        f"Barrier ({common.FLAGS.barrier}, {first['points']} points) of mean negative "
        f"log-likelihood in nats and of error, float64. Means over n = {pairs} "
        f"independent pairs, two fresh networks each, 95% bootstrap intervals. {layers}"
        f"-layer {kind}{norm} on {data}: {setting['steps']:,} steps of "
        f"{setting['optimizer']}, learning rate {setting['lr']:g} "
        f"({setting['schedule']}), batch {setting['batch']}, He initialisation; mean "
        f"test accuracy {1 - max(ends):.1%} to {1 - min(ends):.1%}."
    )


def numbers(rows: Sequence[dict]) -> str:
    """Mean test NLL barriers of every path, and training NLL, at every width."""
    said = []
    for path in dict.fromkeys(row["path"] for row in rows):
        curve = classifiers.select(rows, path=path, sample="test", metric="nll")
        means = ", ".join(f"{row['barrier_mean']:.3g}" for row in curve)
        said.append(f"{LOOKS[path][0]} {means}")
    widths = ", ".join(str(row["width"]) for row in curve)
    own = classifiers.select(rows, path="direct", sample="train", metric="nll")
    ends = ", ".join(f"{row['end_mean']:.3g}" for row in own)
    return (
        f"Test NLL barriers at widths {widths}: {'; '.join(said)}; training NLL of the "
        f"networks {ends}."
    )


def peak_claims(rows: Sequence[dict], paper: str) -> list[dict]:
    """Whether each permuted barrier rises, peaks and falls with the width."""
    judged = []
    for path in dict.fromkeys(row["path"] for row in rows if row["path"] != "direct"):
        for sample, metric, place in (
            ("test", "nll", paper),
            ("train", "nll", paper),
            ("test", "error", ""),
        ):
            wanted = {"path": path, "sample": sample, "metric": metric}
            judged.append(_peaked(classifiers.select(rows, **wanted), place))
        if paper == "Figure 7":
            wanted = {"path": path, "sample": "test", "metric": "nll"}
            judged.append(_placed(classifiers.select(rows, **wanted), paper))
    return judged


def _peaked(curve: Sequence[dict], paper: str) -> dict:
    peak = max(curve, key=lambda row: row["barrier_mean"])
    first, last = curve[0], curve[-1]
    over = max(first["barrier_high"], last["barrier_high"])
    shown = ", ".join(
        f"{common.with_interval(row, 'barrier')} at width {row['width']}"
        for row in (first, peak, last)
    )
    metric = "NLL" if peak["metric"] == "nll" else "error"
    label = f"{peak['sample']}, {LOOKS[peak['path']][0]}"
    return {
        "paper": paper,
        "text": (
            f"the permuted {metric} barrier of {_networks(peak)} rises with "
            "width, peaks and falls"
        ),
        "case": label,
        "measured": f"first, largest, last: {shown}",
        "rule": "the interval of the largest mean lies above those of the first and "
        f"the last width; at least {FEWEST_WIDTHS} widths of {FEWEST_PAIRS} pairs",
        "n": peak["kept"],
        "holds": bool(peak["barrier_low"] > over) if _enough(curve) else None,
    }


def _placed(curve: Sequence[dict], paper: str) -> dict:
    peak = max(curve, key=lambda row: row["barrier_mean"])
    least, most = PAPER_WIDTHS
    inner = [row["width"] for row in curve[1:-1]]
    inside = peak["width"] in inner and least <= peak["width"] <= most
    return {
        "paper": paper,
        "text": (
            f"the permuted NLL barrier of {_networks(peak)} peaks at a "
            f"width of {least} to {most}"
        ),
        "case": f"test, {LOOKS[peak['path']][0]}",
        "measured": f"largest, {common.with_interval(peak, 'barrier')}, at width "
        f"{peak['width']} of {', '.join(str(row['width']) for row in curve)}",
        "rule": "the largest mean is at such a width, and neither the least nor the "
        f"largest width tried; at least {FEWEST_WIDTHS} widths of {FEWEST_PAIRS} pairs",
        "n": peak["kept"],
        "holds": inside if _enough(curve) else None,
    }


def _enough(curve: Sequence[dict]) -> bool:
    fewest = min(row["kept"] for row in curve)
    return len(curve) >= FEWEST_WIDTHS and fewest >= FEWEST_PAIRS


def _networks(row: dict) -> str:
    """What a statement is about: those of other networks are other statements."""
    return f"{row['layers']}-layer {row['architecture'].upper()}s on {row['data']}"


def direct_claim(rows: Sequence[dict], paper: str) -> dict:
    """Whether the direct barrier is large at every width that the paper shows."""
    curve = classifiers.select(rows, path="direct", sample="test", metric="nll")
    begins = ""
    if curve[0]["architecture"] == "mlp":
        begin = PAPER_WIDTHS[0]
        curve = [row for row in curve if row["width"] >= begin] or curve
        begins = f"; from width {begin} on, where the paper begins, or at all "
        begins += "widths if none is so large"
    least = min(curve, key=lambda row: row["barrier_low"])
    half = float(np.log(10) / 2)
    enough = min(row["kept"] for row in curve) >= FEWEST_PAIRS
    return {
        "paper": paper,
        "text": (
            f"the direct NLL barrier of {_networks(least)} is large at every width"
        ),
        "case": "test",
        "measured": f"least {common.with_interval(least, 'barrier')}, at width "
        f"{least['width']} of {', '.join(str(row['width']) for row in curve)}",
        "rule": f"every interval lies above half of ln 10, {half:.3g}: half of what "
        f"guessing costs{begins}; at least {FEWEST_PAIRS} pairs",
        "n": least["kept"],
        "holds": bool(least["barrier_low"] > half) if enough else None,
    }


def benefit_claims(rows: Sequence[dict], paper: str) -> list[dict]:
    """Whether what permutation gains depends on the width."""
    judged = []
    for path in dict.fromkeys(row["path"] for row in rows if row["path"] != "direct"):
        curve = classifiers.select(rows, path=path, sample="test", metric="nll")
        low, high = (f(curve, key=lambda r: r["normalized_mean"]) for f in (min, max))
        enough = len(curve) > 1 and min(row["kept"] for row in curve) >= FEWEST_PAIRS
        gap = high["normalized_low"] - low["normalized_high"]  # NaN without intervals
        judged.append(
            {
                "paper": paper,
                "text": (
                    f"what permutation gains for {_networks(low)} depends on the width"
                ),
                "case": f"test NLL, {LOOKS[path][0]}",
                "measured": f"permuted/direct "
                f"{common.with_interval(low, 'normalized')} at width {low['width']}, "
                f"{common.with_interval(high, 'normalized')} at width {high['width']}",
                "rule": "the intervals of the smallest and the largest ratio do not "
                f"meet; at least {FEWEST_PAIRS} pairs",
                "n": low["kept"],
                "holds": bool(gap > 0) if enough and gap == gap else None,
            }
        )
    return judged
