"""Why trained minima have other barriers than uniform ones, judged by its rows."""

from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim

FACTORS = ("by counts", "by norms", "within types", "between types")
ASYMPTOTIC = 4  # in units of k: widths that a rate is of


def conditions(rows: Sequence[dict]) -> dict[tuple, list[dict]]:
    """Curves by teacher, learning rate and initial scale."""
    return curves.group(rows, "k", "η m", "σ")


def factor(row: dict, effect: str) -> str:
    """An effect as a factor on the barrier, with its interval."""
    value, low, high = np.exp(row[effect])
    return f"×{value:.3g} [{low:.2g}, {high:.2g}]"


def claims(rows: Sequence[dict]) -> list[Claim]:
    """Judged at the largest width of each condition, rates over all wide ones."""
    curves = conditions(rows).values()
    widest = [curve[-1] for curve in curves]
    rates = [claim for curve in curves for claim in _rates(curve)]
    return [*map(_sparse, widest), *map(_counts, widest), *rates]


def _case(row: dict) -> str:
    return f"k = {row['k']}, m = {row['m']}, η = {row['η m']:g}/m, σ = {row['σ']:g}"


def _sparse(row: dict) -> Claim:
    return Claim(
        paper="Section 5",
        text="at large m trained minima have the lower permuted barrier because they "
        "have zero rows",
        case=_case(row),
        measured=f"uniform/trained {factor(row, 'total')}, and "
        f"{row['zero rows']:.2g} rows a student with norm <= {row['threshold']:g}",
        rule="the interval of the factor lies above 1, and there is a zero row for "
        "every second student at least",
        n=row["pairs"],
        holds=bool(row["total"][1] > 0 and row["zero rows"] >= 0.5),
    )


def _counts(row: dict) -> Claim:
    value, low, high = row["total"]
    factors = ", ".join(f"{name} {factor(row, name)}" for name in FACTORS)
    return Claim(
        text=f"trained minima have the {'lower' if value > 0 else 'higher'} permuted "
        "barrier mainly because of their type counts",
        case=_case(row),
        measured=f"uniform/trained {factor(row, 'total')} = {factors}; dispersion "
        f"index {row['index']:.2g}, relative spread of norms {row['spread']:.2g} (1 "
        "and about 1 in the uniform model); barrier of the students themselves "
        f"{row['unprojected']:.2g}, put on their axes "
        f"{row['barriers']['as trained'][0]:.2g}, of uniform ones "
        f"{row['barriers']['uniform/uniform'][0]:.2g}",
        rule="towards the total, the logarithm of the factor by counts exceeds "
        "each other one, with its whole interval; not judged where the interval of the "
        "total holds 1",
        n=row["pairs"],
        holds=None if low <= 0 <= high else bool(row["more"][1] > 0),
    )


def _rates(curve: Sequence[dict]) -> list[Claim]:
    """Of the smaller and of the larger widths, since slopes change; of three at least.

    The width in the middle is in both.
    """
    wide = [row for row in curve if row["m"] >= ASYMPTOTIC * row["k"]]
    middle = len(wide) // 2
    halves = [wide[: middle + 1], wide[middle:]] if len(wide) >= 3 else []
    return [_rate(half) for half in halves]


def _rate(wide: Sequence[dict]) -> Claim:
    """The slope of the barrier against m, as trained and in the uniform model.

    Their difference is the sum of the slopes of the factors.
    """
    logs = np.log([row["m"] for row in wide])

    def slope(*names: str) -> tuple[float, float, float]:
        values = sum(np.stack([r["resampled"][name] for r in wide]) for name in names)
        found = np.polyfit(logs, values, 1)[0]
        low, high = np.quantile(found[1:], [0.025, 0.975])
        return float(found[0]), float(low), float(high)

    def shown(found: tuple[float, float, float]) -> str:
        return "{:.2f} [{:.2f}, {:.2f}]".format(*found)

    own, model = slope("as trained"), slope("as trained", "total")
    parts = ", ".join(f"{name} {shown(slope(name))}" for name in FACTORS)
    first, last = wide[0], wide[-1]
    span = f"m = {first['m']} to {last['m']}"
    return Claim(
        text="the barrier of trained minima, put on their axes, falls as fast as that "
        "of uniform ones",
        case=_case(first).replace(f"m = {first['m']}", span),
        measured=f"slope {shown(own)}, of uniform ones {shown(model)}; the difference "
        f"is the sum of the slopes of the factors: {parts}; dispersion index from "
        f"{first['index']:.2g} to {last['index']:.2g}",
        rule="the slopes' intervals meet; the smaller and the larger half of the "
        f"widths from {ASYMPTOTIC} k on are judged apart",
        n=min(row["pairs"] for row in wide),
        holds=own[1] <= model[2] and model[1] <= own[2],
    )
