"""Teachers whose neurons are not orthonormal, beyond Assumption 1 of the paper.

Wherever a function takes the width k of a teacher, whose neurons are then the first k
axes, a `Teacher` may stand in its place. A type is one of its neurons, by direction.

Of linearly independent neurons all holds that holds of axes: every global minimum has
rows a v̂ⱼ, a >= 0, whose norms add up to |vⱼ| in type j. For the kinks of f and f* must
agree, and rows -a v̂ⱼ would leave a linear term.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from lmc_jax.numerics import matmul

ORTHONORMAL = "orthonormal"
KINDS = (
    "orthonormal, equiangular:0.5 (a common cosine from 0 to below 1), random (unit "
    "vectors) or norms:1,2,4 (k norms from 0.001 to 1000)"
)
Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Teacher:
    """f*(x) = Σⱼ relu(vⱼ·x), by value: equal neurons, equal programs.

    >>> teacher = Teacher([[1.0, 0.0], [0.6, 0.8]])
    >>> teacher.k, teacher == Teacher([[1, 0], [0.6, 0.8]])
    (2, True)

    Attributes:
      neurons: v ``[k, d]``, float64, read-only. Parallel ones have a loss and a
        gradient, but no types.

    Raises:
      ValueError: in one line, for another shape, and for a neuron that is zero or not
        finite.
    """

    neurons: Floats

    def __post_init__(self) -> None:
        neurons = np.array(self.neurons, np.float64)
        if neurons.ndim != 2 or 0 in neurons.shape:
            raise ValueError(f"neurons {list(neurons.shape)}: give [k, d]")
        lengths = np.linalg.norm(neurons, axis=1)
        if not ((lengths > 0) & (lengths < np.inf)).all():
            raise ValueError("a neuron of the teacher is zero or not finite")
        neurons.setflags(write=False)
        object.__setattr__(self, "neurons", neurons)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Teacher) and np.array_equal(
            self.neurons, other.neurons
        )

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.neurons.shape, self.neurons.tobytes()))

    @property
    def k(self) -> int:
        """Number of neurons."""
        return self.neurons.shape[0]

    @property
    def d(self) -> int:
        """Input dimension."""
        return self.neurons.shape[1]

    @functools.cached_property
    def lengths(self) -> Floats:
        """|vⱼ| ``[k]``."""
        return np.linalg.norm(self.neurons, axis=1)

    @functools.cached_property
    def directions(self) -> Floats:
        """v̂ⱼ ``[k, d]``."""
        return self.neurons / self.lengths[:, None]

    @functools.cached_property
    def kernel(self) -> Floats:
        """K_ij = E[relu(v̂ᵢ·x) relu(v̂ⱼ·x)] ``[k, k]``, x ~ N(0, I): ½ for i = j."""
        cosine = np.clip(self.directions @ self.directions.T, -1, 1)
        theta = np.arccos(cosine)
        return (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi)


def width(k: int | Teacher) -> int:
    """Number of neurons of a teacher."""
    return k.k if isinstance(k, Teacher) else k


def energies(k: int | Teacher) -> tuple[float, float]:
    """E[f*(x)²] over x ~ N(0, I), in two parts: Σⱼ |vⱼ|²/2 and Σ_{i≠j} |vᵢ||vⱼ| K_ij.

    >>> energies(3)[0], energies(Teacher([[3.0, 0.0], [0.0, 4.0]]))[0]
    (1.5, 12.5)
    """
    if isinstance(k, Teacher):
        alone = float(np.sum(np.square(k.neurons))) / 2
        return alone, float(k.lengths @ k.kernel @ k.lengths) - alone
    return k / 2, k * (k - 1) / (2 * np.pi)


def components(vectors: Array, k: int | Teacher) -> Array:
    """v̂ⱼ·u of vectors u ``[..., d]``, ``[..., k]``. Dimensions beyond the teacher's
    own do not enter."""
    if isinstance(k, Teacher):
        own = jnp.asarray(k.directions.T, vectors.dtype)
        return matmul(vectors[..., : k.d], own)
    return vectors[..., :k]


def weighted(values: Array, k: int | Teacher) -> Array:
    """|vⱼ| times what belongs to neuron j, ``[..., k]``."""
    if isinstance(k, Teacher):
        return values * jnp.asarray(k.lengths, values.dtype)
    return values


def neurons(kinds: Array, k: int | Teacher, d: int, dtype) -> Array:
    """vⱼ of each of the types ``[...]`` below k, as rows ``[..., d]``."""
    if isinstance(k, Teacher):
        return jnp.asarray(padded(k.neurons, d), dtype)[kinds]
    return jax.nn.one_hot(kinds, d, dtype=dtype)


def padded(rows: Floats, d: int) -> Floats:
    """Rows of fewer dimensions as ``[..., d]``, zero beyond their own."""
    return np.pad(rows, ((0, 0), (0, d - rows.shape[1])))


def named(name: str, k: int, d: int, seed: int = 0) -> int | Teacher:
    """The teacher of a name.

    ``orthonormal`` is k itself. ``equiangular:ρ`` has unit vectors of a common cosine
    ρ in the span of the first k axes: vⱼ = √(1-ρ) eⱼ + (√(1-ρ+kρ) - √(1-ρ))/k Σᵢ eᵢ.
    ``random`` has independent directions, uniform on the sphere, drawn from the seed, k
    and d; ``norms:a,b,c`` the first axes in these lengths.

    >>> named("orthonormal", 3, 3)
    3
    >>> neurons = named("equiangular:0.5", 3, 4).neurons
    >>> (neurons @ neurons.T).round(12).tolist()
    [[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]

    Takes k <= d.

    Raises:
      ValueError: in one line, for any other name.
    """
    return k if name == ORTHONORMAL else _named(name, int(k), int(d), int(seed))


@functools.lru_cache
def _named(name: str, k: int, d: int, seed: int) -> Teacher:
    kind, _, values = name.partition(":")
    if name == "random":
        drawn = np.random.default_rng((seed, k, d)).normal(size=(k, d))
        return Teacher(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
    try:
        numbers = np.array([float(value) for value in values.split(",")])
    except ValueError:
        numbers = np.empty(0)
    if kind == "equiangular" and len(numbers) == 1 and 0 <= numbers[0] < 1:
        own = np.sqrt(1 - numbers[0])
        shared = (np.sqrt(1 - numbers[0] + k * numbers[0]) - own) / k
        return Teacher(padded(own * np.eye(k) + shared, d))
    inside = ((numbers >= 0.001) & (numbers <= 1000)).all()
    if kind == "norms" and len(numbers) == k and inside:
        return Teacher(padded(np.diag(numbers), d))
    raise ValueError(f"teacher={name!r} of k={k} neurons: give {KINDS}")
