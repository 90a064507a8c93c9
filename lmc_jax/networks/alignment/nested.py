"""Units within others: those of each head, of each layer of a scan, of each expert.

At one place of the axes that units are within, they are a group as any other: arrays
are parted into those of each place, and one descent matches the groups of all places.
Heads and experts are groups themselves: which is which is found first, by their sorted
numbers, then by what is left between two of them once their units are matched.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy  # its parts load when first used

from lmc_jax.matching.alike import improved
from lmc_jax.networks.alignment.descent import Arrays, Matched, Order, descend
from lmc_jax.networks.alignment.distances import distance, of_group
from lmc_jax.networks.entries import (
    Concat,
    Entry,
    Product,
    Tiled,
    Within,
    elements,
    groups_of,
    label,
    nests,
)
from lmc_jax.networks.permutations import Spec, reorder

ROUNDS = 10  # of heads matched anew; the distance falls in each

Shapes = Mapping[str, tuple[int, ...]]  # of permutations: [outers..., units] by group
Place = Mapping[str, int]  # where something is along groups or fixed axes, by name


def matched(ours: Arrays, theirs: Arrays, spec: Spec, shapes: Shapes) -> Matched:
    """Permutations that bring B near A, ``[outers..., units]`` by group.

    Args:
      ours: arrays of A with permuted axes.
      theirs: those of B.
      spec: permutation specification, of these arrays at least.
      shapes: of the permutations.
    """
    within = nests({path: spec[path] for path in ours})
    if not within:
        sizes = {group: shape[-1] for group, shape in shapes.items()}
        return descend(ours, theirs, spec, sizes)
    outers = dict.fromkeys(outer for own in within.values() for outer in own)
    if fixed := [outer for outer in outers if outer not in shapes]:
        return _at_each_place(ours, theirs, spec, shapes, fixed)
    outermost = [outer for outer in outers if outer not in within]
    return _outer_first(ours, theirs, spec, shapes, outermost)


def _outer_first(
    ours: Arrays, theirs: Arrays, spec: Spec, shapes: Shapes, outers: Sequence[str]
) -> Matched:
    """Some groups, and then what is within them."""

    def given(orders: Order) -> Matched:
        moved = {p: reorder(array, spec[p], orders) for p, array in theirs.items()}
        found = _at_each_place(ours, moved, spec, shapes, outers)
        return found._replace(perms=found.perms | orders)

    def far(found: Matched) -> float:
        return distance(ours, theirs, spec, found.perms)

    still = {outer: np.arange(shapes[outer][0], dtype=np.int32) for outer in outers}
    alike = {}
    for outer in outers:
        paths = [path for path in ours if outer in groups_of(spec[path])]
        costs = of_group(outer, paths, ours, theirs, spec, still, in_order=False)
        alike[outer], _ = improved(costs, still[outer])
    best = min(map(given, (alike, still)), key=far)
    for _ in range(ROUNDS):
        orders = {
            outer: improved(
                _left_between(ours, theirs, spec, best.perms, outer), best.perms[outer]
            )[0]
            for outer in outers
        }
        if all(np.array_equal(orders[o], best.perms[o]) for o in outers):
            break
        found = given(orders)
        if not far(found) < far(best):
            break
        best = found
    return best


def _left_between(
    ours: Arrays, theirs: Arrays, spec: Spec, perms: Order, outer: str
) -> np.ndarray:
    """Squared distances ``[i, j]`` of place i of A from j of B, their units matched."""
    within = nests({path: spec[path] for path in ours})
    inner = {group: own for group, own in within.items() if outer in own}
    held = {g: perm for g, perm in perms.items() if g != outer and g not in inner}
    paths = [path for path in ours if outer in groups_of(spec[path])]
    moved = {path: reorder(theirs[path], spec[path], held) for path in paths}
    places = range(len(perms[outer]))
    sides = [
        [_at(side, spec, paths, {outer: i}, {outer}) for i in places]
        for side in (ours, moved)
    ]
    costs = np.zeros((len(places), len(places)))
    for (i, (first, own)), (j, (second, _)) in itertools.product(
        *map(enumerate, sides)
    ):
        for group in inner:
            some = [path for path in paths if group in groups_of(own[path])]
            order = {group: np.arange(perms[group].shape[-1])}
            between = of_group(group, some, first, second, own, order)
            pairs = scipy.optimize.linear_sum_assignment(between)
            costs[i, j] += between[pairs].sum()
        for path in paths:
            if not groups_of(own[path]) & inner.keys():
                costs[i, j] += np.square(first[path] - second[path]).sum()
    return costs


def _at_each_place(
    ours: Arrays, theirs: Arrays, spec: Spec, shapes: Shapes, outers: Sequence[str]
) -> Matched:
    """The groups within some others, at each place of these; those others stay."""
    within = nests({path: spec[path] for path in ours})
    lengths = {
        outer: shapes[group][own.index(outer)]
        for group, own in within.items()
        for outer in own
        if outer in outers
    }

    def all_places(names: Iterable[str]) -> list[Place]:
        """Of those among some names, in their order."""
        along = [name for name in names if name in outers and name in lengths]
        ranges = [range(lengths[name]) for name in along]
        return [dict(zip(along, p, strict=True)) for p in itertools.product(*ranges)]

    sides: list[Arrays] = [{}, {}]
    apart: dict[str, tuple[Entry, ...]] = {}
    for path in ours:
        own = [within.get(group, ()) for group in groups_of(spec[path])]
        for place in all_places(dict.fromkeys(itertools.chain(*own))):
            for side, arrays in zip(sides, (ours, theirs), strict=True):
                piece, its = _at(arrays, spec, [path], place, outers, within)
                side[_named(path, place)] = piece[path]
            apart[_named(path, place)] = its[path]
    names = {
        group: [_named(group, place) for place in all_places(within.get(group, ()))]
        for group in shapes
        if group not in outers
    }
    left = {g: 1 + len(set(within.get(g, ())) - set(outers)) for g in names}
    some = {
        name: shapes[group][-left[group] :]
        for group, several in names.items()
        for name in several
    }
    first, second = sides
    found = matched(first, second, apart, some)
    perms = {
        group: np.reshape([found.perms[name] for name in several], shapes[group])
        for group, several in names.items()
    }
    return found._replace(perms=perms)


def _named(name: str, place: Place) -> str:
    """A group or a path at a place."""
    return "@".join([name, *(f"{outer} {i}" for outer, i in place.items())])


def _at(
    arrays: Arrays,
    spec: Spec,
    paths: Sequence[str],
    place: Place,
    outers: Collection[str],
    within: Mapping[str, Collection[str]] | None = None,
) -> tuple[Arrays, dict[str, tuple[Entry, ...]]]:
    """Some arrays at a place, and their entries there.

    Args:
      outers: groups and fixed axes that stay.
      within: by group, what its units are within: what tells its places apart in its
        name. Default: names stay.
    """
    pieces, entries = {}, {}
    for path in paths:
        array, own = arrays[path], []
        for axis, entry in enumerate(spec[path]):
            positions, there = _axis_at(
                entry, array.shape[axis], place, outers, within or {}
            )
            array = array.take(positions, axis)
            own.append(there)
        pieces[path], entries[path] = array, tuple(own)
    return pieces, entries


def _axis_at(
    entry: Entry, length: int, place: Place, outers: Collection[str], within
) -> tuple[np.ndarray, Any]:
    """The positions of an axis at a place, and what they run over."""

    def named(group: str) -> str:
        return _named(group, {o: place[o] for o in place if o in within.get(group, ())})

    if isinstance(entry, Product | Concat):
        sizes = [size for size, _ in entry.parts]
        there = [_axis_at(part, n, place, outers, within) for n, part in entry.parts]
        own = [
            any(label(inner) in place for inner in elements(part))
            for _, part in entry.parts
        ]
        if isinstance(entry, Product):
            grid = np.arange(length).reshape(sizes)
            positions = grid[np.ix_(*(at for at, _ in there))].reshape(-1)
            return positions, Product(tuple((len(at), e) for at, e in there))
        starts = np.cumsum([0, *sizes])
        # What is not along these axes counts at their first place.
        taken = [
            (start + at, e)
            for start, (at, e), along in zip(starts, there, own, strict=False)
            if along or not any(own) or not any(place.values())
        ]
        positions = np.concatenate([at for at, _ in taken])
        return positions, Concat(tuple((len(at), e) for at, e in taken))
    name = label(entry)
    whole = np.arange(length)
    if name and name in outers:
        return (whole[[place[name]]] if name in place else whole), None
    if isinstance(entry, Tiled):
        return whole, entry._replace(group=named(entry.group))
    if isinstance(entry, Within):
        left = tuple(named(outer) for outer in entry.outers if outer not in place)
        return whole, Within(named(entry.group), left) if left else named(entry.group)
    return whole, named(entry) if isinstance(entry, str) else entry
