"""What the paper says of trained minima, judged at every point of a map of settings.

Each statement has one rule, which a point of the map passes, fails, or is too uncertain
for. A statement has then a verdict over the map: at which settings it holds.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.claims import sparsity, uniformity
from experiments.claims.barrier_vs_width import ALIKE, BELOW, PEAK, peaks_near, similar
from experiments.lib.claims import Claim, Statement, every, within


class Rule(NamedTuple):
    """A statement, and whether a row passes its rule, None if unsure."""

    statement: Statement
    holds: Callable[[dict], bool | None]


def _lowest(row: dict) -> bool | None:
    return every(within(ratio, 1, np.inf) for ratio in row["pqi"].T)


def _below(row: dict) -> bool | None:
    return within(row["ratio"][:, -1], 0, 1) if row["m/k"][-1] >= 5 else None


def _peak(row: dict) -> bool | None:
    return peaks_near(row["m/k"], row["largest"]) if row["m/k"][-1] >= 5 else None


def _of(statement: Statement, words: str) -> Statement:
    paper = statement.paper or "Figure 2"
    return statement._replace(text=statement.text.format(words), paper=paper)


FLAT = "PQI, row norms does not grow with m at small"
ONE = "Exp(1)"  # judged at k = 1
STATEMENTS = {
    "counts": Rule(
        uniformity.DISPERSED, lambda row: uniformity.multinomial(row["index"].T)
    ),
    ONE: Rule(
        uniformity.EXPONENTIAL,
        lambda row: uniformity.exponential(row["ks"], row["ks_limit"]),
    ),
    "PQI lowest": Rule(
        _of(sparsity.UNIFORM_LOWEST, "PQI, row norms")._replace(
            rule="at every width the interval of the ratio of trained to uniform is "
            "above 1; fails where one is below, and is not judged else"
        ),
        _lowest,
    ),
    "PQI flat": Rule(
        _of(sparsity.GROWS_WITH_WIDTH, FLAT),
        lambda row: sparsity.does_not_grow(row["pqi_trend"]),
    ),
    "alike": Rule(_of(ALIKE, "GD"), lambda row: similar(row["ratio"].T)),
    "below": Rule(_of(BELOW, "GD"), _below),
    "peak": Rule(_of(PEAK, ""), _peak),
}
TOGETHER = Statement(
    "at some setting all statements of the paper on trained minima hold",
    "at some point of the map all hold; fails where one fails at every point, and is "
    "not judged else",
)
CONVERGED = 0.9  # share of the runs of every width, below which nothing is judged


def judged(row: dict) -> dict[str, bool | None]:
    """Which statements hold at a point; None where that is not known."""
    known = row["pairs"] > 1 and row["converged"] >= CONVERGED
    known = known and np.isfinite(row["ratio"]).all()
    return {
        name: rule.holds(row) if known or name == ONE else None
        for name, rule in STATEMENTS.items()
    }


def maps(rows: Sequence[dict]) -> dict[tuple[int, int], list[dict]]:
    """Rows by teacher and dimension (k, d)."""
    found: dict[tuple[int, int], list[dict]] = {}
    for row in rows:
        found.setdefault((row["k"], row["d"]), []).append(row)
    return found


def claims(rows: Sequence[dict]) -> list[Claim]:
    """Each statement by teacher and dimension, and which hold together."""
    found = []
    for name, rule in STATEMENTS.items():
        for (k, d), own in maps(rows).items():
            if name != ONE:
                found.append(_over_map(rule, name, f"k = {k}, d = {d}", "pairs", own))
        if name == ONE:
            students = {(row["d"], row["σ"], row["η/η*"]): row for row in rows}
            for d in sorted({row["d"] for row in rows}):
                own = [row for key, row in students.items() if key[0] == d]
                found.append(_over_map(rule, name, f"k = 1, d = {d}", "ones", own))
    return [*found, _together(rows)]


def _over_map(
    rule: Rule, name: str, case: str, counted: str, rows: Sequence[dict]
) -> Claim:
    known = [row for row in rows if row["holds"][name] is not None]
    where = [row for row in known if row["holds"][name]]
    statement = rule.statement._replace(
        rule=f"at some point of the map: {rule.statement.rule}"
    )
    measured = f"at {len(where)} of {len(known)} points: {_places(known, name)}"
    n = min((row[counted] for row in known), default=0)
    holds = bool(where) if known else None
    return statement.judged(f"{case}, over σ and η", measured, n, holds, "map")


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
        if all(False in (row["holds"][one], row["holds"][other]) for row in known)
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
    n = min((row["pairs"] for row in known if row["pairs"] > 1), default=0)
    verdicts = [every(row["holds"].values()) for row in known]
    holds = (
        True if True in verdicts else False if known and None not in verdicts else None
    )
    return TOGETHER.judged("", measured, n, holds)


def held(row: dict) -> int:
    """How many statements hold at a point."""
    return sum(map(bool, row["holds"].values()))
