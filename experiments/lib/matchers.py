"""Every matching by name, for comparisons: how to call it, how it looks."""

import functools
from collections.abc import Callable

from experiments.lib import curves, plot
from lmc_jax import matching
from lmc_jax.matching.exhaustive import WIDEST

RESTARTS = 8  # of the descent that stands for the optimum beyond m = 9
LOOKS = {
    "direct": {"color": plot.BLACK, "marker": "x", "linestyle": ":"},
    "types_sorted": {"color": plot.SKY, "marker": "^"},
    "types_index": {"color": plot.ORANGE, "marker": "o"},
    "types_opposed": {"color": plot.RED, "marker": "s"},
    "weights": {"color": plot.GREEN, "marker": "D"},
    "activations": {"color": plot.PURPLE, "marker": "v"},
    "refine": {"color": plot.BLUE, "marker": "P"},
}
LABELS = curves.LABELS | {
    "activations": "activation assignment",
    "refine_barrier": "refined on the barrier",
    "exhaustive": "all permutations",
}


def matchers(k: int, m: int, definition: str, points: int) -> dict[str, Callable]:
    """Every matching by name: students to ``(perm, info)``."""
    found: dict[str, Callable] = {
        "direct": matching.match_identity,
        **{
            f"types_{order}": functools.partial(
                matching.match_types, k=k, leftovers=order
            )
            for order in matching.LEFTOVERS
        },
        "weights": matching.match_weights,
        "activations": matching.match_activations,
        "refine": functools.partial(matching.match_refine, k=k),
        "refine_barrier": functools.partial(
            matching.match_refine,
            k=k,
            restarts=RESTARTS,
            definition=definition,
            points=points,
        ),
    }
    if m <= WIDEST:
        found["exhaustive"] = functools.partial(
            matching.match_exhaustive, k=k, definition=definition, points=points
        )
    return found
