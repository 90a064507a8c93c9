"""Many students as one: the mean of their weights, and what bounds its loss."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def foreign_masses(mean: Floats, kinds: NDArray[np.integer]) -> Floats:
    """Mass of each type in a mean that lies on neurons of another type.

    >>> mean = np.array([[0.9, 0.2], [0.1, 0.8]])
    >>> foreign_masses(mean, np.array([0, 1])).tolist()
    [0.1, 0.2]

    Takes means of aligned global minima ``[..., m, k]``, rows without the input
    dimensions beyond k, and a type for each of their neurons ``[..., m]``, those of
    the minimum to which all are aligned; returns ``[..., k]``.
    """
    own = kinds[..., None] == np.arange(mean.shape[-1])
    return np.sum(np.where(own, 0, mean), axis=-2)


def merged_certificate(mean: Floats, kinds: NDArray[np.integer]) -> Floats:
    """Upper bound of the loss of the mean of global minima, aligned in any way.

    ½ [½ Σⱼ ρⱼ² + (Σⱼ ρⱼ)²/2π] with the foreign masses ρ; ``theory.merging`` has the
    proof, and the expectation of the bound.

    Takes what ``foreign_masses`` takes; returns ``[...]``, in units of the loss
    ½ E[(f - f*)²], x ~ N(0, I).
    """
    rho = foreign_masses(mean, kinds)
    total = np.square(np.sum(rho, axis=-1))
    return (np.sum(np.square(rho), axis=-1) / 2 + total / (2 * math.pi)) / 2
