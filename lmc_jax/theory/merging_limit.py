"""The mean of n uniform minima aligned to one of them, in the limit m ≫ k, sampled.

With N = m/k neurons a type, counts are N + z √N, z normal of covariance δⱼₗ - 1/k, and
the neuron of rank r from below has norm r/N². Norms are counted in N^(-3/2) and ranks
in √N here, so that the loss is a function of z times N⁻² = k²/m². Of the first minimum
the neuron y of type p stands before that of norm y - d of another student, where
d = z₁ₚ - zₚ <= y, and else before a leftover, largest to smallest.
"""

import math

import numpy as np

from lmc_jax.theory.overlap import Floats

CELLS = 128  # of the ranks that have leftovers in some student, per type


def aligned_constants(
    rng: np.random.Generator, n: int, k: int, groups: int, *, cells: int = CELLS
) -> Floats:
    """m² times the losses of the means of groups of n, aligned by Algorithm 1, opposed.

    Their mean is the C of C/m² for m ≫ k. For k = 2 it is ``two_neuron_limit`` and
    ``two_neuron_merging``.

    >>> found = aligned_constants(np.random.default_rng(0), 2, 2, 400)
    >>> bool(abs(found.mean() - 0.0256) < 0.01)
    True

    Args:
      rng: source of randomness.
      n: students in a group.
      k: teacher width, at least 2.
      groups: number of groups.
      cells: of the grid of ranks; errors fall with its size.

    Returns:
      ``[groups]``.
    """
    return np.array([k**2 * _loss(_mean(rng, n, k, cells)) for _ in range(groups)])


def _mean(rng: np.random.Generator, n: int, k: int, cells: int) -> Floats:
    """Neurons ``[k · cells, k]`` of a mean, each times the ranks that it stands for."""
    z = rng.normal(size=(n, k))
    z -= z.mean(axis=1, keepdims=True)
    more = z[0] - z  # [n, k], neurons that the first has more
    step = more.max() / cells
    y = step * (np.arange(cells) + 0.5)
    kinds = np.arange(k)
    rows = np.zeros((k, cells, k))
    rows[kinds, :, kinds] = np.maximum(y - more[..., None], 0).mean(axis=0)
    for own in more[1:]:
        less = np.maximum(-own, 0)
        nodes = np.append(-np.sort(-less), 0)
        above = np.maximum(less - nodes[:, None], 0).sum(axis=1)
        below = np.minimum(y[:, None], np.maximum(own, 0)).sum(axis=1)
        norms = np.interp(below, above, nodes)
        # Of the types that have leftovers of this norm one, by chance.
        chances = np.cumsum(less > norms[:, None], axis=1)  # [cells, k]
        drawn = rng.random((k, cells)) * chances[:, -1]
        other = np.argmax(chances > drawn[..., None], axis=-1)  # [k, cells]
        left = np.where(y < own[:, None], norms, 0) / n
        rows[kinds[:, None], np.arange(cells), other] += left
    return step * rows.reshape(-1, k)


def _loss(rows: Floats) -> float:
    """½ E[(Σ relu(w·x) - Σⱼ Mⱼ relu(xⱼ))²] of rows w with column sums M."""
    norms = np.linalg.norm(rows, axis=1)
    directions = rows / np.where(norms > 0, norms, 1)[:, None]
    mass = rows.sum(axis=0)
    own = norms @ _kernel(directions @ directions.T) @ norms
    cross = norms @ _kernel(directions) @ mass
    axes = mass @ _kernel(np.eye(len(mass))) @ mass
    return float(own - 2 * cross + axes) / 2


def _kernel(cosines: Floats) -> Floats:
    angles = np.arccos(np.clip(cosines, -1, 1))
    return (np.sin(angles) + (math.pi - angles) * cosines) / (2 * math.pi)
