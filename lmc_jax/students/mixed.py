"""The path between two global minima, from the neurons that mix two types alone.

Neurons of equal type stay on their axis along the whole path, where their masses add up
to what the teacher has. With the pairs (a e_p, b e_q) of unequal types p and q,

    f_t - f* = Σ_mixed relu((1-t) a x_p + t b x_q) - Σⱼ ρⱼ(t) relu(xⱼ),

ρⱼ(t) = (1-t) ρⱼ + t ρ'ⱼ, and ρⱼ (ρ'ⱼ) the mass of the type-j neurons of the first
(second) student among them. Of u mixed pairs a loss costs O(u²), whatever the width.
Of a teacher with neurons vⱼ the same is so with v̂ⱼ·x in place of xⱼ.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.numerics import matmul, relu_kernel, safe_norm, unit
from lmc_jax.students.minima import types
from lmc_jax.students.teachers import Teacher, components, width

ROWS = 32  # of the u × u kernel matrix that are worked on at a time


class Mixed(NamedTuple):
    """Partners of unequal type: masses ``[2, u]``, and types ``[2, u]`` below k.

    Entries of mass 0 stand for pairs that do not mix; their type does not matter.
    """

    masses: Array | np.ndarray
    kinds: Array | np.ndarray


def mixed(pair: Array, perm: Array, k: int | Teacher) -> Mixed:
    """The mixed pairs among the rows of two global minima.

    A neuron whose partner is zero stays on its axis, and is not mixed.

    Takes global minima ``[2, m, d]`` and a permutation ``[m]``: row ``perm[i]`` of the
    second is partner of row i. Returns m pairs, those that do not mix with mass 0.
    """
    aligned = jnp.stack([pair[0], pair[1][perm]])
    kinds = types(aligned, k)  # [2, m], k for zero neurons
    parted = (kinds[0] != kinds[1]) & (kinds < width(k)).all(axis=0)
    return Mixed(jnp.where(parted, safe_norm(aligned), 0), kinds)


def path_losses(pairs: Mixed, k: int | Teacher, ts: Array) -> Array:
    """Losses along the path, equal to those of the whole students.

    >>> swapped = Mixed(jnp.ones((2, 2)), jnp.array([[0, 1], [1, 0]]))
    >>> path_losses(swapped, 2, jnp.array([0.0, 0.5])).round(4).tolist()
    [0.0, 0.0908]

    Args:
      pairs: u mixed pairs of two students that are global minima to rounding.
      k: teacher width, or a teacher.
      ts: positions on the path ``[T]``, float64 as the masses.

    Returns:
      ``[T]``, in units of the loss ½ E[(f - f*)²], x ~ N(0, I). All terms are of the
      order of the squared unmatched mass: no loss is a difference of large ones.
    """
    own = jax.nn.one_hot(pairs.kinds, width(k), dtype=ts.dtype)
    own = own * pairs.masses[..., None]

    def at(t):
        neurons = (1 - t) * own[0] + t * own[1]  # [u, k]
        rho = jnp.sum(neurons, axis=0)
        if isinstance(k, Teacher):
            neurons = matmul(neurons, jnp.asarray(k.directions, ts.dtype))  # [u, d]
        directions, norms = unit(neurons)

        def pull(direction):
            """What the residual has in the direction of one neuron."""
            others = relu_kernel(matmul(directions, direction))
            pushed = matmul(others, norms)
            return pushed - 2 * matmul(relu_kernel(components(direction, k)), rho)

        pulls = jax.lax.map(pull, directions, batch_size=ROWS)
        return matmul(norms, pulls) / 2 + _all_axes(rho, k)

    return jax.lax.map(at, ts)


def certificate(pairs: Mixed, k: int | Teacher, ts: Array) -> Array:
    """Upper bound of the loss on the path between two aligned global minima.

    ½ ρ(t)ᵀ K ρ(t) >= L((1-t) W + t W'[perm]), with K = ½ on the diagonal and 1/2π off
    it. Proof: f* - f_t is Σⱼ ρⱼ(t) relu(xⱼ) less the mixed neurons, which lie between 0
    and that sum by convexity of relu; its square has mean ρᵀKρ. K of a teacher is its
    kernel: the bound does not vanish as its neurons become parallel, the loss does.

    A bound for the t it is given: it is convex in t, so that its values at 0 and 1
    (losses there are 0) exceed all between, and no barrier is to be compared with them.

    Args:
      pairs: the mixed pairs of global minima; of other students nothing is bounded.
      k: teacher width, or a teacher.
      ts: positions on the path ``[T]``, dtype of the masses.

    Returns:
      ``[T]``, in units of the loss ½ E[(f - f*)²], x ~ N(0, I).
    """
    own = jax.nn.one_hot(pairs.kinds, width(k), dtype=pairs.masses.dtype)  # [2, u, k]
    rho = jnp.sum(own * pairs.masses[..., None], axis=1)  # [2, k]
    return _all_axes((1 - ts)[:, None] * rho[0] + ts[:, None] * rho[1], k)


def _all_axes(rho: Array, k: int | Teacher) -> Array:
    """½ ρᵀKρ of masses ``[..., k]`` on the axes, or on the teacher's directions."""
    if isinstance(k, Teacher):
        kernel = jnp.asarray(k.kernel, rho.dtype)
        return jnp.sum(matmul(rho, kernel) * rho, axis=-1) / 2
    same = jnp.sum(jnp.square(rho), axis=-1)
    total = jnp.square(jnp.sum(rho, axis=-1))
    return (same / 2 + (total - same) / (2 * math.pi)) / 2
