"""What layers are made of: dense and convolution, normalisation, He initialisation.

Axis letters: n examples, h and w rows and columns of an image, c channels.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from lmc_jax.numerics import matmul

# Normalisations, and the arrays of each.
NORMS = {
    "none": (),
    "layer": ("scale", "offset"),
    "batch": ("scale", "offset", "mean", "var"),
}
EPSILON = 1e-5  # under the roots of normalisations

Layer = dict[str, Array]  # by the array's name


def he_layer(key: Array, *shape: int) -> Layer:
    """Kernel with N(0, 2/fan-in) entries (He et al. 2015) and bias 0, float32.

    Args:
      key: PRNG key.
      *shape: of the kernel, fan-out last; all other axes make up the fan-in.
    """
    *fan_in, fan_out = shape
    std = math.sqrt(2 / math.prod(fan_in))
    kernel = std * jax.random.normal(key, shape, jnp.float32)
    return {"kernel": kernel, "bias": jnp.zeros(fan_out, jnp.float32)}


def norm_layer(units: int, norm: str) -> Layer:
    """Scale and variance 1, offset and mean 0: those that the normalisation has."""
    start = {"scale": 1, "offset": 0, "mean": 0, "var": 1}
    return {name: jnp.full(units, start[name], jnp.float32) for name in NORMS[norm]}


def initial(
    key: Array, kernels: Mapping[str, tuple[int, ...]], norm: str
) -> dict[str, Layer]:
    """Layers by name, each but the last with its normalisation, ``NAME_norm``.

    Args:
      key: PRNG key.
      kernels: by the name of a layer, in order, the shape of its kernel.
      norm: one of ``NORMS``.
    """
    keys = jax.random.split(key, len(kernels))
    weights = {
        name: he_layer(layer_key, *shape)
        for layer_key, (name, shape) in zip(keys, kernels.items(), strict=True)
    }
    if norm != "none":
        for name in [*kernels][:-1]:
            weights[f"{name}_norm"] = norm_layer(kernels[name][-1], norm)
    return weights


def dense(layer: Layer, x: Array) -> Array:
    """``x [..., in]`` to ``[..., out]``."""
    return matmul(x, layer["kernel"]) + layer["bias"]


def convolution(layer: Layer, x: Array, training: bool, stride: int = 1) -> Array:
    """``x [n, h, w, c]`` by a kernel ``[size, size, c, out]`` of odd size.

    Zero-padded by half of the size: h and w stay, but for the stride, which keeps every
    second of both if it is 2, and the first.

    In training as one matrix product over patches: on CPU the gradient of XLA's own
    convolution takes 4 to 20 times as long where it stands in a loop over networks.
    Without gradient XLA's is the faster one.
    """
    kernel, size = layer["kernel"], len(layer["kernel"])
    if not training:
        mixed = jax.lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(stride, stride),
            padding=[(size // 2, size // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )
        return mixed + layer["bias"]
    rows, columns = x.shape[1:3]
    around = (size // 2, size // 2)
    padded = jnp.pad(x, ((0, 0), around, around, (0, 0)))
    patches = [
        padded[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(size)
        for j in range(size)
    ]
    flat = layer | {"kernel": kernel.reshape(-1, kernel.shape[-1])}
    return dense(flat, jnp.concatenate(patches, axis=-1))


def pool(x: Array) -> Array:
    """Largest of every 2 × 2 pixels of ``[n, h, w, c]``, h and w even.

    By pairwise maxima: of one maximum over two axes, behind a layer normalisation, XLA
    compiles a wrong gradient on CPU (3 channels; JAX 0.10.1 and 0.12.0.1).
    """
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def normalise(layer: Layer, x: Array, norm: str, training: bool) -> tuple[Array, Layer]:
    """Layer normalisation over the last axis, or batch normalisation over the others.

    Returns:
      The scaled and shifted ``x [..., units]``, and the statistics ``mean`` and ``var``
      of the examples where a batch normalisation used them (empty otherwise).
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
