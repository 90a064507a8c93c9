"""Which cells each shard computes, agreed on without talking.

Cells are dealt by expected cost. With --finish a shard then helps the others.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Shard(NamedTuple):
    """A job, one of ``of`` that share an output folder, from 0."""

    number: int
    of: int


def ranked(costs: Iterable[float]) -> np.ndarray:
    """Indices of the cells, most costly first, in the order of the grid where equal.

    >>> ranked([1.0, 3.0, 2.0, 3.0]).tolist()
    [1, 3, 2, 0]
    """
    return np.argsort(-_rounded(costs), kind="stable")


def dealt(costs: Iterable[float], shards: int) -> np.ndarray:
    """The shard of each cell, int ``[cells]``: like cards, the most costly first.

    Each goes to the shard that has least work so far.

    >>> dealt([3.0, 1.0, 2.0, 2.0], 2).tolist()
    [0, 0, 1, 1]

    Args:
      costs: of every cell of the grid, stored or not, so that a shard that is started
        again has the same cells.
      shards: how many.
    """
    costs = _rounded(costs)
    of_cell = np.empty(len(costs), int)
    hands = [(0.0, shard) for shard in range(shards)]
    for cell in ranked(costs):
        work, shard = hands[0]
        heapq.heapreplace(hands, (work + costs[cell], shard))
        of_cell[cell] = shard
    return of_cell


def part(
    missing: np.ndarray, own: np.ndarray, shard: Shard, *, finish: bool
) -> np.ndarray:
    """The cells to compute before looking again at what is missing, as indices.

    None are left to do where it is empty. Without ``finish`` it is all that is missing
    of the shard's own. With it, a quarter of them, so that what others did meanwhile is
    noticed; and once there are none, a few of what is missing, other ones in each
    shard. A cell that two compute is the same in both.

    >>> missing, own = np.ones(12, bool), np.arange(12) < 6
    >>> part(missing, own, Shard(0, 2), finish=True).tolist()
    [0]
    >>> part(missing & ~own, own, Shard(1, 2), finish=True).tolist()
    [9]

    Args:
      missing: bool ``[cells]``, in the order in which they are computed.
      own: bool ``[cells]``, those dealt to the shard.
      shard: which.
      finish: whether to go on with the cells of others.
    """
    todo = np.flatnonzero(missing & own)
    if not finish:
        return todo
    if todo.size:
        return todo[: max(1, todo.size // 4)]
    left = np.flatnonzero(missing)
    begin = shard.number * left.size // shard.of
    return left[begin : begin + max(1, left.size // (4 * shard.of))]


def _rounded(costs: Iterable[float]) -> np.ndarray:
    """To three digits: machines that differ in the last bit must deal alike."""
    return np.array([float(f"{cost:.3g}") for cost in costs])
