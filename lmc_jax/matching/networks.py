"""Pairs of networks: pytrees of weights whose arrays begin with ``[pairs, 2, ...]``.

Each pair on its own, by ``alignment``; a network of one array is a two-layer student.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr

from lmc_jax.matching.contract import (
    Info,
    Perm,
    Students,
    checked,
    described,
    real,
    require_float64,
)
from lmc_jax.networks.alignment import align_activations, align_weights
from lmc_jax.networks.alignment.activations import Activations
from lmc_jax.networks.permutations import Perms, Spec, group_sizes, leaves, permute
from lmc_jax.numerics import LARGEST

ByGroup = dict[str, np.ndarray]  # int32 [pairs, units]


def two_layer(spec: Spec) -> bool:
    """Whether a specification is that of a two-layer student: one array, the axes of
    neurons (a group) and of inputs (None), in either order."""
    if not isinstance(spec, Mapping) or len(spec) != 1:
        return False
    [entries] = spec.values()
    if not isinstance(entries, tuple | list) or len(entries) != 2:
        return False
    return None in entries and any(isinstance(entry, str) for entry in entries)


def one_layer(
    students: Students, spec: Spec | None
) -> tuple[np.ndarray, Callable[[np.ndarray], Perm]]:
    """Students as ``checked``, and how permutations of their rows are handed back.

    With a specification the students are a pytree of one array, as ``two_layer`` says.

    Raises:
      ValueError: for a specification of anything else, as ``unstacked`` and
        ``checked``.
    """
    if spec is None:
        return checked(students), lambda perm: perm
    unstacked(students, spec)
    if not two_layer(spec):
        raise ValueError(
            f"a network of {len(spec)} arrays: this matching is defined for two-layer "
            "students, one array with the axes (group, None) or (None, group); give "
            "others to match_weights, or to match_activations with activations"
        )
    [array], [entries] = leaves(students).values(), spec.values()
    if entries[0] is None:
        array = np.swapaxes(np.asarray(array), 2, 3)
    [group] = [entry for entry in entries if entry is not None]
    return checked(array), lambda perm: {group: perm}


def unmoved(students: Any, spec: Spec) -> tuple[ByGroup, Info]:
    """Every unit where it is."""
    pairs = unstacked(students, spec)
    sizes = group_sizes(pairs[0][0], spec)
    perms = [{group: np.arange(n, dtype=np.int32) for group, n in sizes.items()}]
    distances = np.array([distance(*pair, spec, {}) for pair in pairs])
    return stacked(perms * len(pairs)), described("weight distance", distances)


def by_weights(
    students: Any, spec: Spec, leave_out: Collection[str], seed: int
) -> tuple[ByGroup, Info]:
    """``align_weights`` of every pair."""
    perms, distances, rounds = [], [], []
    for first, second in unstacked(students, spec):
        found, descent = align_weights(
            first, second, spec, leave_out=leave_out, seed=seed
        )
        perms.append(found)
        distances.append(distance(first, second, spec, found, leave_out))
        rounds.append(len(descent.objective) - 1)
    return stacked(perms), described(
        "weight distance", np.array(distances), np.array(rounds)
    )


def by_activations(
    students: Any, spec: Spec, activations: Activations, x: Any
) -> tuple[ByGroup, Info]:
    """``align_activations`` of every pair.

    Raises:
      ValueError: for activations of other groups than the specification's, or that
        cannot be had of x, and as ``unstacked``.
    """
    perms, totals = [], []
    if not callable(activations):
        kind = type(activations).__name__
        raise ValueError(f"activations of type {kind}: give a function of (weights, x)")
    if not all(real(np.asarray(leaf)) for leaf in jax.tree.leaves(x)):
        raise ValueError("examples that are no real numbers: give x [n, ...]")
    pairs = unstacked(students, spec)
    sizes = group_sizes(pairs[0][0], spec)
    units = _units(activations, pairs[0][0], x)
    if units != sizes:
        raise ValueError(
            f"activations of {units} units, but groups of {sizes} in the "
            "specification: give those of every group, [n, ..., units]"
        )
    for first, second in pairs:
        found, paired = align_activations(activations, first, second, x, spec=spec)
        perms.append(found)
        totals.append(sum(float(parts.sum()) for parts in paired.values()))
    return stacked(perms), described("correlation", np.array(totals))


def _units(activations: Activations, weights: Any, x: Any) -> dict[str, int]:
    """Units by group of the activations of a network, which is not computed."""
    try:
        shapes = jax.eval_shape(activations, weights, x)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"activations(weights, x) cannot be had: {first}") from error
    if not isinstance(shapes, dict) or not all(
        getattr(found, "shape", ()) for found in shapes.values()
    ):
        raise ValueError(
            "activations(weights, x) gives no dict of arrays: give [n, ..., units] of "
            "each group"
        )
    return {group: found.shape[-1] for group, found in shapes.items()}


def unstacked(students: Any, spec: Spec) -> list[tuple[Any, Any]]:
    """Both networks of each pair, NumPy arrays.

    Raises:
      ValueError: in one line, for arrays of other leading axes, or of anything but
        finite real numbers up to ``LARGEST``, a specification that does not fit, or
        JAX without float64.
    """
    require_float64()
    arrays = jax.tree_util.tree_map_with_path(_array, students)
    pairs = {path: len(array) for path, array in leaves(arrays).items()}
    if len(set(pairs.values())) > 1:
        raise ValueError(f"arrays of {pairs} pairs: give as many in each")
    for path, array in leaves(arrays).items():
        most = np.abs(array.astype(np.float64)).max()
        if not most <= LARGEST:
            raise ValueError(
                f"array {path!r} holds weights up to {most:.1e}: give finite ones, at "
                f"most {LARGEST:g}"
            )
    if not pairs:
        raise ValueError("networks without arrays: give a pytree of [pairs, 2, ...]")

    def network(pair, role):
        return jax.tree.map(lambda leaf: leaf[pair, role], arrays)

    count = max(pairs.values())
    found = [(network(pair, 0), network(pair, 1)) for pair in range(count)]
    if not group_sizes(found[0][0], spec):
        raise ValueError("a permutation specification without a group: nothing moves")
    return found


def _array(path: Any, leaf: Any) -> np.ndarray:
    """A leaf of ``unstacked`` as NumPy array of real numbers ``[pairs, 2, ...]``."""
    name = keystr(path, simple=True, separator="/")
    try:
        array = np.asarray(leaf)
    except TypeError:  # of keys, which JAX refuses to convert
        array = np.empty((), object)
    if not real(array):
        kind = getattr(leaf, "dtype", type(leaf).__name__)
        raise ValueError(f"array {name!r} holds {kind}: give real numbers")
    if array.shape[1:2] != (2,) or 0 in array.shape:
        raise ValueError(
            f"array {name!r} of shape {list(array.shape)}: the arrays of networks "
            "begin with [pairs, 2, ...], nothing empty"
        )
    return array


def stacked(perms: list[ByGroup]) -> ByGroup:
    """Permutations ``[units]`` of pairs to ``[pairs, units]``, by group."""
    return {group: np.stack([perm[group] for perm in perms]) for group in perms[0]}


def distance(
    first: Any, second: Any, spec: Spec, perms: Perms, leave_out: Collection[str] = ()
) -> float:
    """Σ |A - π(B)|² over the arrays with permuted axes, in float64."""
    ours, theirs = leaves(first), leaves(permute(second, spec, perms))
    counted = [path for path in ours if any(spec[path]) and path not in leave_out]
    gaps = [ours[path].astype(np.float64) - theirs[path] for path in counted]
    return sum(float(np.sum(np.square(gap))) for gap in gaps)
