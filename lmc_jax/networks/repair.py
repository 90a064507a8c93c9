"""REPAIR: interpolated networks with the statistics of their ends (Jordan et al. 2022).

Between two aligned networks the inputs of hidden units vary less than at either end.
Layer by layer, each unit's is shifted and rescaled so that its mean and its standard
deviation over given examples are the interpolated ones of the ends.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import keystr

from lmc_jax.matching.alike import CONSTANT
from lmc_jax.networks.permutations import Spec


def repair(
    hidden: Callable[[Any, Array], dict[str, Array]],
    spec: Spec,
    affine: Mapping[str, tuple[str, str]],
    first: Any,
    second: Any,
    between: Any,
    t: Array,
    x: Array,
) -> Any:
    """The weights between two networks, their hidden statistics repaired.

    Pure and jittable. For a network with batch normalisation, taking its statistics
    anew (``Network.reset``) does the same.

    Args:
      hidden: weights and examples to what activation functions are applied to, ``[n,
        ..., units]`` by name. A unit of every head is one of its own here.
      spec: permutation specification.
      affine: by the same names, in order from input to output, the paths of the arrays
        that scale and shift a ``hidden``: kernel and bias, or scale and offset of a
        normalisation.
      first: pytree of weights, at t = 0.
      second: the same at t = 1, aligned.
      between: the weights to repair, at ``t``.
      t: position.
      x: examples ``[n, ...]``.

    Returns:
      The same pytree. A unit whose input does not vary, but for rounding of its own
      size or of that at the ends, is shifted, not scaled.
    """
    ends = [_moments(hidden(weights, x)) for weights in (first, second)]
    for name, (scale, shift) in affine.items():
        weight = jnp.asarray(t, jnp.float64)
        target = (1 - weight) * ends[0][name] + weight * ends[1][name]
        own = _moments(hidden(between, x))[name]
        largest = jnp.maximum(jnp.square(own).sum(0), jnp.square(target[1]))
        varies = jnp.square(own[1]) > CONSTANT * largest
        gain = jnp.where(varies, target[1] / jnp.where(varies, own[1], 1), 1)
        # The last such axis: kernels end with what they give.
        axis = max(i for i, e in enumerate(spec[scale]) if e == spec[shift][0])
        factors = {scale: _along(gain, axis, len(spec[scale])), shift: gain}
        shifts = {shift: target[0] - own[0] * gain}
        between = _affine(between, factors, shifts)
    return between


def _along(values: Array, axis: int, axes: int) -> Array:
    """``values [units]`` shaped to multiply one axis of an array with ``axes`` axes."""
    return values.reshape([-1 if i == axis else 1 for i in range(axes)])


def _affine(weights: Any, factors: dict[str, Array], shifts: dict[str, Array]) -> Any:
    """The arrays at some paths multiplied, then shifted; their dtypes stay."""

    def change(path, array):
        name = keystr(path, simple=True, separator="/")
        if name not in factors:
            return array
        changed = array.astype(jnp.float64) * factors[name] + shifts.get(name, 0)
        return changed.astype(array.dtype)

    return jax.tree_util.tree_map_with_path(change, weights)


def _moments(hidden: Mapping[str, Array]) -> dict[str, Array]:
    """Mean and standard deviation of each unit, float64 ``[2, units]`` by group."""
    moments = {}
    for group, values in hidden.items():
        values = values.astype(jnp.float64)
        axes = tuple(range(values.ndim - 1))
        moments[group] = jnp.stack([values.mean(axes), values.std(axes)])
    return moments
