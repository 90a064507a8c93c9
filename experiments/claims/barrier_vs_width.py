"""What is claimed of barriers against width, judged by rows of the summary."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.lib import claims as judge
from experiments.lib import curves
from experiments.lib.claims import (
    Claim,
    Interval,
    Statement,
    below,
    every,
    likely,
    within,
)
from experiments.lib.table import at, interval
from lmc_jax.matching import PATHS

LOWER = Statement(
    "permutation lowers the barrier several times over",
    "at every m > k the interval of permuted/direct lies below 1/3",
)
PEAK = Statement(
    "the permuted barrier is largest near m = 2k, within a factor of 1.5",
    "95% of bootstrap resamples have the largest mean beyond m = k at such a width; "
    "fails where 95% have it elsewhere, and is not judged else; of widths up to 5k or "
    "more",
)
FALL = Statement(
    "beyond its peak the permuted barrier falls towards 0",
    "the mean at the largest m is under a quarter of the largest; judged from m = 8k "
    "on",
)
BELOW = Statement(
    "at large m the permuted barrier of {} lies below that of uniform minima",
    "at the largest m, 5k or more, the interval of their ratio is below 1; fails where "
    "it is above, and is not judged else",
)
ALIKE = Statement(
    "the permuted barriers of {} and of uniform minima are very similar",
    "at every width the interval of their ratio is within 1/2 and 2; fails where one "
    "is outside as a whole, and is not judged else",
)
GROWS = Statement(
    "at large m permutation helps more the larger k",
    "at the largest m/k of both, within 10%, the interval of the largest k lies below "
    "that of the smallest k",
    "Figure 3",
)
SHARPENS = Statement(
    "the peak of permuted/direct is sharper the larger k",
    "of the rise from the least m/k to the peak and the fall from it to the largest, "
    "by the worst ends of both intervals, one at least is larger for the largest k and "
    "none smaller; fails where one is smaller and none larger, and is not judged else",
    "Figure 3",
)
CURVE = ("k", "source", "rate", "matching")
NOTHING = "too few pairs, no barrier, or widths that end too soon"


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The paper's statements about Figures 2 and 10-13, judged curve by curve."""
    # Figures 10 to 13 have one panel per learning rate.
    several = len({row["rate"] for row in rows if row["rate"]}) > 1
    paper = "Figures 10-13" if several else "Figure 2"
    judged = []
    groups = curves.group(rows, *CURVE)
    for (k, *names), curve in groups.items():
        wide = [row for row in curve if row["m"] > k]
        if wide and not PATHS[names[-1]].baseline:
            case = f"k = {k}, {_curve(*names)}"
            judged += [_lowered(paper, case, wide), *_peaked(paper, case, wide, k)]
    for (k, source, rate, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        if source in ("gd", "sgd") and reference and not PATHS[matching].baseline:
            case = f"k = {k}, {rate}, {PATHS[matching].label}"
            judged += _against_uniform(paper, case, curve)
    return judged


def normalized_claims(rows: Sequence[dict]) -> list[Claim]:
    """The paper's statements about Figure 3, the smallest k against the largest."""
    judged = []
    for key, group in curves.group(rows, "source", "rate", "matching").items():
        teachers = list(curves.group(group, "k").values())
        if PATHS[key[-1]].baseline or len(teachers) < 2:
            continue
        # Widths are whole: the largest m/k of one teacher may be near another's only.
        common = min(curve[-1]["m"] / curve[-1]["k"] for curve in teachers)
        teachers.sort(key=lambda curve: curve[0]["k"])
        first, last = (
            [row for row in curve if row["m"] <= 1.05 * common * row["k"]]
            for curve in (teachers[0], teachers[-1])
        )
        if min(c[-1]["m"] / c[-1]["k"] for c in (first, last)) >= 0.9 * common:
            judged += _by_teacher(_curve(*key), first, last)
    return judged


def _curve(source: str, rate: str, matching: str) -> str:
    return f"{curves.NAMES[source]} {rate}".rstrip() + f", {PATHS[matching].label}"


# --- Figure 3 ------------------------------------------------------------------------


def _by_teacher(case: str, first: Sequence[dict], last: Sequence[dict]) -> list[Claim]:
    """Of curves of the smallest and the largest k, from one m/k to another."""
    small, large = first[-1], last[-1]
    ends = " against ".join(at(row, "normalized", "k", "m") for row in (large, small))
    grows = below(large, small, "normalized")
    shown, verdicts = [], set()
    for word, side in {"rises": 0, "falls": -1}.items():
        steep, flat = (_factor(curve, curve[side]) for curve in (last, first))
        shown.append(
            f"{word} by a factor {interval(steep)} at k = {large['k']} and "
            f"{interval(flat)} at k = {small['k']}"
        )
        verdicts |= {steep[1] > flat[2]} & {True} | {steep[2] >= flat[1]} & {False}
    sharpens = verdicts.pop() if len(verdicts) == 1 else None
    return [
        GROWS.judged(case, f"permuted/direct {ends}", large["pairs"], grows),
        SHARPENS.judged(case, ", ".join(shown), large["pairs"], sharpens),
    ]


def _factor(curve: Sequence[dict], end: dict) -> Interval:
    """Peak over an end, from the means, and from the worst ends of both intervals."""
    peak = judge.highest(curve, "normalized")

    def over(top: str, bottom: str) -> float:
        value = end[f"normalized_{bottom}"]
        return peak[f"normalized_{top}"] / value if value > 0 else math.inf

    return over("mean", "mean"), over("low", "high"), over("high", "low")


# --- Figures 2 and 10-13 -------------------------------------------------------------


def _lowered(paper: str, case: str, wide: Sequence[dict]) -> Claim:
    known = [row for row in wide if row["normalized_high"] == row["normalized_high"]]
    measured, n, holds = NOTHING, 0, None
    if known:
        worst = judge.highest(known, "normalized")
        measured = f"permuted/direct at most {at(worst, 'normalized')}"
        n, holds = worst["pairs"], max(r["normalized_high"] for r in known) < 1 / 3
    return LOWER._replace(paper=paper).judged(case, measured, n, holds)


def _peaked(paper: str, case: str, curve: Sequence[dict], k: int) -> list[Claim]:
    """Where the peak is, and the fall after it."""
    peak, last = judge.highest(curve), curve[-1]
    measured, n = NOTHING, 0
    verdicts: tuple[bool | None, ...] = (None, None)
    if peak["barrier_low"] > 1e-9 and last["m"] >= 5 * k:
        shares = np.array([row["largest"] for row in curve])
        ratios = np.array([row["m"] for row in curve]) / k
        places = " to ".join(f"{ratios[i]:.3g}k" for i in _range(shares))
        fallen = last["barrier_mean"] / peak["barrier_mean"]
        measured, n = (
            f"peak {at(peak, 'barrier')} = {peak['m'] / k:.3g}k, of 95% of resamples "
            f"at {places}; at m = {last['m']} it is {fallen:.2g} of that",
            peak["pairs"],
        )
        falls = fallen < 0.25 if last["m"] >= 8 * k else None
        verdicts = peaks_near(ratios, shares), falls
    lost = "point" if curve[0]["rate"] else ""
    return [
        one._replace(paper=paper).judged(case, measured, n, holds, lost)
        for one, holds in zip((PEAK, FALL), verdicts, strict=True)
    ]


def peaks_near(ratios: np.ndarray, shares: np.ndarray) -> bool | None:
    """Whether the largest mean is at 2k within a factor of 1.5.

    Of widths in units of k, and the shares of resamples with the largest mean there.
    """
    near = (ratios > 4 / 3 - 1e-9) & (ratios < 3 + 1e-9)
    return likely(shares[near].sum())


def _range(shares: np.ndarray) -> list[int]:
    """The first and the last place of the middle 95% of a distribution."""
    reached = np.cumsum(shares)
    return sorted({int(np.searchsorted(reached, end)) for end in (0.025, 0.975)})


def similar(ratios: Iterable[Interval]) -> bool | None:
    """Whether every ratio is within 1/2 and 2 by its interval; None if unsure."""
    return every(within(ratio, 1 / 2, 2) for ratio in ratios)


def _against_uniform(paper: str, case: str, curve: Sequence[dict]) -> list[Claim]:
    """Of trained minima beside uniform ones."""
    source, both = curve[0]["source"].upper(), [r for r in curve if "over_uniform" in r]
    ratios = ", ".join(
        f"{interval(row['over_uniform'], '.2g')} at m = {row['m']}" for row in both
    )
    wide = [row["over_uniform"] for row in both if row["m"] >= 5 * row["k"]]
    verdicts = {
        BELOW: within(wide[-1], 0, 1) if wide else None,
        ALIKE: similar(row["over_uniform"] for row in both) if both else None,
    }
    shown = f"ratio of means {ratios or 'not defined'}"
    n = min((row["pairs"] for row in both), default=0)
    return [
        one._replace(text=one.text.format(source), paper=paper).judged(
            case, shown, n, holds, "point"
        )
        for one, holds in verdicts.items()
    ]
