"""Linear mode connectivity modulo permutation, simulated in JAX.

Loss L = ½ E[(f - f*)²] with inputs x ~ N(0, I_d) throughout. The floors, from the
ground up: ``numerics``, ``kernels``; ``two_layer``, ``minima``; ``descent``,
``matching``, ``interpolation``; ``measures``, ``theory``; ``sweep``; and on the host
``store``, ``summary``, ``figures``, ``environment``.
"""

from lmc_jax.environment import configure
from lmc_jax.matching import (
    lower_bound,
    match_activations,
    match_exhaustive,
    match_identity,
    match_refine,
    match_types,
    match_weights,
)
from lmc_jax.spec import Cell, Descent, Minima
from lmc_jax.summary import load

__all__ = [
    "Cell",
    "Descent",
    "Minima",
    "configure",
    "load",
    "lower_bound",
    "match_activations",
    "match_exhaustive",
    "match_identity",
    "match_refine",
    "match_types",
    "match_weights",
]
