"""Angles and norms whose value *and* gradient are stated at every singular point.

Axis letters, here and everywhere: m student neurons, k teacher neurons,
d input dimensions; batch axes come first.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

# arccos(t) = sqrt(1 - t) p(t) on [0, 1]: p interpolated at Chebyshev nodes in
# 60-digit arithmetic, lowest power first. 8 terms reach float32 and 19 float64.
_ARCCOS_FLOAT32 = (
    1.570796298215578,
    -0.21459815556457223,
    0.08896885320062521,
    -0.050114303104553254,
    0.030722122418260587,
    -0.016841052415648962,
    0.006491521428436943,
    -0.001211737769810765,
)
_ARCCOS_FLOAT64 = (
    1.5707963267948966,
    -0.2146018366025291,
    0.08904862254535685,
    -0.05079281441185077,
    0.033681283913944246,
    -0.02437428870736041,
    0.018671924895886247,
    -0.014883716911668383,
    0.012204222556739083,
    -0.010179262619656255,
    0.008488622201035963,
    -0.00687234077918991,
    0.0051738227583054824,
    -0.0034365364358776625,
    0.0019013872168371102,
    -0.0008225176217151634,
    0.00025684342254966386,
    -5.097738364154923e-05,
    4.797541033020616e-06,
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
    terms = _ARCCOS_FLOAT64 if cosine.dtype == jnp.float64 else _ARCCOS_FLOAT32
    poly = jnp.full_like(size, terms[-1])
    for term in reversed(terms[:-1]):
        poly = poly * size + jnp.asarray(term, cosine.dtype)
    root = jnp.sqrt(1 - size)
    acute = root * poly  # arccos |cosine|
    gap = jnp.where(cosine < 0, acute, jnp.asarray(jnp.pi, cosine.dtype) - acute)
    return gap, root * jnp.sqrt(1 + size)


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
