"""Layers in plain JAX, and the shapes of their weights."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def layer(*sizes):
    """A kernel, and a bias of its last axis."""
    return {"kernel": sizes, "bias": sizes[-1:]}


def scales(size):
    return {"scale": (size,), "offset": (size,)}


def dense(w, x):
    return x @ w["kernel"] + w["bias"]


def conv(w, x, stride=1, layout=("NHWC", "HWIO", "NHWC"), groups=1):
    y = lax.conv_general_dilated(
        x, w["kernel"], (stride, stride), "SAME",
        dimension_numbers=layout, feature_group_count=groups,
    )  # fmt: skip
    return y + w["bias"]


def norm(w, x, axes=-1):
    x = x - x.mean(axes, keepdims=True)
    return (
        x * lax.rsqrt((x**2).mean(axes, keepdims=True) + 1e-3) * w["scale"]
        + w["offset"]
    )


def batch_norm(w, x):
    return (x - w["mean"]) * lax.rsqrt(w["var"] + 1e-3) * w["scale"] + w["offset"]


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def bn(size):
    return scales(size) | {"mean": (size,), "var": (size,)}


def attention(w, x, heads, causal=True):
    q, k, v = jnp.split(dense(w["qkv"], x), 3, axis=-1)
    q, k, v = (y.reshape(*y.shape[:-1], heads, -1) for y in (q, k, v))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
    x = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
    return dense(w["out"], x.reshape(*x.shape[:2], -1))


BLOCK = {
    "n1": scales(6), "attention": {"qkv": layer(6, 30), "out": layer(10, 6)},
    "n2": scales(6), "up": layer(6, 8), "down": layer(8, 6),
}  # fmt: skip


def block(w, x):
    x = x + attention(w["attention"], norm(w["n1"], x), 2)
    return x + dense(w["down"], jax.nn.gelu(dense(w["up"], norm(w["n2"], x))))
