"""The three legs of the double descent, and how many runs fit, judged by its rows."""

from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, below, highest, lowest
from experiments.lib.table import at, interval
from lmc_jax.matching import PATHS

SOLVED = 1e-4  # a loss below this counts as fitted
FIT = Statement(
    "students of width m >= 1.5k fit the teacher",
    "at every m >= 1.5k at least 95% of the runs reach a loss below 1e-4, diverged "
    "ones among those that do not",
)
APART = "the two intervals do not meet:"
FALL = Statement(
    "the barrier first falls as m grows towards k",
    f"{APART} the largest mean below k, and the smallest after it up to m = k",
    "Figure 4",
)
RISE = Statement(
    "beyond k it rises to a peak",
    f"{APART} the largest mean after the trough, the smallest for k < m <= 1.5k, and "
    "it",
    "Figure 4",
)
SECOND_FALL = Statement(
    "then it falls a second time",
    f"{APART} that largest mean, and the largest width",
    "Figure 4",
)


def by_teacher(rows: Sequence[dict]) -> list[tuple[int, str, dict[str, list[dict]]]]:
    """Curves by matching, for each k and learning rate."""
    return [
        (k, rate, {name: c for (name,), c in curves.group(own, "matching").items()})
        for (k, rate), own in curves.group(rows, "k", "rate").items()
    ]


def stay(above: np.ndarray) -> str:
    """Median and range of the losses of the runs that did not fit."""
    if not len(above):
        return "-"
    return interval((np.median(above), above.min(), above.max()), ".2g")


def claims(rows: Sequence[dict]) -> list[Claim]:
    """How many runs fit, and the three legs of the double descent by matching."""
    judged = []
    for k, rate, group in by_teacher(rows):
        case = f"k = {k}, η = {rate}"
        judged.append(_fitted(k, case, group["direct"]))
        for matching, curve in group.items():
            if not PATHS[matching].baseline:
                judged += _legs(k, f"{case}, {PATHS[matching].label}", curve)
    return judged


def _fitted(k: int, case: str, curve: Sequence[dict]) -> Claim:
    wide = [row for row in curve if row["m"] >= 1.5 * k]
    least = min((row["solved"] for row in wide), default=0.0)
    shown = f"at least {least:.0%} of the runs below {SOLVED:g}" if wide else "no width"
    narrow = {
        row["m"]: f"{row['solved']:.0%}" for row in curve if k <= row["m"] < 1.5 * k
    }
    stuck = {row["m"]: stay(row["above"]) for row in curve if len(row["above"])}
    measured = (
        f"{shown}; for k <= m < 1.5k: {narrow}; the others stay, median and range by "
        f"m, at {stuck or 'no loss: there are none'}"
    )
    n = 2 * min((row["pairs"] for row in wide), default=0)
    return FIT.judged(case, measured, n, least >= 0.95 if wide else None)


def _legs(k: int, case: str, curve: Sequence[dict]) -> list[Claim]:
    """Down towards m = k, up to a peak beyond it, down again."""
    narrow = [row for row in curve if row["m"] < k]
    beyond = [row for row in curve if row["m"] > k]
    if not narrow or len(beyond) < 3:
        return []
    first = highest(narrow)
    after = [row for row in curve if first["m"] < row["m"] <= k]
    trough = min(beyond[:-1], key=lambda row: (row["m"] > 1.5 * k, row["barrier_mean"]))
    peak = highest([row for row in beyond if row["m"] > trough["m"]])
    legs = [(FALL, first, lowest(after))] if after else []
    legs += [(RISE, peak, trough), (SECOND_FALL, peak, curve[-1])]
    return [
        statement.judged(
            case,
            f"{at(high, 'barrier')} against {at(low, 'barrier')}",
            high["pairs"],
            below(low, high, "barrier"),
        )
        for statement, high, low in legs
    ]
