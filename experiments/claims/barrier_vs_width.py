"""What is claimed of barriers against width, judged by rows of the summary."""

from collections.abc import Sequence

from experiments.lib import claims as judge
from experiments.lib import curves
from experiments.lib.claims import Claim, below
from experiments.lib.table import at, with_interval
from lmc_jax.matching import PATHS

LOWER = "permutation lowers the barrier several times over"
PEAK = "the permuted barrier is largest near m = 2k to 3k"
PEAK_SEEN = "the permuted barrier is largest at some k < m <= 3k, and then falls"
FALL = "beyond its peak the permuted barrier falls towards 0"


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The paper's statements about Figures 2 and 10-13, judged curve by curve."""
    # Figures 10 to 13 have a panel a learning rate.
    several = len({row["rate"] for row in rows if row["rate"]}) > 1
    paper = "Figures 10-13" if several else "Figure 2"
    judged = []
    for key, curve in curves.group(rows, "k", "source", "rate", "matching").items():
        k, source, rate, matching = key
        wide = [row for row in curve if row["m"] > k]
        if wide and not PATHS[matching].baseline:
            case = f"k = {k}, {_curve(source, rate, matching)}"
            judged += [_lowered(paper, case, wide), *_peaked(paper, case, wide, k)]
    return judged + _against_uniform(paper, rows)


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
            case = _curve(*key)
            judged += [_benefit_grows(case, first, last), _sharpens(case, first, last)]
    return judged


def _curve(source: str, rate: str, matching: str) -> str:
    return f"{curves.NAMES[source]} {rate}".rstrip() + f", {PATHS[matching].label}"


def highest(curve: Sequence[dict]) -> dict:
    """The peak. At m = k global minima have none, and runs that got stuck may."""
    return judge.highest([row for row in curve if row["m"] > row["k"]] or curve)


# --- Figure 3 ------------------------------------------------------------------------


def _benefit_grows(case: str, first: Sequence[dict], last: Sequence[dict]) -> Claim:
    small, large = first[-1], last[-1]
    ends = (
        f"{with_interval(row, 'normalized')} at k = {row['k']}, m = {row['m']}"
        for row in (large, small)
    )
    return Claim(
        paper="Figure 3",
        text="at large m permutation helps more the larger k",
        case=case,
        measured=f"permuted/direct {' against '.join(ends)}",
        rule="at the largest m/k of both, within 10%, the interval of the largest k "
        "lies below that of the smallest k",
        n=large["pairs"],
        holds=below(large, small, "normalized"),
    )


def _sharpens(case: str, first: Sequence[dict], last: Sequence[dict]) -> Claim:
    """The fall from the peak to the last width, from the worst ends of intervals."""

    def fall(curve, peak_end, last_end):
        peak = judge.highest(curve, "normalized")
        bottom = curve[-1][f"normalized_{last_end}"]
        return peak[f"normalized_{peak_end}"] / bottom if bottom > 0 else float("nan")

    large, small = (fall(curve, "mean", "mean") for curve in (last, first))
    least, most = fall(last, "low", "high"), fall(first, "high", "low")
    return Claim(
        paper="Figure 3",
        text="the peak of permuted/direct is sharper the larger k",
        case=case,
        measured=f"from the peak to the largest m it falls by a factor {large:.3g} "
        f"(at least {least:.3g}) at k = {last[0]['k']} and {small:.3g} (at most "
        f"{most:.3g}) at k = {first[0]['k']}",
        rule="the least factor of the largest k, from the ends of both intervals, "
        "exceeds the largest factor of the smallest k",
        n=last[-1]["pairs"],
        holds=bool(least > most) if least == least and most == most else None,
    )


# --- Figures 2 and 10-13 -------------------------------------------------------------


def _not_tested(paper: str, case: str, text: str, corrects: str = "") -> Claim:
    rule = "needs two pairs, barriers above 0 and widths up to 5k"
    return Claim(
        text,
        "too few pairs, no barrier, or widths that end too soon",
        rule,
        0,
        None,
        paper,
        case,
        corrects,
    )


def _lowered(paper: str, case: str, wide: Sequence[dict]) -> Claim:
    wide = [row for row in wide if row["normalized_high"] == row["normalized_high"]]
    if not wide:
        return _not_tested(paper, case, LOWER)
    worst = judge.highest(wide, "normalized")
    return Claim(
        paper=paper,
        text=LOWER,
        case=case,
        measured="permuted/direct at most "
        f"{with_interval(worst, 'normalized')}, at m = {worst['m']}",
        rule="at every m > k the interval of permuted/direct lies below 1/3",
        n=worst["pairs"],
        holds=bool(max(row["normalized_high"] for row in wide) < 1 / 3),
    )


def _peaked(paper: str, case: str, curve: Sequence[dict], k: int) -> list[Claim]:
    """Where the peak is, as the paper says and as is seen, and the fall after it."""
    peak, last = highest(curve), curve[-1]
    if not peak["barrier_low"] > 1e-9 or last["m"] < 5 * k:
        return [
            _not_tested(paper, case, PEAK),
            _not_tested("", case, PEAK_SEEN, corrects=PEAK),
            _not_tested(paper, case, FALL),
        ]
    near = [row for row in curve if 2 * k <= row["m"] <= 3 * k]
    reached = any(row["barrier_high"] >= peak["barrier_low"] for row in near)
    fallen = last["barrier_mean"] / peak["barrier_mean"]
    measured = (
        f"peak {at(peak, 'barrier')} = {peak['m'] / k:.3g}k; at m = {last['m']} it is "
        f"{fallen:.2g} of that"
    )

    def claim(text: str, rule: str, holds: bool | None, corrects: str = "") -> Claim:
        place = "" if corrects else paper
        n = peak["pairs"]
        return Claim(text, measured, rule, n, holds, place, case, corrects)

    return [
        claim(
            PEAK,
            "some width in 2k ... 3k has an interval that meets the interval of the "
            "largest mean beyond m = k",
            bool(reached) if near else None,
        ),
        claim(
            PEAK_SEEN,
            "the largest mean beyond m = k is at m <= 3k, and the interval at the "
            "largest m, at least 5k, lies below its interval; it fails where the "
            "interval of a largest mean at m > 3k lies above all those at m <= 3k; "
            "not judged where intervals meet",
            _inside(curve, k),
            corrects=PEAK,
        ),
        claim(
            FALL,
            "the mean at the largest m is under a quarter of the largest; judged from "
            "m = 8k on",
            bool(fallen < 0.25) if last["m"] >= 8 * k else None,
        ),
    ]


def _inside(curve: Sequence[dict], k: int) -> bool | None:
    """Whether the peak is at m <= 3k; None where intervals do not tell."""
    peak, last = highest(curve), curve[-1]
    if peak["m"] <= 3 * k:
        return below(last, peak, "barrier") or None
    others = [row["barrier_high"] for row in curve if row["m"] <= 3 * k]
    return False if peak["barrier_low"] > max(others, default=0) else None


def _against_uniform(paper: str, rows: Sequence[dict]) -> list[Claim]:
    """Curves of trained minima beside that of uniform ones."""
    judged = []
    groups = curves.group(rows, "k", "source", "rate", "matching")
    for (k, source, rate, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        if source in ("gd", "sgd") and reference and not PATHS[matching].baseline:
            case = f"k = {k}, {rate}, {PATHS[matching].label}"
            judged.append(_below(paper, source, case, curve[-1], reference[-1]))
            judged.append(_alike(paper, source, case, curve, reference))
    return judged


def _below(paper: str, source: str, case: str, ours: dict, uniform: dict) -> Claim:
    return Claim(
        paper=paper,
        text=f"at large m the permuted barrier of {source.upper()} lies below that of "
        "uniform minima",
        case=case,
        measured=f"at m = {ours['m']}: {with_interval(ours, 'barrier')} "
        f"against {with_interval(uniform, 'barrier')}",
        rule="at the largest m, 5k or more, the intervals do not meet, and it is lower",
        n=ours["pairs"],
        holds=below(ours, uniform, "barrier") if ours["m"] >= 5 * ours["k"] else None,
    )


def _alike(
    paper: str, source: str, case: str, curve: Sequence[dict], reference: Sequence[dict]
) -> Claim:
    beside = {row["m"]: row for row in reference if row["barrier_low"] > 1e-9}
    both = [
        (row, beside[row["m"]])
        for row in curve
        if row["m"] in beside and row["barrier_low"] > 1e-9
    ]
    ratios = {row["m"]: row["barrier_mean"] / m["barrier_mean"] for row, m in both}
    shown = ", ".join(f"{ratio:.2g} at m = {m}" for m, ratio in ratios.items())
    apart = [
        row["m"]
        for row, model in both
        if row["barrier_low"] > 2 * model["barrier_high"]
        or row["barrier_high"] < model["barrier_low"] / 2
    ]
    return Claim(
        paper=paper,
        text=f"the permuted barriers of {source.upper()} and of uniform minima are "
        "very similar",
        case=case,
        measured=f"ratio of means {shown or 'not defined'}",
        rule="at no width is either more than twice the other by its whole interval",
        n=min((row["pairs"] for row, _ in both), default=0),
        holds=not apart if both else None,
    )
