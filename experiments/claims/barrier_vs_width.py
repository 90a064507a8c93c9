"""What is claimed of barriers against width, judged by rows of the summary."""

from collections.abc import Sequence

from experiments.lib import claims as judge
from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, below
from experiments.lib.table import at, with_interval
from lmc_jax.matching import PATHS

LOWER = Statement(
    "permutation lowers the barrier several times over",
    "at every m > k the interval of permuted/direct lies below 1/3",
)
PEAK = Statement(
    "the permuted barrier is largest near m = 2k to 3k",
    "some width in 2k ... 3k has an interval that meets the interval of the largest "
    "mean beyond m = k; judged of widths up to 5k or more",
)
PEAK_SEEN = Statement(
    "the permuted barrier is largest at some k < m <= 3k, and then falls",
    "the largest mean beyond m = k is at m <= 3k, and the interval at the largest m, "
    "at least 5k, lies below its interval; it fails where the interval of a largest "
    "mean at m > 3k lies above all those at m <= 3k; not judged where intervals meet",
    corrects=PEAK.text,
)
FALL = Statement(
    "beyond its peak the permuted barrier falls towards 0",
    "the mean at the largest m is under a quarter of the largest; judged from m = 8k "
    "on",
)
BELOW = Statement(
    "at large m the permuted barrier of {} lies below that of uniform minima",
    "at the largest m, 5k or more, the intervals do not meet, and it is lower",
)
ALIKE = Statement(
    "the permuted barriers of {} and of uniform minima are very similar",
    "at no width is either more than twice the other by its whole interval",
)
GROWS = Statement(
    "at large m permutation helps more the larger k",
    "at the largest m/k of both, within 10%, the interval of the largest k lies below "
    "that of the smallest k",
    "Figure 3",
)
SHARPENS = Statement(
    "the peak of permuted/direct is sharper the larger k",
    "the least factor of the largest k, from the ends of both intervals, exceeds the "
    "largest factor of the smallest k",
    "Figure 3",
)
NOTHING = "too few pairs, no barrier, or widths that end too soon"


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The paper's statements about Figures 2 and 10-13, judged curve by curve."""
    # Figures 10 to 13 have a panel a learning rate.
    several = len({row["rate"] for row in rows if row["rate"]}) > 1
    paper = "Figures 10-13" if several else "Figure 2"
    judged = []
    groups = curves.group(rows, "k", "source", "rate", "matching")
    for (k, *names), curve in groups.items():
        wide = [row for row in curve if row["m"] > k]
        if wide and not PATHS[names[-1]].baseline:
            case = f"k = {k}, {_curve(*names)}"
            judged += [_lowered(paper, case, wide), *_peaked(paper, case, wide, k)]
    for (k, source, rate, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        if source in ("gd", "sgd") and reference and not PATHS[matching].baseline:
            case = f"k = {k}, {rate}, {PATHS[matching].label}"
            judged += _against_uniform(paper, case, curve, reference)
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
    """Of curves of the smallest and the largest k.

    The fall is that from the peak to the last width, least and most from the worst ends
    of the intervals.
    """

    def fall(curve, peak_end, last_end):
        peak = judge.highest(curve, "normalized")
        bottom = curve[-1][f"normalized_{last_end}"]
        return peak[f"normalized_{peak_end}"] / bottom if bottom > 0 else float("nan")

    small, large = first[-1], last[-1]
    ends = " against ".join(at(row, "normalized", "k", "m") for row in (large, small))
    factors = [fall(curve, "mean", "mean") for curve in (last, first)]
    least, most = fall(last, "low", "high"), fall(first, "high", "low")
    shown = (
        f"from the peak to the largest m it falls by a factor {factors[0]:.3g} (at "
        f"least {least:.3g}) at k = {large['k']} and {factors[1]:.3g} (at most "
        f"{most:.3g}) at k = {small['k']}"
    )
    grows = below(large, small, "normalized")
    sharpens = least > most if least == least and most == most else None
    return [
        GROWS.judged(case, f"permuted/direct {ends}", large["pairs"], grows),
        SHARPENS.judged(case, shown, large["pairs"], sharpens),
    ]


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
    """Where the peak is, as the paper says and as is seen, and the fall after it."""
    peak, last = judge.highest(curve), curve[-1]
    measured, n = NOTHING, 0
    verdicts: tuple[bool | None, ...] = (None, None, None)
    if peak["barrier_low"] > 1e-9 and last["m"] >= 5 * k:
        near = [row for row in curve if 2 * k <= row["m"] <= 3 * k]
        meets = any(row["barrier_high"] >= peak["barrier_low"] for row in near)
        fallen = last["barrier_mean"] / peak["barrier_mean"]
        measured, n = (
            f"peak {at(peak, 'barrier')} = {peak['m'] / k:.3g}k; at m = {last['m']} it "
            f"is {fallen:.2g} of that",
            peak["pairs"],
        )
        falls = fallen < 0.25 if last["m"] >= 8 * k else None
        verdicts = meets if near else None, _inside(curve, k), falls
    statements = PEAK._replace(paper=paper), PEAK_SEEN, FALL._replace(paper=paper)
    return [
        statement.judged(case, measured, n, holds)
        for statement, holds in zip(statements, verdicts, strict=True)
    ]


def _inside(curve: Sequence[dict], k: int) -> bool | None:
    """Whether the peak is at m <= 3k; None where intervals do not tell."""
    peak, last = judge.highest(curve), curve[-1]
    if peak["m"] <= 3 * k:
        return below(last, peak, "barrier") or None
    others = [row["barrier_high"] for row in curve if row["m"] <= 3 * k]
    return False if peak["barrier_low"] > max(others, default=0) else None


def _against_uniform(
    paper: str, case: str, curve: Sequence[dict], reference: Sequence[dict]
) -> list[Claim]:
    """Of trained minima beside uniform ones."""
    ours, uniform, source = curve[-1], reference[-1], curve[0]["source"].upper()
    last = (
        f"at m = {ours['m']}: {with_interval(ours, 'barrier')} against "
        f"{with_interval(uniform, 'barrier')}"
    )
    lower = below(ours, uniform, "barrier") if ours["m"] >= 5 * ours["k"] else None
    beside = {row["m"]: row for row in reference if row["barrier_low"] > 1e-9}
    both = [
        (row, beside[row["m"]])
        for row in curve
        if row["m"] in beside and row["barrier_low"] > 1e-9
    ]
    ratios = ", ".join(
        f"{row['barrier_mean'] / model['barrier_mean']:.2g} at m = {row['m']}"
        for row, model in both
    )
    similar = all(
        row["barrier_low"] <= 2 * model["barrier_high"]
        and row["barrier_high"] >= model["barrier_low"] / 2
        for row, model in both
    )
    shown = f"ratio of means {ratios or 'not defined'}"
    n = min((row["pairs"] for row, _ in both), default=0)
    judged = (
        (BELOW, last, ours["pairs"], lower),
        (ALIKE, shown, n, similar if both else None),
    )
    return [
        one._replace(text=one.text.format(source), paper=paper).judged(
            case, measured, n, holds
        )
        for one, measured, n, holds in judged
    ]
