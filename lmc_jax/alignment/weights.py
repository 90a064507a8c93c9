"""Weight matching by coordinate descent over layers (Ainsworth et al. 2022).

Maximises Σ ⟨A, π(B)⟩ over all arrays with permuted axes, which is to minimise the
distance between A and π(B): with all groups but one held, the objective is linear in
the permutation of that group, and a linear assignment finds its best.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from lmc_jax.numerics import LARGEST
from lmc_jax.permutations import Spec, group_axes, group_sizes, leaves, reorder, split

SWEEPS = 200  # over all groups; a few dozen are needed, the objective only rises
ROUNDING = 1e-12  # of the objective, relative to the product of the norms


class Descent(NamedTuple):
    """How a coordinate descent went.

    objective: Σ ⟨A, π(B)⟩ at the start and after every assignment; it never falls.
    converged: whether no group alone can do better.
    """

    objective: np.ndarray
    converged: bool


def align_weights(
    first: Any,
    second: Any,
    spec: Spec,
    *,
    leave_out: Collection[str] = (),
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], Descent]:
    """Permutations of the second network that bring its weights near the first's.

    A local optimum, found from the identity; groups are visited in a random order.

    Args:
      first: pytree of arrays, any float dtype.
      second: the same structure.
      spec: its permutation specification; no array may run over a group twice.
      leave_out: paths of arrays that do not count, such as running statistics.
      seed: of the order of the groups.

    Returns:
      ``(perms, info)``: int32 ``[units]`` by group.

    Raises:
      ValueError: for a specification that does not fit, and for weights that are not
        finite or beyond 1e150.
      ArithmeticError: should the objective ever fall, which would be a fault here.
    """
    sizes = group_sizes(first, spec)
    group_sizes(second, spec)
    (ours, power), (theirs, other_power) = (
        _scaled(_counted(weights, spec, leave_out)) for weights in (first, second)
    )
    for path, array in ours.items():
        if array.shape != theirs[path].shape:
            raise ValueError(
                f"array {path!r} is {array.shape} in the first network and "
                f"{theirs[path].shape} in the second: only equal shapes are aligned"
            )
    uses: dict[str, list[str]] = {group: [] for group in sizes}
    for path in ours:
        for _, (group, _) in group_axes(spec[path]):
            if path in uses[group]:
                raise ValueError(
                    f"array {path!r} runs over group {group!r} twice: weight matching "
                    "by assignments needs each group once in an array"
                )
            uses[group].append(path)
    perms = {group: np.arange(units, dtype=np.int32) for group, units in sizes.items()}
    known, moving, neighbours = {}, {}, {}  # known gains: of arrays of one group alone
    for group, paths in uses.items():
        groups = {
            path: {name for _, (name, _) in group_axes(spec[path])} for path in paths
        }
        alone = [path for path in paths if len(groups[path]) == 1]
        known[group] = _gains(group, alone, ours, theirs, spec, perms)
        moving[group] = [path for path in paths if path not in alone]
        neighbours[group] = set().union(*groups.values()) - {group}
    rng = np.random.default_rng(seed)
    scale = sum(np.linalg.norm(ours[p]) * np.linalg.norm(theirs[p]) for p in ours)
    objective = [sum(float(np.vdot(ours[path], theirs[path])) for path in ours)]
    unsettled = set(perms)  # groups whose neighbours moved since their assignment
    for _ in range(SWEEPS):
        for group in rng.permutation(sorted(unsettled)):
            unsettled.discard(group)
            gains = known[group] + _gains(
                group, moving[group], ours, theirs, spec, perms
            )
            places, found = linear_sum_assignment(gains, maximize=True)
            rise = float((gains[places, found] - gains[places, perms[group]]).sum())
            if not rise >= -ROUNDING * scale:
                raise ArithmeticError(f"weight matching fell by {-rise} at {group!r}")
            if rise > ROUNDING * scale:
                perms[group] = found.astype(np.int32)
                objective.append(objective[-1] + rise)
                unsettled |= neighbours[group]
        if not unsettled:
            break
    return perms, Descent(np.ldexp(objective, power + other_power), not unsettled)


def _counted(
    weights: Any, spec: Spec, leave_out: Collection[str]
) -> dict[str, np.ndarray]:
    """The arrays with permuted axes, in float64."""
    arrays = {
        path: np.asarray(array, np.float64)
        for path, array in leaves(weights).items()
        if any(spec[path]) and path not in leave_out
    }
    for path, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"array {path!r} holds NaN or infinity: nothing to align")
        if np.abs(array).max(initial=0) > LARGEST:
            raise ValueError(f"array {path!r}: give weights of at most {LARGEST:g}")
    return arrays


def _scaled(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], int]:
    """Arrays divided by a power of two, and its exponent: weights of at most 1.

    Nothing is rounded, and products of small weights do not vanish.
    """
    largest = [np.abs(array).max(initial=0) for array in arrays.values()]
    power = int(np.frexp(max(largest, default=0))[1])
    return {path: np.ldexp(array, -power) for path, array in arrays.items()}, power


def _gains(
    group: str,
    paths: list[str],
    ours: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray],
    spec: Spec,
    perms: dict[str, np.ndarray],
) -> np.ndarray:
    """``[i, j]``: what the objective gains when unit j of B stands at place i of A."""
    units = len(perms[group])
    others = {name: perm for name, perm in perms.items() if name != group}
    gains = np.zeros((units, units))
    for path in paths:
        entries = spec[path]
        axis, inner = next(
            (axis, tiled.inner)
            for axis, tiled in group_axes(entries)
            if tiled.group == group
        )
        rows = [
            np.moveaxis(split(array, axis, units, inner), axis + 1, 0)
            for array in (ours[path], reorder(theirs[path], entries, others))
        ]
        gains += rows[0].reshape(units, -1) @ rows[1].reshape(units, -1).T
    return gains
