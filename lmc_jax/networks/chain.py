"""A network as one chain of layers: its functions and its permutation specification."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
from jax import Array

from lmc_jax.networks import layers
from lmc_jax.networks.entries import Entry, Tiled
from lmc_jax.networks.layers import Layer
from lmc_jax.networks.permutations import Spec

Weights = dict[str, Layer]  # by the layer's name


class Network(NamedTuple):
    """A network as functions of its weights; every one computes in their dtype.

    init: key to float32 weights.
    apply: weights and examples ``[n, ...]`` to logits ``[n, classes]``.
    fit: the same with the statistics of the examples given, for training; differs
      from ``apply`` under batch normalisation only.
    hidden: weights and examples to what each layer but the last gives, normalised and
      before any relu, ``[n, ..., units]`` by layer, in order from input to output.
    activations: weights and examples to what the units of each group give behind their
      relus, ``[n, ..., units]`` by group.
    reset: weights and examples to weights with the statistics of the examples; the
      weights themselves without batch normalisation.
    spec: which axes permute together.
    affine: by layer, the paths of the arrays that last scale and shift its ``hidden``.
    statistics: paths of the arrays that are statistics, not trained.
    """

    init: Callable[[Array], Weights]
    apply: Callable[[Weights, Array], Array]
    fit: Callable[[Weights, Array], Array]
    hidden: Callable[[Weights, Array], dict[str, Array]]
    activations: Callable[[Weights, Array], dict[str, Array]]
    reset: Callable[[Weights, Array], Weights]
    spec: Spec
    affine: Mapping[str, tuple[str, str]]
    statistics: tuple[str, ...]


def chain(kernels: Mapping[str, tuple[int, ...]], norm: str) -> Network:
    """The network of a chain of layers, each followed by normalisation and relu.

    Args:
      kernels: by the name of a layer, in order, the shape of its kernel: ``(3, 3, in,
        out)`` for a convolution, pooled after its relu, or ``(in, out)`` for a dense
        layer. Convolutions come first. The last layer has neither normalisation nor
        relu; any other is the group of its units, its normalisation ``NAME_norm``.
      norm: one of ``NORMS``.
    """
    *groups, output = kernels

    def forward(weights: Weights, x: Array, training: bool):
        """Logits, what each relu is applied to, statistics of normalisations."""
        x = x.astype(weights[output]["kernel"].dtype)
        hidden, moments = {}, {}
        for group in groups:
            if len(kernels[group]) == 4:
                x = layers.convolution(weights[group], x, training)
            else:
                x = layers.dense(weights[group], x.reshape(len(x), -1))
            if norm != "none":
                name = f"{group}_norm"
                x, moments[name] = layers.normalise(weights[name], x, norm, training)
            hidden[group] = x
            x = jax.nn.relu(x)
            if len(kernels[group]) == 4:
                x = layers.pool(x)
        return layers.dense(weights[output], x.reshape(len(x), -1)), hidden, moments

    def hidden(weights: Weights, x: Array) -> dict[str, Array]:
        return forward(weights, x, False)[1]

    def reset(weights: Weights, x: Array) -> Weights:
        moments = forward(weights, x, True)[2]
        return weights | {name: weights[name] | new for name, new in moments.items()}

    last = ("kernel", "bias") if norm == "none" else ("scale", "offset")
    suffix = "" if norm == "none" else "_norm"
    statistics = ("mean", "var") if norm == "batch" else ()
    return Network(
        init=lambda key: layers.initial(key, kernels, norm),
        apply=lambda weights, x: forward(weights, x, False)[0],
        fit=lambda weights, x: forward(weights, x, True)[0],
        hidden=hidden,
        activations=lambda weights, x: jax.tree.map(jax.nn.relu, hidden(weights, x)),
        reset=reset,
        spec=_spec(kernels, norm),
        affine={
            group: (f"{group}{suffix}/{last[0]}", f"{group}{suffix}/{last[1]}")
            for group in groups
        },
        statistics=tuple(
            f"{group}_norm/{name}" for group in groups for name in statistics
        ),
    )


def _spec(kernels: Mapping[str, tuple[int, ...]], norm: str) -> Spec:
    """Which axes of the arrays of ``chain`` permute together."""
    *groups, output = kernels
    spec: dict[str, tuple[Entry, ...]] = {}
    before: str | None = None
    image = False  # whether the units before are channels of an image
    for name, shape in kernels.items():
        after = None if name == output else name
        if len(shape) == 4:
            spec[f"{name}/kernel"] = (None, None, before, after)
        else:
            rows = Tiled(before) if image and before else before
            spec[f"{name}/kernel"] = (rows, after)
        spec[f"{name}/bias"] = (after,)
        before, image = after, len(shape) == 4
    return spec | {
        f"{group}_norm/{array}": (group,)
        for group in groups
        for array in layers.NORMS[norm]
    }
