"""The three legs of the double descent, and how many runs fit, judged by its rows."""

from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, below, highest, lowest
from experiments.lib.table import at
from lmc_jax.matching import PATHS

SOLVED = 1e-4  # a loss below this counts as fitted


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
    return f"{np.median(above):.2g} [{above.min():.2g}, {above.max():.2g}]"


def claims(rows: Sequence[dict]) -> list[Claim]:
    """How many runs fit, and the three legs of the double descent by matching."""
    judged = []
    for k, rate, group in by_teacher(rows):
        judged.append(_fitted(k, rate, group["direct"]))
        for matching, curve in group.items():
            if not PATHS[matching].baseline:
                case = f"k = {k}, η = {rate}, {PATHS[matching].label}"
                judged += _legs(k, case, curve)
    return judged


def _fitted(k: int, rate: str, curve: Sequence[dict]) -> Claim:
    wide = [row for row in curve if row["m"] >= 1.5 * k]
    least = min((row["solved"] for row in wide), default=0.0)
    shown = f"at least {least:.0%} of the runs below {SOLVED:g}" if wide else "no width"
    narrow = {
        row["m"]: f"{row['solved']:.0%}" for row in curve if k <= row["m"] < 1.5 * k
    }
    stuck = {row["m"]: stay(row["above"]) for row in curve if len(row["above"])}
    return Claim(
        text="students of width m >= 1.5k fit the teacher",
        case=f"k = {k}, η = {rate}",
        measured=f"{shown}; for k <= m < 1.5k: {narrow}; the others stay, median "
        f"and range by m, at {stuck or 'no loss: there are none'}",
        rule="at every m >= 1.5k at least 95% of the runs reach a loss below 1e-4, "
        "diverged ones among those that do not",
        n=2 * min((row["pairs"] for row in wide), default=0),
        holds=bool(least >= 0.95) if wide else None,
    )


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

    def leg(text: str, high: dict, low: dict, picked: str) -> Claim:
        return Claim(
            paper="Figure 4",
            text=text,
            case=case,
            measured=f"{at(high, 'barrier')} against {at(low, 'barrier')}",
            rule=f"the two intervals do not meet: {picked}",
            n=high["pairs"],
            holds=below(low, high, "barrier"),
        )

    rise = "the largest mean after the trough, the smallest for k < m <= 1.5k, and it"
    legs = [
        leg("beyond k it rises to a peak", peak, trough, rise),
        leg(
            *("then it falls a second time", peak, curve[-1]),
            "that largest mean, and the largest width",
        ),
    ]
    if after:
        picked = "the largest mean below k, and the smallest after it up to m = k"
        text = "the barrier first falls as m grows towards k"
        legs.insert(0, leg(text, first, lowest(after), picked))
    return legs
