"""Arc-cosine kernels (Cho & Saul 2009) for Gaussian inputs x ~ N(0, I)."""

import jax
import jax.numpy as jnp
from jax import Array

from lmc_jax.numerics import angle_terms


def step_kernel(cosine: Array) -> Array:
    """Degree 0: κ₀(t) = E[1{u·x > 0} 1{v·x > 0}] = (π - θ)/2π, θ = arccos t.

    Args:
      cosine: t = u·v of unit vectors, any shape.

    Returns:
      κ₀, shape and dtype of ``cosine``: ½ at 1, ¼ at 0, 0 at -1.
    """
    return angle_terms(cosine)[0] / (2 * jnp.pi)


@jax.custom_jvp
def relu_kernel(cosine: Array) -> Array:
    """Degree 1: κ(t) = E[relu(u·x) relu(v·x)] = (sin θ + (π - θ) cos θ)/2π.

    The derivative is κ'(t) = κ₀(t), finite everywhere (custom rule: through
    ``arccos`` it would be NaN at ±1).

    Args:
      cosine: t = u·v of unit vectors, any shape.

    Returns:
      κ, shape and dtype of ``cosine``: ½ at 1, 1/2π at 0, 0 at -1.
    """
    gap, sine = angle_terms(cosine)
    return (sine + gap * cosine) / (2 * jnp.pi)


@relu_kernel.defjvp
def _relu_kernel_jvp(primals, tangents):
    (cosine,), (tangent,) = primals, tangents
    return relu_kernel(cosine), step_kernel(cosine) * tangent
