"""Why trained minima have other barriers than uniform ones, judged by its rows."""

from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement
from experiments.lib.table import interval
from lmc_jax.statistics import slopes, statistic_interval

FACTORS = ("by counts", "by norms", "within types", "between types")
ASYMPTOTIC = 4  # in units of k: widths that a rate is of
ENDED = 2  # times the barrier on the axes: beyond it most is of the loss left
SPARSE = Statement(
    "at large m trained minima have the lower permuted barrier because they have zero "
    "rows",
    "the interval of the factor lies above 1, and there is a zero row for every second "
    "student at least",
    "Section 5",
)
COUNTS = Statement(
    "trained minima have the {} permuted barrier mainly because of their type counts",
    "towards the total, the logarithm of the factor by counts exceeds each other one, "
    "with its whole interval; not judged where the interval of the total holds 1",
)
RATE = Statement(
    "the barrier of trained minima, put on their axes, falls as fast as that of "
    "uniform ones",
    "the slopes' intervals meet; the smaller and the larger half of the widths from "
    f"{ASYMPTOTIC} k on are judged apart; not judged where at some width students have "
    f"more than {ENDED} times that barrier before they are put on their axes: a "
    "smaller tolerance may change it",
)


def conditions(rows: Sequence[dict]) -> dict[tuple, list[dict]]:
    """Curves by teacher, learning rate and initial scale."""
    return curves.group(rows, "k", "η m", "σ")


def factor(row: dict, effect: str) -> str:
    """An effect as a factor on the barrier, with its interval."""
    return f"×{interval(np.exp(row[effect]))}"


def claims(rows: Sequence[dict]) -> list[Claim]:
    """Judged at the largest width of each condition, rates over all wide ones."""
    curves = conditions(rows).values()
    widest = [curve[-1] for curve in curves]
    rates = [claim for curve in curves for claim in falls(curve)]
    return [*map(_sparse, widest), *map(_counts, widest), *rates]


def _case(row: dict, widths: str) -> str:
    return f"k = {row['k']}, m = {widths}, η = {row['η m']:g}/m, σ = {row['σ']:g}"


def _sparse(row: dict) -> Claim:
    measured = (
        f"uniform/trained {factor(row, 'total')}, and {row['zero rows']:.2g} rows a "
        f"student with norm <= {row['threshold']:g}"
    )
    low = row["total"][1]
    holds = low > 0 and row["zero rows"] >= 0.5 if low == low else None
    return SPARSE.judged(_case(row, row["m"]), measured, row["pairs"], holds)


def _counts(row: dict) -> Claim:
    value, low, high = row["total"]
    factors = ", ".join(f"{name} {factor(row, name)}" for name in FACTORS)
    barriers = row["barriers"]
    measured = (
        f"uniform/trained {factor(row, 'total')} = {factors}; dispersion index "
        f"{row['index']:.2g}, relative spread of norms {row['spread']:.2g} (1 and "
        "about 1 in the uniform model); barrier of the students themselves "
        f"{row['unprojected']:.2g}, put on their axes {barriers['projected'][0]:.2g}, "
        f"of uniform ones {barriers['uniform/uniform'][0]:.2g}"
    )
    told = (low > 0 or high < 0) and row["more"][1] == row["more"][1]
    holds = row["more"][1] > 0 if told else None
    text = COUNTS.text.format("lower" if value > 0 else "higher")
    statement = COUNTS._replace(text=text)
    return statement.judged(_case(row, row["m"]), measured, row["pairs"], holds)


def falls(curve: Sequence[dict]) -> list[Claim]:
    """Of the smaller and of the larger widths, since slopes change; of three at least.

    The width in the middle is in both.
    """
    wide = [row for row in curve if row["m"] >= ASYMPTOTIC * row["k"]]
    middle = len(wide) // 2
    halves = [wide[: middle + 1], wide[middle:]] if len(wide) >= 3 else []
    return [_rate(half) for half in halves]


def _rate(wide: Sequence[dict]) -> Claim:
    """The slope of the barrier against m, projected and in the uniform model.

    Their difference is the sum of the slopes of the factors.
    """
    logs = np.log([row["m"] for row in wide])

    def slope(*names: str) -> np.ndarray:
        parts = [[row["resampled"][name] for row in wide] for name in names]
        return statistic_interval(slopes(logs, np.sum(parts, axis=0).T))

    own, model = slope("projected"), slope("projected", "total")
    parts = ", ".join(f"{name} {interval(slope(name), '.2f')}" for name in FACTORS)
    first, last = wide[0], wide[-1]
    measured = (
        f"slope {interval(own, '.2f')}, of uniform ones {interval(model, '.2f')}; the "
        f"difference is the sum of the slopes of the factors: {parts}; dispersion "
        f"index from {first['index']:.2g} to {last['index']:.2g}"
    )
    case = _case(first, f"{first['m']} to {last['m']}")
    n = min(row["pairs"] for row in wide)
    meet = own[1] <= model[2] and model[1] <= own[2]
    return RATE.judged(case, measured, n, meet if all(map(_ended, wide)) else None)


def _ended(row: dict) -> bool:
    return row["unprojected"] <= ENDED * np.exp(row["resampled"]["projected"][0])
