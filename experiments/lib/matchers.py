"""Comparisons of matchings: those of the registry, and references for the best one."""

import functools
from collections.abc import Callable
from typing import Any

from experiments.lib import plot
from lmc_jax.matching import PATHS, Matching, match_exhaustive, match_refine

RESTARTS = 8  # of the descent that stands for the optimum beyond m = 9
# They take the barrier's definition and the points of a path as well.
REFERENCES = {
    reference.name: reference
    for reference in (
        Matching(
            "refine_barrier",
            "refined on the barrier",
            "X",
            plot.TEAL,
            functools.partial(match_refine, restarts=RESTARTS),
            linestyle=":",
        ),
        Matching(
            "exhaustive",
            "all permutations",
            "*",
            plot.BROWN,
            match_exhaustive,
            linestyle="-.",
        ),
    )
}
EVERY = PATHS | REFERENCES


def matcher(name: str, k: int, definition: str, points: int) -> Callable:
    """A matching or a reference: students to ``(perm, info)``."""
    given = {"definition": definition, "points": points} if name in REFERENCES else {}
    return functools.partial(EVERY[name].on_host, k=k, **given)


def look(name: str) -> dict[str, Any]:
    """Of its curves in figures where colours tell matchings apart."""
    matching = EVERY[name]
    drawn = ":" if matching.baseline else "-"
    linestyle = matching.linestyle if name in REFERENCES else drawn
    return {
        "color": matching.color,
        "marker": matching.marker,
        "linestyle": linestyle,
        "label": matching.label,
    }
