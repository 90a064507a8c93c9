"""Activation matching: units that fire together (Li et al. 2015; Benzing et al. 2022).

Each group on its own: the linear assignment that maximises the sum of correlations
between the activations of paired units over given examples. Units that no correlation
tells apart may then be told apart by their weights.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when first used
from jax import Array

from lmc_jax.matching.alike import ALIKE, CONSTANT, break_ties, tie_labels
from lmc_jax.networks.alignment.distances import counted, of_group, scaled
from lmc_jax.networks.entries import groups_of, squared
from lmc_jax.networks.permutations import Spec
from lmc_jax.numerics import matmul

Activations = Callable[[Any, Any], dict[str, Array]]
"""Weights and examples to activations ``[n, ..., units]`` by group."""

CHUNK = 500  # examples a step: their activations stay in the cache
SWEEPS = 200  # over groups with alike units; a few are needed, the distance only falls


def align_activations(
    activations: Activations,
    first: Any,
    second: Any,
    x: Any,
    *,
    spec: Spec | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Permutations of the second network after which its units fire as the first's.

    Args:
      activations: of any network, for those here ``Network.activations``; compiled
        once a function object.
      first: pytree of weights.
      second: the same structure.
      x: examples ``[n, ...]``, or a tuple of inputs, taken at once.
      spec: permutation specification of the same groups. With it units alike, whose
        activations are equal up to a factor or do not vary, are paired by the least
        distance of their weights (``alike.break_ties``), group after group until none
        falls: with several such groups a local optimum.

    Returns:
      ``(perms, info)``: int32 ``[units]`` by group, and by group the correlations
      ``[units]`` of the paired units.

    Raises:
      ValueError: as ``correlations``, and with ``spec`` as ``align_weights``.
    """
    gains = correlations(activations, first, second, x)
    perms = {
        group: scipy.optimize.linear_sum_assignment(gain, maximize=True)[1].astype("i4")
        for group, gain in gains.items()
    }
    if spec is not None and any(map(_undecided, gains.values(), perms.values())):
        own = [correlations(activations, side, side, x) for side in (first, second)]
        _tell_apart(perms, gains, own, first, second, spec)
    paired = {
        group: matrix[np.arange(len(matrix)), perms[group]]
        for group, matrix in gains.items()
    }
    return perms, paired


def _undecided(gains: np.ndarray, perm: np.ndarray) -> bool:
    """Whether two pairs could swap partners at about the same correlations.

    Alike units can; without them their correlations, which cost as much as those that
    are known twice over, are not needed.
    """
    paired = gains[:, perm]
    close = np.abs(paired - np.diag(paired)) < np.sqrt(10 * ALIKE)
    return bool(np.any((close & close.T).sum(axis=1) > 1))


def _tell_apart(perms, gains, own, first, second, spec) -> None:
    """Breaks ties between alike units, in place."""
    labelled = {
        group: (tie_labels(own[0][group]), tie_labels(own[1][group])) for group in perms
    }
    alike = {
        group: both
        for group, both in labelled.items()
        if any(np.bincount(side).max() > 1 for side in both)
    }
    if not alike:
        return
    ours, theirs = (scaled(counted(side, spec))[0] for side in (first, second))
    groups = {path: groups_of(spec[path]) for path in ours}

    def rematch(group, most):
        """By the arrays that hold the group once, and at most ``most`` groups."""
        paths = [p for p, over in groups.items() if group in over]
        paths = [path for path in paths if group not in squared(spec[path])]
        paths = [path for path in paths if len(groups[path]) <= most]
        costs = of_group(group, paths, ours, theirs, spec, perms)
        perms[group] = break_ties(perms[group], gains[group], alike[group], costs)

    for group in alike:  # first by what depends on no other group
        rematch(group, 1)
    every = max(map(len, groups.values()))
    for _ in range(SWEEPS):
        before = dict(perms)
        for group in alike:
            rematch(group, every)
        if all(np.array_equal(before[group], perms[group]) for group in alike):
            break


def correlations(
    activations: Activations, first: Any, second: Any, x: Any
) -> dict[str, np.ndarray]:
    """Pearson correlations ``[units of the first, units of the second]`` by group.

    Over examples and, in an image, positions; float64. A unit that does not vary
    correlates with none: 0.

    Raises:
      ValueError: for activations that are not finite, or differ in shape.
    """
    gains = {}
    for group, moments in _moments(activations, first, second, x).items():
        cross, means, squares = map(np.asarray, moments)
        if not all(np.isfinite(moment).all() for moment in (cross, means, squares)):
            raise ValueError(f"group {group!r} has activations that are not finite")
        variances = squares - means**2
        varies = variances > CONSTANT * squares
        deviations = np.sqrt(np.where(varies, variances, np.inf))
        gains[group] = (cross - np.outer(*means)) / np.outer(*deviations)
    return gains


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
    at_once = isinstance(x, tuple)
    whole = 0 if at_once else len(x) // CHUNK * CHUNK
    if whole:
        chunks = x[:whole].reshape(-1, CHUNK, *x.shape[1:])
        total, _ = jax.lax.scan(add, total, chunks)
    if whole < len(x):
        total, _ = add(total, x if at_once else x[whole:])
    means = {}
    for group, shape in shapes.items():
        values = shape.size // shape.shape[-1]
        means[group] = tuple(sums / values for sums in total[group])
    return means
