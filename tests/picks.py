"""Arrays and axes that a random program picks from those it has, and how it uses them.

A pool holds the weights first, then what was computed.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

WEIGHTS = 6


def rounded(x):
    """For choices by size: ties stay ties, whatever the order of sums was."""
    return jnp.round(x * 1e6)


def shuffled(rng, items):
    return [items[i] for i in rng.permutation(len(items))]


def pick(rng, pool, condition=lambda x: x.ndim > 0):
    """A random array that fulfils a condition, often a weight: these are least tied."""
    items = shuffled(rng, pool)
    if rng.integers(2):
        items = [*shuffled(rng, pool[:WEIGHTS]), *items]
    return next((x for x in items if condition(x)), None)


def axis_of(rng, x):
    return int(rng.integers(x.ndim))


def with_axis(rng, pool):
    """An array and one of its axes."""
    x = pick(rng, pool)
    return x, axis_of(rng, x)


def like(rng, pool, x):
    """Another array of a shape; or an array that broadcasts to it."""
    y = pick(rng, pool, lambda y: y.shape == x.shape and y is not x)
    if y is not None:
        return y
    y = pick(rng, pool, lambda y: y.ndim == 1 and y.shape[0] in x.shape)
    if y is None:
        return jnp.full(x.shape, 0.5)
    return lax.broadcast_in_dim(y, x.shape, (x.shape.index(y.shape[0]),))


def in_order(x):
    """What depends on the order along all axes."""
    return x * (np.arange(x.size).reshape(x.shape) / x.size)


def followed(rng, pool, x, axis):
    """What depends on the order along all axes, or is contracted with another array."""
    y = pick(rng, pool, lambda y: x.shape[axis] in y.shape)
    if y is None or rng.integers(2):
        return in_order(x)
    return jnp.tensordot(x, y, (axis, y.shape.index(x.shape[axis])))
