"""Expressions for the axes of a program's arrays, and what it means to tie two of them.

An axis is an *atom*, a *product* of axes as a reshape merges them, outermost first, or
a *sum* of axes one after another, as a concatenation. Axes that must carry the same
permutation are tied, which may part atoms into products and sums; an axis whose
positions are told apart is fixed. Tying, parting and fixing only ever restrict which
permutations there are, so that what was derived before remains true.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence

ATOM, PRODUCT, SUM = "atom", "product", "sum"


class Axis:
    """A node of a union-find forest.

    size: positions.
    kind: ATOM, PRODUCT or SUM.
    parts: of a product or sum.
    why: what fixed an atom; empty while it is free.
    mixed: the axes of operations that relate positions of an atom to other positions
      of it; ``EVERY`` for all axes.
    """

    __slots__ = ("kind", "mixed", "parent", "parts", "size", "why")

    def __init__(self, size: int, why: str = "", kind: str = ATOM, parts=()):
        self.size, self.why, self.kind = int(size), why, kind
        self.parts: Sequence[Axis] = parts
        self.parent: Axis | None = None
        self.mixed: tuple[Axis, ...] = ()


EVERY = Axis(0)


def find(axis: Axis) -> Axis:
    """The node that stands for all that are tied to an axis."""
    while axis.parent is not None:
        if axis.parent.parent is not None:
            axis.parent = axis.parent.parent
        axis = axis.parent
    return axis


def factors(axis: Axis) -> list[Axis]:
    """Factors that are not products, outermost first, without those of size 1."""
    axis = find(axis)
    if axis.size == 1:
        return []
    return _all(factors, axis.parts) if axis.kind == PRODUCT else [axis]


def terms(axis: Axis) -> list[Axis]:
    """Terms that are not sums, without empty ones; (a + b) c is a c + b c."""
    axis = find(axis)
    if axis.size == 0:
        return []
    if axis.kind == SUM:
        return _all(terms, axis.parts)
    if axis.kind == PRODUCT:
        first, *rest = factors(axis)
        if rest and first.kind == SUM:
            return [product([term, *rest]) for term in terms(first)]
    return [axis]


def atoms(axis: Axis) -> list[Axis]:
    """The atoms of an axis, from left to right."""
    axis = find(axis)
    return [axis] if axis.kind == ATOM else _all(atoms, axis.parts)


def _all(parts_of, axes: Iterable[Axis]) -> list[Axis]:
    return [part for axis in axes for part in parts_of(axis)]


def product(axes: Iterable[Axis]) -> Axis:
    """The axis that a reshape merges some axes into, the first varying slowest."""
    axes = list(axes)
    size = math.prod(find(axis).size for axis in axes)
    parts = _all(factors, axes)
    if size == 0 or not parts:
        return Axis(size)
    return parts[0] if len(parts) == 1 else Axis(size, kind=PRODUCT, parts=parts)


def concat(axes: Iterable[Axis]) -> Axis:
    """The axis of an array that some axes are concatenated in."""
    parts = _all(terms, axes)
    if len(parts) < 2:
        return parts[0] if parts else Axis(0)
    return Axis(sum(part.size for part in parts), kind=SUM, parts=parts)


def fix(axis: Axis, why: str, mixed: Sequence[Axis] = (EVERY,)) -> None:
    """Fixes every position of an axis; keeps the first reason.

    ``mixed`` are the axes of the operation that does so.
    """
    for atom in atoms(axis):
        atom.why, atom.mixed = atom.why or why, (*atom.mixed, *mixed)


def mixes(outer: Axis, inner: Axis) -> bool:
    """Whether an operation on both mixes positions of the outer one of two atoms."""
    return any(axis is EVERY or inner in atoms(axis) for axis in outer.mixed)


def regroup(
    axes: Iterable[Axis], kind: str, sizes: Sequence[int], why: str
) -> list[Axis]:
    """The positions of some axes as axes of other sizes, of the same product or sum.

    Atoms are parted where they must be. Where sizes do not fit into one another all
    is fixed, and ``why`` says so.
    """
    axes = list(axes)
    parts_of, unit = (factors, 1) if kind == PRODUCT else (terms, 0)
    left, found = list(axes), []
    for size in sizes:
        group, need = [], size
        while need > unit:
            parts = parts_of(left.pop(0))  # anew: parting one axis may part others
            if not parts:
                continue
            first, *left = [*parts, *left]
            if kind == PRODUCT and need % first.size and first.size % need:
                return _fixed(axes, sizes, why)
            if first.size > need:
                rest = first.size // need if kind == PRODUCT else first.size - need
                first, after = _split(first, kind, (need, rest), why)
                left.insert(0, after)
            group.append(first)
            need = need // first.size if kind == PRODUCT else need - first.size
        found.append(product(group) if kind == PRODUCT else concat(group))
    return found


def _fixed(axes: Iterable[Axis], sizes: Iterable[int], why: str) -> list[Axis]:
    for axis in axes:
        fix(axis, why)
    return [Axis(size, why) for size in sizes]


def _split(axis: Axis, kind: str, sizes: tuple[int, int], why: str) -> list[Axis]:
    """An axis split into two, a product or a sum."""
    if axis.kind == ATOM:
        axis.kind, axis.parts = kind, [Axis(size, axis.why) for size in sizes]
        for part in axis.parts:
            part.mixed = axis.mixed
        return list(axis.parts)
    if kind == SUM:
        return _cut(axis, sizes[0], why)
    size = sizes[1]  # a c + b c is (a + b) c
    if any(term.size % size for term in terms(axis)):
        return _fixed([axis], sizes, why)
    pairs = [
        regroup([term], PRODUCT, [term.size // size, size], why) for term in terms(axis)
    ]
    outer, inner = zip(*pairs, strict=True)
    for other in inner[1:]:
        tie(inner[0], other, why)
    return [concat(outer), inner[0]]


def _cut(axis: Axis, size: int, why: str) -> list[Axis]:
    """A product cut into its first positions and the others.

    That is whole positions of its outermost factor, perhaps a part of one, and others.
    """
    outer, *rest = factors(axis)
    inner = product(rest)
    whole, some = divmod(size, inner.size)
    one = int(some > 0)
    cuts = [whole, one, outer.size - whole - one]
    low, one_position, high = regroup([outer], SUM, cuts, why)
    middle = product([one_position, inner])
    first, second = regroup([middle], SUM, [some, middle.size - some], why)
    return [
        concat([product([low, inner]), first]),
        concat([second, product([high, inner])]),
    ]


def tie(a: Axis, b: Axis, why: str) -> None:
    """Makes two axes of one size carry the same permutation.

    Both are fixed, and ``why`` says so, where their expressions do not fit.
    """
    a, b = find(a), find(b)
    if a is b or a.size <= 1:
        return
    if a.kind != ATOM and b.kind == ATOM:
        a, b = b, a
    if a.kind == ATOM:
        a.parent = b
        for atom in atoms(b):
            atom.why, atom.mixed = atom.why or a.why, (*atom.mixed, *a.mixed)
        return
    if SUM in (a.kind, b.kind):
        kind, ours, theirs = SUM, terms(a), terms(b)
        cuts = sorted({0, *_ends(ours, operator.add), *_ends(theirs, operator.add)})
        sizes = [end - start for start, end in itertools.pairwise(cuts)]
    else:
        kind, ours, theirs = PRODUCT, factors(a), factors(b)
        inner = [_ends(side[::-1], operator.mul) for side in (ours, theirs)]
        cuts = sorted({1}.union(*inner))
        if any(end % start for start, end in itertools.pairwise(cuts)):
            _fixed([a, b], [], why)
            return
        sizes = [end // start for start, end in itertools.pairwise(cuts)][::-1]
    sides = [regroup(side, kind, sizes, why) for side in (ours, theirs)]
    for mine, other in zip(*sides, strict=True):
        tie(mine, other, why)
    a, b = find(a), find(b)
    if a is not b:
        a.parent = b


def _ends(axes: Iterable[Axis], combine: Callable) -> Iterable[int]:
    return itertools.accumulate((axis.size for axis in axes), combine)
