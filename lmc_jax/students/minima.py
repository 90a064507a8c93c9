"""The set of global minima: sampling from it, types, distance to it.

For m >= k every global minimum has rows ``wᵢ = aᵢ e_{τ(i)}``, ``aᵢ >= 0``, with
``Σ_{τ(i)=j} aᵢ = 1`` for every j < k (paper, Lemma 2). τ(i) is the *type* of neuron i.
Of a teacher with neurons vⱼ they are ``aᵢ v_{τ(i)}``, and nothing else changes.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from lmc_jax.numerics import safe_norm
from lmc_jax.students.teachers import Teacher, components, neurons, width


def sample(
    key: Array,
    m: int | Array,
    k: int | Teacher,
    d: int,
    *,
    alpha: float = 1.0,
    size: int | None = None,
) -> Array:
    """A global minimum drawn from the uniform model (paper, Assumption 3, Lemma 8).

    Counts are 1 + Multinomial(m - k, 1/k) in random order; within a type the norms
    are Dirichlet(α): uniform on the simplex for α = 1, all equal for α = ∞. Of equal
    keys minima have the same types and shares aᵢ, whatever the teacher.

    >>> W = sample(jax.random.key(0), 6, 2, 3)
    >>> W.shape, W.sum(axis=0).round(12).tolist()
    ((6, 3), [1.0, 1.0, 0.0])

    Args:
      key: PRNG key.
      m: width, m >= k; may be traced when ``size`` is given.
      k: teacher width, or a teacher.
      d: input dimension, d >= k.
      alpha: concentration α > 0 of the norms within a type, ∞ allowed.
      size: rows of the result (default m); rows from m on are zero.

    Returns:
      Float64 ``[size, d]``, not checked: give m >= k and d >= k.
    """
    teacher, k = k, width(k)
    rows = int(m) if size is None else size
    type_key, order_key, norm_key = jax.random.split(key, 3)
    row = jnp.arange(rows, dtype=jnp.int32)
    kind = jnp.where(
        row < k, row, jax.random.randint(type_key, (rows,), 0, k, jnp.int32)
    )
    if alpha == jnp.inf:
        log_mass = jnp.zeros(rows)
    elif alpha == 1:
        mass = jax.random.exponential(norm_key, (rows,))
        log_mass = jnp.log(jnp.maximum(mass, jnp.finfo(mass.dtype).tiny))  # may be 0
    else:
        log_mass = jax.random.loggamma(norm_key, alpha, (rows,))
    member = (kind == jnp.arange(k, dtype=jnp.int32)[:, None]) & (row < m)  # [k, rows]
    # Relative to the largest of the type: small α draws beyond the range of exp.
    largest = jnp.max(jnp.where(member, log_mass, -jnp.inf), axis=1)
    mass = jnp.where(row < m, jnp.exp(log_mass - largest[kind]), 0)
    norms = mass / jnp.sum(jnp.where(member, mass, 0), axis=1)[kind]
    draws = jnp.where(row < m, jax.random.uniform(order_key, (rows,)), jnp.inf)
    W = neurons(kind, teacher, d, norms.dtype) * norms[:, None]
    return W[jnp.argsort(draws)]


def types(W: Array, k: int | Teacher, zero: ArrayLike = 0.0) -> Array:
    """Type of each neuron: the teacher coordinate that carries its norm (Lemma 2).

    Of a teacher that is not orthonormal, its neuron at the smallest angle.

    >>> types(jnp.array([[0.0, 1.0], [0.6, 0.0], [0.0, 0.0]]), 2).tolist()
    [1, 0, 2]

    Args:
      W: ``[..., m, d]``.
      k: teacher width, or a teacher.
      zero: neurons with norm at most this have no type.

    Returns:
      int32 ``[..., m]`` in 0 ... k-1, or k for a neuron without type. Ties go to the
      lowest coordinate.
    """
    kind = jnp.argmax(components(W, k), axis=-1).astype(jnp.int32)
    return jnp.where(safe_norm(W) > zero, kind, width(k))


def counts(kinds: Array, k: int | Teacher) -> Array:
    """Number of neurons of each type: types ``[..., m]`` to int32 ``[..., k]``.

    >>> counts(jnp.array([1, 0, 1]), 3).tolist()
    [1, 2, 0]
    """
    return jnp.sum(
        kinds[..., None] == jnp.arange(width(k), dtype=kinds.dtype),
        axis=-2,
        dtype=jnp.int32,
    )


def off_axis_share(W: Array, k: int | Teacher) -> Array:
    """Share of the squared weight that no neuron carries along its type.

    1 - Σᵢ max(w_{i,τ(i)}, 0)² / Σᵢ |wᵢ|²: 0 on the set of global minima, at most 1.
    In place of a coordinate a teacher's component along its neuron's direction.

    >>> off_axis_share(jnp.array([[3.0, 0.0], [0.0, -4.0]]), 2).item()
    0.64

    Takes ``[..., m, d]``; returns ``[...]``, dtype of ``W``; 0 for the zero student.
    """
    along = jax.nn.relu(jnp.max(components(W, k), axis=-1))
    on_axis = jnp.sum(jnp.square(along), axis=-1)
    total = jnp.sum(jnp.square(W), axis=(-2, -1))
    return jnp.where(total > 0, 1 - on_axis / jnp.where(total > 0, total, 1), 0)


def distance(W: Array, k: int | Teacher) -> Array:
    """Euclidean distance to the nearest global minimum with the same type vector.

    Each type's components are projected on the simplex; an upper bound of the
    distance to the whole set, tight near it.

    >>> distance(jnp.array([[0.5, 0.0], [0.5, 0.0], [0.0, 1.3]]), 2).round(6).item()
    0.3

    Takes ``[m, d]``; returns a scalar, dtype of ``W``; ∞ when some type has no neuron,
    as always for m < k.
    """
    teacher, k = k, width(k)
    kind = types(W, teacher)
    parts = jnp.max(components(W, teacher), axis=-1)  # along the type
    if isinstance(teacher, Teacher):
        lengths = jnp.asarray(teacher.lengths, W.dtype)
        parts = parts / lengths[jnp.minimum(kind, k - 1)]  # in units of its neuron
    member = kind == jnp.arange(k, dtype=kind.dtype)[:, None]  # [k, m]
    ranked = -jnp.sort(jnp.where(member, -parts, jnp.inf), axis=1)
    present = jnp.isfinite(ranked)
    ranked = jnp.where(present, ranked, 0)
    shift = (jnp.cumsum(ranked, axis=1) - 1) / jnp.arange(
        1, W.shape[0] + 1, dtype=W.dtype
    )
    kept = jnp.sum(present & (ranked > shift), axis=1)  # support of the projection
    level = jnp.take_along_axis(shift, jnp.maximum(kept - 1, 0)[:, None], axis=1)[:, 0]
    typed = kind < k
    masses = jax.nn.relu(parts - level[jnp.minimum(kind, k - 1)])
    nearest = neurons(kind, teacher, W.shape[1], W.dtype) * masses[:, None]
    gap = jnp.where(typed[:, None], W - nearest, W)
    reached = jnp.all(jnp.any(member, axis=1))
    return jnp.where(reached, jnp.sqrt(jnp.sum(jnp.square(gap))), jnp.inf)
