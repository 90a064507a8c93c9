"""Multilayer perceptrons of any depth and width."""

import itertools
from collections.abc import Sequence

import jax
from jax import Array

from lmc_jax.networks import layers
from lmc_jax.networks.layers import Network, Weights


def mlp(sizes: Sequence[int], norm: str = "none") -> Network:
    """A fully connected relu network, examples flattened.

    Layers are ``hidden1``, ``hidden2``, ..., ``output``; kernels ``[in, out]``. What
    the paper calls a 4-layer MLP of width m has three hidden layers here: ``sizes =
    (784, m, m, m, 10)``.

    Args:
      sizes: of the input, the hidden layers, the output; at least three.
      norm: one of ``NORMS``, before each relu.

    Raises:
      ValueError: for fewer than three sizes, a size below 1, an unknown norm.
    """
    if len(sizes) < 3 or min(sizes) < 1 or norm not in layers.NORMS:
        raise ValueError(
            f"mlp(sizes={tuple(sizes)}, norm={norm!r}): give at least three sizes of 1 "
            f"or more, and a norm among {', '.join(layers.NORMS)}"
        )
    groups = tuple(f"hidden{i}" for i in range(1, len(sizes) - 1))

    def init(key: Array) -> Weights:
        keys = jax.random.split(key, len(sizes) - 1)
        pairs = itertools.pairwise(sizes)
        weights = {
            name: layers.he_layer(layer_key, fan_in, fan_out)
            for name, layer_key, (fan_in, fan_out) in zip(
                (*groups, "output"), keys, pairs, strict=True
            )
        }
        if norm != "none":
            for group, units in zip(groups, sizes[1:-1], strict=True):
                weights[f"{group}_norm"] = layers.norm_layer(units, norm)
        return weights

    def forward(weights, x, training):
        x = x.reshape(x.shape[0], -1).astype(weights["output"]["kernel"].dtype)
        trace = layers.Trace({}, {})
        return layers.dense_stack(weights, groups, x, norm, training, trace)

    spec = layers.dense_spec(None, groups, norm)
    return layers.network(init, forward, spec, groups, norm)
