"""Permutations that align the neurons of one student with those of another.

Every matching takes students ``[pairs, 2, m, d]`` and returns ``(perm, info)``:
``perm [pairs, m]`` maps row i of the aligned second student to row ``perm[i]`` of it,
so that ``W[perm]`` computes the same function as ``W``, and ``info`` names what was
optimised.

``align_types`` serves single pairs under ``jit``. Deeper networks are aligned by
``lmc_jax.networks.alignment``.
"""

from lmc_jax.matching.assignment import (
    match_activations,
    match_identity,
    match_weights,
)
from lmc_jax.matching.bound import lower_bound
from lmc_jax.matching.exhaustive import match_exhaustive
from lmc_jax.matching.refine import match_refine
from lmc_jax.matching.registry import ALGORITHM_1, DIRECT, MATCHINGS, PATHS, Matching
from lmc_jax.matching.types import LEFTOVERS, align_types, match_types

__all__ = [
    "ALGORITHM_1",
    "DIRECT",
    "LEFTOVERS",
    "MATCHINGS",
    "PATHS",
    "Matching",
    "align_types",
    "lower_bound",
    "match_activations",
    "match_exhaustive",
    "match_identity",
    "match_refine",
    "match_types",
    "match_weights",
]
