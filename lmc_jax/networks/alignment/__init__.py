"""Alignment of networks layer by layer, on any pytree with a permutation specification.

The result is always ``(perms, info)``: ``permutations.permute(second, spec, perms)`` is
the second network with its hidden units in the order of the first's.
"""

from lmc_jax.networks.alignment.activations import align_activations
from lmc_jax.networks.alignment.many import align_many
from lmc_jax.networks.alignment.weights import align_weights

__all__ = ["align_activations", "align_many", "align_weights"]
