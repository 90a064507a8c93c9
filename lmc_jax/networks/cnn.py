"""A small convolutional network."""

from collections.abc import Sequence

import jax
from jax import Array

from lmc_jax.networks import layers
from lmc_jax.networks.layers import Network, Weights
from lmc_jax.permutations import Entry, Tiled


def cnn(
    shape: Sequence[int],
    channels: Sequence[int],
    hidden: Sequence[int],
    classes: int,
    norm: str = "none",
) -> Network:
    """3 × 3 convolutions, relu and 2 × 2 max-pooling after each, then dense layers.

    Layers are ``conv1``, ..., ``hidden1``, ..., ``output``. Images are flattened
    channels last, so that row ``position · channels + channel`` of the first dense
    kernel belongs to a channel.

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
    sizes = (*shape, *channels, *hidden, classes)
    if min(sizes) < 1 or norm not in layers.NORMS:
        raise ValueError(
            f"cnn(shape={tuple(shape)}, channels={tuple(channels)}, hidden="
            f"{tuple(hidden)}, classes={classes}, norm={norm!r}): give sizes of 1 or "
            f"more, and a norm among {', '.join(layers.NORMS)}"
        )
    convs = tuple(f"conv{i}" for i in range(1, len(channels) + 1))
    denses = tuple(f"hidden{i}" for i in range(1, len(hidden) + 1))
    groups = (*convs, *denses)
    positions = (rows // factor) * (columns // factor)

    def init(key: Array) -> Weights:
        kernels = [
            (3, 3, fan_in, fan_out)
            for fan_in, fan_out in zip((depth, *channels), channels, strict=False)
        ]
        inputs = (positions * channels[-1], *hidden)
        kernels += list(zip(inputs, (*hidden, classes), strict=True))
        keys = jax.random.split(key, len(kernels))
        weights = {
            name: layers.he_layer(layer_key, *kernel)
            for name, layer_key, kernel in zip(
                (*groups, "output"), keys, kernels, strict=True
            )
        }
        if norm != "none":
            for group, units in zip(groups, (*channels, *hidden), strict=True):
                weights[f"{group}_norm"] = layers.norm_layer(units, norm)
        return weights

    def forward(weights, x, training):
        x = x.astype(weights["output"]["kernel"].dtype)
        trace = layers.Trace({}, {})
        for conv in convs:
            x = layers.convolution(weights[conv], x)
            x = layers.activate(weights, conv, x, norm, training, trace)
            x = layers.pool(x)
        x = x.reshape(x.shape[0], -1)
        return layers.dense_stack(weights, denses, x, norm, training, trace)

    spec: dict[str, tuple[Entry, ...]] = {}
    for before, conv in zip((None, *convs), convs, strict=False):
        spec |= {f"{conv}/kernel": (None, None, before, conv), f"{conv}/bias": (conv,)}
        spec |= layers.norm_spec(conv, norm)
    spec |= layers.dense_spec(Tiled(convs[-1]), denses, norm)
    return layers.network(init, forward, spec, groups, norm)
