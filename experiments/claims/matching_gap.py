"""What is claimed of matchings, judged by the rows of ``matching_gap``."""

from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim
from experiments.lib.matching_gaps import ROUNDING
from experiments.lib.table import with_interval
from lmc_jax.matching import MATCHINGS
from lmc_jax.matching.exhaustive import WIDEST


def claims(rows: Sequence[dict]) -> list[Claim]:
    """Of rows with a matching's barriers, the best and the bound of a cell each."""
    judged = [_never_below(rows), _refined(rows), _bounded(rows), _certified(rows)]
    for name in [name for name, known in MATCHINGS.items() if not known.baseline]:
        judged += _near(name, [row for row in rows if row["matching"] == name])
    return judged


def _never_below(rows: Sequence[dict]) -> Claim:
    tried = [row for row in rows if row["reference"] == "exhaustive"]
    least = min((float((r["heights"] - r["best"]).min()) for r in tried), default=0.0)
    return Claim(
        text="no matching's barrier is below the optimum over all permutations",
        measured=f"least difference {least:.1e} over {len(tried)} points",
        rule=f"none below -{ROUNDING:g}, the rounding of a loss, in any pair",
        n=sum(row["pairs"] for row in tried),
        holds=bool(least >= -ROUNDING) if tried else None,
    )


def _refined(rows: Sequence[dict]) -> Claim:
    """Beyond m = 9 the reference is a heuristic too: whether another one beats it."""
    beyond = [row for row in rows if row["reference"] != "exhaustive"]
    others = [row for row in beyond if row["matching"] != row["reference"]]
    below = [
        row for row in others if row["heights"].mean() < row["best"].mean() - ROUNDING
    ]
    ratios = [float(row["heights"].mean() / row["best"].mean()) for row in below]
    widths = sorted({row["m"] for row in beyond})
    return Claim(
        text=f"beyond m = {WIDEST} no other matching has a lower mean barrier than "
        "swap descent on the barrier with restarts",
        measured=f"m = {', '.join(map(str, widths))}: {len(below)} of {len(others)} "
        "means lie below"
        + (f", the lowest {min(ratios):.4g} times its mean" if ratios else ""),
        rule=f"no mean of another matching lies below by more than {ROUNDING:g}, "
        "over the same pairs",
        n=sum(row["pairs"] for row in others),
        holds=not below if others else None,
    )


def _bounded(rows: Sequence[dict]) -> Claim:
    least = min(float((row["heights"] - row["lower"]).min()) for row in rows)
    best = [row for row in rows if row["matching"] == row["reference"]]
    gaps = [row["gap_mean"] for row in best]
    return Claim(
        text="no permutation's barrier is below the proved lower bound",
        measured=f"least difference {least:.1e}; gap (best - lower)/best of the "
        f"means {max(min(gaps), 0):.0%} to {max(gaps):.0%}",
        rule=f"no barrier is below it by more than {ROUNDING:g}, in any pair",
        n=sum(row["pairs"] for row in rows),
        holds=bool(least >= -ROUNDING),
    )


def _certified(rows: Sequence[dict]) -> Claim:
    best = [row for row in rows if row["matching"] == row["reference"]]
    excess = max(row["certificate_excess"] for row in best)
    above = [row for row in best if row["best"].mean() > ROUNDING]
    ratios = [float(row["upper_mean"] / row["best"].mean()) for row in above]
    spread = f"{min(ratios):.3g} to {max(ratios):.3g}" if ratios else "not defined"
    return Claim(
        text="the certificate bounds the loss on every path",
        case="opposed leftovers",
        measured=f"largest excess of a loss {excess:.1e}; certificate, largest "
        f"inside the path, over the best barrier: {spread}",
        rule=f"no loss exceeds it at the same t by more than {ROUNDING:g}",
        n=sum(row["pairs"] for row in best),
        holds=bool(excess <= ROUNDING),
    )


def _kind(name: str) -> str:
    return "Algorithm 1" if name.startswith("types") else "another matching"


def _near(name: str, rows: Sequence[dict]) -> list[Claim]:
    """Whether a matching is near the optimum at every point that has one."""
    ends = ("ratio_mean", "ratio_low", "ratio_high")
    tried = [
        row
        for row in rows
        if row["reference"] == "exhaustive" and not any(np.isnan(row[e]) for e in ends)
    ]
    if not tried:
        return []
    worst = max(tried, key=lambda row: row["ratio_mean"])
    pairs = [row["pairs"] for row in tried]
    share = np.average([row["optimal"] for row in tried], weights=pairs)
    return [
        Claim(
            paper=_kind(name) if name.startswith("types") else "",
            text=f"the barrier of {_kind(name)} is within 5% of the best permutation's",
            case=MATCHINGS[name].label,
            measured=f"at most {with_interval(worst, 'ratio')} times, at k = "
            f"{worst['k']}, m = {worst['m']}, {curves.NAMES[worst['source']]}; the "
            f"optimum itself in {share:.0%} of the pairs",
            rule="the interval of the ratio of means lies below 1.05 at every "
            f"m <= {WIDEST}",
            n=sum(pairs),
            holds=bool(max(row["ratio_high"] for row in tried) < 1.05),
        )
    ]
