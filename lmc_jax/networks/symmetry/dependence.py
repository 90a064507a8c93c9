"""Which permutations may depend on the position along another axis.

The units of a head may be permuted apart from those of other heads, and hidden units
of a scanned layer apart from those of other layers: wherever an array holds a position
of the one, it holds one of the other, and no operation on both mixes the positions of
these.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable

from lmc_jax.networks.symmetry.axes import PRODUCT, SUM, Axis, find, mixes


def dependencies(
    arrays: Iterable[tuple[Axis, ...]], free: Collection[Axis]
) -> dict[Axis, list[Axis]]:
    """By free atom, the atoms that its permutation may depend on.

    Those that every array with the atom has, either of them once, and that no operation
    mixes where it has the atom.
    """
    found: dict[Axis, set[Axis]] = {}
    for array in {tuple(map(find, axes)) for axes in arrays}:
        options = [_positions(axis) for axis in array]
        sure = []  # the atoms that each axis has whatever the position
        for option in options:
            common = option[0] if option else Counter()
            for other in option[1:]:
                common = common & other
            sure.append(common)
        for i, option in enumerate(options):
            rest = sum((*sure[:i], *sure[i + 1 :]), Counter())
            for held in option:
                _restrict(found, held, held + rest, free)
    return {
        atom: [other for other in others if not mixes(other, atom)]
        for atom, others in found.items()
    }


def nested(
    arrays: Iterable[tuple[Axis, ...]], free: Collection[Axis]
) -> dict[Axis, list[Axis]]:
    """By free atom, fixed and earlier free atoms that its permutation may depend on.

    If each of two atoms may depend on the other, as heads and the units of each, the
    later depends on the earlier. Dependence is transitive.
    """
    found: dict[Axis, list[Axis]] = {}
    all_of = dependencies(arrays, free)
    order = {atom: i for i, atom in enumerate(free)}
    for atom in free:
        outers = [
            other
            for other in all_of.get(atom, ())
            if order.get(other, -1) < order[atom]
        ]
        kept = [o for o in outers if set(found.get(o, ())) <= set(outers)]
        if kept:
            found[atom] = sorted(kept, key=lambda other: order.get(other, -1))
    return found


def _positions(axis: Axis) -> list[Counter]:
    """How often each atom is in a position of an axis, by term."""
    axis = find(axis)
    if axis.kind == SUM:
        return [held for part in axis.parts for held in _positions(part)]
    if axis.kind == PRODUCT:
        ways = itertools.product(*map(_positions, axis.parts))
        return [sum(held, Counter()) for held in ways]
    return [Counter({axis: 1}) if axis.size > 1 else Counter()]


def _restrict(
    found: dict[Axis, set[Axis]], held: Counter, total: Counter, free: Collection[Axis]
) -> None:
    for atom in held:
        if atom in free:
            once = {other for other, n in total.items() if n == 1} - {atom}
            once = once if total[atom] == 1 else set()
            found[atom] = found[atom] & once if atom in found else once
