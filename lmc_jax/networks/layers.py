"""What layers are made of: dense and convolution, normalisation, He initialisation.

Axis letters: n examples, h and w rows and columns of an image, c channels.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lmc_jax.numerics import matmul
from lmc_jax.permutations import Entry, Spec

NORMS = ("none", "layer", "batch")
EPSILON = 1e-5  # under the roots of normalisations

Weights = dict[str, dict[str, Array]]  # layer, array


class Network(NamedTuple):
    """A network as functions of its weights; every one computes in their dtype.

    init: key to float32 weights.
    apply: weights and examples ``[n, ...]`` to logits ``[n, classes]``.
    fit: the same with the statistics of the examples given, for training; differs
      from ``apply`` under batch normalisation only.
    hidden: weights and examples to what each group's relu is applied to, ``[n, ...,
      units]`` by group, in order from input to output.
    reset: weights and examples to weights with the statistics of the examples; the
      weights themselves without batch normalisation.
    spec: which axes permute together.
    affine: by group, the paths of the arrays that last scale and shift its ``hidden``.
    statistics: paths of the arrays that are statistics, not trained.
    """

    init: Callable[[Array], Weights]
    apply: Callable[[Weights, Array], Array]
    fit: Callable[[Weights, Array], Array]
    hidden: Callable[[Weights, Array], dict[str, Array]]
    reset: Callable[[Weights, Array], Weights]
    spec: Spec
    affine: Mapping[str, tuple[str, str]]
    statistics: tuple[str, ...]


Forward = Callable[..., tuple[Array, dict[str, Array], dict[str, dict[str, Array]]]]
"""``(weights, x, training)`` to logits, hidden by group, statistics by layer."""


def network(
    init: Callable[[Array], Weights],
    forward: Forward,
    spec: Spec,
    groups: tuple[str, ...],
    norm: str,
) -> Network:
    """The record of functions from one forward pass.

    The layer of group ``g`` is named ``g``, its normalisation ``g_norm``.
    """

    def reset(weights: Weights, x: Array) -> Weights:
        return weights | {
            layer: weights[layer] | moments
            for layer, moments in forward(weights, x, True)[2].items()
        }

    ends = ("kernel", "bias") if norm == "none" else ("scale", "offset")
    suffix = "" if norm == "none" else "_norm"
    batch = norm == "batch"
    return Network(
        init=init,
        apply=lambda weights, x: forward(weights, x, False)[0],
        fit=lambda weights, x: forward(weights, x, True)[0],
        hidden=lambda weights, x: forward(weights, x, False)[1],
        reset=reset,
        spec=spec,
        affine={g: (f"{g}{suffix}/{ends[0]}", f"{g}{suffix}/{ends[1]}") for g in groups},
        statistics=tuple(
            f"{g}_norm/{moment}" for g in groups for moment in ("mean", "var") if batch
        ),
    )


def he_layer(key: Array, *shape: int) -> dict[str, Array]:
    """Kernel with N(0, 2/fan-in) entries (He et al. 2015), fan-out last, and bias 0.

    Args:
      key: PRNG key.
      *shape: of the kernel; all axes but the last make up the fan-in.
    """
    *fan_in, fan_out = shape
    std = (2 / jnp.prod(jnp.asarray(fan_in))) ** 0.5
    kernel = jax.random.normal(key, shape, jnp.float32) * std.astype(jnp.float32)
    return {"kernel": kernel, "bias": jnp.zeros(fan_out, jnp.float32)}


def norm_layer(units: int, norm: str) -> dict[str, Array]:
    """Scale 1 and offset 0; for batch normalisation statistics as well."""
    one, zero = jnp.ones(units, jnp.float32), jnp.zeros(units, jnp.float32)
    affine = {"scale": one, "offset": zero}
    return affine | {"mean": zero, "var": one} if norm == "batch" else affine


def norm_spec(group: str, norm: str) -> dict[str, tuple[str, ...]]:
    """Specification of the arrays of ``norm_layer``, none for ``norm = none``."""
    names = {"none": (), "layer": ("scale", "offset")}.get(
        norm, ("scale", "offset", "mean", "var")
    )
    return {f"{group}_norm/{name}": (group,) for name in names}


def dense(layer: Mapping[str, Array], x: Array) -> Array:
    """``x [..., in]`` to ``[..., out]``."""
    return matmul(x, layer["kernel"]) + layer["bias"]


def convolution(layer: Mapping[str, Array], x: Array) -> Array:
    """``x [n, h, w, c]`` by a kernel ``[3, 3, c, out]``, zero-padded: same h and w.

    As one matrix product over patches: on CPU XLA's gradients of convolutions are
    slower, and this form maps over networks as well.
    """
    kernel = layer["kernel"]
    rows, columns = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = [
        padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)
    ]
    flat = kernel.reshape(-1, kernel.shape[-1])
    return dense(
        {"kernel": flat, "bias": layer["bias"]}, jnp.concatenate(patches, axis=-1)
    )


def pool(x: Array) -> Array:
    """Largest of every 2 × 2 pixels of ``[n, h, w, c]``, h and w even."""
    n, rows, columns, channels = x.shape
    return x.reshape(n, rows // 2, 2, columns // 2, 2, channels).max((2, 4))


def normalise(
    layer: Mapping[str, Array], x: Array, norm: str, training: bool
) -> tuple[Array, dict[str, Array]]:
    """Layer normalisation over the last axis, or batch normalisation over the others.

    Returns:
      The scaled and shifted ``x [..., units]``, and the statistics ``mean`` and ``var``
      that a batch normalisation should keep (empty otherwise).
    """
    moments = {}
    if norm == "layer":
        mean = jnp.mean(x, axis=-1, keepdims=True)
        var = jnp.var(x, axis=-1, keepdims=True)
    elif training:
        axes = tuple(range(x.ndim - 1))
        mean, var = jnp.mean(x, axis=axes), jnp.var(x, axis=axes)
        moments = {"mean": mean, "var": var}
    else:
        mean, var = layer["mean"], layer["var"]
    standard = (x - mean) / jnp.sqrt(var + EPSILON)
    return standard * layer["scale"] + layer["offset"], moments


class Trace(NamedTuple):
    """What a forward pass notes on its way: by group, and by layer of statistics."""

    hidden: dict[str, Array]
    moments: dict[str, dict[str, Array]]


def activate(
    weights: Weights, group: str, x: Array, norm: str, training: bool, trace: Trace
) -> Array:
    """relu of the normalised output of a group's layer, noted in ``trace``."""
    if norm != "none":
        layer = f"{group}_norm"
        x, moments = normalise(weights[layer], x, norm, training)
        if moments:
            trace.moments[layer] = moments
    trace.hidden[group] = x
    return jax.nn.relu(x)


def dense_stack(
    weights: Weights,
    groups: tuple[str, ...],
    x: Array,
    norm: str,
    training: bool,
    trace: Trace,
) -> tuple[Array, dict[str, Array], dict[str, dict[str, Array]]]:
    """Hidden dense layers and the output on ``x [n, in]``: what a forward returns."""
    for group in groups:
        x = dense(weights[group], x)
        x = activate(weights, group, x, norm, training, trace)
    return dense(weights["output"], x), trace.hidden, trace.moments


def dense_spec(before: Entry, groups: tuple[str, ...], norm: str) -> dict:
    """Specification of the arrays of ``dense_stack`` on inputs that run over ``before``."""
    spec: dict[str, tuple[Entry, ...]] = {}
    for group in groups:
        spec |= {f"{group}/kernel": (before, group), f"{group}/bias": (group,)}
        spec |= norm_spec(group, norm)
        before = group
    return spec | {"output/kernel": (before, None), "output/bias": (None,)}
