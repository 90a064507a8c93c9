"""Permutations that align the neurons of one student with those of another.

A permutation ``perm`` maps row i of the result to row ``perm[i]`` of the input, so
``W[perm]`` computes the same function as ``W``.
"""

from lmc_jax.matching.types import LEFTOVERS, match_types
from lmc_jax.matching.weights import match_weights

# Names that sweeps and flags know.
MATCHINGS = (*(f"types_{leftovers}" for leftovers in LEFTOVERS), "weights")

__all__ = ["LEFTOVERS", "MATCHINGS", "match_types", "match_weights"]
