"""The rate of the barrier of uniform minima, judged: m^-2, and with which constant.

Curves are rows of ``barrier_rate.described`` by (k, matching), in order of m.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.lib.claims import Claim, Statement, within
from experiments.lib.curves import group
from experiments.lib.table import interval
from lmc_jax import theory
from lmc_jax.matching import MATCHINGS
from lmc_jax.statistics import RESAMPLES, resampled_means, statistic_interval

FEWEST = 10  # pairs that an interval takes
NEAR = 0.05  # of -2: a slope that counts as the rate m^-2
UNEVEN = 0.1  # of the mean: shares that spread by less count as the same
WIDE = 100  # in units of k: where the law is fitted
Curves = Mapping[tuple, Sequence[dict]]
ASSUMED = Statement(
    "its assumption, equation 10: every type has the same matched share in both "
    "solutions",
    "at the largest width the shares left unmatched spread by less than a tenth of "
    "their mean, over types and solutions; it fails where they spread by more, and is "
    "not judged where the interval reaches across",
    "Theorem 6",
)
CERTIFIED = Statement(
    "the certificate bounds the loss on every path",
    "no loss above the certificate at the same t by more than 1e-12",
)
AT_LEAST = Statement(
    "the barrier vanishes at least like m^-1/2",
    "the slope's interval lies at or below -1/2",
    "Theorem 6",
)
SQUARE = Statement(
    "the barrier vanishes like m^-2",
    f"the interval of the slope over the last decade lies within {NEAR} of -2; it "
    "fails where it lies beyond that, and is not judged where it reaches across",
)
CLOSED = Statement(
    "for k = 2 barrier m² tends to the closed form of C",
    "the interval of the fitted C contains it, or C is within 0.5% of it; not judged "
    "where the interval is wider than 2%",
)


class Decade(NamedTuple):
    """The slope d log barrier / d log m from a width to ten times as much.

    slope: value, low, high, as are the intervals of ``Fitted``.
    """

    first: int
    slope: np.ndarray

    @property
    def middle(self) -> float:
        return self.first * 10**0.5


class Fitted(NamedTuple):
    """C and a of barrier m² = C (1 - a sqrt(k/m)), from the width ``first`` on."""

    first: int
    limit: np.ndarray
    correction: np.ndarray

    @property
    def law(self) -> theory.Law:
        return theory.Law(self.limit[0], self.correction[0])


def _means(row: dict) -> np.ndarray:
    """The mean barrier of a row, and of bootstrap resamples of its pairs."""
    values = row["values"]
    drawn = np.random.default_rng([0, row["m"]]).integers(
        len(values), size=(RESAMPLES, len(values))
    )
    return np.append(values.mean(), values[drawn].mean(axis=1))


def _judged(curve: Sequence[dict]) -> list[dict]:
    """Rows with enough pairs, and barriers above zero in all resamples."""
    kept = [row for row in curve if len(row["values"]) >= FEWEST]
    return [row for row in kept if _means(row).min() > 0]


def decades(curve: Sequence[dict]) -> list[Decade]:
    """Slopes between widths of which one is ten times the other."""
    kept = {row["m"]: row for row in _judged(curve)}
    return [
        Decade(m, statistic_interval(np.log10(_means(kept[10 * m]) / _means(kept[m]))))
        for m in kept
        if 10 * m in kept
    ]


def fit(curve: Sequence[dict]) -> Fitted | None:
    """The law, by weighted least squares.

    Errors fall like m^-1/4, as that of a mean over sqrt(m) leftovers. Weights made of
    the errors found would favour means that came out low. None for fewer than three
    widths of at least ``WIDE`` k.
    """
    kept = [row for row in _judged(curve) if row["m"] >= WIDE * row["k"]]
    if len(kept) < 3:
        return None
    widths = np.array([row["m"] for row in kept], float)
    means = np.stack([_means(row) for row in kept]) * widths[:, None] ** 2
    small = np.sqrt(kept[0]["k"] / widths)
    design = np.stack([np.ones_like(small), -small], axis=1)
    weights = widths**0.25
    limits, slopes = np.linalg.lstsq(
        design * weights[:, None], means * weights[:, None]
    )[0]
    laws = limits, slopes / limits
    return Fitted(kept[0]["m"], *map(statistic_interval, laws))


def claims(groups: Curves) -> list[Claim]:
    rows = [row for curve in groups.values() for row in curve]
    own = [row for row in rows if row["matching"] == rows[0]["matching"]]
    judged = [
        _certified(rows, sum(row["pairs"] for row in own)),
        *map(_uniformly_matched, group(own, "k").values()),
    ]
    for (k, matching), curve in groups.items():
        case = f"k = {k}, {MATCHINGS[matching].label}"
        judged += _rate(case, curve)
        if k == 2:
            limit = theory.two_neuron_limit(matching.removeprefix("types_"))
            judged.append(_closed_form(case, limit, curve))
    return judged


def _uniformly_matched(curve: Sequence[dict]) -> Claim:
    before = [_spread(*row["unmatched"].mean(axis=0)) for row in curve[:-1]]
    moments = curve[-1]["unmatched"]
    resampled = [resampled_means([column])[:, 0] for column in moments.T]
    found = statistic_interval(_spread(*resampled))
    measured = (
        f"standard deviation over mean {interval(found, '.3f')} at m = "
        f"{curve[-1]['m']} (mean {moments[:, 0].mean():.1e}), at smaller widths "
        f"{', '.join(f'{value:.2f}' for value in before) or 'none'}; that of uniform "
        "minima tends to √(π - 1) = 1.463"
    )
    holds = within(found, -math.inf, UNEVEN)
    return ASSUMED.judged(f"k = {curve[-1]['k']}", measured, curve[-1]["pairs"], holds)


def _spread(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Standard deviation over mean, from both moments; NaN for a mean of 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.maximum(square / mean**2 - 1, 0))


def _certified(rows: Sequence[dict], pairs: int) -> Claim:
    broken = sum(row["violations"] for row in rows)
    ratios = [r["certificate"] / r["plain_mean"] for r in rows if r["plain_mean"] > 0]
    measured = "no barrier, so nothing to bound"
    if ratios:
        measured = (
            f"{broken} violations in {pairs} pairs, every matching; its mean is "
            f"{min(ratios):.3g} to {max(ratios):.3g} times the barrier"
        )
    holds = broken == 0 if ratios or broken else None
    return CERTIFIED.judged("uniform minima", measured, pairs, holds)


def _rate(case: str, curve: Sequence[dict]) -> list[Claim]:
    """Theorem 6 and the sharper rate, judged by the slope over the last decade."""
    found, law = decades(curve), fit(curve)
    if not found:
        return []
    *others, last = found
    before = ", ".join(f"{decade.slope[0]:.3f}" for decade in others)
    measured = (
        f"slope {interval(last.slope, '.3f')} from m = {last.first} to "
        f"{10 * last.first}; by decades before {before or 'none'}"
    )
    if law is not None:
        fitted = law.law.slope(last.middle, curve[0]["k"])
        measured += (
            f"; barrier m² tends to C = {interval(law.limit, '.4g')} with a = "
            f"{interval(law.correction, '.4g')}, a fit with slope {fitted:.3f} there"
        )
    n, near = curve[-1]["pairs"], within(last.slope, -2 - NEAR, -2 + NEAR)
    return [
        AT_LEAST.judged(case, measured, n, last.slope[2] <= -0.5),
        SQUARE.judged(case, measured, n, near),
    ]


def _closed_form(case: str, limit: float, curve: Sequence[dict]) -> Claim:
    law = fit(curve)
    measured, holds = f"too few widths of at least {WIDE} k", None
    if law is not None:
        value, low, high = law.limit
        away = abs(value / limit - 1)
        measured = (
            f"C = {interval(law.limit, '.4g')}, {away:.2%} from the closed form "
            f"{limit:.6f}"
        )
        if high - low < 0.02 * limit:
            holds = low <= limit <= high or away <= 0.005
    return CLOSED.judged(case, measured, curve[-1]["pairs"], holds)
