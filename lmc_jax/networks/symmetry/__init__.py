"""The permutation symmetries of a network, read off its jaxpr.

From the ground up: ``axes`` (expressions for axes), ``rules`` (what a rule is), the
rules of all operations by kind, ``program`` (a jaxpr interpreted by them), ``infer``
(the specification, and what kept other axes where they are), ``check``.

The invariant, by induction over a program's equations: permute the weights by any
permutations of the atoms that are free, and every array on the way is permuted by the
permutations of its own axes. Inputs and outputs are fixed, so that outputs stay the
same. An operation without a rule fixes all that it touches: a symmetry may be missed,
none is invented.
"""

from lmc_jax.networks.symmetry.check import check_spec
from lmc_jax.networks.symmetry.infer import Explanation, explain_spec, infer_spec

__all__ = ["Explanation", "check_spec", "explain_spec", "infer_spec"]
