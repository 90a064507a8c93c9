"""Sharpness: the largest curvature of the population loss at a student.

Gradient descent with step size η can stay at a minimum only where η λ_max <= 2. At
global minima λ_max follows from the types alone (``theory.gauss_newton_sharpness``).
Conventions: ``L(W) = ½ E[(f - f*)²]``, x ~ N(0, I).
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from lmc_jax.numerics import unit
from lmc_jax.two_layer import gradient


def hessian_vector(W: Array, V: Array, k: int) -> Array:
    """Hessian of the population loss at W, applied to V: a Jacobian-vector product.

    A zero neuron has no block: the loss has a kink there. Rows of V at zero rows of W
    are ignored, and rows of the result are zero there.

    Args:
      W: ``[..., m, d]``, d >= k.
      V: shape and dtype of ``W``.
      k: teacher width.

    Returns:
      Shape and dtype of ``W``.
    """
    alive = _alive(W)
    slope = functools.partial(gradient, k=k)
    return jnp.where(alive, jax.jvp(slope, (W,), (jnp.where(alive, V, 0),))[1], 0)


def sharpness(W: Array, k: int, *, iterations: int = 64) -> Array:
    """Algebraically largest eigenvalue λ_max of the Hessian of the population loss.

    The most positive, not the largest in size: away from minima there are negative
    ones. At least ½ where a neuron is left: the curvature along any single neuron.

    Lanczos iteration from a fixed random direction. Vectors are not orthogonalised
    again: rounding adds copies of eigenvalues found already, and the largest is the
    same (Paige 1971). For the same reason nothing is done when an invariant subspace
    is exhausted, which at minima, with few distinct eigenvalues, it soon is: the
    iteration goes on with rounding errors for a vector, or with zero.

    Args:
      W: ``[m, d]``, d >= k.
      k: teacher width.
      iterations: Hessian-vector products, static.

    Returns:
      Scalar, dtype of ``W``; 0 if all rows are zero, NaN if some are not finite.
    """
    start = jax.random.normal(jax.random.key(0, impl="threefry2x32"), W.shape, W.dtype)
    # Neurons without a block take no part.
    vector, _ = _normalised(jnp.where(_alive(W), start, 0))

    def step(carry, _):
        previous, vector, coupling = carry
        image = hessian_vector(W, vector, k) - coupling * previous
        value = jnp.sum(vector * image)
        following, coupling = _normalised(image - value * vector)
        return (vector, following, coupling), (value, coupling)

    first = (jnp.zeros_like(W), vector, jnp.zeros((), W.dtype))
    _, (values, couplings) = jax.lax.scan(step, first, length=iterations)
    side = jnp.diag(couplings[:-1], 1)
    # Zero vectors add eigenvalues 0, below the largest.
    largest = jnp.linalg.eigvalsh(jnp.diag(values) + side + side.T)[-1]
    return jnp.where(jnp.isfinite(W).all(), largest, jnp.nan)


def _alive(W: Array) -> Array:
    """Which neurons are not zero, bool ``[..., m, 1]``."""
    return jnp.any(W != 0, axis=-1, keepdims=True)


def _normalised(V: Array) -> tuple[Array, Array]:
    """Direction and Frobenius norm of ``[m, d]``; zero and 0 for zero."""
    direction, norm = unit(V.ravel())
    return direction.reshape(V.shape), norm
