"""When one minimum is joined to all of n uniform minima: statements about types.

A straight path between minima has no barrier exactly when no neuron mixes two types. A
*centre* is a minimum with such a path to each of n. Its zero neurons have no type and
join with all, so that it needs one neuron of each type only, where all n have that
type.

After permutations there always is one, for any m >= k: move a neuron of type j of every
minimum to row j, or let Algorithm 1 do so, and take e_j in these rows and zeros
elsewhere, the teacher itself. A centre without zero neurons needs n minima with equal
types row by row, as do straight paths without barrier between all of them (strong
linear connectivity, Sharma et al. 2024): after permutations, equal counts.
"""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from lmc_jax.theory.overlap import Floats, over_widths, widths


def centre_probability(n: int, m: int, k: int) -> float:
    """Probability that n minima have a centre without permutation, exact.

    That is, a row for each type at which all n have it. With Xⱼ such rows of type j,
    1{X >= 1} = Σ_{c>=1} (-1)^(c-1) C(X, c) makes it a sum over c ``[k]`` of signed
    m!/(Π cⱼ! (m - C)!) π(c)ⁿ, C = Σ cⱼ, with the probability that one minimum has given
    types at C rows, π(c) = Σ_u e_u(c) k^(u-C) (m - C)_(k-u)/(m)_k: the uniform model
    gives k distinct rows one type each, the others any, and u of the k are among the C.
    e_u is the elementary symmetric polynomial, (m)_k = m!/(m - k)!.

    >>> [round(centre_probability(2, m, 2), 4) for m in (2, 8, 32)]
    [0.5, 0.8494, 0.9998]

    Takes n >= 1 and m >= k. Costs of the order of m^k/k!², in exact arithmetic.
    """
    width = int(widths(m, k))
    total = Fraction(0)
    for c in itertools.combinations_with_replacement(range(1, width - k + 2), k):
        rows = sum(c)
        if rows > width:
            continue
        orders = math.factorial(k)
        for often in Counter(c).values():
            orders //= math.factorial(often)
        ways = math.factorial(width) // math.factorial(width - rows)
        for count in c:
            ways //= math.factorial(count)
        total += (-1) ** (rows - k) * orders * ways * _given_types(c, width) ** n
    return float(total)


def _given_types(c: tuple[int, ...], m: int) -> Fraction:
    """π(c), the probability of given types at Σ cⱼ rows."""
    k, rows = len(c), sum(c)
    symmetric = [1]  # e_u(c), by multiplying out Π (1 + cⱼ x)
    for count in c:
        shifted = [0, *(count * value for value in symmetric)]
        symmetric = [a + b for a, b in zip([*symmetric, 0], shifted, strict=True)]
    placed = sum(
        value * k**u * math.perm(m - rows, k - u) for u, value in enumerate(symmetric)
    )
    return Fraction(placed, k**rows * math.perm(m, k))


def centre_law(n: int, m: ArrayLike, k: int) -> Floats:
    """The same for types that are independent, Σₗ (-1)ˡ C(k, l) (1 - l k⁻ⁿ)^m.

    What `centre_probability` tends to as m grows: about exp(-k exp(-m k⁻ⁿ)), one half
    at m = kⁿ (log k + 0.37).

    >>> centre_law(2, [8, 32], 2).round(4).tolist()
    [0.8037, 0.9998]

    Takes n >= 1 and real m ``[...]``; returns ``[...]``.
    """
    left = np.arange(k + 1)  # types without such a row
    signed = (-1.0) ** left * scipy.special.comb(k, left)
    m = np.asarray(m, np.float64)[..., None]
    return np.sum(signed * (1 - left * float(k) ** -n) ** m, axis=-1)


def equal_counts(n: int, m: ArrayLike, k: int) -> Floats:
    """Probability that n minima have equally many neurons of each type, exact.

    Then and only then permutations join all pairs without barrier, and a centre
    without zero neurons exists. Falls like m^(-(k-1)(n-1)/2). Multinomial counts are
    those of independent Poisson variables given their sum, so that it is a k-fold
    convolution.

    >>> equal_counts(2, [2, 4, 100], 2).round(4).tolist()
    [1.0, 0.375, 0.0569]

    Takes n >= 1 and integers m ``[...]``; returns ``[...]``.
    """

    def at_width(width: int) -> float:
        free = width - k
        chance = scipy.stats.poisson.pmf(np.arange(free + 1), free / k) ** n
        of_sum = np.ones(1)
        for _ in range(k):
            of_sum = np.convolve(of_sum, chance)[: free + 1]
        return float(of_sum[free]) / scipy.stats.poisson.pmf(free, free) ** n

    return over_widths(at_width, m, k)
