"""Sharpness: the largest curvature of the population loss at a student.

Gradient descent with step size η can stay at a minimum only where η λ_max <= 2. At
global minima λ_max follows from the types alone (``stability.gauss_newton_sharpness``).
Conventions: ``L(W) = ½ E[(f - f*)²]``, x ~ N(0, I).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.numerics import unit
from lmc_jax.students.teachers import Teacher
from lmc_jax.students.two_layer import gradient

# Hessian-vector products. They give minima to rounding, and far from them, where many
# eigenvalues are close, at least 6 digits at m = 400.
ITERATIONS = 64


def sharpness(W: Array, k: int | Teacher) -> Array:
    """Algebraically largest eigenvalue λ_max of the Hessian of the population loss.

    Not the largest in size: away from minima there are negative ones. A zero neuron has
    no block, for the loss has a kink there. At least ½ if any neuron is nonzero: the
    curvature along any single neuron (norms from 1e-150 to 1e100; shorter ones may
    count as zero, longer ones give NaN). The residual of f adds a term that grows
    as a neuron shrinks: near a minimum with a neuron shorter than 1e-10 the rounding of
    the weights decides it.

    Lanczos iteration from a fixed random direction. Vectors are not orthogonalised
    again: rounding adds copies of eigenvalues found already, and the largest is the
    same (Paige 1971). For the same reason nothing is done when an invariant subspace
    is exhausted, which at minima, with few distinct eigenvalues, it soon is: the
    iteration goes on with rounding errors for a vector, or with zero, and what that or
    zero neurons add, eigenvalues 0 among them, is not above the largest.

    Args:
      W: ``[m, d]``.
      k: teacher width, at most d, or a teacher.

    Returns:
      Scalar, dtype of ``W``; 0 if all rows are zero, NaN if some are not finite.
    """
    # A constant of the program: compiled in a third of the time of JAX's generator.
    start = np.random.default_rng(0).normal(size=W.shape)
    vector, _ = _normalised(jnp.asarray(start, W.dtype))

    def step(carry, _):
        previous, vector, coupling = carry
        product = jax.jvp(functools.partial(gradient, k=k), (W,), (vector,))[1]
        image = product - coupling * previous
        value = jnp.sum(vector * image)
        following, coupling = _normalised(image - value * vector)
        return (vector, following, coupling), (value, coupling)

    first = (jnp.zeros_like(W), vector, jnp.zeros((), W.dtype))
    _, (values, couplings) = jax.lax.scan(step, first, length=ITERATIONS)
    return _largest_eigenvalue(values, couplings[:-1])


def _largest_eigenvalue(diagonal: Array, side: Array) -> Array:
    """Of a symmetric tridiagonal matrix T ``[n], [n - 1]``, by bisection.

    x is above all eigenvalues where the pivots of x - T are positive (Sturm). Any T
    will do; divide and conquer, behind ``jnp.linalg.eigvalsh``, fails on some that have
    many copies of an eigenvalue, and returns NaN.
    """
    squares = jnp.pad(jnp.square(side), (1, 0))

    def above(x):
        def pivot(last, row):
            value = x - row[0] - row[1] / last
            return value, value > 0

        return jax.lax.scan(pivot, jnp.ones_like(x), (diagonal, squares))[1].all()

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        over = above(middle)
        return jnp.where(over, low, middle), jnp.where(over, middle, high)

    radii = jnp.pad(jnp.abs(side), (0, 1)) + jnp.pad(jnp.abs(side), (1, 0))
    bounds = jnp.max(diagonal), jnp.max(diagonal + radii)  # Rayleigh, Gershgorin
    return jax.lax.fori_loop(0, 64, halve, bounds)[1]


def _normalised(V: Array) -> tuple[Array, Array]:
    """Direction and Frobenius norm of ``[m, d]``; zero and 0 for zero."""
    direction, norm = unit(V.ravel())
    return direction.reshape(V.shape), norm
