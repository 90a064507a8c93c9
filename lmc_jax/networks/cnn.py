"""A small convolutional network."""

import itertools
from collections.abc import Sequence

from lmc_jax.networks.chain import Network, chain
from lmc_jax.networks.layers import NORMS


def cnn(
    shape: Sequence[int],
    channels: Sequence[int],
    hidden: Sequence[int],
    classes: int,
    norm: str = "none",
) -> Network:
    """3 × 3 convolutions, relu and 2 × 2 max-pooling after each, then dense layers.

    Layers are ``conv1``, ..., ``hidden1``, ..., ``output``. Images are flattened
    channels last: row ``position · channels + channel`` of the first dense kernel
    belongs to a channel.

    Args:
      shape: of an image, (rows, columns, channels); rows and columns divisible by 2 to
        the number of convolutions.
      channels: of each convolution, at least one.
      hidden: units of each hidden dense layer, may be empty.
      classes: of the output.
      norm: one of ``NORMS``, before each relu; a layer normalisation of an image is
        over the channels of each position.

    Raises:
      ValueError: for sizes below 1, a shape that pooling does not divide, an unknown
        norm.
    """
    rows, columns, depth = shape
    factor = 2 ** len(channels)
    if rows % factor or columns % factor or not channels:
        raise ValueError(
            f"images of {rows} × {columns} with {len(channels)} poolings by 2: both "
            f"must be multiples of {factor}, and at least one convolution be there"
        )
    if min(*shape, *channels, *hidden, classes) < 1 or norm not in NORMS:
        raise ValueError(
            f"cnn(shape={tuple(shape)}, channels={tuple(channels)}, hidden="
            f"{tuple(hidden)}, classes={classes}, norm={norm!r}): give sizes of 1 or "
            f"more, and a norm among {', '.join(NORMS)}"
        )
    kernels: dict[str, tuple[int, ...]] = {}
    for i, ends in enumerate(itertools.pairwise((depth, *channels)), 1):
        kernels[f"conv{i}"] = (3, 3, *ends)
    flat = rows // factor * (columns // factor) * channels[-1]
    *inner, last = itertools.pairwise((flat, *hidden, classes))
    for i, ends in enumerate(inner, 1):
        kernels[f"hidden{i}"] = ends
    return chain(kernels | {"output": last}, norm)
