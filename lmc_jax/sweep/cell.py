"""What a cell of a sweep is: all that determines its numbers, and nothing else.

The setting is that of the paper (Assumption 1), the sources are gradient descent and
the uniform model of global minima (Assumption 3, Lemma 8).

Making one checks nothing; ``Cell.validate`` raises ValueError for the cell and for its
source.
"""

import dataclasses
import json
import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from lmc_jax.matching import MATCHINGS
from lmc_jax.students.optimizers import optimizer_named

PRECISIONS = ("float32", "float64")
MAX_WIDTH = 2**15  # width or dimension
MAX_POINTS = 10_001  # of a path
MAX_PAIRS = 10**7  # of a cell, whose keys and results are held in memory
MAX_BATCH = 2**24  # of an update, held in memory at once
_KINDS: dict[Any, tuple[type, str]] = {
    int: (Integral, "an integer"),
    float: (Real, "a number"),
    str: (str, "a name"),
}


@dataclasses.dataclass(frozen=True)
class Descent:
    """Students trained from N(0, init_std²) entries on L = ½ E[(f - f*)²], x ~ N(0, I).

    One update is W - η ∂L/∂W, ∂L/∂W ``[m, d]`` in closed form, or over a batch. Values
    out of range are refused by ``Cell.validate``.

    Attributes:
      lr: learning rate η.
      optimizer: one of ``optimizers.OPTIMIZERS``.
      batch: fresh N(0, I) inputs a step (SGD); 0 for the population gradient (GD).
      steps: most updates of a run.
      tol: a run ends once its loss is below this.
      check_every: updates between two looks at the loss.
      hold: looks in a row that must find the loss below tol.
      init_std: standard deviation of an initial entry.
      precision: of the training; losses and barriers are always float64.
      zero_row: a neuron of norm at most this counts as zero: it has no type. Neurons
        that die shrink with the square root of the loss, to about 3e-4 at 1e-8: to see
        them at a loose tolerance, raise it.
    """

    lr: float
    optimizer: str = "sgd"
    batch: int = 0
    steps: int = 100_000
    tol: float = 1e-6
    check_every: int = 200
    hold: int = 1
    init_std: float = 0.01
    precision: str = "float32"
    zero_row: float = 1e-6

    @property
    def name(self) -> str:
        """``sgd`` with a batch, else ``gd``."""
        return "sgd" if self.batch else "gd"


@dataclasses.dataclass(frozen=True)
class Minima:
    """Global minima drawn from the uniform model with Dirichlet(alpha) norms.

    Float64, without error: the loss is 0 to rounding. They exist for m >= k, which
    ``Cell.validate`` looks at, as it does at the values.

    Attributes:
      alpha: concentration > 0 of the norms of a type; 1 is the paper's Assumption 3
        (Lemma 8), "equal" makes them equal.
      zero_row: a neuron of norm at most this counts as zero: it has no type.
    """

    alpha: float | str = 1.0
    zero_row: float = 0.0

    @property
    def name(self) -> str:
        """``uniform`` for alpha = 1, ``equal``, else ``dirichlet``."""
        return {1.0: "uniform", "equal": "equal"}.get(self.alpha, "dirichlet")

    @property
    def concentration(self) -> float:
        """alpha as a number: ∞ where it is "equal"."""
        return math.inf if self.alpha == "equal" else float(self.alpha)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of a grid: independent pairs of students ``[m, d]`` of one kind.

    The teacher has the first k axes as neurons (paper, Assumption 1); the loss is
    ½ E[(f - f*)²] with inputs x ~ N(0, I_d). Hashable; equal cells have the same
    numbers, bit for bit on CPU.

    Attributes:
      k: teacher width.
      m: student width.
      d: input dimension, at least k.
      source: where the students come from.
      pairs: independent pairs; two fresh students a pair.
      seed: root seed, a uint32.
      matchings: names in ``MATCHINGS``; the direct path is always measured.
      points: positions along the path, 0 and 1 included.
      pqi: exponents (p, q) of the PQ index, 0 < p < q.
    """

    k: int
    m: int
    d: int
    source: Descent | Minima
    pairs: int
    seed: int = 0
    matchings: tuple[str, ...] = ("types_index", "types_opposed")
    points: int = 11
    pqi: tuple[float, float] = (1.0, 2.0)

    def parameters(self) -> dict[str, Any]:
        """The cell as plain JSON types, with the name of its source."""
        source = vars(self.source) | {"name": self.source.name}
        parameters = vars(self) | {"source": source}
        # A copy of all; tuples become lists, NumPy's numbers Python's.
        return json.loads(json.dumps(parameters, default=lambda value: value.item()))

    def validate(self) -> None:
        """Looks at every value.

        Raises:
          ValueError: in one line, for the first that cannot be computed as asked.
        """
        _typed(self)
        if not isinstance(self.source, Descent | Minima):
            raise ValueError(f"source={self.source!r}: give a Descent or Minima")
        _typed(self.source)
        if not _tuple_of(str, self.matchings):
            raise ValueError(f"matchings={self.matchings!r}: give a tuple of names")
        if not _tuple_of(Real, self.pqi) or len(self.pqi) != 2:
            raise ValueError(f"pqi={self.pqi!r}: give a tuple of two numbers")
        for name in ("k", "m", "pairs"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value}: give {name} >= 1")
        if self.pairs > MAX_PAIRS:
            raise ValueError(
                f"pairs={self.pairs}: give at most {MAX_PAIRS}, and more seeds"
            )
        if max(self.m, self.d) > MAX_WIDTH:
            raise ValueError(
                f"m={self.m}, d={self.d}: give at most {MAX_WIDTH}, kernel matrices of "
                "m × m must fit into memory"
            )
        if self.d < self.k:
            raise ValueError(
                f"k={self.k} > d={self.d}: the teacher's k orthonormal neurons need "
                "an input dimension d >= k"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed}: give a seed in 0 ... 4294967295")
        p, q = self.pqi
        if not 0 < p < q < math.inf:
            raise ValueError(f"pqi p={p}, q={q}: give 0 < p < q")
        if self.points < 3 or self.points % 2 == 0:
            raise ValueError(
                f"points={self.points}: give an odd number of at least 3, so that the "
                "path has a midpoint"
            )
        if self.points > MAX_POINTS:
            raise ValueError(f"points={self.points}: give at most {MAX_POINTS}")
        for name in self.matchings:
            _known("matching", name, MATCHINGS)
        if len(set(self.matchings)) < len(self.matchings):
            raise ValueError(f"matching {','.join(self.matchings)} names one twice")
        if isinstance(self.source, Minima):
            _validate_minima(self.source, self)
        else:
            _validate_descent(self.source)


def _typed(values: Cell | Descent | Minima) -> None:
    for field in dataclasses.fields(values):
        kind, words = _KINDS.get(field.type, (object, ""))
        value = getattr(values, field.name)
        if not isinstance(value, kind):
            raise ValueError(f"{field.name}={value!r}: give {words}")


def _tuple_of(kind: type, value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(part, kind) for part in value)


def _known(what: str, name: str, names) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}: choose among {', '.join(names)}")


def _validate_minima(source: Minima, cell: Cell) -> None:
    if cell.m < cell.k:
        raise ValueError(
            f"m={cell.m} < k={cell.k}: {source.name} minima exist for m >= k only; "
            "choose larger m or the sources gd, sgd"
        )
    if source.alpha != "equal":
        if not isinstance(source.alpha, Real):
            raise ValueError(f'alpha={source.alpha!r}: give a number or "equal"')
        _positive("alpha", source.concentration)
    _validate_zero_row(source)


def _validate_descent(source: Descent) -> None:
    optimizer_named(source.optimizer)
    _known("precision", source.precision, PRECISIONS)
    for name in ("lr", "tol", "init_std"):
        _positive(name, getattr(source, name))
    for name in ("lr", "init_std"):
        within(source.precision, name, getattr(source, name))
    for name in ("steps", "check_every", "hold"):
        if getattr(source, name) < 1:
            raise ValueError(f"{name}={getattr(source, name)}: give at least 1")
    _validate_zero_row(source)
    for name in ("steps", "check_every", "hold"):
        if getattr(source, name) >= 2**31:
            value = getattr(source, name)
            raise ValueError(f"{name}={value}: give fewer than 2147483648")
    if not 0 <= source.batch <= MAX_BATCH:
        raise ValueError(
            f"batch={source.batch}: give 0 (population) to {MAX_BATCH} inputs"
        )


def _validate_zero_row(source: Descent | Minima) -> None:
    if not 0 <= source.zero_row < math.inf:
        raise ValueError(f"zero_row={source.zero_row}: give a norm, 0 or more")


def within(precision: str, name: str, value: float) -> None:
    """Raises ValueError for a value that is 0 or infinite in this precision."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.dtype(precision).type(value))
    if not 0 < rounded < math.inf:
        raise ValueError(
            f"{name}={value} is {rounded} in {precision}: give one within its range"
        )


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}={value}: give a positive finite number")
