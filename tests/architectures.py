"""Networks in plain JAX, and the sizes of the groups of units that they have.

Widths differ within a network, so that a group is known by its size.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct as Shape
from jax import lax
from layers import BLOCK, batch_norm, block, bn, conv, dense, layer, norm, pool, scales


class Case(NamedTuple):
    """shapes: of the weights, a pytree of tuples. inputs: shapes, or (shape, dtype)."""

    apply: Callable
    shapes: Any
    inputs: tuple
    sizes: tuple[int, ...]


CASES: dict[str, Case] = {}


def structure(shapes):
    """Shapes as float64 weights without numbers."""

    def is_shape(node):
        return isinstance(node, tuple) and all(isinstance(n, int) for n in node)

    return jax.tree.map(lambda s: Shape(s, jnp.float64), shapes, is_leaf=is_shape)


def example(case):
    """``(apply, weights, *inputs)`` of a case, all by their shapes."""
    inputs = [
        Shape(*i) if isinstance(i[0], tuple) else Shape(i, float) for i in case.inputs
    ]
    return case.apply, structure(case.shapes), *inputs


def case(shapes, *inputs, sizes):
    def register(apply):
        CASES[apply.__name__] = Case(apply, shapes, inputs, sizes)
        return apply

    return register


@case({"a": layer(7, 5), "b": layer(5, 11), "c": layer(11, 3)}, (4, 7), sizes=(5, 11))
def mlp(w, x):
    return dense(w["c"], jax.nn.relu(dense(w["b"], jax.nn.gelu(dense(w["a"], x)))))


@case(
    {
        "a": layer(3, 3, 3, 5),
        "b": layer(3, 3, 5, 6),
        "c": layer(24, 7),
        "d": layer(7, 2),
    },
    (2, 8, 8, 3),
    sizes=(5, 6, 7),
)
def cnn_channels_last(w, x):
    x = pool(jax.nn.relu(conv(w["a"], x)))
    x = pool(jax.nn.relu(conv(w["b"], x)))
    return dense(w["d"], jax.nn.relu(dense(w["c"], x.reshape(len(x), -1))))


@case(
    {"a": (5, 3, 3, 3), "b": (6, 5, 3, 3), "c": layer(96, 7), "d": layer(7, 2)},
    (2, 3, 8, 8),
    sizes=(5, 6, 7),
)
def cnn_channels_first(w, x):
    for name in "ab":
        numbers = ("NCHW", "OIHW", "NCHW")
        x = lax.conv_general_dilated(
            x, w[name], (1, 1), "SAME", dimension_numbers=numbers
        )
        x = jax.nn.silu(x)
    x = x[:, :, ::2, ::2]
    return dense(w["d"], jax.nn.relu(dense(w["c"], x.reshape(len(x), -1))))


@case(
    {
        "stem": layer(3, 3, 3, 4),
        "bn0": bn(4), "a": layer(3, 3, 4, 5), "bn1": bn(5), "b": layer(3, 3, 5, 4),
        "bn2": bn(4), "c": layer(3, 3, 4, 7), "bn3": bn(7), "d": layer(3, 3, 7, 6),
        "bn4": bn(6), "skip": layer(1, 1, 4, 6), "head": layer(6, 2),
    },
    (2, 8, 8, 3),
    sizes=(4, 5, 6, 7),
)  # fmt: skip
def resnet(w, x):
    x = jax.nn.relu(batch_norm(w["bn0"], conv(w["stem"], x)))
    y = jax.nn.relu(batch_norm(w["bn1"], conv(w["a"], x)))
    x = jax.nn.relu(x + batch_norm(w["bn2"], conv(w["b"], y)))
    y = jax.nn.relu(batch_norm(w["bn3"], conv(w["c"], x, stride=2)))
    y = batch_norm(w["bn4"], conv(w["d"], y))
    x = jax.nn.relu(y + conv(w["skip"], x, stride=2))
    return dense(w["head"], x.mean((1, 2)))


@case(
    {"a": layer(7, 5), "n": scales(5), "b": layer(5, 11), "c": layer(11, 3)},
    (4, 7),
    sizes=(5, 11),
)
def layer_norm(w, x):
    x = jnp.tanh(norm(w["n"], dense(w["a"], x)))
    return jax.nn.log_softmax(dense(w["c"], jax.nn.softmax(dense(w["b"], x))))


@case(
    {
        "a": layer(3, 3, 3, 12),
        "n": scales(12),
        "b": layer(3, 3, 12, 5),
        "c": layer(5, 2),
    },
    (2, 8, 8, 3),
    sizes=(3, 4, 5),  # 4 groups of 3 channels
)
def group_norm(w, x):
    x = conv(w["a"], x).reshape(2, 8, 8, 4, 3)
    x = x - x.mean((1, 2, 4), keepdims=True)
    x = x * lax.rsqrt((x**2).mean((1, 2, 4), keepdims=True) + 1e-3)
    x = x.reshape(2, 8, 8, 12) * w["n"]["scale"] + w["n"]["offset"]
    return dense(w["c"], jax.nn.relu(conv(w["b"], x)).mean((1, 2)))


@case(
    {"a": layer(1, 1, 3, 8), "dw": layer(3, 3, 1, 8), "squeeze": layer(8, 4),
     "excite": layer(4, 8), "b": layer(1, 1, 8, 5), "c": layer(5, 2)},
    (2, 8, 8, 3),
    sizes=(4, 5, 8),
)  # fmt: skip
def depthwise_squeeze_excite(w, x):
    x = jax.nn.relu(conv(w["a"], x))
    x = jax.nn.relu6(conv(w["dw"], x, groups=8))
    gate = jax.nn.relu(dense(w["squeeze"], x.mean((1, 2))))
    x = x * jax.nn.sigmoid(dense(w["excite"], gate))[:, None, None]
    return dense(w["c"], conv(w["b"], x).mean((1, 2)))


@case(
    {"tokens": (13, 6), "places": (9, 6), "a": BLOCK, "b": BLOCK, "n": scales(6)},
    ((3, 9), "int32"),
    # Heads, queries with keys and values twice over; residual; MLP twice.
    sizes=(2, 2, 5, 5, 5, 5, 6, 8, 8),
)
def gpt(w, x):
    x = w["tokens"][x] + w["places"]
    x = norm(w["n"], block(w["b"], block(w["a"], x)))
    return x @ w["tokens"].T


@case(
    {"patch": layer(4, 4, 3, 6), "class": (6,), "places": (5, 6), "a": BLOCK,
     "head": layer(6, 3)},
    (2, 8, 8, 3),
    sizes=(2, 5, 5, 6, 8),
)  # fmt: skip
def vit(w, x):
    window = w["patch"]["kernel"]
    x = lax.conv_general_dilated(
        x, window, (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = (x + w["patch"]["bias"]).reshape(2, 4, 6)
    first = jnp.broadcast_to(w["class"], (2, 1, 6))
    x = jnp.concatenate([first, x], 1) + w["places"]
    return dense(w["head"], block(w["a"], x)[:, 0])


STACK = {
    "q": (3, 6, 4, 2), "k": (3, 6, 2, 2), "v": (3, 6, 2, 5), "o": (3, 4, 5, 6),
    "n": (3, 6), "up": (3, 6, 9), "gate": (3, 6, 9), "down": (3, 9, 6),
}  # fmt: skip


@case(
    {"tokens": (13, 6), "layers": STACK, "head": (6, 13)},
    ((3, 7), "int32"),
    # Heads that share a key, key heads, values, residual, MLP: units of a query are
    # told apart by their frequencies.
    sizes=(2, 2, 5, 6, 9),
)
def llama_scanned(w, x):
    """Rotary embeddings, four heads to two keys, layers by scan and remat."""

    def rotate(y):
        angles = jnp.arange(7.0)[:, None] / jnp.array([10.0])
        cos, sin = (f(angles)[None, :, None] for f in (jnp.cos, jnp.sin))
        a, b = jnp.split(y, 2, axis=-1)
        return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)

    def step(x, w):
        y = x * lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w["n"]
        q, k = (rotate(jnp.einsum("btc,chd->bthd", y, w[name])) for name in "qk")
        v = jnp.einsum("btc,chd->bthd", y, w["v"])
        q = q.reshape(3, 7, 2, 2, 2)
        scores = jnp.einsum("bqhgd,bkhd->bhgqk", q, k)
        mask = jnp.arange(7)[:, None] >= jnp.arange(7)
        weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
        y = jnp.einsum("bhgqk,bkhd->bqhgd", weights, v).reshape(3, 7, 4, 5)
        x = x + jnp.einsum("bthd,hdc->btc", y, w["o"])
        return x + (jax.nn.silu(x @ w["gate"]) * (x @ w["up"])) @ w["down"], None

    x, _ = lax.scan(jax.checkpoint(step), w["tokens"][x], w["layers"])
    return x @ w["head"]


@case(
    {"a": layer(7, 5), "layers": {"kernel": (3, 5, 5), "bias": (5,)}, "b": layer(5, 2)},
    (4, 7),
    sizes=(5,),
)
def looped(w, x):
    """One bias for all layers and a fori loop that picks kernels."""

    def step(i, x):
        return jnp.tanh(x @ w["layers"]["kernel"][i] + w["layers"]["bias"])

    return dense(w["b"], lax.fori_loop(0, 3, step, dense(w["a"], x)))


@case(
    {"cell": {"x": (3, 20), "h": (5, 20), "bias": (20,)}, "out": layer(5, 2)},
    (4, 6, 3),
    sizes=(5,),
)
def lstm(w, x):
    def step(state, x):
        h, c = state
        gates = x @ w["cell"]["x"] + h @ w["cell"]["h"] + w["cell"]["bias"]
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    (h, _), _ = lax.scan(step, (jnp.zeros((4, 5)), jnp.zeros((4, 5))), x.swapaxes(0, 1))
    return dense(w["out"], h)


@case(
    {"x": (3, 15), "h": (5, 15), "bias": (15,), "out": layer(5, 2)},
    (4, 6, 3),
    sizes=(5,),
)
def gru(w, x):
    def step(h, x):
        a, b = x @ w["x"] + w["bias"], h @ w["h"]
        z = jax.nn.sigmoid(a[:, :5] + b[:, :5])
        r = jax.nn.sigmoid(a[:, 5:10] + b[:, 5:10])
        h = (1 - z) * jnp.tanh(a[:, 10:] + r * b[:, 10:]) + z * h
        return h, h

    _, states = lax.scan(step, jnp.zeros((4, 5)), x.swapaxes(0, 1))
    return dense(w["out"], states)


@case(
    {"a": layer(3, 3, 3, 4), "b": layer(3, 3, 4, 6), "up": layer(3, 3, 6, 8),
     "n": scales(12), "c": layer(3, 3, 12, 5), "out": layer(1, 1, 5, 2)},
    (2, 8, 8, 3),
    # Groups of four of the concatenated 8 + 4: two of them change places, one cannot.
    sizes=(2, 4, 5, 6),
)  # fmt: skip
def unet(w, x):
    """The skip is concatenated; a group normalisation goes over both."""
    skip = jax.nn.relu(conv(w["a"], x))
    x = jax.nn.relu(conv(w["b"], pool(skip)))
    x = jax.nn.relu(conv(w["up"], jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)))
    x = jnp.concatenate([x, skip], -1).reshape(2, 8, 8, 3, 4)
    x = x - x.mean((1, 2, 4), keepdims=True)
    x = x.reshape(2, 8, 8, 12) * w["n"]["scale"] + w["n"]["offset"]
    return conv(w["out"], jax.nn.relu(conv(w["c"], x)))


@case(
    {"a": layer(3, 6), "n1": scales(6), "mix1": layer(8, 5), "mix2": layer(5, 8),
     "n2": scales(6), "up": layer(6, 9), "down": layer(9, 6), "out": layer(6, 2)},
    (2, 8, 3),
    sizes=(5, 6, 9),
)  # fmt: skip
def mixer(w, x):
    x = dense(w["a"], x)
    y = norm(w["n1"], x).swapaxes(1, 2)
    x = x + dense(w["mix2"], jax.nn.gelu(dense(w["mix1"], y))).swapaxes(1, 2)
    x = x + dense(w["down"], jax.nn.gelu(dense(w["up"], norm(w["n2"], x))))
    return dense(w["out"], x.mean(1))


@case(
    {"a": layer(7, 5), "b": layer(5, 6), "c": layer(5, 6), "d": layer(6, 2), "t": ()},
    (4, 7),
    sizes=(5, 6),
)
def controlled(w, x):
    """jit, vmap, custom derivatives, a branch, and a loop that ends when it may."""

    @jax.custom_vjp
    def swish(x):
        return x * jax.nn.sigmoid(x)

    swish.defvjp(lambda x: (swish(x), x), lambda x, g: (g * x,))
    x = jax.vmap(lambda x: swish(dense(w["a"], x)))(x)
    y = lax.cond(
        w["t"] > 0,
        lambda x: dense(w["b"], x),
        lambda x: jax.nn.relu(dense(w["c"], x)),
        x,
    )
    y = lax.while_loop(
        lambda y: (y**2).sum() > 1, lambda y: y / 2, jax.jit(jnp.tanh)(y)
    )
    return dense(w["d"], y)


@case({"a": layer(7, 5), "offset": (7,)}, (4, 7), sizes=(5,))
def tied_autoencoder(w, x):
    code = jnp.tanh(dense(w["a"], x))
    return code @ w["a"]["kernel"].T + w["offset"]


@case(
    {"gate": (7, 4), "up": (4, 7, 5), "down": (4, 5, 3)},
    (6, 7),
    sizes=(4, 5),
)
def dense_experts(w, x):
    gates = jax.nn.softmax(x @ w["gate"])
    hidden = jax.nn.relu(jnp.einsum("nd,edh->neh", x, w["up"]))
    return jnp.einsum("ne,neh,ehd->nd", gates, hidden, w["down"])


@case({"a": layer(7, 12), "b": layer(6, 3)}, (4, 7), sizes=(6,))
def interleaved_gates(w, x):
    x = dense(w["a"], x)
    return dense(w["b"], jax.nn.silu(x[:, ::2]) * x[:, 1::2])
