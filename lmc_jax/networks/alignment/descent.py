"""Coordinate descent over groups: with all but one held, the best of that one.

With all groups but one held, Σ ⟨A, π(B)⟩ is linear in the permutation of that group,
and a linear assignment finds its best. It is posed in distances, which tell short units
and near copies apart where products round.

An array that runs over a group twice, as the square kernels of residual and recurrent
layers, makes the objective quadratic. One of its axes is then held while the other is
assigned, and the permutation found is taken for both if that brings B nearer; if not,
two units are exchanged.

The descent starts from a first pass over the groups, each matched by those arrays alone
that run over groups matched before: of all others only the sorted numbers say anything
yet, and decide between units that are equal in the former. From the
identity, which asks them too, narrow and deep networks often end in a local optimum
even where an exact copy is to be found. Where the first pass ends farther than the
given order is, the descent starts from that.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lmc_jax.matching.alike import ROUNDING, improved
from lmc_jax.networks.alignment.distances import distance, of_group
from lmc_jax.networks.entries import groups_of, squared
from lmc_jax.networks.permutations import Spec, reorder

SORTED = 1e-6  # weight of sorted numbers in the first pass: they break ties
SWEEPS = 200  # over all groups; a few dozen are needed, the distance only falls
EXCHANGES = 100  # of two units, the most promising, that are tried after an assignment

Arrays = dict[str, np.ndarray]  # float64, by path
Order = dict[str, np.ndarray]  # permutations int32 [units] by group


class Matched(NamedTuple):
    """Where a descent ended.

    perms: permutations by group.
    objective: Σ ⟨A, π(B)⟩ at the start and after every assignment.
    converged: whether no group alone can do better.
    """

    perms: Order
    objective: list[float]
    converged: bool


class _Pair(NamedTuple):
    """Two networks A and B, their arrays with permuted axes by path.

    groups: by path, the groups that an array runs over.
    twice: by path, those that it runs over twice.
    """

    ours: dict[str, np.ndarray]
    theirs: dict[str, np.ndarray]
    spec: Spec
    groups: dict[str, set[str]]
    twice: dict[str, set[str]]

    def costs(self, group: str, paths: list[str], perms: Order, **options: Any):
        """``of_group`` in some arrays."""
        return of_group(
            group, paths, self.ours, self.theirs, self.spec, perms, **options
        )

    def distance(self, perms: Order) -> float:
        """Squared distance of A from B with its units permuted."""
        return distance(self.ours, self.theirs, self.spec, perms)


def descend(ours: Arrays, theirs: Arrays, spec: Spec, sizes: dict[str, int]) -> Matched:
    """A local optimum, never farther than the given order.

    Args:
      ours: arrays of A with permuted axes.
      theirs: those of B.
      spec: permutation specification, of these arrays at least.
      sizes: units by group.

    Raises:
      ArithmeticError: should the distance ever rise, which would be a fault here.
    """
    groups = {path: groups_of(spec[path]) for path in ours}
    twice = {path: squared(spec[path]) for path in ours}
    pair = _Pair(ours, theirs, spec, groups, twice)
    given = {group: np.arange(units, dtype=np.int32) for group, units in sizes.items()}
    start = _first_pass(pair, given)
    least = min(start, given, key=pair.distance)
    found = _descended(pair, least)
    if not pair.distance(found.perms) <= (1 + 1e-9) * pair.distance(least):
        raise ArithmeticError("the descent ended farther than it started")
    return found


def _first_pass(pair: _Pair, given: Order) -> Order:
    """Each group matched by the arrays over it and over groups matched before."""
    perms = dict(given)
    for group, paths in _anchored(pair, set(given)):
        rest = [
            path
            for path, over in pair.groups.items()
            if group in over and path not in paths
        ]
        costs = pair.costs(group, paths, perms)
        costs += SORTED * pair.costs(group, rest, perms, in_order=False)
        perms[group], _ = improved(costs, perms[group])
    return perms


def _anchored(pair: _Pair, left: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Groups, and the arrays that run over one, once, and over groups before it only.

    Next is always the group for which these arrays hold the most numbers.
    """
    while left:
        paths = {
            group: [
                path
                for path, over in pair.groups.items()
                if over & left == {group} and group not in pair.twice[path]
            ]
            for group in sorted(left)
        }
        group = max(paths, key=lambda name: sum(pair.ours[p].size for p in paths[name]))
        yield group, paths[group]
        left = left - {group}


def _descended(pair: _Pair, start: Order) -> Matched:
    """Where a descent over the groups ends."""
    perms = dict(start)
    known, moving, neighbours, square = {}, {}, {}, set()
    for group in perms:
        paths = [path for path, over in pair.groups.items() if group in over]
        if any(group in pair.twice[path] for path in paths):
            square.add(group)
        alone = [p for p in paths if pair.groups[p] == {group} and not pair.twice[p]]
        known[group] = pair.costs(group, alone, perms)  # whatever the other groups do
        moving[group] = [path for path in paths if path not in alone]
        neighbours[group] = set().union(*(pair.groups[p] for p in paths))
        neighbours[group] -= {group} - square
    moved = {p: reorder(b, pair.spec[p], perms) for p, b in pair.theirs.items()}
    objective = [sum(float(np.vdot(a, moved[p])) for p, a in pair.ours.items())]
    rng = np.random.default_rng(0)
    unsettled = set(perms)  # groups whose neighbours moved since their assignment
    for _ in range(SWEEPS):
        for group in rng.permutation(sorted(unsettled)):
            unsettled.discard(group)
            costs = known[group] + pair.costs(group, moving[group], perms)
            if group in square:
                perms[group], fall = _nearer(pair, group, costs, perms)
            else:
                perms[group], fall = improved(costs, perms[group])
            if fall:
                objective.append(objective[-1] + fall / 2)
                unsettled |= neighbours[group]
        if not unsettled:
            break
    return Matched(perms, objective, not unsettled)


def _nearer(pair: _Pair, group: str, costs: np.ndarray, perms: Order):
    """As ``improved``, of a group that arrays run over twice: the distance falls.

    Args:
      costs: with one of two axes held as ``perms``.
    """
    paths = [path for path, over in pair.groups.items() if group in over]
    ours = {path: pair.ours[path] for path in paths}

    def far(perm):
        return distance(ours, pair.theirs, pair.spec, perms | {group: perm})

    given = perms[group]
    before = far(given)
    for found in _candidates(costs, given):
        fall = before - far(found)
        if fall > ROUNDING * before:
            return found, fall
    return given, 0.0


def _candidates(costs: np.ndarray, given: np.ndarray) -> Iterator[np.ndarray]:
    """The best assignment, then exchanges of two units, the most promising first."""
    yield improved(costs, given)[0]
    costs = costs[:, given]
    kept = np.diag(costs)
    falls = np.add.outer(kept, kept) - costs - costs.T
    first, second = np.triu_indices(len(given), 1)
    order = np.argsort(-falls[first, second], kind="stable")[:EXCHANGES]
    for i, j in zip(first[order], second[order], strict=True):
        exchanged = given.copy()
        exchanged[[i, j]] = given[[j, i]]
        yield exchanged
