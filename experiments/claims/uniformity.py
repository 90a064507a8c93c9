"""Assumption 3 of the uniform model, judged by the rows of ``uniformity``."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import scipy  # its parts load when first used

from experiments.lib import curves
from experiments.lib.claims import (
    Claim,
    Interval,
    Statement,
    below,
    every,
    highest,
    lowest,
    within,
)
from experiments.lib.table import at, with_interval

LEVEL = 0.01  # of the tests
EQUAL = Statement(
    "every type is equally likely to be the doubled one",
    f"the chi-square test of equal chances has p > {LEVEL}",
    "Figure 9",
)
SHARP = 0.06  # KS distance: too few runs say nothing where uniform samples exceed it
MARGINAL = (
    "the KS distance of all weights to Beta(1, m-1), their marginal on the simplex, is "
    f"one that at least {LEVEL:.0%} of uniform samples exceed; not judged of so few "
    f"runs that {LEVEL:.0%} of uniform samples exceed {SHARP}"
)
EXPONENTIAL = Statement(
    "weights are distributed as normalised Exp(1) draws", MARGINAL, "Figure 9"
)
UNIFORM = Statement(
    "points drawn uniformly on the simplex are distributed as normalised Exp(1) draws",
    MARGINAL,
    "Lemma 8",
)
TENDS = Statement(
    "n times a coordinate of a uniform point of the simplex tends to Exp(1) in "
    "distribution",
    "it falls at least fivefold from each n to the next; computed without sampling, "
    "from the coordinate's Beta(1, n-1)",
    "Lemma 8",
)
MOVES = Statement(
    "the distribution of weights at k = 1 is not stable against learning rate and "
    "initial scale",
    "the intervals of the least and the largest distance do not meet",
    "Appendix B.2",
)
HOLDS_ONE = (
    f"the {1 - LEVEL / 10:.1%} interval of the index is within 2/3 and 3/2 at every m; "
    "fails where one is outside as a whole, and is not judged else"
)
DISPERSED = Statement(
    "type counts of trained students vary as the multinomial of Assumption 3",
    HOLDS_ONE,
    "Assumption 3",
)
MODEL = Statement(
    "type counts of sampled students vary as the multinomial of Assumption 3", HOLDS_ONE
)


def conditions(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Rows by the label of their condition, each in order of m."""
    groups = curves.group(rows, "source", "η/η*", "σ")
    return {label(group[0]): group for group in groups.values()}


def trained(row: dict) -> bool:
    return row["source"] != "uniform"


def label(row: dict) -> str:
    if not trained(row):
        return "uniform model"
    return f"{row['source'].upper()}, η = {row['η/η*']:.2g} η*, σ = {row['σ']:g}"


def claims(
    types: Sequence[dict], ones: Sequence[dict], wide: Sequence[dict]
) -> list[Claim]:
    """Of rows of doubled types, of norms at k = 1, and of dispersion."""
    judged = [_equal_types(row) for row in types] + [_exponential(row) for row in ones]
    kept = [row for row in ones if row["runs"] > 1 and trained(row)]
    judged += [_moving(kept)] if len(kept) > 1 else []
    judged.append(_tends_to_exponential())
    return judged + [_dispersed(*group) for group in conditions(wide).items()]


def _equal_types(row: dict) -> Claim:
    case = f"k = {row['k']}, m = {row['m']}, {label(row)}"
    measured = (
        f"{row['often'].tolist()} of {row['runs']} runs, chi-square p = "
        f"{row['value_mean']:.2g}; {row['left out']} runs left out"
    )
    holds = row["value_mean"] > LEVEL if row["runs"] else None
    return EQUAL.judged(case, measured, row["runs"], holds)


def _exponential(row: dict) -> Claim:
    measured = (
        f"KS distance {with_interval(row, 'value')}; {LEVEL:.0%} of uniform samples of "
        f"this size exceed {row['limit']:.3g}; {row['left out']} runs left out"
    )
    statement = EXPONENTIAL if trained(row) else UNIFORM
    holds = exponential(row["value_mean"], row["limit"])
    case = f"k = 1, m = {row['m']}, {label(row)}"
    return statement.judged(case, measured, row["runs"], holds, _lost(row))


def exponential(distance: float, limit: float) -> bool | None:
    """Whether a KS distance is below its limit; None if so few runs say nothing."""
    if distance > limit:
        return False
    return True if distance <= limit <= SHARP else None


def _lost(row: dict) -> str:
    return "point" if trained(row) else ""


def _tends_to_exponential() -> Claim:
    sizes, x = (10, 100, 1000), np.linspace(0, 10, 10_001)
    gaps = [
        float(np.max(np.abs(scipy.stats.beta.sf(x / n, 1, n - 1) - np.exp(-x))))
        for n in sizes
    ]
    shown = ", ".join(f"{g:.2g} at n = {n}" for g, n in zip(gaps, sizes, strict=True))
    measured = f"largest difference of both distribution functions {shown}"
    return TENDS.judged("", measured, 0, all(5 * b <= a for a, b in pairwise(gaps)))


def _moving(rows: Sequence[dict]) -> Claim:
    ends = least, most = lowest(rows, "value"), highest(rows, "value")
    shown = (f"{with_interval(row, 'value')} at {label(row)}" for row in ends)
    measured = f"KS distance from {' to '.join(shown)}"
    n = min(row["runs"] for row in rows)
    return MOVES.judged("", measured, n, below(least, most, "value"))


def _dispersed(name: str, curve: Sequence[dict]) -> Claim:
    kept = [row for row in curve if row["runs"] > 1]
    found = "; ".join(at(row, "value") for row in kept)
    n = min((row["runs"] for row in kept), default=0)
    holds = multinomial((1, r["least"], r["most"]) for r in kept) if kept else None
    # What is sampled from the model says nothing of the paper's assumption.
    statement = DISPERSED if trained(curve[0]) else MODEL
    case = f"k = {curve[0]['k']}, {name}"
    return statement.judged(
        case, f"dispersion index {found}", n, holds, _lost(curve[0])
    )


def multinomial(indexes: Iterable[Interval]) -> bool | None:
    """Whether every dispersion index is within 2/3 and 3/2 by its interval."""
    return every(within(index, 2 / 3, 3 / 2) for index in indexes)
