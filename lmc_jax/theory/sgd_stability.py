"""Mean-square stability: at which global minima SGD on fresh batches can stay.

Conventions as in ``stability``, which is the limit of infinite batches. Near a minimum
a step on B fresh inputs is δ ← (I - η Ĥ) δ, Ĥ the mean of B matrices φ φᵀ with
φ(x) = (√n_p 1{x_p > 0} x)_p, a block of d coordinates per type: of the neurons of one
type only the sum of their changes counts. The second moment M = E[δ δᵀ] obeys

    M ← M - η (H M + M H) + η² ((1 - 1/B) H M H + (1/B) E[φ φᵀ M φ φᵀ]),  H = E[φ φᵀ],

and stays bounded up to a learning rate η*(B) (Wu, Ma & E 2018; Ma & Ying 2021). Moments
are products of moments of one Gaussian coordinate: nothing is sampled.
"""

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmc_jax.theory.overlap import Floats

# E[xⁿ] and E[xⁿ 1{x > 0}] of x ~ N(0, 1), n = 0, ..., 4.
MOMENTS = np.array(
    [
        [1, 0, 1, 0, 3],
        [1 / 2, 1 / np.sqrt(2 * np.pi), 1 / 2, 2 / np.sqrt(2 * np.pi), 3 / 2],
    ]
)


def sgd_critical_learning_rate(counts: ArrayLike, d: int, batch: ArrayLike) -> Floats:
    """η*(B): the largest learning rate at which SGD is stable in mean square.

    Up to it second moments of the distance to a minimum with these counts stay bounded;
    as B → ∞ it becomes 2/λ_max, that of gradient descent. The map of second moments
    keeps M >= 0, hence 1/η* is the spectral radius of M ↦ (H· + ·H)⁻¹ S(M), with S the
    factor of η² (Perron-Frobenius for maps that keep a cone).

    >>> rates = sgd_critical_learning_rate([2] * 5, 10, [4, 16, np.inf])
    >>> (10 * rates).round(2).tolist()  # η* m
    [0.97, 2.77, 5.58]

    Args:
      counts: ``[k]`` nonzero neurons of each type, integers >= 1.
      d: input dimension, d >= k.
      batch: fresh inputs a step B >= 1, any shape, ∞ allowed.

    Returns:
      Shape of ``batch``, float64. The cost grows with the number of different counts.

    Raises:
      ValueError: in one line, for d < k, or B < 1.
    """
    n = np.sort(np.asarray(counts, np.float64))
    if d < n.size:
        raise ValueError(f"d={d}: give d >= k = {n.size}")
    if np.min(batch) < 1:
        raise ValueError(f"batch={np.min(batch):g}: give at least 1")
    sums, squares, fourth = _operators(tuple(n.tolist()), d)
    relative = np.linalg.solve(sums, np.stack([squares, fourth]))
    share = 1 / np.asarray(batch, np.float64)[..., None, None]
    spectra = np.linalg.eigvals((1 - share) * relative[0] + share * relative[1])
    return (1 / np.abs(spectra).max(axis=-1))[()]


@functools.lru_cache
def _operators(counts: tuple[float, ...], d: int) -> tuple[Floats, Floats, Floats]:
    """M to H M + M H, to H M H and to E[φ φᵀ M φ φᵀ], each ``[orbits, orbits]``.

    In terms of the one value that M has on each orbit.
    """
    k = len(counts)
    orbit, member = _orbits(np.array(counts), d)
    number, size = len(member), k * d
    p, a, q, b = np.ogrid[:k, :d, :k, :d]
    root = np.sqrt(counts)
    weight = root[p] * root[q]
    H = (weight * _moment(d, (p, q), (a, b))).reshape(size, size)
    sums, squares, fourth = (np.empty((number, number)) for _ in range(3))
    chosen = tuple(member.T)
    for j in range(number):
        M = (orbit == j).reshape(size, size).astype(np.float64)
        product = H @ M
        sums[:, j] = (product + M @ H).reshape(orbit.shape)[chosen]
        squares[:, j] = (product @ H).reshape(orbit.shape)[chosen]
    for i, (r, c, s, e) in enumerate(member):
        joint = root[r] * root[s] * weight * _moment(d, (p, q, r, s), (a, b, c, e))
        fourth[i] = np.bincount(orbit.ravel(), joint.ravel(), number)
    return sums, squares, fourth


def _orbits(n: Floats, d: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entries M[p, a, q, b] that are equal by symmetry: p, q types, a, b coordinates.

    The map commutes with exchanges of types of equal counts and of idle coordinates,
    those beyond the types; its leading M >= 0 may be averaged over them.

    Returns:
      The orbit of every entry, ``[k, d, k, d]``, and a member of each, ``[orbits, 4]``.
    """
    k = n.size
    kind = np.concatenate([np.unique(n, return_inverse=True)[1], np.full(d - k, k)])
    p, a, q, b = places = np.indices((k, d, k, d))
    equal = [p == a, p == q, p == b, a == q, a == b, q == b]
    features = np.stack([*(kind[place] for place in places), *equal], axis=-1)
    _, first, orbit = np.unique(
        features.reshape(p.size, -1), axis=0, return_index=True, return_inverse=True
    )
    member = np.stack(np.unravel_index(first, p.shape), axis=-1)
    return orbit.reshape(p.shape), member


def _moment(d: int, gates: tuple, places: tuple) -> Floats:
    """E[Π 1{x_g > 0} Π x_c], g in ``gates`` and c in ``places``, which broadcast."""
    value = np.ones(())
    for axis in range(d):
        gated = sum(np.equal(g, axis).astype(int) for g in gates) > 0
        power = sum(np.equal(c, axis).astype(int) for c in places)
        value = value * MOMENTS[gated.astype(int), power]
    return value
