"""Networks as pure functions, with the permutations that leave them unchanged."""

from lmc_jax.networks.chain import Network
from lmc_jax.networks.cnn import cnn
from lmc_jax.networks.layers import NORMS
from lmc_jax.networks.mlp import mlp
from lmc_jax.networks.resnet import resnet

__all__ = ["NORMS", "Network", "cnn", "mlp", "resnet"]
