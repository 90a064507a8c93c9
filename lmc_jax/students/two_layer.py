"""The two-layer ReLU student, its teacher, and the loss between them.

Student ``f(x; W) = Σᵢ relu(wᵢ·x)``, teacher ``f*(x) = Σ_{j<k} relu(e_j·x)`` with e_j
the standard basis of R^d, k <= d (paper, Assumption 1), or with neurons of its own
(``teachers.Teacher``).

Conventions of every loss here: **L = ½ E[(f - f*)²]**, inputs **x ~ N(0, I_d)**.
Uniform inputs on the sphere of radius √d give the same loss; without the ½, losses
and barriers double and stable learning rates halve.

A zero neuron contributes nothing and has zero gradient (relu'(0) = 0), so a
student padded with zero rows is the same student.
"""

from numbers import Integral

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.numerics import angle_terms, matmul, relu_kernel, unit
from lmc_jax.students.teachers import Teacher, components, energies, padded, weighted


def init(
    key: Array,
    m: int | Array,
    d: int,
    std: ArrayLike,
    *,
    size: int | None = None,
    dtype=jnp.float32,
) -> Array:
    """A student with independent N(0, std²) entries.

    Args:
      key: PRNG key.
      m: width; may be traced when ``size`` is given.
      d: input dimension.
      std: standard deviation of an entry; √(2/d) is He initialisation.
      size: rows of the result, at least m (default m). Rows from m on are zero,
        and the first m rows do not depend on ``size``.
      dtype: of the result.

    Returns:
      ``[size, d]``.
    """
    rows = int(m) if size is None else size
    entries = jax.random.normal(key, (rows, d), dtype)
    return jnp.where(
        jnp.arange(rows, dtype=jnp.int32)[:, None] < m,
        entries * jnp.asarray(std, dtype),
        0,
    )


def require_teacher(k: int | Teacher, d: int) -> None:
    """Raises ValueError unless a teacher, of width k, fits into d dimensions."""
    if isinstance(k, Teacher):
        if k.d > d:
            raise ValueError(f"a teacher in {k.d} dimensions, inputs in {d}: give d")
        return
    if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= d:
        raise ValueError(f"k={k!r}: give an integer, 1 <= k <= d = {d}")


def loss(W: Array, k: int | Teacher) -> Array:
    """Population loss L(W) = ½ E[(f - f*)²], x ~ N(0, I) (paper, equation 3).

    2L = Σᵢₗ |wᵢ||wₗ| κ(ŵᵢ·ŵₗ) - 2 Σᵢⱼ |wᵢ| κ(ŵᵢ·e_j) + k/2 + k(k-1)/2π,

    and with neurons vⱼ the middle sum has |wᵢ||vⱼ| κ(ŵᵢ·v̂ⱼ), the rest is E[f*²].
    A difference of terms of order k²: pass float64 weights wherever the value
    is reported. Differentiable everywhere.

    Args:
      W: ``[..., m, d]``.
      k: teacher width, or a teacher.

    Returns:
      ``[...]``, dtype of ``W``.

    Raises:
      ValueError: unless 1 <= k <= d.
    """
    require_teacher(k, W.shape[-1])
    directions, norms = unit(W)
    gram = relu_kernel(matmul(directions, jnp.swapaxes(directions, -1, -2)))
    cross = weighted(relu_kernel(components(directions, k)), k)
    student_term = jnp.sum(norms * matmul(gram, norms[..., None])[..., 0], axis=-1)
    cross_term = jnp.sum(norms * jnp.sum(cross, axis=-1), axis=-1)
    return (student_term - 2 * cross_term + sum(energies(k))) / 2


def gradient(W: Array, k: int | Teacher) -> Array:
    """Closed-form gradient of the population loss.

    2π ∂L/∂wᵢ = ŵᵢ (Σₗ sin θᵢₗ |wₗ| - Σⱼ sin θ*ᵢⱼ)
                + Σₗ (π - θᵢₗ) wₗ - Σⱼ (π - θ*ᵢⱼ) e_j,

    and with neurons vⱼ the terms |vⱼ| sin θ*ᵢⱼ and (π - θ*ᵢⱼ) vⱼ. It is
    zero at a zero neuron. Two matrix products and one elementwise map. A neuron
    shorter than 1e-24 in float32 (1e-155 in float64) counts as zero; neurons must be
    shorter than 1e10 (1e140).

    Args:
      W: ``[..., m, d]``.
      k: teacher width, or a teacher.

    Returns:
      ``[..., m, d]``, dtype of ``W``.

    Raises:
      ValueError: unless 1 <= k <= d.
    """
    require_teacher(k, W.shape[-1])
    directions, norms, alive = _rows(W)
    cosine = matmul(directions, jnp.swapaxes(directions, -1, -2))
    # One long axis: XLA on CPU does not vectorise over the few columns of a matrix.
    flat = angle_terms(cosine.reshape(*cosine.shape[:-2], -1))
    gap, sine = (term.reshape(cosine.shape) for term in flat)
    if isinstance(k, Teacher):
        teacher_gap, teacher_sine = angle_terms(components(directions, k))
        own = jnp.asarray(padded(k.neurons, W.shape[-1]), W.dtype)
        taught_sine = jnp.sum(weighted(teacher_sine, k), axis=-1, keepdims=True)
        radial = matmul(sine, norms) - taught_sine
        total = directions * radial + matmul(gap, jnp.where(alive, W, 0))
        total = total - matmul(teacher_gap, own)
        return jnp.where(alive, total / (2 * jnp.pi), 0)
    # Angles to all d axes, where the teacher has k: one plain map vectorises.
    taught = jnp.arange(W.shape[-1], dtype=jnp.int32) < k
    teacher_gap, teacher_sine = angle_terms(directions)
    radial = matmul(sine, norms) - jnp.sum(
        jnp.where(taught, teacher_sine, 0), axis=-1, keepdims=True
    )
    # A zero neuron has no block in the Hessian: its motion must not enter here.
    total = directions * radial + matmul(gap, jnp.where(alive, W, 0))
    total = total - jnp.where(taught, teacher_gap, 0)
    return jnp.where(alive, total / (2 * jnp.pi), 0)


def _rows(W: Array) -> tuple[Array, Array, Array]:
    """Directions, norms, and which neurons count as not zero, ``[..., m, 1]``.

    Leaner than ``numerics.unit``, which scales every vector by its largest entry:
    one fixed scale, so that squares stay in the range of float32.
    """
    scale = 2.0**30
    scaled = W * scale
    squares = jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)
    info = jnp.finfo(W.dtype)
    alive = ~(squares < float(info.tiny) / float(info.eps))  # true for NaN
    root = jnp.sqrt(jnp.where(alive, squares, 1))
    # A divisor of full shape: XLA would multiply by the reciprocal of a broadcast
    # one, and vectors on an axis would not have a direction of exactly 1. An infinite
    # one makes the direction of a zero neuron zero.
    divisor = jnp.where(jnp.broadcast_to(alive, W.shape), root, jnp.inf)
    return scaled / divisor, jnp.where(alive, root / scale, 0), alive


def sampled_gradient(W: Array, x: Array, k: int | Teacher) -> Array:
    """Gradient in W ``[m, d]`` of ½ mean (f(x; W) - f*(x))² over inputs x ``[n, d]``.

    Unbiased for ``gradient`` when x ~ N(0, I); relu'(0) = 0. Raises ValueError unless
    1 <= k <= d.
    """
    require_teacher(k, W.shape[-1])
    pre = matmul(x, W.T)  # [n, m]
    residual = jnp.sum(jax.nn.relu(pre), axis=-1)
    taught = weighted(jax.nn.relu(components(x, k)), k)
    residual = residual - jnp.sum(taught, axis=-1)
    gates = (pre > 0).astype(W.dtype)
    return matmul((gates * residual[:, None]).T, x) / x.shape[0]
