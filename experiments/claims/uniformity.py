"""Assumption 3 of the uniform model, judged by the rows of ``uniformity``."""

import itertools
from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when first used

from experiments.lib import curves
from experiments.lib.claims import Claim, below
from experiments.lib.table import at, with_interval

LEVEL = 0.01  # of the tests


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
    return Claim(
        paper="Figure 9",
        text="every type is equally likely to be the doubled one",
        case=f"k = {row['k']}, m = {row['m']}, {label(row)}",
        measured=f"{row['often'].tolist()} of {row['runs']} runs, chi-square p = "
        f"{row['value_mean']:.2g}; {row['left out']} runs left out",
        rule=f"the chi-square test of equal chances has p > {LEVEL}",
        n=row["runs"],
        holds=bool(row["value_mean"] > LEVEL) if row["runs"] else None,
    )


def _exponential(row: dict) -> Claim:
    own = trained(row)
    return Claim(
        paper="Figure 9" if own else "Lemma 8",
        text=("weights are" if own else "points drawn uniformly on the simplex are")
        + " distributed as normalised Exp(1) draws",
        case=f"k = 1, m = {row['m']}, {label(row)}",
        measured=f"KS distance {with_interval(row, 'value')}; {LEVEL:.0%} of uniform "
        f"samples of this size exceed {row['limit']:.3g}; {row['left out']} runs left "
        "out",
        rule="the KS distance of all weights to Beta(1, m-1), their marginal on the "
        f"simplex, is one that at least {LEVEL:.0%} of uniform samples exceed",
        n=row["runs"],
        holds=bool(row["value_mean"] <= row["limit"]) if row["runs"] else None,
    )


def _tends_to_exponential() -> Claim:
    sizes, x = (10, 100, 1000), np.linspace(0, 10, 10_001)
    gaps = [
        float(np.max(np.abs(scipy.stats.beta.sf(x / n, 1, n - 1) - np.exp(-x))))
        for n in sizes
    ]
    return Claim(
        paper="Lemma 8",
        text="n times a coordinate of a uniform point of the simplex tends to Exp(1) "
        "in distribution",
        measured="largest difference of both distribution functions "
        + ", ".join(f"{g:.2g} at n = {n}" for g, n in zip(gaps, sizes, strict=True)),
        rule="it falls at least fivefold from each n to the next; computed without "
        "sampling, from the coordinate's Beta(1, n-1)",
        n=0,
        holds=all(5 * b <= a for a, b in itertools.pairwise(gaps)),
    )


def _moving(rows: Sequence[dict]) -> Claim:
    least, *_, most = sorted(rows, key=lambda row: row["value_mean"])
    return Claim(
        paper="Appendix B.2",
        text="the distribution of weights at k = 1 is not stable against learning rate "
        "and initial scale",
        measured=f"KS distance from {with_interval(least, 'value')} at {label(least)} "
        f"to {with_interval(most, 'value')} at {label(most)}",
        rule="the intervals of the least and the largest distance do not meet",
        n=min(row["runs"] for row in rows),
        holds=below(least, most, "value"),
    )


def _dispersed(name: str, curve: Sequence[dict]) -> Claim:
    kept = [row for row in curve if row["runs"] > 1]
    found = [at(row, "value") for row in kept]
    # What is sampled from the model says nothing of the paper's assumption.
    model = name == "uniform model"
    return Claim(
        paper="" if model else "Assumption 3",
        text=f"type counts of {'sampled' if model else 'trained'} students vary as the "
        "multinomial of Assumption 3",
        case=f"k = {curve[0]['k']}, {name}",
        measured=f"dispersion index {'; '.join(found)}",
        rule=f"the {1 - LEVEL / 10:.1%} interval of the index holds 1 at every m",
        n=min((row["runs"] for row in kept), default=0),
        holds=all(r["least"] <= 1 <= r["most"] for r in kept) if kept else None,
    )
