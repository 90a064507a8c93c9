"""Entries of a specification: what one axis of an array runs over.

A group's name for its units in order, None for an axis that stays, ``Tiled`` for units
several times over, ``Product`` for axes merged by a reshape, ``Concat`` for axes one
after another; ``Within`` for units whose order may differ along other axes, which are
groups or ``Fixed``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Tiled(NamedTuple):
    """An axis of length outer · units · inner, units running over a group.

    Channels-last images flattened have ``inner = 1``, channels-first images ``inner =
    height · width``; ``outer`` follows from the length.
    """

    group: str
    inner: int = 1


class Fixed(NamedTuple):
    """An axis that stays, named because orders of units may differ along it."""

    name: str


class Within(NamedTuple):
    """Units of a group, in an order of their own at each place of other axes.

    outers: groups, or names of fixed axes, that the array runs over too: the units of
      each head of each layer are ``Within("units", ("layers", "heads"))``.
    """

    group: str
    outers: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """An axis that several axes were merged into, the first of them varying slowest.

    parts: their lengths and entries, none Tiled: 8 heads of 16 units, flattened, are
      ``Product(((8, "heads"), (16, "units")))``.
    """

    parts: tuple[tuple[int, "Part"], ...]


@dataclass(frozen=True)
class Concat:
    """An axis that several axes were concatenated to.

    parts: their lengths and entries, none Tiled: the four gates of an LSTM of 16 units
      are ``Concat(((16, "units"),) * 4)``.
    """

    parts: tuple[tuple[int, "Part"], ...]


Part = str | Fixed | Within | Product | Concat | None
Entry = Part | Tiled
Perms = Mapping[str, Any]
"""Integers ``[units]`` by group, of units within others also ``[outers..., units]``.

Groups left out stay as they are.
"""


def groups(entry: Entry) -> Iterator[str]:
    """The groups that an axis runs over, each as often as it is named."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, Tiled | Within):
        yield entry.group
    elif isinstance(entry, Product | Concat):
        for _, part in entry.parts:
            yield from groups(part)


def groups_of(entries: Iterable[Entry]) -> set[str]:
    """The groups that an array runs over, given the entries of its axes."""
    return {group for entry in entries for group in groups(entry)}


def elements(entry: Entry) -> Iterator[Entry]:
    """What an axis is made of, no products and concatenations."""
    if isinstance(entry, Product | Concat):
        for _, part in entry.parts:
            yield from elements(part)
    else:
        yield entry


def nests(spec: Mapping[str, Iterable[Entry]]) -> dict[str, tuple[str, ...]]:
    """By group, the others that its units are within; the outermost groups first."""
    outers = {
        part.group: part.outers
        for entries in spec.values()
        for entry in entries
        for part in elements(entry)
        if isinstance(part, Within)
    }
    return dict(sorted(outers.items(), key=lambda item: len(item[1])))


def label(entry: Entry) -> str | None:
    """The group or fixed axis that an entry is, unless it is made of several."""
    if isinstance(entry, Fixed | Within):
        return entry[0]
    return entry if isinstance(entry, str) else None


def squared(entries: Sequence[Entry]) -> set[str]:
    """The groups that move one number of an array by more than one axis."""

    def times(entry: Entry, group: str) -> int:
        if isinstance(entry, Product):
            return sum(times(part, group) for _, part in entry.parts)
        if isinstance(entry, Concat):
            return max(times(part, group) for _, part in entry.parts)
        return int(group in groups(entry))

    return {
        group
        for group in groups_of(entries)
        if sum(times(entry, group) for entry in entries) > 1
    }


def parted(entry: Tiled, length: int, units: int) -> Product:
    """A tiled axis of some length as the product that it is."""
    outer = length // (units * entry.inner)
    return Product(((outer, None), (units, entry.group), (entry.inner, None)))


def index(entry: Entry, length: int, perms: Perms) -> Any:
    """Where each position of a permuted axis comes from, int32 ``[length]``.

    NumPy, or JAX where a permutation is.

    >>> heads = Product(((2, "heads"), (3, "units")))
    >>> index(heads, 6, {"heads": [1, 0], "units": [0, 2, 1]})
    array([3, 5, 4, 0, 2, 1], dtype=int32)
    """
    if isinstance(entry, Tiled) and entry.group in perms:
        entry = parted(entry, length, len(perms[entry.group]))
    if isinstance(entry, Within):
        entry = entry.group
    if isinstance(entry, str) and entry in perms:
        perm = perms[entry]
        return (perm if hasattr(perm, "astype") else np.asarray(perm)).astype(np.int32)
    if isinstance(entry, Product):
        where = np.zeros(1, np.int32)
        for size, part in entry.parts:
            where = (where[:, None] * size + index(part, size, perms)).reshape(-1)
        return where
    if isinstance(entry, Concat):
        start, sections = 0, []
        for size, part in entry.parts:
            sections.append(start + index(part, size, perms))
            start += size
        traced = any(isinstance(section, jax.Array) for section in sections)
        return (jnp if traced else np).concatenate(sections)
    return np.arange(length, dtype=np.int32)


def places(entry: Entry, length: int, name: str) -> np.ndarray:
    """Where the positions of an axis are along a group or a fixed axis, ``[length]``.

    -1 for those that do not run over it.

    >>> places(Product(((2, "heads"), (3, "units"))), 6, "heads")
    array([0, 0, 0, 1, 1, 1])
    """
    if isinstance(entry, Product):
        sizes = [size for size, _ in entry.parts]
        along = np.unravel_index(np.arange(length), sizes)
        found = [places(part, size, name) for size, part in entry.parts]
        return np.max([f[i] for f, i in zip(found, along, strict=True)], axis=0)
    if isinstance(entry, Concat):
        return np.concatenate([places(part, size, name) for size, part in entry.parts])
    return np.arange(length) if label(entry) == name else np.full(length, -1)


def sections(
    array: Any, axis: int, entry: Entry, group: str, units: int
) -> Iterator[Any]:
    """The parts of an array in which an axis runs over a group, its units in front.

    Every position of the axis that the group moves is in one of them.
    """
    if isinstance(entry, Tiled):
        if entry.group != group:
            return
        entry = parted(entry, array.shape[axis], units)
    if isinstance(entry, Within):
        entry = entry.group
    if entry == group:
        yield np.moveaxis(array, axis, 0)
    elif isinstance(entry, Product):
        sizes = [size for size, _ in entry.parts]
        shape = (*array.shape[:axis], *sizes, *array.shape[axis + 1 :])
        for i, (_, part) in enumerate(entry.parts):
            yield from sections(array.reshape(shape), axis + i, part, group, units)
    elif isinstance(entry, Concat):
        ends = np.cumsum([size for size, _ in entry.parts])[:-1]
        pieces = np.split(array, ends, axis)
        for piece, (_, part) in zip(pieces, entry.parts, strict=True):
            yield from sections(piece, axis, part, group, units)
