"""Weight alignment of two large networks: seconds, and the memory of the process.

ResNet-50 (He et al. 2016) and GPT-2 small (Radford et al. 2019) with random weights:
one network a command, as the memory is the most that the process ever had.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import Array

from experiments.bench import timing
from lmc_jax import align, environment, infer_spec
from lmc_jax.networks import layers
from lmc_jax.networks.permutations import perm_shapes, permute

BLOCKS = 3, 4, 6, 3  # of the stages of ResNet-50
CHANNELS = 64  # of its stem, and inside the blocks of its first stage
PIXELS = 64  # of an image
GPT = {"layers": 12, "heads": 12, "units": 768, "tokens": 50_257, "places": 1024}

NETWORK = flags.DEFINE_enum("network", "resnet50", ["resnet50", "gpt2"], "Aligned.")
Made = tuple[Callable, Callable[[Array], Any], Array]  # apply, key to weights, inputs


# --- the networks ---------------------------------------------------------------------


def resnet50() -> Made:
    """With batch normalisation, its statistics given."""
    kernels: dict[str, tuple[int, ...]] = {"stem": (7, 7, 3, CHANNELS)}
    strides: dict[str, int] = {}
    given = CHANNELS
    for stage, count in enumerate(BLOCKS):
        inner = CHANNELS * 2**stage
        for i in range(count):
            name = f"stage{stage}_{i}"
            strides[name] = 2 if stage and not i else 1
            kernels[f"{name}_a"] = (1, 1, given, inner)
            kernels[f"{name}_b"] = (3, 3, inner, inner)
            kernels[f"{name}_c"] = (1, 1, inner, 4 * inner)
            if not i:
                kernels[f"{name}_skip"] = (1, 1, given, 4 * inner)
            given = 4 * inner
    kernels["output"] = (given, 1000)

    def apply(weights, x):
        def normalised(name, x, stride=1):
            x = layers.convolution(weights[name], x, False, stride)
            return layers.normalise(weights[f"{name}_norm"], x, "batch", False)[0]

        x = layers.pool(jax.nn.relu(normalised("stem", x, 2)))
        for name, stride in strides.items():
            y = jax.nn.relu(normalised(f"{name}_a", x))
            y = jax.nn.relu(normalised(f"{name}_b", y, stride))
            skip = f"{name}_skip"
            x = normalised(skip, x, stride) if skip in weights else x
            x = jax.nn.relu(x + normalised(f"{name}_c", y))
        return layers.dense(weights["output"], x.mean((1, 2)))

    images = jax.random.normal(environment.root_key(2), (2, PIXELS, PIXELS, 3), "f4")
    return apply, lambda key: layers.initial(key, kernels, "batch"), images


def gpt2() -> Made:
    """With tied embeddings, and learned ones of places."""
    units, heads = GPT["units"], GPT["heads"]
    blocks = [f"block{i}" for i in range(GPT["layers"])]

    def init(key):
        keys = iter(jax.random.split(key, 2 + 4 * len(blocks)))

        def embedding(count):
            return jax.random.normal(next(keys), (count, units), jnp.float32) / 50

        weights = {name: embedding(GPT[name]) for name in ("tokens", "places")}
        for name in blocks:
            shapes = {"qkv": 3, "out": 1, "up": 4}
            weights[name] = {
                each: layers.he_layer(next(keys), units, times * units)
                for each, times in shapes.items()
            }
            weights[name]["down"] = layers.he_layer(next(keys), 4 * units, units)
            for norm in ("norm1", "norm2"):
                weights[name][norm] = layers.norm_layer(units, "layer")
        return weights | {"norm": layers.norm_layer(units, "layer")}

    def attention(weights, x):
        parts = jnp.split(layers.dense(weights["qkv"], x), 3, axis=-1)
        q, k, v = (y.reshape(*y.shape[:-1], heads, -1) for y in parts)
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        seen = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        shares = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", shares, v)
        return layers.dense(weights["out"], mixed.reshape(x.shape))

    def apply(weights, tokens):
        def norm(layer, x):
            return layers.normalise(layer, x, "layer", False)[0]

        x = weights["tokens"][tokens] + weights["places"][: tokens.shape[1]]
        for name in blocks:
            own = weights[name]
            x = x + attention(own, norm(own["norm1"], x))
            inner = jax.nn.gelu(layers.dense(own["up"], norm(own["norm2"], x)))
            x = x + layers.dense(own["down"], inner)
        return norm(weights["norm"], x) @ weights["tokens"].T

    tokens = jax.random.randint(environment.root_key(2), (1, 16), 0, GPT["tokens"])
    return apply, init, tokens


# --- the benchmark --------------------------------------------------------------------


def main() -> None:
    apply, init, inputs = {"resnet50": resnet50, "gpt2": gpt2}[NETWORK.value]()
    first, second = (
        jax.tree.map(np.asarray, jax.jit(init)(environment.root_key(seed)))
        for seed in (0, 1)
    )
    begun = time.perf_counter()
    spec = infer_spec(apply, first, inputs)
    row: dict[str, Any] = {
        "network": NETWORK.value,
        "parameters [millions]": sum(a.size for a in jax.tree.leaves(first)) / 1e6,
        "groups": len(perm_shapes(first, spec)),
        "to infer [s]": time.perf_counter() - begun,
        "memory before [GiB]": environment.peak_memory() / 2**30,
    }
    rng = np.random.default_rng(0)
    planted = {
        group: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for group, shape in perm_shapes(first, spec).items()
    }
    for name, other in (
        ("independent", second),
        ("planted", permute(first, spec, planted)),
    ):
        begun = time.perf_counter()
        aligned, _ = align(first, other, apply, inputs)
        row[f"{name} [s]"] = time.perf_counter() - begun
    same = jax.tree.map(np.array_equal, aligned, first)
    row["recovered"] = all(jax.tree.leaves(same))
    timing.show([row | {"memory [GiB]": environment.peak_memory() / 2**30}])


if __name__ == "__main__":
    timing.run(main)
