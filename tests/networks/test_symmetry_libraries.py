"""Networks of Flax, Equinox and Haiku: all groups found, and the function unchanged."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import ShapeDtypeStruct as Shape

from lmc_jax.networks.own import align, barrier_curve
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


@pytest.mark.slow
@pytest.mark.parametrize("method", ["weights", "activations"])
@pytest.mark.parametrize("name", CASES)
def test_three_lines_align_two_networks(name, method):
    make, sizes = CASES[name]
    with helpers.promotion("standard"):
        apply, weights, x = make()
        rng = np.random.default_rng(0)
        first, second = (
            jax.tree.map(lambda a: _drawn(rng, a), weights) for _ in range(2)
        )
        numbers = rng.integers(0, 3, x.shape)  # tokens, or anything
        x = jnp.asarray(numbers, x.dtype)
        aligned, perms = align(first, second, apply, x, method=method)
        assert jax.tree.structure(aligned) == jax.tree.structure(second)
        assert sorted(perm.shape[-1] for perm in perms.values()) == sizes
        curve = barrier_curve(lambda w: (apply(w, x) ** 2).mean(), first, aligned)
        ends = [(apply(w, x) ** 2).mean() for w in (first, second)]
        np.testing.assert_allclose(curve.losses[::10], ends, rtol=1e-4)


def _drawn(rng, array):
    """Positive numbers, as variances are."""
    return jnp.asarray(rng.uniform(0.1, 1, array.shape), array.dtype)


def test_modules_of_equinox_and_nnx_are_taken_whole():
    """With their activation functions, and the keys of their random numbers."""
    eqx, nnx = pytest.importorskip("equinox"), pytest.importorskip("flax.nnx")

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.a = nnx.Linear(7, 9, rngs=rngs)
            self.b = nnx.Linear(9, 3, rngs=rngs)

        def __call__(self, x):
            return self.b(nnx.relu(self.a(x)))

    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 7)), "float32")
    with helpers.promotion("standard"):
        for make, apply in (
            (lambda i: Network(nnx.Rngs(i)), lambda model, x: model(x)),
            (
                lambda i: eqx.nn.MLP(7, 3, 9, 1, key=jax.random.key(i)),
                lambda model, x: jax.vmap(model)(x),
            ),
        ):
            first, second = make(0), make(1)
            for method in ("weights", "activations"):
                aligned, perms = align(first, second, apply, x, method=method)
                assert [len(perm) for perm in perms.values()] == [9]
                assert type(aligned) is type(second)
                outputs = apply(aligned, x), apply(second, x)
                np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)
            curve = barrier_curve(lambda m, f=apply: f(m, x).sum(), first, second)
            losses = [apply(model, x).sum() for model in (first, second)]
            np.testing.assert_allclose(curve.losses[::10], losses, rtol=1e-4)
