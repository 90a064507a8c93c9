"""Linear mode connectivity modulo permutation, simulated in JAX.

Loss L = ½ E[(f - f*)²] with inputs x ~ N(0, I_d) throughout. From the ground up:
``numerics``, ``paths``, ``statistics``; ``students`` (the two-layer model); ``theory``
and ``matching``; ``sweep`` (cells to measurements); ``results`` (what a sweep leaves);
``networks`` and ``data`` (deep networks, trained on images).

"The paper", here and in every docstring, is K. Zhan, P. Li and L. Wu, Analyzing the
Role of Permutation Invariance in Linear Mode Connectivity, arXiv:2503.06001 (2025).

Call `configure` first. A grid is made of `Cell`s, whose students are trained
(`Descent`) or sampled (`Minima`); `simulate` computes it in memory, `load` reads one
that an entrypoint left on disk. The matchings take students ``[pairs, 2, m, d]`` to
``(perm, info)``.

`align` brings the hidden units of any two networks in JAX into one order,
`barrier_curve` compares them, and `merge` makes one network of several. `infer_spec`
finds the permutation symmetries of a network, `explain_spec` says why other axes stay,
`check_spec` tries a specification.
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
from lmc_jax.networks.own import align, barrier_curve, merge
from lmc_jax.networks.symmetry import check_spec, explain_spec, infer_spec
from lmc_jax.results.summary import load
from lmc_jax.simulation import simulate
from lmc_jax.sweep.cell import Cell, Descent, Minima

__all__ = [
    "Cell",
    "Descent",
    "Minima",
    "align",
    "barrier_curve",
    "check_spec",
    "configure",
    "explain_spec",
    "infer_spec",
    "load",
    "lower_bound",
    "match_activations",
    "match_exhaustive",
    "match_identity",
    "match_refine",
    "match_types",
    "match_weights",
    "merge",
    "simulate",
]
