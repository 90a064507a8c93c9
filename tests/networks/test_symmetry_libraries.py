"""Networks of Flax, Equinox and Haiku: all groups found, and the function unchanged."""

import helpers
import jax
import jax.numpy as jnp
import pytest
from jax import ShapeDtypeStruct as Shape

from lmc_jax.networks.symmetry import check_spec, explain_spec

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the libraries
IMAGES, TOKENS = Shape((2, 8, 8, 3), "float32"), Shape((2, 5), "int32")
VECTORS, SEQUENCES = Shape((4, 7), "float32"), Shape((4, 5, 3), "float32")


def linen(make, x):
    nn = pytest.importorskip("flax.linen")
    module = make(nn)
    weights = jax.eval_shape(module.init, jax.random.key(0), x)
    return module.apply, weights, x


def linen_resnet(nn):
    class Block(nn.Module):
        width: int
        inner: int

        @nn.compact
        def __call__(self, x):
            def norm():
                return nn.BatchNorm(use_running_average=True)

            y = nn.relu(norm()(nn.Conv(self.inner, (3, 3), use_bias=False)(x)))
            y = norm()(nn.Conv(self.width, (3, 3), use_bias=False)(y))
            skip = x if x.shape == y.shape else nn.Conv(self.width, (1, 1))(x)
            return nn.relu(skip + y)

    class ResNet(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(4, (3, 3))(x))
            x = Block(6, 7)(Block(4, 5)(x))
            x = nn.avg_pool(nn.GroupNorm(num_groups=2)(x), (2, 2), (2, 2))
            return nn.Dense(2)(x.reshape(len(x), -1))

    return ResNet()


def linen_transformer(nn):
    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Embed(11, 6)(x) + self.param("at", nn.initializers.ones, (5, 6))
            mask = nn.make_causal_mask(x[..., 0])
            attention = nn.MultiHeadDotProductAttention(2, qkv_features=8)
            x = x + attention(nn.LayerNorm()(x), mask=mask)
            x = x + nn.Dense(6)(nn.gelu(nn.Dense(9)(nn.LayerNorm()(x))))
            return nn.Dense(11)(x)

    return Transformer()


def nnx_mlp():
    nnx = pytest.importorskip("flax.nnx")

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.a = nnx.Linear(7, 5, rngs=rngs)
            self.norm = nnx.LayerNorm(5, rngs=rngs)
            self.b = nnx.Linear(5, 3, rngs=rngs)

        def __call__(self, x):
            return self.b(jax.nn.relu(self.norm(self.a(x))))

    graph, state = nnx.split(Network(nnx.Rngs(0)))
    return lambda state, x: nnx.merge(graph, state)(x), state, VECTORS


def equinox(make, apply, x):
    eqx = pytest.importorskip("equinox")
    weights, rest = eqx.partition(make(eqx.nn, jax.random.key(0)), eqx.is_array)
    return lambda weights, x: apply(eqx.combine(weights, rest), x), weights, x


def equinox_gru(cell, x):
    def step(h, x):
        h = jax.vmap(cell)(x, h)
        return h, None

    h, _ = jax.lax.scan(step, jnp.zeros((4, 5), cell.bias.dtype), x.swapaxes(0, 1))
    return h.sum(-1)


def haiku(make, x):
    hk = pytest.importorskip("haiku")
    module = hk.without_apply_rng(hk.transform(lambda x: make(hk)(x)))
    return module.apply, jax.eval_shape(module.init, jax.random.key(0), x), x


def haiku_unrolled(hk):
    def apply(x):
        core = hk.LSTM(5)
        hidden, _ = hk.dynamic_unroll(
            core, x, core.initial_state(len(x)), time_major=False
        )
        return hk.Linear(2)(hidden)

    return apply


def over_examples(network, x):
    return jax.vmap(network)(x)


CASES = {
    "linen CNN": (
        lambda: linen(
            lambda nn: nn.Sequential([
                nn.Conv(5, (3, 3)), nn.relu, lambda x: nn.max_pool(x, (2, 2), (2, 2)),
                lambda x: x.reshape(2, -1), nn.Dense(9), nn.relu, nn.Dense(3)]),
            IMAGES),
        [5, 9],
    ),
    "linen ResNet": (lambda: linen(linen_resnet, IMAGES), [2, 3, 4, 5, 7]),
    "linen transformer": (lambda: linen(linen_transformer, TOKENS), [2, 4, 4, 6, 9]),
    "linen LSTM": (
        lambda: linen(
            lambda nn: nn.Sequential([nn.RNN(nn.OptimizedLSTMCell(5)), nn.Dense(2)]),
            SEQUENCES),
        [5],
    ),
    "nnx MLP": (nnx_mlp, [5]),
    "equinox MLP": (
        lambda: equinox(
            lambda nn, key: nn.MLP(7, 3, 5, 2, key=key), over_examples, VECTORS),
        [5, 5],
    ),
    "equinox GRU": (
        lambda: equinox(
            lambda nn, key: nn.GRUCell(3, 5, key=key), equinox_gru, SEQUENCES),
        [5],
    ),
    "haiku MLP": (lambda: haiku(lambda hk: hk.nets.MLP([5, 9, 3]), VECTORS), [5, 9]),
    "haiku LSTM": (lambda: haiku(haiku_unrolled, SEQUENCES), [5]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_all_groups_are_found_and_every_operation_is_known(name):
    make, sizes = CASES[name]
    with helpers.promotion("standard"):
        apply, weights, x = make()
        found = explain_spec(apply, weights, x)
        assert (sorted(found.sizes.values()), found.unknown) == (sizes, [])
        assert found.unused == []
        assert check_spec(apply, weights, found.spec, x) < 1e-4
