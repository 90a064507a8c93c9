"""Gauss-Newton sharpness of minima of teachers that are not orthonormal.

Conventions as in ``theory``; what holds of orthonormal teachers is in ``stability``.
"""

import functools

import numpy as np
import scipy  # its parts load when first used

from lmc_jax.students.teachers import Teacher
from lmc_jax.theory.overlap import Floats


@functools.lru_cache
def gate_blocks(teacher: Teacher) -> Floats:
    """B_pq = E[x xᵀ 1{v_p·x > 0} 1{v_q·x > 0}] ``[k, k, r, r]``, x ~ N(0, I).

    ((π - θ)/2π) I + (sin θ/2π)(b bᵀ - n nᵀ), θ the angle of v_p and v_q, b and n the
    unit vectors along the sum and the difference of their directions: ½ I for parallel
    ones, 0 for opposite ones. In an orthonormal basis of r >= k dimensions that holds
    the neurons; in every direction beyond it is (π - θ)/2π.
    """
    units = np.linalg.qr(teacher.directions.T)[1].T  # [k, r], their coordinates
    more, less = (units[:, None] + sign * units for sign in (1, -1))
    long, short = (np.linalg.norm(one, axis=-1) for one in (more, less))
    theta = 2 * np.arctan2(short, long)
    along, across = (  # sin θ b bᵀ and sin θ n nᵀ, with sin θ = |more||less|/2
        _over(other, 2 * own)[..., None, None] * one[..., :, None] * one[..., None, :]
        for one, own, other in ((more, long, short), (less, short, long))
    )
    own = (np.pi - theta)[..., None, None] * np.eye(units.shape[1])
    return (own + along - across) / (2 * np.pi)


def _over(one: Floats, other: Floats) -> Floats:
    """one/other, 0 where other is."""
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)


def top(teacher: Teacher, counts: Floats) -> tuple[float, Floats]:
    """λ_max of the blocks √(n_p n_q) B_pq at real counts ``[k]``, and its gradient.

    That in the counts is |Σ_q B_pq √n_q u_q|²/λ_max ``[k]``, u the eigenvector.
    Directions beyond the span of the neurons have no larger eigenvalue: theirs is the
    mean of the quadratic form over the span, since gates do not see the length of x.
    """
    blocks, root = gate_blocks(teacher), np.sqrt(counts)
    k, _, r, _ = blocks.shape
    scaled = blocks * np.multiply.outer(root, root)[..., None, None]
    matrix = np.moveaxis(scaled, 2, 1).reshape(k * r, k * r)
    values, vectors = np.linalg.eigh(matrix)
    if not values[-1] > 0:
        return 0.0, np.zeros(k)
    mass = root[:, None] * vectors[:, -1].reshape(k, r)
    pulls = np.einsum("pqab,qb->pa", blocks, mass)
    return float(values[-1]), np.sum(np.square(pulls), axis=1) / values[-1]


@functools.lru_cache
def least_sharpness(teacher: Teacher) -> float:
    """Least λ_max of a minimum, over m: at the best real shares of the types.

    λ_max(n) is convex and of degree 1 in the counts n: 2/λ_max is largest at one set
    of shares. Of equal angles these are equal, and λ_max k = μ_k(ρ) is the top
    eigenvalue of [[½ - c + (k-1)s, (k-2)σt], [c, ½ + (k-1)c + σt]] with cosine ρ =
    cos θ, c = (π - θ)/2π, s = sin θ/2π, t = tan(θ/2)/2π, σ = 1 + (k-1)ρ, which rises
    from that of an orthonormal teacher to k/2 as ρ → 1.

    >>> from lmc_jax.students.teachers import named
    >>> [round(5 * least_sharpness(named(f"equiangular:{rho}", 5, 5)), 4)
    ...  for rho in (0, 0.5, 0.99)]
    [1.7911, 2.2849, 2.4994]
    """
    k = teacher.k
    one = {"type": "eq", "fun": lambda p: np.sum(p) - 1, "jac": lambda _: np.ones(k)}
    found = scipy.optimize.minimize(
        lambda shares: top(teacher, shares),
        np.full(k, 1 / k),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * k,
        constraints=one,
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    shares = np.maximum(found.x, 0)
    return top(teacher, shares / shares.sum())[0]
