"""Weight matching by coordinate descent over layers (Ainsworth et al. 2022).

Maximises Σ ⟨A, π(B)⟩ over all arrays with permuted axes, which is to minimise the
distance between A and π(B): with all groups but one held, the objective is linear in
the permutation of that group, and a linear assignment finds its best. It is posed in
distances, which tell short units and near copies apart where products round.

The descent starts from a first pass over the groups, each matched by those arrays alone
that run over groups matched before: of all others only the sorted numbers say anything
yet, and decide between units that are equal in the former. From the
identity, which asks them too, narrow and deep networks often end in a local optimum
even where an exact copy is to be found. Where the first pass ends farther than the
given order is, the descent starts from that.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

from lmc_jax.matching.alike import improved
from lmc_jax.networks.alignment.distances import counted, distance, of_group, scaled
from lmc_jax.networks.permutations import Spec, group_axes, group_sizes, reorder

SORTED = 1e-6  # weight of sorted numbers in the first pass: they break ties
SWEEPS = 200  # over all groups; a few dozen are needed, the distance only falls


class CoordinateDescent(NamedTuple):
    """How a coordinate descent went.

    objective: Σ ⟨A, π(B)⟩ at the start, at least that of the given order, and after
      every assignment; it never falls, and stays where a rise is below its rounding.
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
) -> tuple[dict[str, np.ndarray], CoordinateDescent]:
    """Permutations of the second network that bring its weights near the first's.

    A local optimum, never farther than the given order, found from a first pass over
    the groups; then groups are visited in a random order. Exact copies are found where
    units differ in what the first pass matches them by.

    Args:
      first: pytree of arrays, any float dtype.
      second: the same structure.
      spec: its permutation specification; no array may run over a group twice.
      leave_out: paths of arrays that do not count, such as running statistics.
      seed: of the order of the groups.

    Returns:
      ``(perms, info)``: int32 ``[units]`` by group.

    Raises:
      ValueError: for a specification that does not fit, unknown paths to leave out,
        and weights that are not real, not finite or beyond 1e150.
      ArithmeticError: should the distance ever rise, which would be a fault here.
    """
    sizes = group_sizes(first, spec)
    group_sizes(second, spec)
    unknown = sorted(set(leave_out) - set(spec))
    if unknown:
        raise ValueError(
            f"leave_out={unknown}: give paths of the network, {', '.join(spec)}"
        )
    (ours, power), (theirs, other_power) = (
        scaled(counted(weights, spec, leave_out)) for weights in (first, second)
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
    given = {group: np.arange(units, dtype=np.int32) for group, units in sizes.items()}
    perms = dict(given)
    groups = {path: {name for _, (name, _) in group_axes(spec[path])} for path in ours}
    for group, paths in _anchored(ours, groups, set(sizes)):
        rest = [path for path in uses[group] if path not in paths]
        costs = of_group(group, paths, ours, theirs, spec, perms)
        costs += SORTED * of_group(
            group, rest, ours, theirs, spec, perms, in_order=False
        )
        perms[group], _ = improved(costs, perms[group])
    begin, other = (distance(ours, theirs, spec, order) for order in (given, perms))
    if other > begin:
        perms = given
    known: dict[str, np.ndarray] = {}  # distances that stay: in arrays of one group
    moving: dict[str, list[str]] = {}
    neighbours: dict[str, set[str]] = {}
    for group, paths in uses.items():
        alone = [path for path in paths if len(groups[path]) == 1]
        known[group] = of_group(group, alone, ours, theirs, spec, perms)
        moving[group] = [path for path in paths if path not in alone]
        neighbours[group] = set().union(*(groups[path] for path in paths)) - {group}
    rng = np.random.default_rng(seed)
    moved = {path: reorder(theirs[path], spec[path], perms) for path in ours}
    objective = [sum(float(np.vdot(ours[path], moved[path])) for path in ours)]
    unsettled = set(perms)  # groups whose neighbours moved since their assignment
    for _ in range(SWEEPS):
        for group in rng.permutation(sorted(unsettled)):
            unsettled.discard(group)
            costs = known[group] + of_group(
                group, moving[group], ours, theirs, spec, perms
            )
            perms[group], fall = improved(costs, perms[group])
            if fall:
                objective.append(objective[-1] + fall / 2)
                unsettled |= neighbours[group]
        if not unsettled:
            break
    if not distance(ours, theirs, spec, perms) <= (1 + 1e-9) * min(begin, other):
        raise ArithmeticError("the descent ended farther than it started")
    return perms, CoordinateDescent(
        np.ldexp(objective, power + other_power), not unsettled
    )


def _anchored(
    arrays: dict[str, np.ndarray], groups: dict[str, set[str]], left: set[str]
) -> Iterator[tuple[str, list[str]]]:
    """Groups, and the arrays that run over one and over groups before it only.

    Next is always the group for which these arrays hold the most numbers.
    """
    while left:
        paths = {
            group: [
                p for p in groups if group in groups[p] and groups[p] & left == {group}
            ]
            for group in sorted(left)
        }
        group = max(paths, key=lambda name: sum(arrays[p].size for p in paths[name]))
        yield group, paths[group]
        left = left - {group}
