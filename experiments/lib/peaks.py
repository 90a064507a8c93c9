"""Barrier against width of classifiers: tables, figures and words of one curve."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.lib import classifiers, curves, plot, widths
from experiments.lib.curves import NETWORKS
from experiments.lib.settings import Values
from experiments.lib.study import Measured
from experiments.lib.table import with_interval
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.results import store
from lmc_jax.statistics import largest_shares, mean_interval

KINDS = {
    "mlp": "MLPs",
    "cnn": "CNNs (3 × 3 convolutions, channels doubling)",
    "resnet": "ResNets (three stages, channels doubling)",
}
WORDS = {"nll": "NLL [nats]", "error": "error"}
PATH_PANELS = 4


class Cells(NamedTuple):
    """Rows of the summary and records, in order of width.

    table: at the end of training, with "largest" of permuted paths: the share of
    bootstrap resamples in which a width has the largest mean barrier of its curve.
    along: at every look that measured paths, the last included.
    """

    table: list[dict[str, Any]]
    records: Sequence[store.Record]
    along: list[dict[str, Any]]


def rows(measured: Measured) -> Cells:
    along = classifiers.select(measured.table)
    last = [row for row in along if row["step"] == row["steps"]]
    records = list(measured.records)
    shares = _shares(records, measured.setting["barrier"])
    for row in last:
        row["largest"] = shares.get(tuple(row[name] for name in SHARED), 0.0)
    return Cells(last, records, along)


SHARED = "cell", "path", "sample", "metric"  # by rows of a cell and by its shares


def _shares(records: Sequence[store.Record], definition: str) -> dict[tuple, float]:
    """How often each width has the largest mean of its curve, of the resamples."""
    shares = {}
    for curve in widths.by_curve(records):
        alive = [record for record in curve if len(classifiers.kept(record))]
        labels = classifiers.labels(curve[0].parameters) if alive else ()
        for _, label in labels:
            found = largest_shares(widths.barrier_means(alive, definition, *label))
            for record, share in zip(alive, found, strict=True):
                name = store.fingerprint(record.parameters)
                shares[name, *label] = float(share)
    return shares


def table(cells: Cells) -> list[dict]:
    """One row a cell and look: accuracy, and test NLL barriers by path."""
    shown = []
    for first in curve(cells.along, "direct", metric="error"):
        same = {"cell": first["cell"], "step": first["step"], "sample": "test"}
        paths = classifiers.select(cells.along, **same, metric="nll")
        done = f"{first['done']} of {2 * first['kept']}"
        until = {"done": done, "after": first["done_after"]} if first["until"] else {}
        shown.append(
            {name: first[name] for name in ("data", "layers", "width", "step")}
            | until
            | {"pairs": first["kept"], "accuracy": f"{1 - first['end_mean']:.2%}"}
            | {row["path"]: with_interval(row, "barrier") for row in paths}
        )
    return shown


# --- figures -------------------------------------------------------------------------


def draw_barriers(cells: Cells):
    """A row a sample, test images first; NLL, and the share of errors."""
    figure, axes = plot.grid(2, len(WORDS), share="col")
    for line, sample in zip(axes, reversed(classifiers.SAMPLES), strict=True):
        for panel, (metric, words) in zip(line, WORDS.items(), strict=True):
            for path in ["direct", *permuted(cells.table)]:
                own = curve(cells.table, path, sample, metric)
                curves.points(panel, own, "barrier", "width", **NETWORKS[path])
            images = "training" if sample == "train" else "test"
            panel.set(xlabel="width", title=f"{words}, {images} images")
            plot.log_axis(panel)
        line[0].set_ylabel("barrier")
    plot.legend(figure, axes, columns=3)
    return figure


def draw_paths(cells: Cells):
    """Mean test NLL along the path, a panel a width: at most four, evenly chosen."""
    records = cells.records
    inner = np.linspace(0, len(records) - 1, min(PATH_PANELS, len(records)))
    chosen = [records[i] for i in np.unique(inner.round().astype(int))]
    figure, axes = plot.grid(1, len(chosen), share=True)
    sample, metric = classifiers.SAMPLES.index("test"), METRICS.index("nll")
    for panel, record in zip(axes[0], chosen, strict=True):
        losses = classifiers.kept(record)[..., sample, metric]  # [pairs, orders, T]
        ts = np.linspace(0, 1, losses.shape[2])
        for i, path in enumerate(classifiers.orders(record.parameters)):
            plot.points(panel, ts, *mean_interval(losses[:, i]).T, **NETWORKS[path])
        title = f"width {record.parameters['width']}"
        panel.set(xlabel="position t on the path", title=title)
    axes[0, 0].set_ylabel("test NLL [nats]")
    plot.legend(figure, axes, columns=3)
    return figure


def curve(
    rows: Sequence[dict], path: str, sample: str = "test", metric: str = "nll"
) -> list[dict]:
    """Rows of one path, in order of width."""
    return classifiers.select(rows, path=path, sample=sample, metric=metric)


def permuted(rows: Sequence[dict]) -> list[str]:
    """The paths that are not direct."""
    paths = dict.fromkeys(row["path"] for row in rows)
    return [path for path in paths if path != "direct"]


# --- words ---------------------------------------------------------------------------


def caption(cells: Cells, setting: Values) -> str:
    """Of barriers: their definition, n, and how the networks were trained."""
    points = cells.records[0].parameters["points"]
    return (
        f"Barrier ({setting['barrier']}, {points} points) of mean negative "
        "log-likelihood in nats and of error, computed in float64. "
        f"{_trained(cells, setting)}"
    )


def path_caption(cells: Cells, setting: Values) -> str:
    """Of ``draw_paths``: what is followed, n, and how the networks were trained."""
    return (
        "Mean test NLL, the negative log-likelihood in nats, of the networks on the "
        "line from the first (t = 0) to the second network of a pair (t = 1), as it is "
        "(direct) and with its hidden units permuted. Computed in float64. "
        f"{_trained(cells, setting)}"
    )


def _trained(cells: Cells, setting: Values) -> str:
    """n, and how the networks were trained."""
    rows, records = cells.table, cells.records
    own = [record.parameters for record in records]
    first = own[0]
    notes = {r.parameters["data"]: r.provenance.get("note") for r in records}
    data = " and ".join(
        f"{classifiers.data_name(name)} ({count:,} training, {tested:,} test images"
        + (f"; {notes[name]})" if notes[name] else ")")
        for name, count, tested in dict.fromkeys(
            (cell["data"], cell["train_images"], cell["test_images"]) for cell in own
        )
    )
    ends = [row["end_mean"] for row in curve(rows, "direct", metric="error")]
    kind = KINDS[first["architecture"]]
    most = "at most " if setting["until"] else ""
    norm = "" if first["norm"] == "none" else f", {first['norm']} normalisation"
    if first["norm"] == "batch":
        taken = "repaired paths, interpolated along others"
        norm += f" (statistics anew along {taken if first['repaired'] else 'paths'})"
    layers = ", ".join(dict.fromkeys(str(cell["layers"]) for cell in own))
    return (
        f"Means over n = {curves.sizes(rows, 'kept')} independent pairs, two fresh "
        f"networks each, 95% bootstrap intervals. {layers}-layer {kind}{norm} on "
        f"{data}: {most}{setting['steps']:,} steps of {setting['optimizer']}, "
        f"learning rate {setting['lr']:g} ({setting['schedule']}), batch "
        f"{setting['batch']}, He initialisation; mean test accuracy "
        f"{1 - max(ends):.1%} to {1 - min(ends):.1%}.{_ending(cells, setting)}"
    )


def _ending(cells: Cells, setting: Values) -> str:
    """When networks were done before the last step, and how many were."""
    if not setting["until"]:
        return ""
    rows = curve(cells.table, "direct")
    groups = [rows]
    if len(widths.by_curve(cells.records)) == 1:
        groups = [[row] for row in rows]
    counts = "; ".join(map(_counted, groups))
    every = setting["steps"] // setting["looks"]
    return (
        f" A network trains no further once its NLL on all training images is below "
        f"{setting['until']:g}, looked at every {every:,} steps and where paths are "
        f"measured. Networks that ended so, and after how many steps in the mean: "
        f"{counts}."
    )


def _counted(rows: Sequence[dict]) -> str:
    """How many networks of these rows were done, and after how many steps."""
    done = sum(row["done"] for row in rows)
    every = sum(2 * row["kept"] for row in rows)
    tried = " to ".join(dict.fromkeys(str(row["width"]) for row in (rows[0], rows[-1])))
    said = f"width {tried} {done} of {every}"
    if not done:
        return said
    steps = sum(row["done"] * row["done_after"] for row in rows if row["done"])
    return f"{said} after {steps / done:,.0f}"
