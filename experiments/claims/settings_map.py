"""What the paper says of trained minima, judged at every point of a map of settings.

Each statement has one rule, which a point of the map passes, fails, or is too uncertain
for. A statement has then a verdict over the map: at which settings it holds.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.claims.barrier_vs_width import ALIKE, BELOW, PEAK, near, similar
from experiments.lib.claims import Claim, Statement, likely


class Rule(NamedTuple):
    """A statement, and whether a row passes its rule, None if unsure."""

    statement: Statement
    holds: Callable[[dict], bool | None]


def _counts(row: dict) -> bool:
    _, low, high = row["index"]
    return bool(np.all((low <= 1) & (high >= 1)))


def _exponential(row: dict) -> bool | None:
    return bool(row["ks"] <= 1) if row["ks"] == row["ks"] else None


def _lowest(row: dict) -> bool:
    return bool(np.all(row["pqi"][2] >= 1))


def _flat(row: dict) -> bool:
    return bool(row["pqi_trend"][1] <= 0)


def _alike(row: dict) -> bool | None:
    return similar(row["ratio"].T)


def _below(row: dict) -> bool:
    return bool(row["ratio"][2, -1] < 1)


def _peak(row: dict) -> bool | None:
    return likely(row["largest"][near(row["m/k"])].sum())


STATEMENTS = {
    "counts": Rule(
        Statement(
            "type counts of trained students vary as the multinomial of Assumption 3",
            "the 99.9% interval of the dispersion index holds 1 at every width",
            "Assumption 3",
        ),
        _counts,
    ),
    "Exp(1)": Rule(
        Statement(
            "weights are distributed as normalised Exp(1) draws",
            "at k = 1 at least 1% of uniform samples exceed their KS distance",
            "Figure 9",
        ),
        _exponential,
    ),
    "PQI lowest": Rule(
        Statement(
            "uniform minima have the lowest PQI, row norms",
            "at no width is the mean of trained minima lower by the interval of the "
            "ratio",
            "Figure 5",
        ),
        _lowest,
    ),
    "PQI flat": Rule(
        Statement(
            "PQI, row norms does not grow with m at small learning rates",
            "its slope against log m over all widths is not above 0 by its interval",
            "Figure 5",
        ),
        _flat,
    ),
    "alike": Rule(
        ALIKE._replace(text=ALIKE.text.format("GD"), paper="Figure 2"),
        _alike,
    ),
    "below": Rule(
        BELOW._replace(text=BELOW.text.format("GD"), paper="Figure 2"), _below
    ),
    "peak": Rule(PEAK._replace(paper="Figure 2"), _peak),
}
TOGETHER = Statement(
    "at some setting all statements of the paper on trained minima hold",
    "at some point of the map all hold",
)
CONVERGED = 0.9  # share of a point's runs, below which nothing is judged there


def judged(row: dict) -> dict[str, bool | None]:
    """Which statements hold at a point; None where that is not known."""
    few = row["pairs"] < 2 or not np.isfinite(row["ratio"]).all()
    if few or row["converged"] < CONVERGED:
        return dict.fromkeys(STATEMENTS)
    return {name: rule.holds(row) for name, rule in STATEMENTS.items()}


def maps(rows: Sequence[dict]) -> dict[tuple[int, int], list[dict]]:
    """Rows by teacher and dimension (k, d)."""
    found: dict[tuple[int, int], list[dict]] = {}
    for row in rows:
        found.setdefault((row["k"], row["d"]), []).append(row)
    return found


def claims(rows: Sequence[dict]) -> list[Claim]:
    """Each statement by teacher and dimension, and which hold together."""
    judged = [
        _over_map(rule.statement, name, f"k = {k}, d = {d}, over σ and η", own)
        for name, rule in STATEMENTS.items()
        for (k, d), own in maps(rows).items()
    ]
    return [*judged, _together(rows)]


def _over_map(statement: Statement, name: str, case: str, rows: list[dict]) -> Claim:
    known = [row for row in rows if row["holds"][name] is not None]
    where = [row for row in known if row["holds"][name]]
    rule = f"at some point of the map {statement.rule}"
    measured = f"at {len(where)} of {len(known)} points: {_places(known, name)}"
    n = min((row["pairs"] for row in known), default=0)
    holds = bool(where) if known else None
    claim = statement._replace(rule=rule).judged(case, measured, n, holds)
    return dataclasses.replace(claim, over_settings=True)


def _places(known: Sequence[dict], name: str) -> str:
    """For which σ a statement holds, by learning rate: ranges of those tried."""
    said = []
    for share in sorted({row["η/η*"] for row in known}):
        own = sorted(
            (row for row in known if row["η/η*"] == share), key=lambda row: row["σ"]
        )
        runs = itertools.groupby(own, key=lambda row: row["holds"][name])
        found = [list(group) for holds, group in runs if holds]
        ranges = [_range(group[0]["σ"], group[-1]["σ"]) for group in found]
        said.append(f"η = {share:g} η*: {', '.join(ranges) or 'no σ'}")
    return "; ".join(said) or "none could be judged"


def _range(low: float, high: float) -> str:
    return f"σ = {low:.3g}" if low == high else f"σ in [{low:.3g}, {high:.3g}]"


def _together(rows: Sequence[dict]) -> Claim:
    """How many statements hold at once, and which never do together."""
    known = [row for row in rows if set(row["holds"].values()) != {None}]
    most = max((held(row) for row in known), default=0)
    best = [row for row in known if held(row) == most]
    somewhere = [n for n in STATEMENTS if any(row["holds"][n] for row in known)]
    never = [
        f"{one} and {other}"
        for one, other in itertools.combinations(somewhere, 2)
        if not any(row["holds"][one] and row["holds"][other] for row in known)
    ]
    places = "; ".join(
        f"k = {row['k']}, d = {row['d']}, σ = {row['σ']:.3g}, η = {row['η/η*']:g} η*"
        for row in best[:4]
    )
    measured = (
        f"at most {most} of {len(STATEMENTS)} hold, at {len(best)} of {len(known)} "
        f"points, such as {places or 'none'}; never together: "
        f"{', '.join(never) or 'none'}"
    )
    n = min((row["pairs"] for row in known), default=0)
    holds = most == len(STATEMENTS) if known else None
    return TOGETHER.judged("", measured, n, holds)


def held(row: dict) -> int:
    """How many statements hold at a point."""
    return sum(map(bool, row["holds"].values()))
