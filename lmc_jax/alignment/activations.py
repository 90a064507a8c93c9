"""Activation matching: units that fire together (Li et al. 2015; Benzing et al. 2022).

Each group on its own: the linear assignment that maximises the sum of correlations
between the activations of paired units over given examples.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import linear_sum_assignment

from lmc_jax.numerics import matmul

Activations = Callable[[Any, Array], dict[str, Array]]
"""Weights and examples to activations ``[n, ..., units]`` by group."""

ROUNDING = 1e-12  # of a variance, relative to the mean square: below it is none
CHUNK = 500  # examples a step: their activations stay in the cache


def align_activations(
    activations: Activations, first: Any, second: Any, x: Array
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Permutations of the second network after which its units fire as the first's.

    Args:
      activations: of any network; ``relu`` of ``Network.hidden`` for those here.
      first: pytree of weights.
      second: the same structure.
      x: examples ``[n, ...]``.

    Returns:
      ``(perms, info)``: int32 ``[units]`` by group, and by group the correlations ``[units]``
      of the paired units. A unit that does not vary correlates with none, 0.

    Raises:
      ValueError: for activations that are not finite.
    """
    perms, paired = {}, {}
    for group, matrix in correlations(activations, first, second, x).items():
        if not np.isfinite(matrix).all():
            raise ValueError(f"group {group!r} has activations that are not finite")
        perm = linear_sum_assignment(matrix, maximize=True)[1].astype(np.int32)
        perms[group], paired[group] = perm, matrix[np.arange(len(perm)), perm]
    return perms, paired


def correlations(
    activations: Activations, first: Any, second: Any, x: Array
) -> dict[str, np.ndarray]:
    """Pearson correlations ``[units of the first, units of the second]`` by group.

    Over examples and, in an image, positions; float64.
    """
    count, sums = _moments(activations, first, second, x)
    found = {}
    for group, totals in sums.items():
        cross, means, squares = (np.asarray(total) / count[group] for total in totals)
        covariance = cross - np.outer(*means)
        variances = squares - means**2
        varies = variances > ROUNDING * squares
        deviations = np.sqrt(np.where(varies, variances, np.inf))
        found[group] = covariance / np.outer(*deviations)
    return found


@functools.partial(jax.jit, static_argnums=0)
def _moments(activations, first, second, x):
    """By group: how many values, and their sums of products, values, squares."""

    def add(total, examples):
        """Returns the total with some more examples, ``None`` for the scan."""
        pair = [activations(weights, examples) for weights in (first, second)]
        for group in total:
            rows = [
                side[group].astype(jnp.float64).reshape(-1, side[group].shape[-1])
                for side in pair
            ]
            stacked = jnp.stack(rows)  # [2, values, units]
            more = (
                matmul(rows[0].T, rows[1]),
                stacked.sum(1),
                jnp.square(stacked).sum(1),
            )
            total = total | {group: jax.tree.map(jnp.add, total[group], more)}
        return total, None

    shapes = jax.eval_shape(activations, first, x)
    total = {}
    for group, shape in shapes.items():
        units = shape.shape[-1]
        zeros = ((units, units), (2, units), (2, units))
        total[group] = tuple(jnp.zeros(size, jnp.float64) for size in zeros)
    whole = len(x) // CHUNK * CHUNK
    if whole:
        chunks = x[:whole].reshape(-1, CHUNK, *x.shape[1:])
        total, _ = jax.lax.scan(add, total, chunks)
    if whole < len(x):
        total, _ = add(total, x[whole:])
    counts = {group: shape.size // shape.shape[-1] for group, shape in shapes.items()}
    return counts, total
