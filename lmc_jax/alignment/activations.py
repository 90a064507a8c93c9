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
      activations: of any network, for those here ``relu`` of ``Network.hidden``;
        compiled once a function object.
      first: pytree of weights.
      second: the same structure.
      x: examples ``[n, ...]``.

    Returns:
      ``(perms, info)``: int32 ``[units]`` by group, and by group the correlations
      ``[units]`` of the paired units.

    Raises:
      ValueError: as ``correlations``.
    """
    perms, paired = {}, {}
    for group, matrix in correlations(activations, first, second, x).items():
        places, perm = linear_sum_assignment(matrix, maximize=True)
        perms[group], paired[group] = perm.astype(np.int32), matrix[places, perm]
    return perms, paired


def correlations(
    activations: Activations, first: Any, second: Any, x: Array
) -> dict[str, np.ndarray]:
    """Pearson correlations ``[units of the first, units of the second]`` by group.

    Over examples and, in an image, positions; float64. A unit that does not vary
    correlates with none: 0.

    Raises:
      ValueError: for activations that are not finite, or differ in shape.
    """
    found = {}
    for group, moments in _moments(activations, first, second, x).items():
        cross, means, squares = map(np.asarray, moments)
        if not all(np.isfinite(moment).all() for moment in (cross, means, squares)):
            raise ValueError(f"group {group!r} has activations that are not finite")
        variances = squares - means**2
        varies = variances > ROUNDING * squares
        deviations = np.sqrt(np.where(varies, variances, np.inf))
        found[group] = (cross - np.outer(*means)) / np.outer(*deviations)
    return found


@functools.partial(jax.jit, static_argnums=0)
def _moments(activations, first, second, x):
    """By group the means of products, and of values and squares of either network."""
    shapes, others = (jax.eval_shape(activations, side, x) for side in (first, second))
    if shapes != others:
        raise ValueError("the two networks have activations of different shapes")

    def add(total, examples):
        """The total with some more examples; ``None`` for the scan."""
        sides = [activations(weights, examples) for weights in (first, second)]
        more = {}
        for group, shape in shapes.items():
            values = jnp.stack(
                [side[group].reshape(-1, shape.shape[-1]) for side in sides]
            ).astype(jnp.float64)  # [2, values, units]
            products = matmul(values[0].T, values[1])
            more[group] = products, values.sum(1), jnp.square(values).sum(1)
        return jax.tree.map(jnp.add, total, more), None

    total = {}
    for group, shape in shapes.items():
        units = shape.shape[-1]
        sizes = ((units, units), (2, units), (2, units))
        total[group] = tuple(jnp.zeros(size, jnp.float64) for size in sizes)
    whole = len(x) // CHUNK * CHUNK
    if whole:
        chunks = x[:whole].reshape(-1, CHUNK, *x.shape[1:])
        total, _ = jax.lax.scan(add, total, chunks)
    if whole < len(x):
        total, _ = add(total, x[whole:])
    means = {}
    for group, shape in shapes.items():
        values = shape.size // shape.shape[-1]
        means[group] = tuple(sums / values for sums in total[group])
    return means
