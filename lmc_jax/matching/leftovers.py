"""What Algorithm 1 leaves of two uniform minima, drawn without the neurons it matches.

Of n and n' neurons of a type it leaves the |n - n'| smallest on the side that has more,
of the order of sqrt(m k) neurons in all. The smallest of normalised Exp(1) norms can be
drawn alone (Rényi 1953), and they alone make the path (``students.mixed``), so that a
pair of width 10^7 costs what its leftovers cost. Exact, of the paper's Assumption 3;
NumPy, float64.
"""

import numpy as np
from numpy.typing import NDArray

from lmc_jax.students.mixed import Mixed

Side = tuple[NDArray[np.float64], NDArray[np.int64]]  # norms and types, each [u]


def uniform_counts(rng: np.random.Generator, m: int, k: int) -> NDArray[np.int64]:
    """Type counts ``[2, k]`` of two uniform minima: 1 + Multinomial(m - k, 1/k)."""
    return 1 + rng.multinomial(m - k, np.full(k, 1 / k), size=2)


def smallest(rng: np.random.Generator, n: int, r: int) -> NDArray[np.float64]:
    """The r < n smallest of n normalised Exp(1) norms, rising, at a cost of r.

    e₍ᵢ₎ = Σ_{l<=i} E_l / (n - l + 1), over the sum of all n norms, which is
    Σ_{i<=r} e₍ᵢ₎ + (n - r) e₍ᵣ₎ + Gamma(n - r).

    >>> smallest(np.random.default_rng(0), 10**12, 2).round(13).tolist()
    [0.0, 0.0]
    """
    drawn = np.cumsum(rng.exponential(size=r) / np.arange(n, n - r, -1))
    larger = (n - r) * drawn[-1:].sum() + rng.gamma(n - r)
    return drawn / (drawn.sum() + larger)


def leftovers(rng: np.random.Generator, counts: NDArray[np.int64]) -> list[Side]:
    """The leftovers of both minima with type counts ``[2, k]``, in any order.

    Each side has u = Σⱼ (nⱼ - n'ⱼ)₊ of them.
    """
    sides = []
    for n, other in (counts, counts[::-1]):
        left = np.maximum(n - other, 0)
        norms = [smallest(rng, *both) for both in zip(n, left, strict=True)]
        sides.append((np.concatenate(norms), np.repeat(np.arange(len(n)), left)))
    return sides


def paired(rng: np.random.Generator, sides: list[Side], order: str) -> Mixed:
    """Leftovers as partners ``[2, u]``, in one of the orders of ``types.LEFTOVERS``.

    Rows of a uniform minimum are in random order, so ``index`` pairs at random.
    """
    rising = [np.argsort(norms) for norms, _ in sides]
    places = {
        "index": [rng.permutation(len(norms)) for norms, _ in sides],
        "sorted": rising,
        "opposed": [rising[0], rising[1][::-1]],
    }[order]
    norms, kinds = (
        np.stack([part[place] for part, place in zip(parts, places, strict=True)])
        for parts in zip(*sides, strict=True)
    )
    return Mixed(norms, kinds)
