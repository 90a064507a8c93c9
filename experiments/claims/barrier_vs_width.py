"""What is claimed of barriers against width, judged by rows of the summary."""

from collections.abc import Sequence

from experiments.lib import curves
from experiments.lib.claims import Claim
from experiments.lib.table import with_interval
from lmc_jax.matching import PATHS


def highest(curve: Sequence[dict]) -> dict:
    """The peak. At m = k global minima have none, and runs that got stuck may."""
    wide = [row for row in curve if row["m"] > row["k"]] or curve
    return max(wide, key=lambda row: row["barrier_mean"])


def normalized_claims(rows: Sequence[dict]) -> list[Claim]:
    """The paper's statements about Figure 3, the smallest k against the largest."""
    judged = []
    groups = curves.group(rows, "source", "rate", "matching")
    for (source, rate_shown, matching), group in groups.items():
        teachers = curves.group(group, "k")
        if PATHS[matching].baseline or len(teachers) < 2:
            continue
        label = f"{source} {rate_shown}".rstrip() + f", {PATHS[matching].label}"
        # Widths are whole: the largest m/k of one teacher may be near another's only.
        common_ratio = min(
            curve[-1]["m"] / curve[-1]["k"] for curve in teachers.values()
        )
        first, last = (
            [r for r in teachers[end] if r["m"] <= 1.05 * common_ratio * r["k"]]
            for end in (min(teachers), max(teachers))
        )
        if min(c[-1]["m"] / c[-1]["k"] for c in (first, last)) < 0.9 * common_ratio:
            continue
        judged += [_benefit_grows(label, first, last), _sharpens(label, first, last)]
    return [Claim(**fields) for fields in judged]


def _benefit_grows(label: str, first: Sequence[dict], last: Sequence[dict]) -> dict:
    small, large = first[-1], last[-1]
    return {
        "paper": "Figure 3",
        "text": "at large m permutation helps more the larger k",
        "case": label,
        "measured": f"permuted/direct {with_interval(large, 'normalized')} at "
        f"k = {large['k']}, m = {large['m']} against "
        f"{with_interval(small, 'normalized')} at k = {small['k']}, m = "
        f"{small['m']}",
        "rule": "at the largest m/k of both, within 10%, the interval of the largest k "
        "lies below that of the smallest k",
        "n": large["pairs"],
        "holds": bool(large["normalized_high"] < small["normalized_low"]),
    }


def _sharpens(label: str, first: Sequence[dict], last: Sequence[dict]) -> dict:
    """The fall from the peak to the last width, from the worst ends of intervals."""

    def fall(curve, peak_end, last_end):
        peak = max(curve, key=lambda row: row["normalized_mean"])
        bottom = curve[-1][f"normalized_{last_end}"]
        return peak[f"normalized_{peak_end}"] / bottom if bottom > 0 else float("nan")

    falls = [
        (curve[0]["k"], fall(curve, "mean", "mean"), fall(curve, *ends))
        for curve, ends in ((last, ("low", "high")), (first, ("high", "low")))
    ]
    (k, large, least), (j, small, most) = falls
    return {
        "paper": "Figure 3",
        "text": "the peak of permuted/direct is sharper the larger k",
        "case": label,
        "measured": f"from the peak to the largest m it falls by a factor {large:.3g} "
        f"(at least {least:.3g}) at k = {k} and {small:.3g} (at most {most:.3g}) at "
        f"k = {j}",
        "rule": "the least factor of the largest k, from the ends of both intervals, "
        "exceeds the largest factor of the smallest k",
        "n": last[-1]["pairs"],
        "holds": bool(least > most) if least == least and most == most else None,
    }


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The paper's statements about Figures 2 and 10-13, judged curve by curve."""
    judged = []
    for key, curve in curves.group(rows, "k", "source", "rate", "matching").items():
        k, source, rate_shown, matching = key
        wide = [row for row in curve if row["m"] > k]
        if PATHS[matching].baseline or not wide:
            continue
        label = (
            f"k = {k}, {source} {rate_shown}".rstrip() + f", {PATHS[matching].label}"
        )
        judged += [_lowered(label, wide), *_peaked(label, wide, k)]
    judged += _against_uniform(rows)
    # Figures 10 to 13 have a panel a learning rate.
    several = len({row["rate"] for row in rows if row["rate"]}) > 1
    paper = "Figures 10-13" if several else "Figure 2"
    return [Claim(**({"paper": paper} | fields)) for fields in judged]


_LOWER = "permutation lowers the barrier several times over"
_PEAK = "the permuted barrier is largest near m = 2k to 3k"
_PEAK_SEEN = "the permuted barrier is largest at some k < m <= 3k, and then falls"
_FALL = "beyond its peak the permuted barrier falls towards 0"


def _not_run(text: str, case: str) -> dict:
    measured, rule = (
        "no barrier to judge",
        "needs two pairs, barriers above 0 and widths up to 5k",
    )
    shared = {"text": text, "case": case, "n": 0, "holds": None}
    return shared | {"measured": measured, "rule": rule}


def _lowered(label: str, wide: Sequence[dict]) -> dict:
    wide = [row for row in wide if row["normalized_high"] == row["normalized_high"]]
    if not wide:
        return _not_run(_LOWER, label)
    worst = max(wide, key=lambda row: row["normalized_mean"])
    return {
        "text": _LOWER,
        "case": label,
        "measured": "permuted/direct at most "
        f"{with_interval(worst, 'normalized')}, at m = {worst['m']}",
        "rule": "at every m > k the interval of permuted/direct lies below 1/3",
        "n": worst["pairs"],
        "holds": bool(max(row["normalized_high"] for row in wide) < 1 / 3),
    }


def _peaked(label: str, curve: Sequence[dict], k: int) -> list[dict]:
    """Where the peak is, as the paper says and as is seen, and the fall after it."""
    peak, last = highest(curve), curve[-1]
    names = (_PEAK, _PEAK_SEEN, _FALL)
    there, seen, fall = (_not_run(name, label) for name in names)
    seen |= {"paper": "", "corrects": _PEAK}
    if not peak["barrier_low"] > 1e-9 or last["m"] < 5 * k:
        return [there, seen, fall]
    near = [row for row in curve if 2 * k <= row["m"] <= 3 * k]
    reached = any(row["barrier_high"] >= peak["barrier_low"] for row in near)
    fallen = last["barrier_mean"] / peak["barrier_mean"]
    shared = {
        "measured": f"peak {with_interval(peak, 'barrier')} at m = {peak['m']} "
        f"= {peak['m'] / k:.3g}k; at m = {last['m']} it is {fallen:.2g} of that",
        "n": peak["pairs"],
    }
    there |= shared | {
        "rule": "some width in 2k ... 3k has an interval that meets the interval of "
        "the largest mean beyond m = k",
        "holds": bool(reached) if near else None,
    }
    seen |= shared | {
        "rule": "the largest mean beyond m = k is at m <= 3k, and the interval at the "
        "largest m, at least 5k, lies below its interval; it fails where the interval "
        "of a largest mean at m > 3k lies above all those at m <= 3k; not judged where "
        "intervals meet",
        "holds": _inside(curve, k),
    }
    fall |= shared | {
        "rule": "the mean at the largest m is under a quarter of the largest; judged "
        "from m = 8k on",
        "holds": bool(fallen < 0.25) if last["m"] >= 8 * k else None,
    }
    return [there, seen, fall]


def _inside(curve: Sequence[dict], k: int) -> bool | None:
    """Whether the peak is at m <= 3k; None where intervals do not tell."""
    peak, last = highest(curve), curve[-1]
    if peak["m"] <= 3 * k:
        return True if last["barrier_high"] < peak["barrier_low"] else None
    others = [row["barrier_high"] for row in curve if row["m"] <= 3 * k]
    return False if peak["barrier_low"] > max(others, default=0) else None


def _against_uniform(rows: Sequence[dict]) -> list[dict]:
    """Curves of trained minima beside that of uniform ones."""
    judged = []
    groups = curves.group(rows, "k", "source", "rate", "matching")
    for (k, source, rate_shown, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        if source not in ("gd", "sgd") or PATHS[matching].baseline or not reference:
            continue
        label = f"k = {k}, {rate_shown}, {PATHS[matching].label}"
        judged.append(_below(source, label, curve[-1], reference[-1]))
        judged.append(_alike(source, label, curve, reference))
    return judged


def _below(source: str, label: str, ours: dict, uniform: dict) -> dict:
    gap = uniform["barrier_low"] - ours["barrier_high"]  # NaN without intervals
    return {
        "text": (
            f"at large m the permuted barrier of {source} lies below that "
            "of uniform minima"
        ),
        "case": label,
        "measured": f"at m = {ours['m']}: {with_interval(ours, 'barrier')} "
        f"against {with_interval(uniform, 'barrier')}",
        "rule": "at the largest m the intervals do not meet, and it is lower",
        "n": ours["pairs"],
        "holds": bool(gap > 0) if gap == gap else None,
    }


def _alike(source: str, label: str, curve: Sequence, reference: Sequence) -> dict:
    beside = {row["m"]: row for row in reference if row["barrier_low"] > 1e-9}
    both = [(row, beside[row["m"]]) for row in curve if row["m"] in beside]
    both = [(row, model) for row, model in both if row["barrier_low"] > 1e-9]
    ratios = {row["m"]: row["barrier_mean"] / m["barrier_mean"] for row, m in both}
    shown = ", ".join(f"{ratio:.2g} at m = {m}" for m, ratio in ratios.items())
    apart = [
        row["m"]
        for row, model in both
        if row["barrier_low"] > 2 * model["barrier_high"]
        or row["barrier_high"] < model["barrier_low"] / 2
    ]
    return {
        "text": (
            f"the permuted barriers of {source} and of uniform minima are very similar"
        ),
        "case": label,
        "measured": f"ratio of means {shown or 'not defined'}",
        "rule": "at no width is either more than twice the other by its whole interval",
        "n": min((row["pairs"] for row, _ in both), default=0),
        "holds": not apart if both else None,
    }
