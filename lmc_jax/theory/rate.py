"""How fast barriers of uniform minima vanish: like C (1 - a sqrt(k/m)) / m².

The leftovers of Algorithm 1 number δⱼ = nⱼ - n'ⱼ in a type, of the order of sqrt(m/k),
and are the smallest of about m/k norms, which rise by (k/m)² from one to the next. So
the unmatched mass of a type tends to (δⱼ k/m)²/2, and a loss, quadratic in masses, to a
function of δ of degree four times k⁴/m⁴. δ is normal for m ≫ k, of variance
2m(k-1)/k².
"""

import math
from typing import NamedTuple

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike, NDArray

from lmc_jax.theory.overlap import Floats, widths


class Law(NamedTuple):
    """limit (1 - correction sqrt(k/m)) / m²."""

    limit: float
    correction: float

    def slope(self, m: ArrayLike, k: int) -> Floats:
        """Its local slope d log / d log m, which tends to -2 from above."""
        small = self.correction * np.sqrt(k / np.asarray(m, np.float64))
        return -2 + small / (2 * (1 - small))


def certificate_law(k: int) -> Law:
    """What `expected_certificate` tends to, with the first correction.

    C = k(k-1)/16 [3(k-1) + ((k-1)² + 2)/π]. The correction: with N the mean of n and n'
    and y = |δ|/N, the unmatched mass M of a type is y²/2 - y³/3 + y/2N on average, and
    its variance y³/3N, to the order needed; N may be taken as m/k, y as normal.

    >>> law = certificate_law(2)
    >>> round(law.limit, 4), round(law.correction, 3)
    (0.4944, 1.235)

    Takes k >= 2.
    """
    cosine = -1 / (k - 1)  # correlation of two δ
    odd = math.sqrt(2 / math.pi)
    share = k / (k - 1)
    own = 3 / 4, odd * (8 / 3 - 5 * share / 6)  # E Mⱼ²: of s⁴, less of s⁵
    both = (  # E Mᵢ Mⱼ
        (1 + 2 * cosine**2) / 4,
        odd * ((2 + 6 * cosine**2) / 3 - share * (1 + cosine**2) / 4),
    )
    leading, lower = (
        (k / 2 * one + k * (k - 1) / (2 * math.pi) * other) / 8
        for one, other in zip(own, both, strict=True)
    )
    s = math.sqrt(2 * (k - 1) / k)  # standard deviation of y over sqrt(k/m)
    return Law(leading * s**4 * k**2, lower / leading * s)


def two_neuron_limit(leftovers: str) -> float:
    """C of the barrier for k = 2, by the order in which leftovers are paired.

    (6/π) ∫_0^{π/4} g(θ)² dθ with s = sin θ, c = cos θ and g = s/2 for ``sorted``,
    s/2 - s²/6c for ``index``, sc/2(s + c) for ``opposed``. For other k, and for the
    correction a, there is no closed form here: they are measured.

    >>> [round(two_neuron_limit(name), 6) for name in ("sorted", "index", "opposed")]
    [0.068134, 0.041208, 0.025616]
    """
    form = {
        "sorted": lambda s, c: s / 2,
        "index": lambda s, c: s / 2 - s**2 / (6 * c),
        "opposed": lambda s, c: s * c / (2 * (s + c)),
    }[leftovers]
    square = lambda angle: form(math.sin(angle), math.cos(angle)) ** 2  # noqa: E731
    return 6 / math.pi * float(scipy.integrate.quad(square, 0, math.pi / 4)[0])


def count_forms(counts: NDArray[np.integer]) -> Floats:
    """Σⱼ δⱼ⁴ and Σ_{i≠j} δᵢ²δⱼ² of type counts ``[..., 2, k]``, ``[..., 2]``.

    A barrier goes with them, and their means are known (`expected_count_forms`): less
    what they explain, barriers have the same mean and a smaller error.
    """
    squares = np.square(np.subtract(counts[..., 0, :], counts[..., 1, :], dtype=float))
    own = np.sum(np.square(squares), axis=-1)
    return np.stack([own, np.square(np.sum(squares, axis=-1)) - own], axis=-1)


def expected_count_forms(m: int, k: int) -> Floats:
    """Means of `count_forms` in the uniform model, exact, ``[2]``.

    δᵢ and δᵢ + δⱼ are differences of binomials, δᵢ - δⱼ is a sum of steps of ±1, and
    (δᵢ + δⱼ)⁴ + (δᵢ - δⱼ)⁴ = 2δᵢ⁴ + 2δⱼ⁴ + 12δᵢ²δⱼ².

    >>> expected_count_forms(7, 2).tolist()
    [35.0, 35.0]
    """
    trials = float(widths(m, k)) - k

    def fourth(variance: float, cumulant: float) -> float:
        return 3 * (2 * trials * variance) ** 2 + 2 * trials * cumulant

    def binomial(p: float) -> float:
        return fourth(p * (1 - p), p * (1 - p) * (1 - 6 * p * (1 - p)))

    if k == 1:
        return np.zeros(2)
    share = 2 / k
    own = binomial(1 / k)
    difference = fourth(share, share - 3 * share**2)
    mixed = (binomial(share) + difference - 4 * own) / 12
    return np.array([k * own, k * (k - 1) * mixed])
