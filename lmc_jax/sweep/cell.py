"""What a cell of a sweep is: all that determines its numbers, and nothing else.

The setting is that of the paper (Assumption 1) but for the teacher, which may be
another; the sources are gradient descent and the uniform model of global minima
(Assumption 3, Lemma 8).

Making one checks nothing; ``Cell.validate`` checks the cell and its source.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Collection
from numbers import Integral
from typing import Any

import numpy as np

from lmc_jax import versions
from lmc_jax.matching import MATCHINGS
from lmc_jax.students.optimizers import optimizer_named
from lmc_jax.students.teachers import ORTHONORMAL, Teacher, named

PRECISIONS = ("float32", "float64")
MAX_WIDTH = 2**15  # width or dimension


@dataclasses.dataclass(frozen=True)
class Descent:
    """Students trained from N(0, init_std²) entries on L = ½ E[(f - f*)²], x ~ N(0, I).

    One update is W - η ∂L/∂W, ∂L/∂W ``[m, d]`` in closed form, or over a batch.

    Attributes:
      lr: learning rate η.
      optimizer: one of ``optimizers.OPTIMIZERS``.
      batch: fresh N(0, I) inputs a step (SGD); 0 for the population gradient (GD).
      steps: maximal number of updates of a run.
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

    def validate(self) -> None:
        """Raises ValueError, in one line, for what cannot be trained."""
        optimizer_named(self.optimizer)
        require_known("precision", self.precision, PRECISIONS)
        for name in ("lr", "init_std"):
            require_positive(name, getattr(self, name), self.precision)
        require_positive("tol", self.tol)
        require_integers(self, "steps", "check_every", "hold")
        require_integers(self, "batch", least=0)
        _require_zero_row(self.zero_row)


@dataclasses.dataclass(frozen=True)
class Minima:
    """Global minima drawn from the uniform model with Dirichlet(alpha) norms.

    Float64, without error: the loss is 0 to rounding. They exist for m >= k.

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

    def validate(self) -> None:
        """Raises ValueError, in one line, for what cannot be drawn."""
        if self.alpha != "equal":
            require_positive("alpha", self.alpha)
        _require_zero_row(self.zero_row)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of a grid: independent pairs of students ``[m, d]`` of one kind.

    The teacher has the first k axes as neurons (paper, Assumption 1), or those of its
    name; the loss is ½ E[(f - f*)²] with inputs x ~ N(0, I_d). Hashable; equal cells
    have the same numbers, bit for bit on CPU.

    >>> cell = Cell(k=2, m=3, d=2, source=Minima(), pairs=4)
    >>> cell.source.name, cell.parameters()["matchings"]
    ('uniform', ['types_index', 'types_opposed'])

    Attributes:
      k: teacher width.
      m: student width.
      d: input dimension, at least k.
      source: where the students come from.
      pairs: number of independent pairs, each of two fresh students.
      seed: root seed, a uint32.
      matchings: names in ``MATCHINGS``; the direct path is always measured.
      points: positions along the path, 0 and 1 included.
      pqi: exponents (p, q) of the PQ index, 0 < p < q.
      teacher: one of ``teachers.KINDS``; ``random`` is drawn from the root seed, k, d.
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
    teacher: str = ORTHONORMAL

    @property
    def taught(self) -> int | Teacher:
        """The teacher as programs take it: k, or the neurons of one not orthonormal."""
        return named(self.teacher, self.k, self.d, self.seed)

    def parameters(self) -> dict[str, Any]:
        """The cell as plain JSON types: with its source's name, and its programs'
        versions. Without the teacher where it is orthonormal: older cells have none."""
        source = vars(self.source) | {"name": self.source.name}
        made = "sampling" if isinstance(self.source, Minima) else "descent"
        programs = (made, *["matching"] * bool(self.matchings), "measures")
        parameters = vars(self) | {"source": source, "versions": versions.of(*programs)}
        if self.teacher == ORTHONORMAL:
            del parameters["teacher"]
        # A copy of all; tuples become lists, NumPy's numbers Python's.
        return json.loads(json.dumps(parameters, default=lambda value: value.item()))

    def validate(self) -> None:
        """Checks every value.

        Raises:
          ValueError: in one line, for the first that cannot be computed as asked.
        """
        if not isinstance(self.source, Descent | Minima):
            raise ValueError(f"source={self.source!r}: give a Descent or Minima")
        require_integers(self, "k", "m", "d", "pairs", "points")
        require_integers(self, "seed", least=0, most=2**32 - 1)
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
        if not isinstance(self.teacher, str):
            raise ValueError(f"teacher={self.teacher!r}: give a name")
        named(self.teacher, self.k, self.d, self.seed)
        if not isinstance(self.pqi, tuple) or len(self.pqi) != 2:
            raise ValueError(f"pqi={self.pqi!r}: give a tuple of two numbers")
        p, q = self.pqi
        if not (_is_real(p) and _is_real(q) and 0 < p < q < math.inf):
            raise ValueError(f"pqi p={p!r}, q={q!r}: give numbers 0 < p < q")
        require_path(self.points)
        if not isinstance(self.matchings, tuple):
            raise ValueError(f"matchings={self.matchings!r}: give a tuple of names")
        for name in self.matchings:
            require_known("matching", name, MATCHINGS)
        if len(set(self.matchings)) < len(self.matchings):
            raise ValueError(f"matching {','.join(self.matchings)} names one twice")
        if isinstance(self.source, Minima) and self.m < self.k:
            raise ValueError(
                f"m={self.m} < k={self.k}: {self.source.name} minima exist for m >= k "
                "only; choose larger m or the sources gd, sgd"
            )
        self.source.validate()


def require_integers(
    values: Any, *names: str, least: int = 1, most: int = 2**31 - 1
) -> None:
    """Raises ValueError for a field that is not an integer within the bounds."""
    for name in names:
        value = getattr(values, name)
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: give an integer")
        if not least <= int(value) <= most:
            bound = f"at least {least}" if int(value) < least else f"at most {most}"
            raise ValueError(f"{name}={value}: give {bound}")


def require_path(points: int) -> None:
    """Raises ValueError for a number of points without ends and a midpoint."""
    if points < 3 or points % 2 == 0:
        raise ValueError(
            f"points={points}: give an odd number of at least 3, so that the path has "
            "a midpoint"
        )


def require_known(what: str, name: str, known: Collection[str]) -> None:
    """Raises ValueError for a name that is not among the known ones."""
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}: choose among {', '.join(known)}")


def require_positive(name: str, value: Any, precision: str = "float64") -> None:
    """Raises ValueError unless a number is positive and finite in a precision."""
    if not _is_real(value) or not 0 < value <= sys.float_info.max:
        raise ValueError(f"{name}={value!r}: give a positive finite number")
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.dtype(precision).type(value))
    if not 0 < rounded < math.inf:
        raise ValueError(
            f"{name}={value} is {rounded} in {precision}: give one within its range"
        )


def _require_zero_row(value: Any) -> None:
    if not _is_real(value) or not 0 <= value <= sys.float_info.max:
        raise ValueError(f"zero_row={value!r}: give a norm, 0 or more")


def _is_real(value: Any) -> bool:
    """Whether a value is a number as JSON has them: no boolean, no fraction."""
    numbers, others = int | float | np.integer | np.floating, bool | np.longdouble
    return isinstance(value, numbers) and not isinstance(value, others)
