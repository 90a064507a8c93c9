"""Residual networks for small images (He et al. 2016, Section 4.2)."""

import functools
import itertools
from collections.abc import Sequence

import jax
from jax import Array

from lmc_jax.environment import root_key
from lmc_jax.networks import layers
from lmc_jax.networks.chain import Network, Weights
from lmc_jax.networks.permutations import Spec
from lmc_jax.networks.symmetry.hidden import activations
from lmc_jax.networks.symmetry.infer import infer_spec

STAGES = 3  # of as many blocks each; channels double from one to the next
MOST_LAYERS = 110  # the deepest of those that the paper compares


def resnet(
    shape: Sequence[int], width: int, depth: int, classes: int, norm: str
) -> Network:
    """ResNet-20 and its relatives: blocks of two 3 × 3 convolutions and a skip.

    Layers are ``stem``, then of each block ``blockN_first``, ``blockN_second`` and,
    where channels double and every second row and column stays, a 1 × 1 convolution
    ``blockN_skip`` beside them; behind a mean over all positions, ``output``. A
    normalisation follows each but the last. The specification is inferred.

    Args:
      shape: of an image, (rows, columns, channels).
      width: channels of the first stage; the third has four times as many.
      depth: layers on the longest way through the network, 6 · blocks a stage + 2.
      classes: of the output.
      norm: ``layer`` or ``batch``; a layer normalisation of an image is over the
        channels of each position.

    Raises:
      ValueError: for sizes below 1, another depth, another norm.
    """
    depths = range(2 + 2 * STAGES, MOST_LAYERS + 1, 2 * STAGES)
    sizes = min(*shape, width, classes)
    if sizes < 1 or depth not in depths or norm not in ("layer", "batch"):
        raise ValueError(
            f"resnet(shape={tuple(shape)}, width={width}, depth={depth}, classes="
            f"{classes}, norm={norm!r}): give sizes of 1 or more, a depth in layers "
            f"among 8, 14, 20, ..., {MOST_LAYERS}, and a norm among layer, batch"
        )
    return _network(shape[-1], width, depth, classes, norm)._replace(
        spec=_spec(depth, norm)
    )


@functools.cache
def _spec(depth: int, norm: str) -> Spec:
    """Which axes permute together, whatever the sizes: those of a small network."""
    network = _network(1, 2, depth, 2, norm)
    image = jax.ShapeDtypeStruct((1, 4, 4, 1), "float32")
    return infer_spec(network.apply, jax.eval_shape(network.init, root_key(0)), image)


def _network(colours: int, width: int, depth: int, classes: int, norm: str) -> Network:
    """The network, its specification left empty."""
    each = (depth - 2) // (2 * STAGES)
    channels = [width * 2**stage for stage in range(STAGES) for _ in range(each)]
    kernels: dict[str, tuple[int, ...]] = {"stem": (3, 3, colours, width)}
    strides = {}  # by block
    for i, (before, after) in enumerate(itertools.pairwise([width, *channels]), 1):
        name, strides[name] = f"block{i}", 1 if before == after else 2
        kernels[f"{name}_first"] = (3, 3, before, after)
        kernels[f"{name}_second"] = (3, 3, after, after)
        if before != after:
            kernels[f"{name}_skip"] = (1, 1, before, after)
    convolutions = [*kernels]
    kernels["output"] = (channels[-1], classes)

    def forward(weights: Weights, x: Array, patches: bool, anew: bool):
        """Logits, what each convolution gives once normalised, its statistics.

        Args:
          patches: whether convolutions are computed as in training.
          anew: whether statistics are those of the examples.
        """
        hidden, moments = {}, {}

        def normalised(name: str, x: Array, stride: int = 1) -> Array:
            x = layers.convolution(weights[name], x, patches, stride)
            beside = f"{name}_norm"
            x, moments[beside] = layers.normalise(weights[beside], x, norm, anew)
            hidden[name] = x
            return x

        x = x.astype(weights["output"]["kernel"].dtype)
        x = jax.nn.relu(normalised("stem", x))
        for name, stride in strides.items():
            skip = normalised(f"{name}_skip", x, stride) if stride > 1 else x
            y = jax.nn.relu(normalised(f"{name}_first", x, stride))
            x = jax.nn.relu(skip + normalised(f"{name}_second", y))
        return layers.dense(weights["output"], x.mean((1, 2))), hidden, moments

    def apply(weights: Weights, x: Array) -> Array:
        return forward(weights, x, False, False)[0]

    def reset(weights: Weights, x: Array) -> Weights:
        moments = forward(weights, x, False, True)[2]
        return weights | {name: weights[name] | new for name, new in moments.items()}

    statistics = ("mean", "var") if norm == "batch" else ()
    return Network(
        init=lambda key: layers.initial(key, kernels, norm),
        apply=apply,
        fit=lambda weights, x: forward(weights, x, True, True)[0],
        hidden=lambda weights, x: forward(weights, x, False, False)[1],
        activations=lambda weights, x: activations(apply, weights, x)(weights, (x,)),
        reset=reset,
        spec={},
        affine={
            name: (f"{name}_norm/scale", f"{name}_norm/offset") for name in convolutions
        },
        statistics=tuple(
            f"{name}_norm/{array}" for name in convolutions for array in statistics
        ),
    )
