"""Squared distances between the units of two networks.

Least squared distance and largest product are the same problem. Distances alone are 0
for equal units only, so that rounding hides neither short units nor near copies.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from lmc_jax.networks.entries import sections
from lmc_jax.networks.permutations import Spec, leaves, reorder

NEAR = 0.01  # of |a|² + |b|²: below it a squared distance is summed from differences


def counted(
    weights: Any, spec: Spec, leave_out: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays with permuted axes, in float64.

    Raises:
      ValueError: for arrays that are not real or not finite.
    """
    permuted = {
        path: array
        for path, array in leaves(weights).items()
        if any(spec[path]) and path not in leave_out
    }
    for path, array in permuted.items():
        if np.iscomplexobj(array):
            raise ValueError(f"array {path!r} is complex: give real weights")
    arrays = {path: np.asarray(array, np.float64) for path, array in permuted.items()}
    for path, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"array {path!r} holds NaN or infinity: nothing to align")
    return arrays


def scaled(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], int]:
    """Arrays divided by a power of two, and its exponent: weights of at most 1.

    Nothing is rounded, and products of small weights do not vanish.
    """
    largest = [np.abs(array).max(initial=0) for array in arrays.values()]
    power = int(np.frexp(max(largest, default=0))[1])
    return {path: np.ldexp(array, -power) for path, array in arrays.items()}, power


def squares(first: np.ndarray, second: np.ndarray, near: float = NEAR) -> np.ndarray:
    """|aᵢ - bⱼ|² of rows ``[n, d]`` and ``[m, d]``: ``[n, m]``, each to rounding.

    By products, which is fast, and by differences where products would cancel, below
    ``near`` of |a|² + |b|².
    """
    sums = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)
    distances = sums - 2 * (first @ second.T)
    close = distances < near * sums
    for row in np.flatnonzero(close.any(axis=1)):
        gaps = second[close[row]] - first[row]
        distances[row, close[row]] = np.square(gaps).sum(axis=1)
    return distances


def of_group(
    group: str,
    paths: list[str],
    ours: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray],
    spec: Spec,
    perms: dict[str, np.ndarray],
    *,
    in_order: bool = True,
) -> np.ndarray:
    """``[i, j]``: squared distance, in some arrays, of unit i of A from unit j of B.

    Args:
      group: of the units.
      paths: of the arrays that count; each runs over the group. Where one does by
        several axes, units are compared by each of them, the others of B as ``perms``.
      ours: arrays of A by path.
      theirs: arrays of B.
      spec: permutation specification.
      perms: permutations of B's units by group.
      in_order: false compares the sorted numbers of either unit, a lower bound of the
        distance in any order of other groups.
    """
    units = len(perms[group])
    total = np.zeros((units, units))
    given = np.argsort(perms[group])
    for path in paths:
        entries = spec[path]
        first, second = (
            np.hstack(
                [
                    section.reshape(units, -1)
                    for axis, entry in enumerate(entries)
                    for section in sections(array, axis, entry, group, units)
                ]
            )
            for array in (ours[path], reorder(theirs[path], entries, perms))
        )
        second = second[given]  # unit j of B as it was given
        if not in_order:
            first, second = np.sort(first), np.sort(second)
        total += squares(first, second, NEAR if in_order else 0)  # sorted: all near
    return total


def distance(
    ours: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray],
    spec: Spec,
    perms: dict[str, np.ndarray],
) -> float:
    """Squared distance of A from B with its units permuted, all arrays by path."""
    return sum(
        float(np.square(array - reorder(theirs[path], spec[path], perms)).sum())
        for path, array in ours.items()
    )
