"""The activations of hidden units, taken out of any network.

A unit's activations are what products and convolutions sum over: its values where the
next layers read them, behind the activation function.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Literal

from lmc_jax.networks.entries import groups, sections
from lmc_jax.networks.symmetry import control
from lmc_jax.networks.symmetry.axes import Axis
from lmc_jax.networks.symmetry.dependence import nested
from lmc_jax.networks.symmetry.infer import analysed, entry_of
from lmc_jax.networks.symmetry.program import needed, opened
from lmc_jax.networks.symmetry.rules import Address, Value

Marked = Sequence[tuple[Any, bool]]  # arrays, and whether they depend on the inputs


def activations(
    apply: Callable, weights: Any, *inputs: Any
) -> Callable[[Any, Sequence[Any]], dict[str, Array]]:
    """The function from weights and inputs to the activations of every hidden unit.

    Args:
      apply: as ``infer_spec``.
      weights: as ``infer_spec``.
      *inputs: as ``infer_spec``.

    Returns:
      Weights and a tuple of inputs, of the same shapes, to arrays ``[n, units]`` by
      group of ``infer_spec``, but for units within others: n over examples, positions
      and the places where a unit is read. To be jitted.

    Raises:
      ValueError: for groups that no product and no convolution reads; by the function.

    >>> apply = lambda w, x: jnp.tanh(x @ w["in"]) @ w["out"]
    >>> weights, x = {"in": jnp.ones((4, 8)), "out": jnp.ones((8, 3))}, jnp.ones((5, 4))
    >>> activations(apply, weights, x)(weights, (x,))["in"].shape
    (5, 8)
    """
    _, every, program = analysed(apply, weights, *inputs)
    within = nested(program.arrays, every)
    names = {atom: name for atom, name in every.items() if atom not in within}

    def function(weights: Any, inputs: Sequence[Any]) -> dict[str, Array]:
        reader = _Reader(names, program.operands)
        given = [(array, False) for array in jax.tree.leaves(weights)]
        given += [(array, True) for array in jax.tree.leaves(tuple(inputs))]
        reader.run(jax.make_jaxpr(apply)(weights, *inputs), given)
        missing = [group for group, arrays in reader.found.items() if not arrays]
        if missing:
            raise ValueError(
                "no product and no convolution reads the units of "
                f"{', '.join(missing)}: align by weights"
            )
        return {
            group: jnp.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays])
            for group, arrays in reader.found.items()
        }

    return function


class _Reader:
    """Runs a program, and keeps what its operations sum over.

    found: by group, arrays ``[..., units]``, one for each place that reads its units.
    """

    def __init__(self, names: dict[Axis, str], axes: Mapping[Address, list[Value]]):
        self.names, self.axes = names, axes
        self.found: dict[str, list[Array]] = {name: [] for name in names.values()}

    def run(self, closed: Any, given: Marked, address: Address = ()) -> Marked:
        """The results of a program, the sub-program of the operation at an address."""
        jaxpr, consts = opened(closed)
        values = dict(zip(jaxpr.invars, given, strict=True))
        values |= {v: (c, False) for v, c in zip(jaxpr.constvars, consts, strict=True)}

        def read(operand) -> tuple[Any, bool]:
            literal = isinstance(operand, Literal)
            return (operand.val, False) if literal else values[operand]

        for i, equation in enumerate(needed(jaxpr)):
            arrays = [read(operand) for operand in equation.invars]
            results = self._operation(equation, arrays, (*address, i))
            values |= dict(zip(equation.outvars, results, strict=True))
        return [read(operand) for operand in jaxpr.outvars]

    def _operation(self, equation: Any, arrays: Marked, address: Address) -> Marked:
        name, params = equation.primitive.name, equation.params
        if name in control.CALLS:
            return self.run(params[control.CALLS[name]], arrays, address)
        if name == "scan":
            return self._scan(params, arrays, address)
        for number, axis in _summed(name, params):
            array, depends = arrays[number]
            if depends:
                self._keep(array, axis, self.axes[address][number][axis])
        settings = equation.primitive.get_bind_params(params)
        results = equation.primitive.bind(*_numbers(arrays), **settings)
        several = equation.primitive.multiple_results
        return _marked(results if several else [results], _depend(arrays))

    def _scan(self, params: Any, arrays: Marked, address: Address) -> Marked:
        consts, carries = control.counts(params)
        fixed, rest = arrays[:consts], arrays[consts:]
        start, stacked = rest[:carries], rest[carries:]
        depends = _depend(arrays)

        def step(carry, slices):
            within = _Reader(self.names, self.axes)
            own = zip(slices, (depends for _, depends in stacked), strict=True)
            given = [*fixed, *_marked(carry, depends), *own]
            results = _numbers(within.run(params["jaxpr"], given, address))
            return results[:carries], (results[carries:], within.found)

        length, reverse = params["length"], params["reverse"]
        carry, (results, found) = jax.lax.scan(
            step, _numbers(start), _numbers(stacked), length, reverse
        )
        for group, several in found.items():
            self.found[group] += several
        return _marked([*carry, *results], depends)

    def _keep(self, array: Array, axis: int, over: Axis) -> None:
        entry = entry_of(over, self.names)
        units = {name: atom.size for atom, name in self.names.items()}
        for group in set(groups(entry)):
            for section in sections(array, axis, entry, group, units[group]):
                self.found[group].append(jnp.moveaxis(section, 0, -1))


def _numbers(values: Marked) -> list[Any]:
    return [array for array, _ in values]


def _depend(values: Marked) -> bool:
    return any(depends for _, depends in values)


def _marked(arrays: Iterable[Any], depends: bool) -> Marked:
    return [(array, depends) for array in arrays]


def _summed(name: str, params: Any) -> list[tuple[int, int]]:
    """What an operation sums over: the number of an array, and one of its axes."""
    if name == "dot_general":
        (left, right), _ = params["dimension_numbers"]
        return [*((0, axis) for axis in left), *((1, axis) for axis in right)]
    if name == "conv_general_dilated":
        return [(0, params["dimension_numbers"].lhs_spec[1])]
    return []
