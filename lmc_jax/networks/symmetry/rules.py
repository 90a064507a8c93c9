"""What a rule is: how one operation ties and fixes the axes of its arrays.

A rule takes an ``Operation`` and the axes of each array that goes in, and gives those
of each that comes out. It must hold the invariant: with inputs permuted by their axes,
outputs are permuted by theirs, whatever the permutations. Where an axis of an output is
one of an input, each position of it is computed from the same position there.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jax.extend import source_info_util

from lmc_jax.networks.symmetry import axes
from lmc_jax.networks.symmetry.axes import Axis

# Of an operation: its number in its program, behind the address of its caller.
Address = tuple[int, ...]


class Value(tuple[Axis, ...]):
    """The axes of an array. path: among the weights, for one of them."""

    path: str | None = None

    @classmethod
    def of(cls, path: str | None, items: Iterable[Axis]) -> "Value":
        """Axes of the weights at a path, or of a part of them."""
        value = cls(items)
        value.path = path
        return value


class Operation:
    """One equation of a program, as its rule sees it.

    name: of the primitive.
    params: its parameters.
    shapes: of the outputs.
    operands: axes of the arrays that go in.
    address: in the programs that are run.
    run: interprets a sub-program: ``(jaxpr, values, loops)`` to values, ``loops`` the
      axes that it is repeated along.
    see: notes axes whose permutations depend on one another, beside those of arrays.
    caller: the operation whose sub-program it is part of, if any.
    """

    run: Callable
    see: Callable

    def __init__(
        self,
        equation: Any,
        operands: Sequence[Value],
        caller: "Operation | None",
        number: int,
    ):
        self._equation, self._caller = equation, caller
        self.address: Address = (*(caller.address if caller else ()), number)
        self.name, self.params = equation.primitive.name, equation.params
        self.shapes = [variable.aval.shape for variable in equation.outvars]
        self.operands = operands

    @functools.cached_property
    def line(self) -> str:
        """Where it stands in the source, or where what calls it stands."""
        own = source_info_util.summarize(self._equation.source_info)
        return self._caller.line if self._caller and not own else own

    @property
    def why(self) -> str:
        """The operation and its line, as the reason for what it fixes."""
        return f"{self.name} ({self.line})"

    def tie(self, a: Axis, b: Axis) -> None:
        """As ``axes.tie``."""
        axes.tie(a, b, self.why)

    def tie_all(self, first: Iterable[Axis], *others: Iterable[Axis]) -> None:
        """Ties the axes of arrays of one shape, in order."""
        for other in others:
            for axis, its in zip(first, other, strict=True):
                self.tie(axis, its)

    def fix(self, axis: Axis) -> None:
        """As ``axes.fix``."""
        axes.fix(axis, self.why, [its for value in self.operands for its in value])

    def new_axis(self, size: int) -> Axis:
        """A new axis whose positions this operation tells apart, but does not mix."""
        return Axis(size, self.why)

    def regroup(
        self, parts: Iterable[Axis], kind: str, sizes: Sequence[int]
    ) -> list[Axis]:
        """As ``axes.regroup``."""
        return axes.regroup(parts, kind, sizes, self.why)


Rule = Callable[..., Iterable[Iterable[Axis]]]
UNKNOWN = "an unknown operation"
RULES: dict[str, Rule] = {}  # by the name of the primitive, or UNKNOWN


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a rule for primitives of some names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
