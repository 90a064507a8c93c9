"""A jaxpr interpreted by rules: the axes of every array that it computes."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from lmc_jax.networks.symmetry import control, indexing, layout, linear, pointwise
from lmc_jax.networks.symmetry.axes import Axis, find
from lmc_jax.networks.symmetry.rules import RULES, UNKNOWN, Address, Operation, Value

KINDS = (pointwise, linear, layout, indexing, control)  # which register their rules


class Program:
    """Interprets a program and records the axes of its arrays.

    arrays: axes of all arrays seen, with those of the loops around.
    operands: axes of what goes into each operation, by its address.
    used: paths of the weights that have an effect, in order of use.
    unknown: operations without a rule, each with its line.
    """

    def __init__(self) -> None:
        self.arrays: list[tuple[Axis, ...]] = []
        self.operands: dict[Address, list[Value]] = {}
        self.used: dict[str, None] = {}
        self.unknown: dict[str, None] = {}

    def run(
        self,
        closed: Any,
        given: Iterable[Value],
        loops: tuple[Axis, ...] = (),
        caller: Operation | None = None,
    ) -> list[Value]:
        """The axes of a program's results, from those of its arguments.

        Only what the results depend on is looked at. ``loops`` are the axes that it is
        repeated along, ``caller`` the operation whose program it is.
        """
        jaxpr, consts = opened(closed)
        values = dict(zip(jaxpr.constvars, map(constant, consts), strict=True))
        values |= dict(zip(jaxpr.invars, given, strict=True))

        def read(operand) -> Value:
            literal = isinstance(operand, Literal)
            return constant(operand.val) if literal else values[operand]

        for i, equation in enumerate(needed(jaxpr)):
            arrays = [read(operand) for operand in equation.invars]
            op = Operation(equation, arrays, caller, i)
            self.operands[op.address] = arrays
            results = self._equation(op, arrays, loops)
            for variable, value in zip(equation.outvars, results, strict=True):
                sizes = tuple(find(axis).size for axis in value)
                assert sizes == variable.aval.shape, (equation.primitive, sizes)
                self.see(value, loops)
                values[variable] = value
        return [read(operand) for operand in jaxpr.outvars]

    def see(self, axes: Iterable[Axis], loops: tuple[Axis, ...] = ()) -> None:
        """Notes the axes of an array."""
        self.arrays.append((*loops, *axes))

    def use(self, values: Iterable[Value]) -> None:
        """Notes that weights have an effect."""
        for value in values:
            if value.path is not None:
                self.used[value.path] = None

    def _equation(self, op: Operation, arrays: list[Value], loops) -> list[Value]:
        op.run = lambda jaxpr, values, more=(): self.run(
            jaxpr, values, (*loops, *more), op
        )
        op.see = lambda axes: self.see(axes, loops)
        if op.name not in control.CONTROL:
            self.use(arrays)
        if op.name not in RULES:
            self.unknown[op.why] = None
        results = RULES.get(op.name, RULES[UNKNOWN])(op, *arrays)
        return [r if isinstance(r, Value) else Value(r) for r in results]


def opened(program: Any) -> tuple[Any, Sequence[Any]]:
    """The jaxpr of a program, and the values of its constants."""
    closed = isinstance(program, ClosedJaxpr)
    return (program.jaxpr, program.consts) if closed else (program, [])


def needed(jaxpr) -> list[Any]:
    """The equations that the outputs depend on."""
    wanted = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if any(variable in wanted for variable in equation.outvars):
            kept.append(equation)
            wanted |= {v for v in equation.invars if not isinstance(v, Literal)}
    return kept[::-1]


def constant(array: Any) -> Value:
    """The axes of a constant: free where it is the same all along."""
    if not np.ndim(array):
        return Value()
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.extended):
        return Value(Axis(size, "random keys") for size in array.shape)
    array = np.asarray(array)
    why = f"a constant {array.dtype}{list(array.shape)} that varies along it"
    return Value(
        Axis(size, "" if (array == array.take([0][:size], i)).all() else why)
        for i, size in enumerate(array.shape)
    )
