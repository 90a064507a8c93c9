"""Angles and norms whose value *and* gradient are stated at every singular point.

Axis letters, here and everywhere: m student neurons, k teacher neurons,
d input dimensions; batch axes come first.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

# arccos(t)² = (1 - t) q(t) on [0, 1]: q interpolated at Chebyshev nodes in 60-digit
# arithmetic, lowest power first. 8 terms reach float32 and 19 float64.
_SQUARE_FLOAT32 = (
    2.4674009811391877,
    -0.6741762080464431,
    0.32547581992705465,
    -0.19495955901850223,
    0.1231864017853444,
    -0.06857372112951439,
    0.02663907607989585,
    -0.004992857003848629,
)
_SQUARE_FLOAT64 = (
    2.4674011002723395,
    -0.6741915533173559,
    0.3258084466707485,
    -0.1977903283477114,
    0.1355429898900318,
    -0.10007621658537552,
    0.07769893910773179,
    -0.062530545868172,
    0.0516400147857329,
    -0.043306715677305,
    0.03626424479953367,
    -0.029450067358712993,
    0.02222038345930851,
    -0.014781675926344575,
    0.008186987914195545,
    -0.0035441021091428848,
    0.001107241765819203,
    -0.00021983791551882337,
    2.069444019768993e-05,
)

# Matrix products at full precision: TF32 or bfloat16 cosines would be wrong in
# the third digit, and angles near zero with them.
matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp
def angle_terms(cosine: Array) -> tuple[Array, Array]:
    """The pair (π - θ, sin θ) for θ = arccos(cosine).

    Both come from the same cosine, so that in ``sin θ · |w| - θ · w`` their
    rounding errors cancel to second order. Error at most 3 units in the last
    place in float32 and float64.

    Args:
      cosine: any shape, float32 or float64. Values outside [-1, 1], as rounding
        produces them, count as ±1.

    Returns:
      ``(π - θ, sin θ)``, shapes and dtype of ``cosine``. At +1: (π, 0); at -1: (0, 0).
      The derivatives ``1/sin θ`` and ``-cos θ/sin θ`` are taken as 0 at ±1: there the
      cosine of two vectors is stationary, and 0 is what their product tends to in
      every gradient and Hessian of the loss.
    """
    size = jnp.minimum(jnp.abs(cosine), 1)
    terms = _SQUARE_FLOAT64 if cosine.dtype == jnp.float64 else _SQUARE_FLOAT32
    poly = jnp.full_like(size, terms[-1])
    for term in reversed(terms[:-1]):
        poly = poly * size + jnp.asarray(term, cosine.dtype)
    # Both end in a square root: XLA computes costly values once, where it would
    # repeat a polynomial in every loop that reads it.
    acute = jnp.sqrt((1 - size) * poly)  # arccos |cosine|
    gap = jnp.where(cosine < 0, acute, jnp.asarray(jnp.pi, cosine.dtype) - acute)
    return gap, jnp.sqrt((1 - size) * (1 + size))


@angle_terms.defjvp
def _angle_terms_jvp(primals, tangents):
    (cosine,), (tangent,) = primals, tangents
    gap, sine = angle_terms(cosine)
    regular = sine > 0
    slope = jnp.where(regular, tangent / jnp.where(regular, sine, 1), 0)
    return (gap, sine), (slope, -cosine * slope)


def unit(vectors: Array) -> tuple[Array, Array]:
    """Directions and norms over the last axis.

    Scaled by the largest entry, so that neither tiny nor huge entries leave the range
    of the dtype when squared.

    Args:
      vectors: ``[..., d]``.

    Returns:
      ``(directions [..., d], norms [...])``. The zero vector has direction 0 and
      norm 0; both derivatives are 0 there. Entries that are not finite show in both.
    """
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    nonzero = scale != 0  # true for NaN, which must not pass for a zero vector
    scale = jnp.where(nonzero, scale, 1)
    scaled = vectors / scale
    squares = jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)
    root = jnp.sqrt(jnp.where(nonzero, squares, 1))
    directions = jnp.where(nonzero, scaled / root, 0)
    return directions, jnp.where(nonzero, scale * root, 0)[..., 0]


def safe_norm(vectors: Array) -> Array:
    """Euclidean norms ``[...]`` over the last axis; gradient 0 at the zero vector."""
    return unit(vectors)[1]


def step_kernel(cosine: Array) -> Array:
    """Degree 0: κ₀(t) = E[1{u·x > 0} 1{v·x > 0}] = (π - θ)/2π, θ = arccos t.

    Takes t = u·v of unit vectors, any shape; returns its shape and dtype: ½ at 1, ¼ at
    0, 0 at -1.
    """
    return angle_terms(cosine)[0] / (2 * jnp.pi)


@jax.custom_jvp
def relu_kernel(cosine: Array) -> Array:
    """Degree 1: κ(t) = E[relu(u·x) relu(v·x)] = (sin θ + (π - θ) cos θ)/2π.

    Takes t = u·v of unit vectors, any shape; returns its shape and dtype: ½ at 1, 1/2π
    at 0, 0 at -1. The derivative is κ'(t) = κ₀(t), finite everywhere (custom rule:
    through ``arccos`` it would be NaN at ±1).
    """
    gap, sine = angle_terms(cosine)
    return (sine + gap * cosine) / (2 * jnp.pi)


@relu_kernel.defjvp
def _relu_kernel_jvp(primals, tangents):
    (cosine,), (tangent,) = primals, tangents
    return relu_kernel(cosine), step_kernel(cosine) * tangent
