"""Theorem 5 and Figure 1: what is claimed of the overlap of two uniform minima.

Judged by sampled points, or by the exact expectation without sampling.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy  # its parts load when first used

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, below, lowest
from experiments.lib.table import at
from lmc_jax import theory

LEVEL = 0.01  # of the test of the intervals' coverage
FEWEST = 10  # points that this test takes

AGREE = "sampled overlaps of uniform minima agree with"
COMPATIBLE = (
    "the number of intervals that hold the value is compatible with 95%: two-sided "
    f"binomial test at {LEVEL:.0%}, of at least {FEWEST} points"
)
CLT = Statement(f"{AGREE} the central-limit form", COMPATIBLE, "Theorem 5")
EXACT = Statement(f"{AGREE} the exact expectation", COMPATIBLE, corrects=CLT.text)
TURNS_SEEN = Statement(
    "the sampled overlap proportion first decreases and then increases",
    "the interval of the least mean lies below those of the smallest and of the "
    "largest m; it fails where the least mean is one of the two, with an interval "
    "below all others; not judged where intervals meet, or of fewer than three widths",
    "Figure 1",
)
LEAST_SEEN = Statement(
    "the sampled overlap proportion is least at m approximately 2k",
    "the interval at m = 2k meets that of the least mean; at least three widths",
    "Figure 1",
)
TURNS = Statement(
    "the overlap proportion first decreases and then increases",
    "no step of the exact expectation, computed without sampling, goes up before its "
    "least value or down after it, by more than 1e-12, up to m = 8k",
    "Theorem 5",
)
TENDS = Statement(
    "the overlap proportion tends to 1 as m → ∞",
    "from m = 100k to 1000k it falls by √10 = 3.162 within 5%, as m^-1/2 does; "
    "computed without sampling",
    "Theorem 5",
)
SMALLEST = "the smallest width at which the exact expectation, computed without"
LEAST = Statement(
    "the expected overlap is least at m = 2k",
    f"{SMALLEST} sampling, is least equals 2k",
    "Theorem 5",
)
LEAST_NEAR = Statement(
    "the expected overlap is least at a width next to 2.292k",
    f"{SMALLEST} sampling, is least is one of the two next to 2.2922k, where its limit "
    "k → ∞ is",
    corrects=LEAST.text,
)
PAPER = 2, 1 - 1 / (2 * math.sqrt(math.pi))  # m/k, and the overlap there
PLACE = f"m = 2k, with value 1 - 1/(2√π) = {PAPER[1]:.4f}"
NEAR = "place and value, computed without sampling, within 0.001 of"
CLT_LIMIT = Statement(
    f"as k → ∞ the central-limit form is least at {PLACE}",
    f"{NEAR} the paper's",
    "Appendix A.1",
)
LIMIT = Statement(
    f"as k → ∞ the overlap proportion is least at {PLACE}",
    f"{NEAR} the paper's",
    "Theorem 5",
)
EXACT_LIMIT = Statement(
    "as k → ∞ the overlap proportion is least at m = 2.292k, with value 0.735",
    f"{NEAR} the limit's",
    corrects=LIMIT.text,
)


def claims(rows: Sequence[dict]) -> list[Claim]:
    uniform = [row for row in rows if row["source"] == "uniform"]
    # At m = k, and for k = 1, every pair overlaps fully: nothing to test.
    tested = [row for row in uniform if row["m"] > row["k"] > 1]
    judged = [_covered(CLT, tested, "clt"), _covered(EXACT, tested, "exact")]
    for (k,), curve in curves.group(tested, "k").items():
        judged += seen(k, curve)
    for k in dict.fromkeys(row["k"] for row in rows if row["k"] > 1):
        judged += expected(k)
    return [*judged, *_limit()]


def _covered(statement: Statement, rows: Sequence[dict], value: str) -> Claim:
    """Whether as many intervals hold the predicted value as should."""
    hits = sum(row["overlap_low"] <= row[value] <= row["overlap_high"] for row in rows)
    test = scipy.stats.binomtest(hits, len(rows), 0.95) if rows else None
    p = float(test.pvalue) if test else math.nan
    gaps = [abs(row["overlap_mean"] - row[value]) for row in rows]
    measured = (
        f"{hits} of {len(rows)} intervals of 95% hold it (p = {p:.2g}); largest gap "
        f"{max(gaps, default=math.nan):.2g}"
    )
    n = sum(row["pairs"] for row in rows)
    return statement.judged("", measured, n, p > LEVEL if len(rows) >= FEWEST else None)


def seen(k: int, curve: Sequence[dict]) -> list[Claim]:
    """Of sampled points: fall and rise, and where they are least."""
    first, last, least = curve[0], curve[-1], lowest(curve, "overlap")
    at_paper = [row for row in curve if row["m"] == 2 * k]
    shown = {row["m"]: at(row, "overlap") for row in (first, last, least, *at_paper)}
    measured = ", ".join(text for _, text in sorted(shown.items()))
    apart = [below(least, row, "overlap") for row in curve if row is not least]
    at_end, enough = least in (first, last), len(curve) > 2
    told = enough and (all(apart) if at_end else apart[0] and apart[-1])
    near = [row["overlap_low"] <= least["overlap_high"] for row in at_paper]
    verdicts = {
        TURNS_SEEN: not at_end if told else None,
        LEAST_SEEN: near[0] if near and enough else None,
    }
    return [
        statement.judged(f"k = {k}", measured, least["pairs"], holds)
        for statement, holds in verdicts.items()
    ]


# --- without sampling ----------------------------------------------------------------


def expected(k: int) -> list[Claim]:
    """Theorem 5 by the exact expectation: the course, and the place of the least."""
    case, place = f"k = {k}", theory.overlap_minimum(k)
    widths = np.arange(k, 8 * k + 1)
    values = theory.expected_overlap(widths, k)
    steps, turn = np.diff(values), place - k  # steps before it lead to the minimum
    wrong = int(np.sum(steps[:turn] > 1e-12) + np.sum(steps[turn:] < -1e-12))
    course = (
        f"the exact expectation goes from 1 at m = {k} to {values[turn]:.4f} at m = "
        f"{place} and {values[-1]:.4f} at m = {8 * k}; {wrong} of {len(steps)} steps "
        "of one neuron go the other way"
    )
    ratios = (10, 100, 1000)
    gaps = 1 - theory.expected_overlap([ratio * k for ratio in ratios], k)
    falls = gaps[:-1] / gaps[1:]
    far = ", ".join(f"{g:.3g} at m = {r}k" for g, r in zip(gaps, ratios, strict=True))
    end = (
        f"1 less the exact expectation is {far}: it falls by factors {falls[0]:.3f} "
        f"and {falls[1]:.3f}"
    )
    least = (
        f"the exact expectation is least at m = {place} = {place / k:.3g}k: "
        f"{values[turn]:.4f}, against {values[k]:.4f} at m = 2k"
    )
    near = abs(place - theory.LIMIT_MINIMUM_RATIO * k) < 1
    return [
        TURNS.judged(case, course, 0, wrong == 0),
        TENDS.judged(case, end, 0, abs(falls[1] / math.sqrt(10) - 1) < 0.05),
        LEAST.judged(case, least, 0, place == 2 * k),
        LEAST_NEAR.judged(case, least, 0, near),
    ]


def _limit() -> list[Claim]:
    """Theorem 5 as k → ∞, place and value: by its own form, exactly, corrected."""
    k = 1000
    form = _lowest(lambda ratio: theory.expected_overlap_clt(ratio * 1e9, 10**9))
    limit = _lowest(theory.expected_overlap_limit)
    least = theory.overlap_minimum(k)
    finite = least / k, float(theory.expected_overlap(least, k))
    at_form, at_limit = (
        f"least at m = {place:.3f}k, with value {value:.4f}"
        for place, value in (form, limit)
    )
    exact = f"the exact limit of the expectation is {at_limit}"
    at_finite = (
        f"the exact expectation at k = {k} is least at m = {least}, with value "
        f"{finite[1]:.4f}; {exact}"
    )
    return [
        CLT_LIMIT.judged("", at_form, 0, _near(form, PAPER)),
        LIMIT.judged("", exact, 0, _near(limit, PAPER)),
        EXACT_LIMIT.judged("", at_finite, 0, _near(finite, limit)),
    ]


def _near(found: tuple[float, float], expected: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-3 for a, b in zip(found, expected, strict=True))


def _lowest(form: Callable) -> tuple[float, float]:
    """Where, in units of k, and how low a form of the overlap is least."""
    found = scipy.optimize.minimize_scalar(form, bounds=(1.1, 8), method="bounded")
    return float(found.x), float(found.fun)
