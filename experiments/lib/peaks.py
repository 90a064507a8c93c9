"""Barrier against width of classifiers: tables, figures and verdicts of one curve."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.lib import classifiers, curves, plot
from experiments.lib.claims import Claim, below, highest, lowest
from experiments.lib.curves import LOOKS
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

    def said(cells: Cells, setting: Values) -> str:
        return f"{caption(cells, setting)} {numbers(cells)}"

    return (
        Figure(name, draw_barriers, said, of_widths),
        Figure(f"{name}_paths", draw_paths, said, of_paths),
    )


def table(cells: Cells) -> list[dict]:
    """One row a cell and look: accuracy, and test NLL barriers by path."""
    shown = []
    wanted = {"path": "direct", "sample": "test", "metric": "error"}
    for first in classifiers.select(cells.along, **wanted):
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
                wanted = {"path": path, "sample": sample, "metric": metric}
                own = classifiers.select(cells.table, **wanted)
                ends = curves.columns(own, "barrier")
                widths = [row["width"] for row in own]
                plot.points(panel, widths, *ends, **LOOKS[path]._asdict())
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
            ends = zip(*map(mean_interval, losses[:, i].T), strict=True)
            plot.points(panel, list(ts), *ends, **LOOKS[path]._asdict())
        title = f"width {record.parameters['width']}"
        panel.set(xlabel="position t on the path", title=title)
    axes[0, 0].set_ylabel("test NLL [nats]")
    plot.legend(figure, axes, columns=3)
    return figure


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
    wanted = {"path": "direct", "sample": "test", "metric": "error"}
    ends = [row["end_mean"] for row in classifiers.select(rows, **wanted)]
    kind = KINDS[first["architecture"]]
    most = "at most " if setting["until"] else ""
    norm = "" if first["norm"] == "none" else f", {first['norm']} normalisation"
    *depths, deepest = dict.fromkeys(str(cell["layers"]) for cell in own)
    layers = f"{', '.join(depths)} and {deepest}" if depths else deepest
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
    curve = classifiers.select(rows, path="direct", sample="test", metric="nll")
    counts = "; ".join(
        f"width {row['width']} {row['done']} of {2 * row['kept']}"
        + f" after {row['done_after']:,.0f} steps" * (row["done"] > 0)
        for row in curve
    )
    every = setting["steps"] // setting["looks"]
    return (
        f" A network trains no further once its NLL on all training images is below "
        f"{setting['until']:g}, looked at every {every:,} steps and where paths are "
        f"measured. Networks that ended so, and after how many steps in the mean: "
        f"{counts}."
    )


def numbers(cells: Cells) -> str:
    """Mean test NLL barriers of every path, and training NLL, at every width."""
    widths = ", ".join(str(record.parameters["width"]) for record in cells.records)
    looks: dict[int, list[dict]] = {}
    for row in cells.along:
        looks.setdefault(row["step"], []).append(row)
    said = [f"After {step:,} steps: {_numbers(looks[step])}" for step in sorted(looks)]
    return f"Test NLL barriers at widths {widths}. {'. '.join(said)}."


def _numbers(rows: Sequence[dict]) -> str:
    """Of one look."""
    said = []
    for path in ["direct", *permuted(rows)]:
        curve = classifiers.select(rows, path=path, sample="test", metric="nll")
        means = ", ".join(f"{row['barrier_mean']:.3g}" for row in curve)
        said.append(f"{LOOKS[path].label} {means}")
    own = classifiers.select(rows, path="direct", sample="train", metric="nll")
    ends = ", ".join(f"{row['end_mean']:.3g}" for row in own)
    return f"{'; '.join(said)}; training NLL of the networks {ends}"


def peak_claims(rows: Sequence[dict], paper: str) -> list[Claim]:
    """Whether each permuted barrier rises, peaks and falls with the width."""
    judged = []
    for path in permuted(rows):
        test, train, error = (
            classifiers.select(rows, path=path, sample=sample, metric=metric)
            for sample, metric in (("test", "nll"), ("train", "nll"), ("test", "error"))
        )
        judged += [_peaked(test, paper), _peaked(train, paper), _peaked(error, "")]
        if paper == "Figure 7":
            judged.append(_placed(test, paper))
    return judged


def _peaked(curve: Sequence[dict], paper: str) -> Claim:
    peak, ends = highest(curve), (curve[0], curve[-1])
    shown = [at(row, "barrier", "width") for row in (ends[0], peak, ends[1])]
    above = all(below(row, peak, "barrier") for row in ends)
    metric = "NLL" if peak["metric"] == "nll" else "error"
    return Claim(
        paper=paper,
        text=f"the permuted {metric} barrier of {_networks(peak)} rises with "
        "width, peaks and falls",
        case=f"{peak['sample']}, {LOOKS[peak['path']].label}",
        measured=f"first, largest, last: {', '.join(shown)}",
        rule="the interval of the largest mean lies above those of the first and "
        f"the last width; at least {FEWEST_WIDTHS} widths of {FEWEST_PAIRS} pairs",
        n=peak["kept"],
        holds=above if _enough(curve) else None,
    )


def _placed(curve: Sequence[dict], paper: str) -> Claim:
    peak = highest(curve)
    least, most = PAPER_WIDTHS
    inner = [row["width"] for row in curve[1:-1]]
    inside = peak["width"] in inner and least <= peak["width"] <= most
    return Claim(
        paper=paper,
        text=f"the permuted NLL barrier of {_networks(peak)} peaks at a "
        f"width of {least} to {most}",
        case=f"test, {LOOKS[peak['path']].label}",
        measured=f"largest, {with_interval(peak, 'barrier')}, at width "
        f"{peak['width']} of {', '.join(str(row['width']) for row in curve)}",
        rule="the largest mean is at such a width, and neither the least nor the "
        f"largest width tried; at least {FEWEST_WIDTHS} widths of {FEWEST_PAIRS} pairs",
        n=peak["kept"],
        holds=inside if _enough(curve) else None,
    )


def _enough(curve: Sequence[dict]) -> bool:
    fewest = min(row["kept"] for row in curve)
    return len(curve) >= FEWEST_WIDTHS and fewest >= FEWEST_PAIRS


def _networks(row: dict) -> str:
    """What a statement is about: those of other networks are other statements."""
    data = classifiers.data_name(row["data"])
    return f"{row['layers']}-layer {row['architecture'].upper()}s on {data}"


def direct_claim(rows: Sequence[dict], paper: str) -> Claim:
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
    return Claim(
        paper=paper,
        text=f"the direct NLL barrier of {_networks(least)} is large at every width",
        case="test",
        measured=f"least {with_interval(least, 'barrier')}, at width "
        f"{least['width']} of {', '.join(str(row['width']) for row in curve)}",
        rule=f"every interval lies above half of ln 10, {half:.3g}: half of what "
        f"guessing costs{begins}; at least {FEWEST_PAIRS} pairs",
        n=least["kept"],
        holds=bool(least["barrier_low"] > half) if enough else None,
    )


def benefit_claims(rows: Sequence[dict], paper: str) -> list[Claim]:
    """Whether what permutation gains depends on the width."""
    return [
        _benefit(
            classifiers.select(rows, path=path, sample="test", metric="nll"), paper
        )
        for path in permuted(rows)
    ]


def _benefit(curve: Sequence[dict], paper: str) -> Claim:
    low, high = (pick(curve, "normalized") for pick in (lowest, highest))
    enough = len(curve) > 1 and min(row["kept"] for row in curve) >= FEWEST_PAIRS
    return Claim(
        paper=paper,
        text=f"what permutation gains for {_networks(low)} depends on the width",
        case=f"test NLL, {LOOKS[low['path']].label}",
        measured=f"permuted/direct {at(low, 'normalized', 'width')}, "
        f"{at(high, 'normalized', 'width')}",
        rule="the intervals of the smallest and the largest ratio do not meet; at "
        f"least {FEWEST_PAIRS} pairs",
        n=low["kept"],
        holds=below(low, high, "normalized") if enough else None,
    )
