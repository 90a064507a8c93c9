"""Barrier against width of classifiers: tables, figures and verdicts of one curve."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.lib import classifiers, curves, plot
from experiments.lib.claims import Claim, Statement, below, highest, lowest
from experiments.lib.curves import NETWORKS
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured
from experiments.lib.table import at, with_interval
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.results import store
from lmc_jax.statistics import mean_interval

KINDS = {"mlp": "MLPs", "cnn": "CNNs (3 × 3 convolutions, channels doubling)"}
WORDS = {"nll": "NLL [nats]", "error": "error"}
FEWEST_WIDTHS, FEWEST_PAIRS = 5, 3  # of a verdict about a curve
PATH_PANELS = 4
PAPER_WIDTHS = 15, 100  # of the MLPs of Figure 7


class Cells(NamedTuple):
    """Rows of the summary and records, in order of width.

    table: at the end of training. along: at every look that measured paths, the last
    included.
    """

    table: list[dict[str, Any]]
    records: Sequence[store.Record]
    along: list[dict[str, Any]]


def rows(measured: Measured) -> Cells:
    along = classifiers.select(measured.table)
    last = [row for row in along if row["step"] == row["steps"]]
    return Cells(last, list(measured.records), along)


def figures(name: str, paper: str, **of_paper: Any) -> tuple[Figure, Figure]:
    """Barriers by width, and losses along paths, of one curve.

    Args:
      name: stem of the figures.
      paper: where the paper shows the barriers.
      of_paper: columns of the networks that it shows there, and their values.
    """

    def shown(cells: Cells, place: str) -> str:
        return place if classifiers.select(cells.table, **of_paper) else ""

    def of_widths(cells: Cells) -> list[Claim]:
        place = shown(cells, paper)
        return [*peak_claims(cells.table, place), direct_claim(cells.table, place)]

    def of_paths(cells: Cells) -> list[Claim]:
        return benefit_claims(cells.table, shown(cells, "Figure 8"))

    return (
        Figure(name, draw_barriers, caption, of_widths),
        Figure(f"{name}_paths", draw_paths, caption, of_paths),
    )


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
    """Definition, n, and how the networks were trained."""
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
    layers = ", ".join(dict.fromkeys(str(cell["layers"]) for cell in own))
    return (
        f"Barrier ({setting['barrier']}, {first['points']} points) of mean negative "
        f"log-likelihood in nats and of error, float64. Means over n = "
        f"{curves.sizes(rows, 'kept')} independent pairs, two fresh networks each, 95% "
        f"bootstrap intervals. {layers}-layer {kind}{norm} on {data}: "
        f"{most}{setting['steps']:,} steps of {setting['optimizer']}, learning rate "
        f"{setting['lr']:g} ({setting['schedule']}), batch {setting['batch']}, He "
        f"initialisation; mean test accuracy {1 - max(ends):.1%} to "
        f"{1 - min(ends):.1%}.{_ending(rows, setting)}"
    )


def _ending(rows: Sequence[dict], setting: Values) -> str:
    """When networks were done before the last step, and how many were."""
    if not setting["until"]:
        return ""
    counts = "; ".join(
        f"width {row['width']} {row['done']} of {2 * row['kept']}"
        + f" after {row['done_after']:,.0f} steps" * (row["done"] > 0)
        for row in curve(rows, "direct")
    )
    every = setting["steps"] // setting["looks"]
    return (
        f" A network trains no further once its NLL on all training images is below "
        f"{setting['until']:g}, looked at every {every:,} steps and where paths are "
        f"measured. Networks that ended so, and after how many steps in the mean: "
        f"{counts}."
    )


# --- verdicts ------------------------------------------------------------------------

# Of networks, which the text names: those of other networks are other statements.
SOME_PAIRS = f"at least {FEWEST_PAIRS} pairs"
SOME_WIDTHS = f"at least {FEWEST_WIDTHS} widths of {FEWEST_PAIRS} pairs"
HALF = float(np.log(10) / 2)
PEAKS = Statement(
    "the permuted {metric} barrier of {networks} rises with width, peaks and falls",
    "the interval of the largest mean lies above those of the first and the last "
    f"width; {SOME_WIDTHS}",
)
PLACED = Statement(
    "the permuted NLL barrier of {networks} peaks at a width of "
    f"{PAPER_WIDTHS[0]} to {PAPER_WIDTHS[1]}",
    "the largest mean is at such a width, and neither the least nor the largest width "
    f"tried; {SOME_WIDTHS}",
)
DIRECT = Statement(
    "the direct NLL barrier of {networks} is large at every width",
    f"every interval lies above half of ln 10, {HALF:.3g}: half of what guessing "
    f"costs; of MLPs from width {PAPER_WIDTHS[0]} on, where the paper begins, or at "
    f"all widths if none is so large; {SOME_PAIRS}",
)
GAINS = Statement(
    "what permutation gains for {networks} depends on the width",
    "the intervals of the smallest and the largest ratio do not meet; " + SOME_PAIRS,
)


def _of(statement: Statement, row: dict, paper: str) -> Statement:
    """The statement about the networks of a row."""
    kind, data = row["architecture"].upper(), classifiers.data_name(row["data"])
    networks, metric = f"{row['layers']}-layer {kind}s on {data}", row["metric"]
    metric = "NLL" if metric == "nll" else metric
    text = statement.text.format(metric=metric, networks=networks)
    return statement._replace(text=text, paper=paper)


def _case(row: dict) -> str:
    return f"{row['sample']}, {NETWORKS[row['path']]['label']}"


def _enough(rows: Sequence[dict], widths: int = 1) -> bool:
    """Widths, and pairs at each, for a verdict."""
    return len(rows) >= widths and min(row["kept"] for row in rows) >= FEWEST_PAIRS


def peak_claims(rows: Sequence[dict], paper: str) -> list[Claim]:
    """Whether each permuted barrier rises, peaks and falls with the width."""
    judged = []
    for path in permuted(rows):
        test, train = curve(rows, path), curve(rows, path, "train")
        judged += [_peaked(test, paper), _peaked(train, paper)]
        judged.append(_peaked(curve(rows, path, metric="error"), ""))
        if paper == "Figure 7":
            judged.append(_placed(test, paper))
    return judged


def _peaked(rows: Sequence[dict], paper: str) -> Claim:
    first, last, peak = rows[0], rows[-1], highest(rows)
    shown = ", ".join(at(row, "barrier", "width") for row in (first, peak, last))
    above = all(below(row, peak, "barrier") for row in (first, last))
    holds = above if _enough(rows, FEWEST_WIDTHS) else None
    measured = f"first, largest, last: {shown}"
    return _of(PEAKS, peak, paper).judged(_case(peak), measured, peak["kept"], holds)


def _placed(rows: Sequence[dict], paper: str) -> Claim:
    peak, (least, most) = highest(rows), PAPER_WIDTHS
    inner = [row["width"] for row in rows[1:-1]]
    inside = peak["width"] in inner and least <= peak["width"] <= most
    measured = f"largest, {at(peak, 'barrier', 'width')} of {_widths(rows)}"
    holds = inside if _enough(rows, FEWEST_WIDTHS) else None
    return _of(PLACED, peak, paper).judged(_case(peak), measured, peak["kept"], holds)


def _widths(rows: Sequence[dict]) -> str:
    return ", ".join(str(row["width"]) for row in rows)


def direct_claim(rows: Sequence[dict], paper: str) -> Claim:
    """Whether the direct barrier is large at every width that the paper shows."""
    own = curve(rows, "direct")
    if own[0]["architecture"] == "mlp":
        own = [row for row in own if row["width"] >= PAPER_WIDTHS[0]] or own
    least = min(own, key=lambda row: row["barrier_low"])
    measured = f"least {at(least, 'barrier', 'width')} of {_widths(own)}"
    holds = least["barrier_low"] > HALF if _enough(own) else None
    return _of(DIRECT, least, paper).judged("test", measured, least["kept"], holds)


def benefit_claims(rows: Sequence[dict], paper: str) -> list[Claim]:
    """Whether what permutation gains depends on the width."""
    judged = []
    for path in permuted(rows):
        own = curve(rows, path)
        low, high = (pick(own, "normalized") for pick in (lowest, highest))
        shown = (at(row, "normalized", "width") for row in (low, high))
        measured = f"permuted/direct {', '.join(shown)}"
        case = f"test NLL, {NETWORKS[path]['label']}"
        holds = below(low, high, "normalized") if _enough(own, 2) else None
        judged.append(_of(GAINS, low, paper).judged(case, measured, low["kept"], holds))
    return judged
