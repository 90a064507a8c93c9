"""What is claimed of matchings, judged by the rows of ``matching_gap``."""

from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, highest
from experiments.lib.matchings import ROUNDING
from experiments.lib.table import with_interval
from lmc_jax.matching import ALGORITHM_1, MATCHINGS
from lmc_jax.matching.exhaustive import WIDEST

NEVER_BELOW = Statement(
    "no matching's barrier is below the optimum over all permutations",
    f"none below -{ROUNDING:g}, the rounding of a loss, in any pair",
)
REFINED = Statement(
    f"beyond m = {WIDEST} no other matching has a lower mean barrier than swap descent "
    "on the barrier with restarts",
    f"no mean of another matching lies below by more than {ROUNDING:g}, over the same "
    "pairs",
)
BOUNDED = Statement(
    "no permutation's barrier is below the proved lower bound",
    f"no barrier is below it by more than {ROUNDING:g}, in any pair",
)
CERTIFIED = Statement(
    "the certificate bounds the loss on every path",
    f"no loss exceeds it at the same t by more than {ROUNDING:g}",
)
NEAR_RULE = f"the interval of the ratio of means lies below 1.05 at every m <= {WIDEST}"
NEAR = Statement(
    "the barrier of Algorithm 1 is within 5% of the best permutation's",
    NEAR_RULE,
    "Algorithm 1",
)
OTHER_NEAR = Statement(
    "the barrier of another matching is within 5% of the best permutation's", NEAR_RULE
)


def claims(rows: Sequence[dict]) -> list[Claim]:
    """Of rows with a matching's barriers, the best and the bound of a cell each."""
    best = [row for row in rows if row["matching"] == row["reference"]]
    judged = [_never_below(rows), _refined(rows), _bounded(rows, best)]
    judged.append(_certified(best))
    for name in [name for name, known in MATCHINGS.items() if not known.baseline]:
        judged += near(name, [row for row in rows if row["matching"] == name])
    return judged


def _pairs(rows: Sequence[dict]) -> int:
    return sum(row["pairs"] for row in rows)


def _never_below(rows: Sequence[dict]) -> Claim:
    tried = [row for row in rows if row["reference"] == "exhaustive"]
    least = min((float((r["heights"] - r["best"]).min()) for r in tried), default=0.0)
    measured = f"least difference {least:.1e} over {len(tried)} points"
    holds = least >= -ROUNDING if tried else None
    return NEVER_BELOW.judged("", measured, _pairs(tried), holds)


def _refined(rows: Sequence[dict]) -> Claim:
    """Beyond m = 9 the reference is a heuristic too: whether another one beats it."""
    beyond = [row for row in rows if row["reference"] != "exhaustive"]
    others = [row for row in beyond if row["matching"] != row["reference"]]
    means = [(row["heights"].mean(), row["best"].mean()) for row in others]
    lower = [own / best for own, best in means if own < best - ROUNDING]
    measured = (
        f"m = {', '.join(map(str, sorted({row['m'] for row in beyond})))}: "
        f"{len(lower)} of {len(others)} means lie below"
        + (f", the lowest {min(lower):.4g} times its mean" if lower else "")
    )
    return REFINED.judged("", measured, _pairs(others), not lower if others else None)


def _bounded(rows: Sequence[dict], best: Sequence[dict]) -> Claim:
    least = min(float((row["heights"] - row["lower"]).min()) for row in rows)
    gaps = [row["gap_mean"] for row in best]
    measured = (
        f"least difference {least:.1e}; gap (best - lower)/best of the means "
        f"{max(min(gaps), 0):.0%} to {max(gaps):.0%}"
    )
    return BOUNDED.judged("", measured, _pairs(rows), least >= -ROUNDING)


def _certified(best: Sequence[dict]) -> Claim:
    excess = max(row["certificate_excess"] for row in best)
    above = [row for row in best if row["best"].mean() > ROUNDING]
    ratios = [float(row["upper_mean"] / row["best"].mean()) for row in above]
    spread = f"{min(ratios):.3g} to {max(ratios):.3g}" if ratios else "not defined"
    measured = (
        f"largest excess of a loss {excess:.1e}; certificate, largest inside the path, "
        f"over the best barrier: {spread}"
    )
    holds = excess <= ROUNDING
    return CERTIFIED.judged("opposed leftovers", measured, _pairs(best), holds)


def near(name: str, rows: Sequence[dict]) -> list[Claim]:
    """Whether a matching is near the optimum at every point that has one."""
    tried = [
        row
        for row in rows
        if row["reference"] == "exhaustive" and row["ratio_high"] == row["ratio_high"]
    ]
    if not tried:
        return []
    worst = highest(tried, "ratio")
    pairs = [row["pairs"] for row in tried]
    share = np.average([row["optimal"] for row in tried], weights=pairs)
    measured = (
        f"at most {with_interval(worst, 'ratio')} times, at k = {worst['k']}, m = "
        f"{worst['m']}, {curves.NAMES[worst['source']]}; the optimum itself in "
        f"{share:.0%} of the pairs"
    )
    statement = NEAR if name in ALGORITHM_1 else OTHER_NEAR
    holds = max(row["ratio_high"] for row in tried) < 1.05
    return [statement.judged(MATCHINGS[name].label, measured, sum(pairs), holds)]
