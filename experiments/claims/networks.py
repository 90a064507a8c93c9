"""What is claimed of networks at several widths, judged by rows of the summary."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.lib import classifiers, widths
from experiments.lib.claims import Claim, Statement, below, highest, likely, lowest
from experiments.lib.curves import NETWORKS
from experiments.lib.peaks import Cells, curve, permuted
from experiments.lib.table import at, interval
from lmc_jax.statistics import statistic_interval

FEWEST_WIDTHS, FEWEST_PAIRS = 5, 3  # of a verdict about a curve
PAPER_WIDTHS = 15, 100  # of the MLPs of Figure 7
# Of networks, which the text names: those of other networks are other statements.
SOME_PAIRS = f"at least {FEWEST_PAIRS} pairs"
SOME_WIDTHS = f"at least {FEWEST_WIDTHS} widths of {FEWEST_PAIRS} pairs"
HALF = float(np.log(10) / 2)
KINDS = {"mlp": "MLP", "cnn": "CNN", "resnet": "ResNet"}
LEARNED = "networks of the largest width that all ended by their training loss"
PEAK_TESTED = f"{SOME_WIDTHS}, the largest mean at neither end of them; {LEARNED}"
PEAKS = Statement(
    "the permuted {metric} barrier of {networks} rises with width, peaks and falls",
    "the interval of the largest mean lies above those of the first and the last "
    f"width; {PEAK_TESTED}",
)
PLACED = Statement(
    "the permuted NLL barrier of {networks} peaks at a width of "
    f"{PAPER_WIDTHS[0]} to {PAPER_WIDTHS[1]}",
    "95% of bootstrap resamples of pairs have the largest mean at such a width; fails "
    f"where 95% have it elsewhere, and is not judged else; {PEAK_TESTED}",
)
DIRECT = Statement(
    "the direct NLL barrier of {networks} is large at every width",
    f"every interval lies above half of ln 10, {HALF:.3g}: half of what guessing "
    f"costs; of MLPs from width {PAPER_WIDTHS[0]} on, where the paper begins, or at "
    f"all widths if none is so large; {SOME_PAIRS}; {LEARNED}",
)
GAINS = Statement(
    "what permutation gains for {networks} depends on the width",
    "the intervals of the smallest and the largest ratio do not meet; "
    f"{SOME_PAIRS}; {LEARNED}",
)
MOVES = Statement(
    "the permuted NLL barrier of {networks} peaks at a larger width the longer they "
    "are trained",
    "95% of bootstrap resamples of pairs have the largest mean at a larger width after "
    "the last step than at the first look; fails where 95% have it at the same or a "
    f"smaller width, and is not judged else; {PEAK_TESTED}",
)


def about(statement: Statement, row: dict, paper: str = "") -> Statement:
    """The statement about the networks of a row."""
    kind, data = KINDS[row["architecture"]], classifiers.data_name(row["data"])
    networks, metric = f"{row['layers']}-layer {kind}s on {data}", row["metric"]
    metric = "NLL" if metric == "nll" else metric
    text = statement.text.format(metric=metric, networks=networks)
    return statement._replace(text=text, paper=paper)


def _case(row: dict) -> str:
    return f"{row['sample']}, {NETWORKS[row['path']]['label']}"


def enough(rows: Sequence[dict], fewest: int = 1) -> bool:
    """Whether widths, pairs at each, and networks that learned allow a verdict."""
    pairs = min(row["kept"] for row in rows)
    learned = rows[-1]["done"] == 2 * rows[-1]["kept"]
    return len(rows) >= fewest and pairs >= FEWEST_PAIRS and learned


def _peak_tested(rows: Sequence[dict]) -> bool:
    """Whether a curve allows a verdict about its peak."""
    inner = highest(rows)["width"] in [row["width"] for row in rows[1:-1]]
    return inner and enough(rows, FEWEST_WIDTHS)


def placed(place: dict[str, Any]) -> bool:
    """Whether ``widths.places`` of a curve allow a verdict about its peak."""
    few = len(place["widths"]) < FEWEST_WIDTHS or place["pairs"] < FEWEST_PAIRS
    return widths.inside(place) and place["learned"] and not few


def of_widths(paper: str, **of_paper: Any) -> Callable[[Cells], list[Claim]]:
    """Claims of barriers against width.

    Args:
      paper: where the paper shows them.
      of_paper: columns of the networks that it shows there, and their values.
    """

    def judged(cells: Cells) -> list[Claim]:
        place = paper if classifiers.select(cells.table, **of_paper) else ""
        return [*peak_claims(cells.table, place), direct_claim(cells.table, place)]

    return judged


def of_paths(**of_paper: Any) -> Callable[[Cells], list[Claim]]:
    """Claims of losses along paths, ``of_paper`` as for ``of_widths``."""

    def judged(cells: Cells) -> list[Claim]:
        place = "Figure 8" if classifiers.select(cells.table, **of_paper) else ""
        return benefit_claims(cells.table, place)

    return judged


def of_looks(cells: Cells) -> list[Claim]:
    """Claims of the peak's width at the first look and at the end of training."""
    looks = sorted({row["step"] for row in cells.along})
    records = [record for record in cells.records if len(classifiers.kept(record))]
    if len(looks) < 2 or not records:
        return []
    judged = []
    for path in permuted(cells.table):
        rows = curve(cells.table, path)
        first, last = (
            widths.peak_widths(records, rows[0]["barrier"], path, step=step)
            for step in (looks[0], looks[-1])
        )
        measured = ", ".join(
            f"width {interval(statistic_interval(peak))} after {step:,} steps"
            for step, peak in ((looks[0], first), (looks[-1], last))
        )
        share = float(np.mean(last[1:] > first[1:]))
        holds = likely(share) if _peak_tested(rows) else None
        statement = about(MOVES, rows[0])
        kept = min(row["kept"] for row in rows)
        judged.append(statement.judged(_case(rows[0]), measured, kept, holds))
    return judged


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
    holds = above if _peak_tested(rows) else None
    measured = f"first, largest, last: {shown}"
    return about(PEAKS, peak, paper).judged(_case(peak), measured, peak["kept"], holds)


def _placed(rows: Sequence[dict], paper: str) -> Claim:
    peak, (least, most) = highest(rows), PAPER_WIDTHS
    inside = sum(row["largest"] for row in rows if least <= row["width"] <= most)
    shares = ", ".join(
        f"{row['largest']:.0%} at {row['width']}" for row in rows if row["largest"]
    )
    measured = (
        f"largest, {at(peak, 'barrier', 'width')} of {_widths(rows)}; of resamples "
        f"{shares}"
    )
    holds = likely(inside) if _peak_tested(rows) else None
    return about(PLACED, peak, paper).judged(_case(peak), measured, peak["kept"], holds)


def _widths(rows: Sequence[dict]) -> str:
    return ", ".join(str(row["width"]) for row in rows)


def direct_claim(rows: Sequence[dict], paper: str) -> Claim:
    """Whether the direct barrier is large at every width that the paper shows."""
    own = curve(rows, "direct")
    if own[0]["architecture"] == "mlp":
        own = [row for row in own if row["width"] >= PAPER_WIDTHS[0]] or own
    least = min(own, key=lambda row: row["barrier_low"])
    measured = f"least {at(least, 'barrier', 'width')} of {_widths(own)}"
    holds = least["barrier_low"] > HALF if enough(own) else None
    return about(DIRECT, least, paper).judged("test", measured, least["kept"], holds)


def benefit_claims(rows: Sequence[dict], paper: str) -> list[Claim]:
    """Whether what permutation gains depends on the width."""
    judged = []
    for path in permuted(rows):
        own = curve(rows, path)
        low, high = (pick(own, "normalized") for pick in (lowest, highest))
        shown = (at(row, "normalized", "width") for row in (low, high))
        measured = f"permuted/direct {', '.join(shown)}"
        case = f"test NLL, {NETWORKS[path]['label']}"
        holds = below(low, high, "normalized") if enough(own, 2) else None
        judged.append(
            about(GAINS, low, paper).judged(case, measured, low["kept"], holds)
        )
    return judged
