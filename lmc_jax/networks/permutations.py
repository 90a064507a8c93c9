"""Which axes of which arrays permute together, and permutations applied to them.

A *specification* names, for every array of a pytree of weights, the group of hidden
units that each of its axes runs over:

    {"0/kernel": (None, "hidden"), "0/bias": ("hidden",), "1/kernel": ("hidden", None),
     "1/bias": (None,)}

Keys are paths into the pytree, spelled as ``keystr(path, simple=True, separator="/")``
does. An axis entry is a group's name, None for an axis that stays, or one of the others
in ``entries``: ``Tiled`` behind a flattening, ``Product``, ``Concat``.

A permutation ``perm`` maps unit i of the result to unit ``perm[i]`` of the input.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from lmc_jax.networks.entries import (
    Concat,
    Entry,
    Perms,
    Product,
    Tiled,
    Within,
    groups,
    index,
    nests,
    places,
)

Spec = Mapping[str, tuple[Entry, ...]]


def arrays_of(tree: Any) -> Any:
    """The pytree with None in place of each leaf that is not an array."""
    return jax.tree.map(lambda leaf: leaf if hasattr(leaf, "dtype") else None, tree)


def with_arrays(tree: Any, arrays: Any) -> Any:
    """The pytree with other arrays; the rest of it stays."""
    return jax.tree.map(
        lambda array, leaf: leaf if array is None else array,
        arrays,
        tree,
        is_leaf=lambda node: node is None,
    )


def on_arrays(apply: Callable, weights: Any) -> tuple[Callable, Any]:
    """``apply`` as a function of the arrays of the weights alone, and these arrays."""

    def function(arrays: Any, *inputs: Any) -> Any:
        return apply(with_arrays(weights, arrays), *inputs)

    return function, arrays_of(weights)


def leaves(weights: Any) -> dict[str, Any]:
    """The arrays of a pytree by their paths.

    Raises:
      ValueError: for two arrays of one path, as of the keys "a/b" and "a", "b".
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(weights)
    arrays = {keystr(path, simple=True, separator="/"): leaf for path, leaf in flat}
    if len(arrays) < len(flat):
        raise ValueError("two arrays have the same path: give keys without a slash")
    return arrays


def group_sizes(weights: Any, spec: Spec) -> dict[str, int]:
    """Units of every group, the specification checked against the weights.

    Args:
      weights: pytree of arrays.
      spec: its specification.

    Returns:
      Units by group, in the order of the specification.

    Raises:
      ValueError: unless the specification names every array of ``weights`` and no
        other, with an entry for each axis, and groups have one size throughout; and as
        ``leaves``.
    """
    arrays = leaves(weights)
    if not isinstance(spec, Mapping):
        raise ValueError(f"spec={spec!r}: give the entries of each array by its path")
    for path in sorted(arrays.keys() ^ spec.keys()):
        fault = "not in" if path in arrays else "not in the weights, but in"
        raise ValueError(f"array {path!r} is {fault} the permutation specification")
    sizes: dict[str, int] = {}
    for path, entries in spec.items():
        shape = arrays[path].shape
        if len(entries) != len(shape):
            raise ValueError(
                f"array {path!r} has {len(shape)} axes, its permutation specification "
                f"{len(entries)}: give a group or None for each"
            )
        for entry, length in zip(entries, shape, strict=True):
            for group, units in _units(entry, length, path):
                if sizes.setdefault(group, units) != units:
                    raise ValueError(
                        f"group {group!r} has {sizes[group]} units, but an axis of "
                        f"array {path!r} has {units}"
                    )
    for path, entries in spec.items():
        for entry, length in zip(entries, arrays[path].shape, strict=True):
            if not isinstance(entry, Tiled):
                continue
            if entry.group not in sizes:
                raise ValueError(f"group {entry.group!r} has no plain axis anywhere")
            if entry.inner < 1:
                raise ValueError(f"{entry} of array {path!r}: give inner of at least 1")
            if length % (sizes[entry.group] * entry.inner):
                raise ValueError(
                    f"an axis of array {path!r} has {length} entries, not a multiple "
                    f"of {sizes[entry.group]} units of {entry.group!r} times "
                    f"{entry.inner}"
                )
    return sizes


def _units(entry: Entry, length: int, path: str) -> Iterator[tuple[str, int]]:
    """The groups of an axis and their units, but for what is tiled.

    Raises:
      ValueError: for a product or a sum of another length.
    """
    if isinstance(entry, str | Within):
        yield from ((group, length) for group in groups(entry))
    elif isinstance(entry, Product | Concat):
        sizes = [size for size, _ in entry.parts]
        total = math.prod(sizes) if isinstance(entry, Product) else sum(sizes)
        if total != length:
            raise ValueError(
                f"an axis of array {path!r} has {length} entries, the parts of its "
                f"{type(entry).__name__} {sizes}"
            )
        for size, part in entry.parts:
            yield from _units(part, size, path)


def perm_shapes(weights: Any, spec: Spec) -> dict[str, tuple[int, ...]]:
    """By group, the shape of permutations that are as free as they may be.

    ``[units]``, or ``[outers..., units]`` of units within others.

    Raises:
      ValueError: as ``group_sizes``.
    """
    sizes = group_sizes(weights, spec)
    arrays, within = leaves(weights), nests(spec)
    lengths = dict(sizes)  # with those of fixed axes
    for outer in {outer for outers in within.values() for outer in outers} - set(sizes):
        lengths[outer] = 1 + max(
            places(entry, length, outer).max(initial=-1)
            for path, entries in spec.items()
            for entry, length in zip(entries, arrays[path].shape, strict=True)
        )
    return {
        group: (*(int(lengths[outer]) for outer in within.get(group, ())), units)
        for group, units in sizes.items()
    }


def permute(weights: Any, spec: Spec, perms: Perms) -> Any:
    """The weights with their hidden units in another order: the same function.

    Args:
      weights: pytree of arrays, NumPy or JAX; may be traced.
      spec: its specification.
      perms: integers ``[units]`` by group; groups left out keep their order. Units
        within others may have an order at each place, ``[outers..., units]``.

    Returns:
      The same pytree: unit i of a group is unit ``perms[group][i]`` of ``weights``, at
      places that are those of the result.

    Raises:
      ValueError: as ``group_sizes``, and for an unknown group, a wrong length, or units
        that occur twice (where ``perms`` are not traced).
    """
    shapes = perm_shapes(weights, spec)
    if not isinstance(perms, Mapping):
        raise ValueError(f"perms={perms!r}: give the permutations by group")
    for group, perm in perms.items():
        whole = shapes.get(group, ())
        if not whole or np.shape(perm) not in (whole, whole[-1:]):
            known = ", ".join(
                f"{name} ({' × '.join(map(str, shape))})"
                for name, shape in shapes.items()
            )
            raise ValueError(
                f"a permutation {list(np.shape(perm))} for group {group!r}: the groups "
                f"are {known}"
            )
        if isinstance(perm, jax.core.Tracer):
            continue
        if not jnp.issubdtype(jnp.asarray(perm).dtype, jnp.integer) or np.any(
            np.sort(perm) != np.arange(whole[-1])
        ):
            raise ValueError(
                f"perms[{group!r}] is not a permutation: give each of 0 ... "
                f"{whole[-1] - 1} once"
            )

    def move(path, array):
        return reorder(array, spec[keystr(path, simple=True, separator="/")], perms)

    return jax.tree_util.tree_map_with_path(move, weights)


def after(first: Perms, second: Perms, spec: Spec) -> dict[str, np.ndarray]:
    """The permutations that do what some do and then others, by the groups of both.

    Args:
      first: permutations of every group, ``[outers..., units]`` of units within others.
      second: of the result of the first, of the same shapes; groups left out stay.
      spec: the specification of what they permute.

    >>> after({"a": np.array([2, 0, 1])}, {"a": np.array([1, 0, 2])}, {})["a"].tolist()
    [0, 2, 1]
    """
    within = nests(spec)
    composed = {}
    for group, perm in first.items():
        outers = within.get(group, ())
        places = np.indices(np.shape(perm)[:-1])  # of the result
        source = []
        for outer, place in zip(outers, places, strict=True):
            if outer in second:
                own = [places[outers.index(name)] for name in within.get(outer, ())]
                place = np.asarray(second[outer])[(*own, place)]
            source.append(place)
        composed[group] = np.asarray(perm)[tuple(source)]
        if group in second:
            more = np.asarray(second[group])
            composed[group] = np.take_along_axis(composed[group], more, -1)
    return composed


def reorder(array: Any, entries: tuple[Entry, ...], perms: Perms) -> Any:
    """One array of ``permute``, NumPy or JAX, given its entries; nothing is checked."""
    apart = {group: perm for group, perm in perms.items() if np.ndim(perm) > 1}
    plain = {group: perm for group, perm in perms.items() if group not in apart}
    for axis, entry in enumerate(entries):
        if any(group in plain for group in groups(entry)):
            array = array.take(index(entry, array.shape[axis], plain), axis)
    for group, outers in nests({"": entries}).items():  # outermost first
        for axis, entry in enumerate(entries):
            if group in apart and group in groups(entry):
                array = _reorder_within(
                    array, entries, axis, group, outers, apart[group]
                )
    return array


def _reorder_within(array, entries, axis, group, outers, perm) -> Any:
    """An array with the units along one axis in their order at each place of others.

    Args:
      perm: ``[outers..., units]``.
    """

    def along(i, values):
        """Values of one axis, shaped to meet those of others."""
        return values.reshape([-1 if i == j else 1 for j in range(array.ndim)])

    row: Any = 0  # of the orders, at each position of the array
    for outer, size in zip(outers, np.shape(perm), strict=False):
        found = [
            along(i, places(entry, length, outer))
            for i, (entry, length) in enumerate(zip(entries, array.shape, strict=True))
        ]
        row = row * size + np.maximum(functools.reduce(np.maximum, found), 0)
    length = array.shape[axis]
    source = np.stack(
        [
            index(entries[axis], length, {group: order})
            for order in np.reshape(perm, (-1, np.shape(perm)[-1]))
        ]
    )[row, along(axis, np.arange(length))]
    xp = jnp if isinstance(array, jax.Array) else np
    return xp.take_along_axis(array, xp.asarray(source), axis)
