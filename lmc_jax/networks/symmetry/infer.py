"""The specification of any network, and what keeps its other axes in place."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lmc_jax.networks.entries import (
    Concat,
    Entry,
    Fixed,
    Part,
    Product,
    Tiled,
    Within,
    nests,
)
from lmc_jax.networks.permutations import Spec, leaves, on_arrays
from lmc_jax.networks.symmetry.axes import (
    ATOM,
    PRODUCT,
    Axis,
    atoms,
    factors,
    find,
    fix,
    terms,
)
from lmc_jax.networks.symmetry.dependence import nested
from lmc_jax.networks.symmetry.program import Program
from lmc_jax.networks.symmetry.rules import Value

OUTPUT = (
    "output (if it is a hidden activation, leave it out of what the function returns)"
)


Known = Mapping[Axis, Part]


class Explanation(NamedTuple):
    """What was found of a network; printed, it says so in words.

    spec: permutation specification.
    sizes: units by group.
    fixed: by ``(path, axis)``, for axes of more than one position that stay whole or
      in part: the operations that fixed them, with their lines.
    nested: by group, the groups and fixed axes that its units are within: those of
      each head, those of each layer of a scan, may be in an order of their own.
    unknown: operations without a rule, with their lines; they fix what they touch.
    unused: paths of arrays with axes and without effect on the outputs, which stay as
      they are.
    """

    spec: Spec
    sizes: dict[str, int]
    fixed: dict[tuple[str, int], str]
    nested: dict[str, tuple[str, ...]]
    unknown: list[str]
    unused: list[str]

    def __str__(self) -> str:
        lines = [f"group {name}: {size} units" for name, size in self.sizes.items()]
        lines += [f"{path} axis {i}: {why}" for (path, i), why in self.fixed.items()]
        for name, on in self.nested.items():
            lines.append(f"units of {name}: in an order of their own along {on}")
        lines += [f"no rule for {op}: all that it touches stays" for op in self.unknown]
        lines += [f"no effect: {path}: it stays as it is" for path in self.unused]
        return "\n".join(lines)


def infer_spec(apply: Callable, weights: Any, *inputs: Any) -> Spec:
    """The permutation specification of any network, from its shapes alone.

    Read off the jaxpr of ``apply``: hidden units whose order no output depends on form
    a group. Jitted, rematerialised, vmapped and scanned programs are looked into.

    Args:
      apply: weights and inputs to outputs: any function that JAX can trace.
      weights: pytree of arrays or ``jax.ShapeDtypeStruct``.
      *inputs: pytrees of the same, which stay in order, as outputs do.

    Returns:
      Entries by path, for ``permute`` and alignment. Groups are called by the module,
      or the array, that first uses them.

    Raises:
      ValueError: for two arrays of one path.

    Warns:
      UserWarning: about operations without a rule, which fix what they touch, and
        arrays without effect, which stay.

    >>> from jax import ShapeDtypeStruct as Shape, numpy as jnp
    >>> weights = {"in": Shape((4, 64), "float32"), "out": Shape((64, 3), "float32")}
    >>> apply = lambda w, x: jnp.tanh(x @ w["in"]) @ w["out"]
    >>> infer_spec(apply, weights, Shape((10, 4), "float32"))
    {'in': (None, 'in'), 'out': ('in', None)}
    """
    explanation = explain_spec(apply, weights, *inputs)
    if explanation.unknown:
        warnings.warn(
            "no rule for these operations, which fix all axes that they touch: "
            + "; ".join(explanation.unknown),
            stacklevel=2,
        )
    if explanation.unused:
        warnings.warn(
            "these arrays have no effect on the outputs and stay as they are; if they "
            "have one elsewhere, as running statistics have in evaluation, infer from "
            f"that function: {', '.join(explanation.unused)}",
            stacklevel=2,
        )
    return explanation.spec


def explain_spec(apply: Callable, weights: Any, *inputs: Any) -> Explanation:
    """The specification of ``infer_spec``, and why all other axes stay.

    Args:
      apply: as ``infer_spec``.
      weights: as ``infer_spec``.
      *inputs: as ``infer_spec``.

    Raises:
      ValueError: for two arrays of one path.

    >>> from jax import ShapeDtypeStruct as Shape, numpy as jnp
    >>> weights = {"in": Shape((4, 8), "float32"), "out": Shape((8, 3), "float32")}
    >>> apply = lambda w, x: jnp.tanh(x @ w["in"]) @ w["out"]
    >>> explain_spec(apply, weights, Shape((10, 4), "float32")).fixed[("in", 0)]
    'input'
    """
    values, names, program = analysed(apply, weights, *inputs)
    spec = _spec(values, names, nested(program.arrays, names))
    return Explanation(
        spec=spec,
        sizes={name: atom.size for atom, name in names.items()},
        fixed={
            (path, i): why
            for path in program.used
            for i, axis in enumerate(values[path])
            if (why := ", ".join(_reasons(axis)))
        },
        nested=nests(spec),
        unknown=[*program.unknown],
        unused=[p for p, value in values.items() if value and p not in program.used],
    )


def analysed(
    apply: Callable, weights: Any, *inputs: Any
) -> tuple[dict[str, Value], dict[Axis, str], Program]:
    """The axes of the weights by path, the names of free atoms, and the program."""
    apply, weights = on_arrays(apply, weights)
    values = {
        path: Value.of(path, map(Axis, array.shape))
        for path, array in leaves(weights).items()
    }
    given = [
        Value(Axis(size, "input") for size in np.shape(array))
        for array in jax.tree.leaves(inputs)
    ]
    program = Program()
    for value in (*values.values(), *given):
        program.see(value)
    jaxpr = jax.make_jaxpr(apply)(weights, *inputs)
    results = program.run(jaxpr, [*values.values(), *given])
    program.use(results)
    for result in results:
        for axis in result:
            fix(axis, OUTPUT)
    return values, _names({path: values[path] for path in program.used}), program


def _reasons(axis: Axis) -> dict[str, None]:
    """What fixed the atoms of an axis, each reason once."""
    return dict.fromkeys(a.why for a in atoms(axis) if a.why and a.size > 1)


def _names(values: dict[str, Value]) -> dict[Axis, str]:
    """The free atoms of arrays in order of use, named by their modules or arrays."""
    modules: dict[Axis, str] = {}
    for path, value in values.items():
        for atom in (atom for axis in value for atom in atoms(axis)):
            if not atom.why and atom.size > 1:
                modules.setdefault(atom, path.rpartition("/")[0] or path)
    several = Counter(modules.values())
    names: dict[Axis, str] = {}
    taken = {module for module, count in several.items() if count == 1}
    for atom, module in modules.items():
        names[atom] = module
        if several[module] > 1:
            names[atom] = next(n for n in _numbered(module) if n not in taken)
            taken.add(names[atom])
    return names


def _numbered(module: str) -> Iterator[str]:
    number = 0
    while True:
        yield f"{module}:{number}"
        number += 1


def _spec(
    values: dict[str, Value], names: dict[Axis, str], within: dict[Axis, list[Axis]]
) -> dict[str, tuple[Entry, ...]]:
    """Entries by path, given the names of free atoms, and what some of them are within.

    Fixed axes are named where units are within them.
    """
    whole = [find(axis) for value in values.values() for axis in value]
    plain = {names[axis] for axis in whole if axis in names}
    plain -= {names.get(outer, "") for own in within.values() for outer in own}
    spec = {}
    for path, value in values.items():
        held = {atom for axis in value for atom in atoms(axis)}
        known: dict[Axis, Part] = dict(names)
        for atom in held & within.keys():
            own = [names.get(o) or _axis_name(o, values) for o in within[atom]]
            known[atom] = Within(names[atom], tuple(own))
            known |= {
                outer: Fixed(name)
                for outer, name in zip(within[atom], own, strict=True)
                if outer not in names
            }
        spec[path] = tuple(_entry(axis, known, plain) for axis in value)
    return spec


def _axis_name(atom: Axis, values: dict[str, Value]) -> str:
    """The first axis of an array that holds an atom, as a name for it.

    With its part where the axis holds several, which are apart from each other.
    """
    return next(
        f"{path} axis {i}" + (f" part {held.index(atom)}" if len(held) > 1 else "")
        for path, value in values.items()
        for i, axis in enumerate(value)
        if atom in (held := list(dict.fromkeys(atoms(axis))))
    )


def _entry(axis: Axis, known: Known, plain: set[str]) -> Entry:
    """What a specification says of an axis: ``Tiled`` if that says it all."""
    entry = entry_of(axis, known)
    if not isinstance(entry, Product):
        return entry
    held = [i for i, (_, inner) in enumerate(entry.parts) if inner is not None]
    group = entry.parts[held[0]][1]
    if len(held) == 1 and isinstance(group, str) and group in plain:
        return Tiled(group, math.prod(size for size, _ in entry.parts[held[0] + 1 :]))
    return entry


def entry_of(axis: Axis, known: Known) -> Part:
    """What an axis runs over, in entries of some atoms."""
    axis = find(axis)
    if axis.kind == ATOM:
        return known.get(axis)
    axes = factors(axis) if axis.kind == PRODUCT else terms(axis)
    parts = tuple((inner.size, entry_of(inner, known)) for inner in axes)
    if all(entry is None for _, entry in parts):
        return None
    return Product(parts) if axis.kind == PRODUCT else Concat(parts)
