"""What the paper and the certificate say about barriers of uniform minima, judged.

Curves are rows of ``barrier_rate.described`` by (k, matching).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.lib.claims import Claim
from lmc_jax import theory
from lmc_jax.matching import PATHS

EXPONENTS = (-0.5, -1.0, -2.0)
RESAMPLES = 2000
ROUNDING = 1e-12  # a barrier below it is none
Curves = Mapping[tuple, Sequence[dict]]


def last_decade(curve: Sequence[dict]) -> list[dict]:
    """Widths over a factor of ten at least, where the curve has it, up to the largest.

    Of them those with a barrier; at m = k there is none.
    """
    first = max((r["m"] for r in curve if 10 * r["m"] <= curve[-1]["m"]), default=0)
    wide = [row for row in curve if row["m"] >= first]
    return [row for row in wide if row["m"] > row["k"] and row["values"].any()]


def fit(last: Sequence[dict]) -> tuple[float, float, float] | None:
    """Log-log slope of the mean barrier against m, and its interval.

    Least squares through the means; 95% percentile bootstrap that resamples the pairs
    of every width. None for fewer than three widths or ten pairs.
    """
    if len(last) < 3 or min(len(row["values"]) for row in last) < 10:
        return None
    rng = np.random.default_rng(0)
    means = []
    for row in last:
        values = row["values"]
        drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
        means.append(np.append(values.mean(), drawn.mean(axis=1)))
    logs = np.log([row["m"] for row in last])
    slopes = np.polyfit(logs, np.log(means), 1)[0]  # the first without resampling
    low, high = np.quantile(slopes[1:], [0.025, 0.975])
    return float(slopes[0]), float(low), float(high)


def claims(groups: Curves, others: Curves) -> list[Claim]:
    """All of them; ``others`` are curves in another input dimension."""
    rows = [row for curve in groups.values() for row in curve]
    judged = [_minima(rows), _coinciding(rows), _uniformly_matched(rows)]
    judged.append(_certified(rows))
    for (k, matching), curve in groups.items():
        if PATHS[matching].baseline:
            continue
        label = f"k = {k}, {PATHS[matching].label}"
        judged += _rates(label, curve)
        if (k, matching) in others:
            judged.append(_dimension(label, curve, others[k, matching]))
    return judged


def _first(rows: Sequence[dict]) -> list[dict]:
    """Rows of one matching: what does not depend on it, once."""
    return [row for row in rows if row["matching"] == rows[0]["matching"]]


def _minima(rows: Sequence[dict]) -> Claim:
    own = _first(rows)
    top = max(row["ends"] for row in own)
    return Claim(
        paper="Lemma 2",
        text="every point of the set that Lemma 2 describes is a global minimum",
        measured=f"largest loss of a sampled point {top:.1e}",
        rule="no loss of a point drawn from the set exceeds 1e-12",
        n=sum(2 * row["pairs"] for row in own),
        holds=bool(top <= ROUNDING),
    )


def _coinciding(rows: Sequence[dict]) -> Claim:
    """Pairs that can be matched fully; at m = k all can, so beyond it."""
    own = [r for r in rows if r["matching"].startswith("types") and r["m"] > r["k"] > 1]
    heights = [row["values"][row["alike"]] for row in own]
    count = sum(map(len, heights))
    top = max((found.max() for found in heights if len(found)), default=np.nan)
    return Claim(
        paper="Section 3",
        text="two global minima whose types match have no barrier",
        measured=f"largest barrier of {count} paths between minima with equally "
        f"many neurons of each type, matched by type, {top:.1e}",
        rule="none exceeds 1e-12, m > k > 1",
        n=count,
        holds=bool(top <= ROUNDING) if count else None,
    )


def _uniformly_matched(rows: Sequence[dict]) -> Claim:
    own = [row for row in _first(rows) if row["m"] > row["k"] > 1]
    pairs = sum(row["pairs"] for row in own)
    alike = sum(int(row["alike"].sum()) for row in own)
    return Claim(
        paper="Theorem 6",
        text=(
            "its assumption, equation 10: every type has the same matched "
            "share in both solutions"
        ),
        measured=f"types are equally many in {alike} of {pairs} pairs; in the "
        "others some type is matched fully in one solution and not in the other",
        rule="it is so in every pair, m > k > 1",
        n=pairs,
        holds=alike == pairs if pairs else None,
    )


def _certified(rows: Sequence[dict]) -> Claim:
    pairs = sum(row["pairs"] for row in _first(rows))
    broken = sum(row["violations"] for row in rows)
    ratios = [
        r["bound_mean"] / r["barrier_mean"]
        for r in rows
        if r["barrier_mean"] > ROUNDING
    ]
    return Claim(
        paper="",
        text="the certificate bounds the loss on every path",
        case="uniform minima",
        measured=f"{broken} violations in {pairs} pairs, every matching; its mean "
        f"is {min(ratios):.3g} to {max(ratios):.3g} times the barrier"
        if ratios
        else "no barrier above rounding, so nothing to bound",
        rule="no loss above the certificate at the same t by more than 1e-12",
        n=pairs,
        holds=broken == 0 if ratios or broken else None,
    )


def _interval(slope: tuple[float, float, float]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*slope)


def _rates(label: str, curve: Sequence[dict]) -> list[Claim]:
    """Theorem 6 and the sharper rates, judged by the slope's interval."""
    last = last_decade(curve)
    slope = fit(last)
    if slope is None:
        return []
    _, low, high = slope
    widths = [row["m"] for row in last]
    exact = theory.expected_certificate(widths, last[0]["k"])
    tending = np.polyfit(np.log(widths), np.log(exact), 1)[0]
    measured = (
        f"slope {_interval(slope)} over m = {widths[0]} ... {widths[-1]}, where the "
        "exact expected certificate, which tends to slope -2, still has "
        f"{tending:.3f}"
    )

    def judged(paper: str, text: str, rule: str, holds: bool) -> Claim:
        n = last[-1]["pairs"]
        return Claim(text, measured, rule, n, bool(holds), paper=paper, case=label)

    theorem = judged(
        "Theorem 6",
        "the barrier vanishes at least like m^-1/2",
        "the slope's interval lies at or below -1/2",
        high <= -0.5,
    )
    sharper = [
        judged(
            "",
            f"over these widths the barrier vanishes like m^{exponent:g}",
            f"the slope's interval contains {exponent:g}",
            low <= exponent <= high,
        )
        for exponent in EXPONENTS
    ]
    return [theorem, *sharper]


def _dimension(label: str, curve: Sequence[dict], other: Sequence[dict]) -> Claim:
    """Section 1: no curse of dimensionality."""
    pairs = [(a, b) for a in last_decade(curve) for b in other if a["m"] == b["m"]]
    own, its = (
        (fit(rows) for rows in zip(*pairs, strict=True)) if pairs else (None,) * 2
    )
    dimensions = f"d = {curve[0]['d']} and {other[0]['d']}"
    measured, holds = f"too little at {dimensions}", None
    if own is not None and its is not None:
        met = [
            a["barrier_low"] <= b["barrier_high"]
            and b["barrier_low"] <= a["barrier_high"]
            for a, b in pairs
        ]
        measured = (
            f"slopes {_interval(own)} and {_interval(its)} at {dimensions}; the "
            f"barriers' intervals meet at {sum(met)} of {len(met)} widths"
        )
        holds = own[1] <= its[2] and its[1] <= own[2] and all(met)
    return Claim(
        paper="Section 1",
        text="the rate does not depend on the input dimension",
        case=label,
        measured=measured,
        rule="the intervals of both slopes meet, and at every width of the last "
        "decade those of both barriers",
        n=sum(row["pairs"] for row in other),
        holds=holds,
    )
