"""Matchings of a cell's pairs, against the best permutation and what bounds it."""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.lib import curves, plot, projected
from experiments.lib.settings import Values
from lmc_jax import matching, paths
from lmc_jax.matching import PATHS, Matching, match_exhaustive, match_refine
from lmc_jax.matching.exhaustive import WIDEST
from lmc_jax.results import store
from lmc_jax.statistics import mean_interval, named, ratio_interval
from lmc_jax.sweep.cell import Cell, Minima
from lmc_jax.sweep.run import measure

ROUNDING = 1e-13  # of a loss: two ways to compute it may differ by less
RESTARTS = 8  # of the descent that stands for the optimum beyond m = 9
REFINED = functools.partial(match_refine, restarts=RESTARTS)
# They take the barrier's definition and the points of a path as well.
REFERENCES = {
    "refine_barrier": Matching(
        *("refine_barrier", "refined on the barrier", "X", plot.TEAL, REFINED),
        linestyle=":",
    ),
    "exhaustive": Matching(
        *("exhaustive", "all permutations", "*", plot.BROWN, match_exhaustive),
        linestyle="-.",
    ),
}
EVERY = PATHS | REFERENCES
# Where colours tell matchings apart, dots mark baselines.
STYLES = {
    name: curves.style(one, ":" if one.baseline else "-") for name, one in PATHS.items()
} | {name: curves.style(one, one.linestyle) for name, one in REFERENCES.items()}


def matcher(name: str, k: int, definition: str, points: int) -> Callable:
    """A matching or a reference: students to ``(perm, info)``."""
    given = {"definition": definition, "points": points} if name in REFERENCES else {}
    return functools.partial(EVERY[name].on_host, k=k, **given)


def compared(record: store.Record, setting: Values) -> list[dict]:
    """One row per matching, the reference last; none for fewer than 2 pairs."""
    given, definition = record.parameters, setting["barrier"]
    k, m, points, pairs = (given[name] for name in ("k", "m", "points", "pairs"))
    minima = projected.minima_of(record)
    if len(minima) < 2:
        return []
    # One shape a cell: a trained cell that lost pairs compiles nothing anew.
    filled = minima[np.minimum(np.arange(pairs), len(minima) - 1)]
    cell = Cell(k, m, k, Minima(), pairs, matchings=(), points=points)
    reference = "exhaustive" if m <= WIDEST else "refine_barrier"
    names = (*setting["matching"].split(","), reference)
    chosen = {name: matcher(name, k, definition, points) for name in names}
    with ThreadPoolExecutor() as pool:  # compiles side by side; timed one by one
        list(pool.map(lambda match: match(filled), chosen.values()))
    runs = {name: timed(match, filled) for name, match in chosen.items()}
    count = len(minima)
    heights = {
        name: barriers(cell, minima, perm[:count], definition)
        for name, (perm, _, _) in runs.items()
    }
    lower = matching.lower_bound(minima, k, definition=definition, points=points)
    opposed, _ = matching.match_types(filled, k)
    upper, excess = certified(cell, minima, opposed[:count])
    return [
        {
            "k": k,
            "m": m,
            "source": given["source"]["name"],
            "lr_times_m": given["source"].get("lr", np.nan) * m,
            "matching": name,
            "objective": info.objective,
            "reference": reference,
            "pairs": count,
            "certificate_excess": float(excess.max()),
            "milliseconds": milliseconds,
            "rounds": float(info.rounds[:count].mean()),
            **columns(heights[name], heights[reference], lower),
            "upper_mean": float(upper.mean()),
        }
        for name, (_, info, milliseconds) in runs.items()
    ]


def columns(heights: np.ndarray, best: np.ndarray, lower: np.ndarray) -> dict:
    """Barriers ``[pairs]``, the reference's and a lower bound, and what they give.

    Means and ratios of means with their intervals; ``optimal``, the share of the pairs
    with the reference's barrier.
    """
    # With equal counts in every pair there is nothing to compare with.
    scale = np.zeros_like(best) if best.mean() < ROUNDING else best
    above = np.where(np.abs(heights - lower) < ROUNDING, 0, heights - lower)
    exact = heights.mean() < ROUNDING
    return {
        **{"heights": heights, "best": best, "lower": lower},
        **named("barrier", mean_interval(heights)),
        **named("ratio", ratio_interval(heights, scale)),
        **named("lower", ratio_interval(lower, scale)),
        **named("gap", (0, 0, 0) if exact else ratio_interval(above, heights)),
        "optimal": float(np.mean(heights <= best + ROUNDING + 1e-9 * best)),
    }


def timed(match: Callable, W: np.ndarray) -> tuple[np.ndarray, Any, float]:
    """``(perm, info, milliseconds a pair)`` of a matching that is compiled."""
    begin = time.perf_counter()
    perm, info = match(W)
    return perm, info, 1000 * (time.perf_counter() - begin) / len(W)


def aligned(cell: Cell, W: np.ndarray, perms: np.ndarray) -> dict:
    """Measures of the aligned pairs ``[n, 2, m, k]``, one way for all matchings."""
    second = np.take_along_axis(W[:, 1], perms[..., None], axis=1)
    return measure(cell, np.stack([W[:, 0], second], axis=1))


def barriers(
    cell: Cell, W: np.ndarray, perms: np.ndarray, definition: str
) -> np.ndarray:
    """Barriers ``[n]`` of the aligned pairs."""
    losses = jnp.asarray(aligned(cell, W, perms)["losses"][:, 0])
    return np.asarray(paths.barrier(losses, paths.times(cell.points), definition))


def certified(cell: Cell, W: np.ndarray, perms: np.ndarray):
    """Largest certificate inside the path, and largest excess of a loss over it."""
    found = aligned(cell, W, perms)
    allowed, losses = (found[name][:, 0, 1:-1] for name in ("certificate", "losses"))
    return allowed.max(axis=1), (losses - allowed).max(axis=1)
