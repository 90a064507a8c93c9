"""Trained students against the uniform model (the paper's Assumption 3).

The model: counts of the types ``n = 1 + Multinomial(m - k, 1/k)``, and the norms in a
type uniform on the simplex. Tests of it, and students with one part of a trained one
replaced by the model's. NumPy, float64.
"""

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import NDArray

from lmc_jax.theory.overlap import Floats

Integers = NDArray[np.integer]

DRAWS = 400  # resamples of an interval, simulations of a limit


# --- tests ---------------------------------------------------------------------------


def equal_chances(often: Integers) -> float:
    """p-value of the chi-square test that ``[k]`` types come up equally often.

    NaN where none came up.
    """
    return float(scipy.stats.chisquare(often).pvalue) if np.sum(often) else np.nan


def dispersion_index(counts: Integers, m: int) -> Floats:
    """Variance of type counts over the multinomial's, from each run alone.

    Σⱼ (nⱼ - m/k)² / ((m-k)(1 - 1/k)), whose mean is 1 in the uniform model.

    Takes counts ``[runs, k]`` with sum m > k, k >= 2; returns ``[runs]``.
    """
    k = counts.shape[1]
    return np.sum((counts - m / k) ** 2, axis=1) / ((m - k) * (1 - 1 / k))


def ks_distance(shares: Floats) -> float:
    """Kolmogorov-Smirnov distance of coordinates to those of the uniform model.

    Takes points of the simplex ``[runs, m]``, m >= 2. A coordinate of a uniform one is
    Beta(1, m-1).
    """
    marginal = scipy.stats.beta(1, shares.shape[1] - 1)
    return float(scipy.stats.ks_1samp(shares.ravel(), marginal.cdf).statistic)


def ks_interval(shares: Floats) -> tuple[float, float, float]:
    """``ks_distance`` with its 95% percentile-bootstrap interval over runs.

    Takes shares ``[runs, m]``; all NaN without runs.
    """
    runs = len(shares)
    if not runs:
        return np.nan, np.nan, np.nan
    rng = np.random.default_rng(0)
    drawn = (shares[rng.integers(runs, size=runs)] for _ in range(DRAWS))
    tail = (1 - 0.95) / 2
    low, high = np.quantile([ks_distance(s) for s in drawn], [tail, 1 - tail])
    return ks_distance(shares), float(low), float(high)


def ks_limit(runs: int, m: int, level: float = 0.01) -> float:
    """The ``ks_distance`` that uniform points exceed with probability ``level``.

    Of points ``[runs, m]``. Simulated: coordinates of one point depend on each other,
    so that tabulated p-values do not apply. NaN without runs.
    """
    if not runs:
        return np.nan
    rng = np.random.default_rng(0)
    exact = [ks_distance(rng.dirichlet(np.ones(m), size=runs)) for _ in range(DRAWS)]
    return float(np.quantile(exact, 1 - level))


# --- resampling ----------------------------------------------------------------------


def parts(W: Floats, k: int) -> tuple[Integers, Floats]:
    """Types ``[..., m]`` of students ``[..., m, d]``, and norms relative to their type.

    A relative norm is the component along the type's axis over its mean in the type of
    that student; no row may be zero.
    """
    kinds = np.argmax(W[..., :k], axis=-1)
    along = np.take_along_axis(W[..., :k], kinds[..., None], axis=-1)[..., 0]
    member = np.eye(k)[kinds]  # [..., m, k]
    means = np.sum(member * along[..., None], axis=-2) / np.maximum(
        np.sum(member, axis=-2), 1
    )
    return kinds, along / np.take_along_axis(means, kinds, axis=-1)


def minimum(kinds: Integers, sizes: Floats, k: int) -> Floats:
    """Global minima ``[..., m, k]`` with types and, up to scale, norms ``[..., m]``.

    Sizes >= 0 are divided by their sum in the type.
    """
    rows = np.eye(k)[kinds] * np.maximum(sizes, 0)[..., None]
    total = np.sum(rows, axis=-2, keepdims=True)
    return rows / np.where(total > 0, total, 1)


def uniform_kinds(rng: np.random.Generator, students: int, m: int, k: int) -> Integers:
    """Types ``[students, m]`` of the uniform model, in random order."""
    free = rng.integers(k, size=(students, m - k))
    fixed = np.broadcast_to(np.arange(k), (students, k))
    return rng.permuted(np.concatenate([fixed, free], axis=1), axis=1)


def resampled(
    rng: np.random.Generator,
    kinds: Integers,
    sizes: Floats,
    k: int,
    *,
    counts: str,
    norms: str,
) -> Floats:
    """Global minima with counts and norms of trained students or of the uniform model.

    Args:
      rng: source of randomness.
      kinds: types ``[..., m]`` of trained students, all k in each.
      sizes: their relative norms ``[..., m]``, as from ``parts``.
      k: teacher width.
      counts: ``"trained"`` keeps the types, ``"uniform"`` draws them from the model.
      norms: ``"trained"`` draws from all ``sizes``, independent of type and student,
        ``"uniform"`` from Exp(1); either is then scaled to sum 1 in every type.

    Returns:
      ``[..., m, k]``.
    """
    if counts == "uniform":
        students = kinds.size // kinds.shape[-1]
        kinds = uniform_kinds(rng, students, kinds.shape[-1], k).reshape(kinds.shape)
    if norms == "uniform":
        drawn = rng.exponential(size=kinds.shape)
    else:
        drawn = rng.choice(np.maximum(sizes, 0).ravel(), size=kinds.shape)
    return minimum(kinds, drawn, k)


def exchanged(
    rng: np.random.Generator, kinds: Integers, sizes: Floats, k: int
) -> Floats:
    """The same students, all norms of a type from another type of as many neurons.

    Arguments as of ``resampled``. The giver may be any type of any student: this
    keeps how norms go together within a type, and breaks how types go together.

    Returns:
      Global minima ``[..., m, k]``.
    """
    m = kinds.shape[-1]
    runs, own = kinds.reshape(-1, m), sizes.reshape(-1, m)
    by_count: dict[int, list[tuple[int, Integers]]] = {}
    for run, kind in np.ndindex(len(runs), k):
        members: Integers = np.flatnonzero(runs[run] == kind)
        by_count.setdefault(len(members), []).append((run, members))
    drawn = np.empty(own.shape)
    for types in by_count.values():
        for (run, members), giver in zip(
            types, rng.permutation(len(types)), strict=True
        ):
            other, givers = types[giver]
            drawn[run, members] = rng.permutation(own[other, givers])
    return minimum(kinds, drawn.reshape(sizes.shape), k)
