"""Theorem 5 and Figure 1: what is claimed of the overlap of two uniform minima.

Judged by sampled points, or by the exact expectation without sampling.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy  # its parts load when first used

from experiments.lib import curves
from experiments.lib.claims import Claim, below, lowest
from experiments.lib.table import at
from lmc_jax import theory

LEVEL = 0.01  # of the test of the intervals' coverage
FEWEST = 10  # points that this test takes


def claims(rows: Sequence[dict]) -> list[Claim]:
    uniform = [row for row in rows if row["source"] == "uniform"]
    # At m = k, and for k = 1, every pair overlaps fully: nothing to test.
    tested = [row for row in uniform if row["m"] > row["k"] > 1]
    judged = [_covered(tested, "clt"), _covered(tested, "exact")]
    for (k,), curve in curves.group(tested, "k").items():
        judged += [_turns(k, curve), _least_seen(k, curve)]
    for k in dict.fromkeys(row["k"] for row in rows if row["k"] > 1):
        judged += [falls_and_rises(k), tends_to_one(k), *least(k)]
    return [*judged, *_limit()]


# --- sampled -------------------------------------------------------------------------


def _covered(rows: Sequence[dict], value: str) -> Claim:
    """Whether as many intervals hold the predicted value as should."""
    hits = sum(row["overlap_low"] <= row[value] <= row["overlap_high"] for row in rows)
    test = scipy.stats.binomtest(hits, len(rows), 0.95) if rows else None
    p = float(test.pvalue) if test else math.nan
    gaps = [abs(row["overlap_mean"] - row[value]) for row in rows]
    agree = "sampled overlaps of uniform minima agree with"
    clt = f"{agree} the central-limit form"
    exact = value == "exact"
    return Claim(
        paper="" if exact else "Theorem 5",
        text=f"{agree} the exact expectation" if exact else clt,
        corrects=clt if exact else "",
        measured=f"{hits} of {len(rows)} intervals of 95% hold it (p = {p:.2g}); "
        f"largest gap {max(gaps, default=math.nan):.2g}",
        rule="the number of intervals that hold the value is compatible with 95%: "
        f"two-sided binomial test at {LEVEL:.0%}, of at least {FEWEST} points",
        n=sum(row["pairs"] for row in rows),
        holds=bool(p > LEVEL) if len(rows) >= FEWEST else None,
    )


def _shown(k: int, curve: Sequence[dict]) -> str:
    """The ends of a curve, its least point, and the one at 2k."""
    kept = [curve[0], curve[-1], lowest(curve, "overlap")]
    kept += [row for row in curve if row["m"] == 2 * k]
    shown = {row["m"]: at(row, "overlap") for row in kept}
    return ", ".join(text for _, text in sorted(shown.items()))


def _turns(k: int, curve: Sequence[dict]) -> Claim:
    least, ends = lowest(curve, "overlap"), (curve[0], curve[-1])
    apart = [below(least, row, "overlap") for row in curve if row is not least]
    holds: bool | None = None
    if len(curve) > 2:
        if least in ends:
            holds = False if all(apart) else None
        else:
            holds = True if apart[0] and apart[-1] else None
    return Claim(
        paper="Figure 1",
        text="the sampled overlap proportion first decreases and then increases",
        case=f"k = {k}",
        measured=_shown(k, curve),
        rule="the interval of the least mean lies below those of the smallest and of "
        "the largest m; it fails where the least mean is one of the two, with an "
        "interval below all others; not judged where intervals meet, or of fewer than "
        "three widths",
        n=least["pairs"],
        holds=holds,
    )


def _least_seen(k: int, curve: Sequence[dict]) -> Claim:
    least = lowest(curve, "overlap")
    at_paper = [row for row in curve if row["m"] == 2 * k]
    judged = at_paper and len(curve) > 2
    return Claim(
        paper="Figure 1",
        text="the sampled overlap proportion is least at m approximately 2k",
        case=f"k = {k}",
        measured=_shown(k, curve),
        rule="the interval at m = 2k meets that of the least mean; at least three "
        "widths",
        n=least["pairs"],
        holds=bool(at_paper[0]["overlap_low"] <= least["overlap_high"])
        if judged
        else None,
    )


# --- without sampling ----------------------------------------------------------------


def falls_and_rises(k: int) -> Claim:
    widths = np.arange(k, 8 * k + 1)
    steps = np.diff(theory.expected_overlap(widths, k))
    turn = theory.overlap_minimum(k) - k  # steps before it lead to the minimum
    wrong = int(np.sum(steps[:turn] > 1e-12) + np.sum(steps[turn:] < -1e-12))
    return Claim(
        paper="Theorem 5",
        text="the overlap proportion first decreases and then increases",
        case=f"k = {k}",
        measured=f"the exact expectation goes from 1 at m = {k} to "
        f"{theory.expected_overlap(k + turn, k):.4f} at m = {k + turn} and "
        f"{theory.expected_overlap(8 * k, k):.4f} at m = {8 * k}; {wrong} of "
        f"{len(steps)} steps of one neuron go the other way",
        rule="no step of the exact expectation, computed without sampling, goes up "
        "before its least value or down after it, by more than 1e-12, up to m = 8k",
        n=0,
        holds=wrong == 0,
    )


def tends_to_one(k: int) -> Claim:
    ratios = (10, 100, 1000)
    gaps = 1 - theory.expected_overlap([ratio * k for ratio in ratios], k)
    falls = gaps[:-1] / gaps[1:]
    return Claim(
        paper="Theorem 5",
        text="the overlap proportion tends to 1 as m → ∞",
        case=f"k = {k}",
        measured="1 less the exact expectation is "
        + ", ".join(f"{g:.3g} at m = {r}k" for g, r in zip(gaps, ratios, strict=True))
        + f": it falls by factors {falls[0]:.3f} and {falls[1]:.3f}",
        rule="from m = 100k to 1000k it falls by √10 = 3.162 within 5%, as m^-1/2 "
        "does; computed without sampling",
        n=0,
        holds=bool(abs(falls[1] / math.sqrt(10) - 1) < 0.05),
    )


def least(k: int) -> list[Claim]:
    """The place of the least expected overlap: as the paper says, and corrected."""
    place = theory.overlap_minimum(k)
    value, at_paper = theory.expected_overlap([place, 2 * k], k)
    measured = (
        f"the exact expectation is least at m = {place} = {place / k:.3g}k:"
        f" {value:.4f}, against {at_paper:.4f} at m = 2k"
    )
    text = "the expected overlap is least at"
    said, case = f"{text} m = 2k", f"k = {k}"
    rule = "the smallest width at which the exact expectation, computed without "
    near = abs(place - theory.LIMIT_MINIMUM_RATIO * k) < 1
    equal = f"{rule}sampling, is least equals 2k"
    beside = (
        f"{rule}sampling, is least is one of the two next to 2.2922k, where its limit "
        "k → ∞ is"
    )
    return [
        Claim(said, measured, equal, 0, place == 2 * k, "Theorem 5", case),
        Claim(
            *(f"{text} a width next to 2.292k", measured, beside, 0, near),
            case=case,
            corrects=said,
        ),
    ]


def _limit() -> list[Claim]:
    """Theorem 5 as k → ∞, place and value: by its own form, exactly, corrected."""
    paper, k = 1 - 1 / (2 * math.sqrt(math.pi)), 1000
    form = _lowest(lambda ratio: theory.expected_overlap_clt(ratio * 1e9, 10**9))
    limit = _lowest(theory.expected_overlap_limit)
    least = theory.overlap_minimum(k)
    finite = float(theory.expected_overlap(least, k))
    text = "as k → ∞ the overlap proportion is least at"
    said = f"m = 2k, with value 1 - 1/(2√π) = {paper:.4f}"
    rule = "place and value, computed without sampling, within 0.001 of "
    return [
        Claim(
            f"as k → ∞ the central-limit form is least at {said}",
            f"least at m = {form[0]:.3f}k, with value {form[1]:.4f}",
            *(f"{rule}the paper's", 0, _near(form, (2, paper))),
            paper="Appendix A.1",
        ),
        Claim(
            f"{text} {said}",
            "the exact limit of the expectation is least at m = "
            f"{limit[0]:.3f}k, with value {limit[1]:.4f}",
            *(f"{rule}the paper's", 0, _near(limit, (2, paper))),
            paper="Theorem 5",
        ),
        Claim(
            f"{text} m = 2.292k, with value 0.735",
            f"the exact expectation at k = {k} is least at m = {least}, with value "
            f"{finite:.4f}",
            f"{rule}the limit's: m/k = {limit[0]:.4f}, {limit[1]:.4f}",
            *(0, _near((least / k, finite), limit)),
            corrects=f"{text} {said}",
        ),
    ]


def _near(found: tuple[float, float], expected: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-3 for a, b in zip(found, expected, strict=True))


def _lowest(form: Callable) -> tuple[float, float]:
    """Where, in units of k, and how low a form of the overlap is least."""
    found = scipy.optimize.minimize_scalar(form, bounds=(1.1, 8), method="bounded")
    return float(found.x), float(found.fun)
