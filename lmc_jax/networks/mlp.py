"""Multilayer perceptrons of any depth and width."""

import itertools
from collections.abc import Sequence

from lmc_jax.networks.chain import Network, chain
from lmc_jax.networks.layers import NORMS


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
    if len(sizes) < 3 or min(sizes) < 1 or norm not in NORMS:
        raise ValueError(
            f"mlp({len(sizes)} sizes, norm={norm!r}): give at least three sizes of 1 "
            f"or more, and a norm among {', '.join(NORMS)}"
        )
    names = [f"hidden{i}" for i in range(1, len(sizes) - 1)] + ["output"]
    return chain(dict(zip(names, itertools.pairwise(sizes), strict=True)), norm)
