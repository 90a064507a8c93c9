"""Statistics taken anew, and REPAIR, say what they set and set it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import NETWORKS, network_weights

from lmc_jax.networks import mlp
from lmc_jax.networks.entries import Product
from lmc_jax.networks.repair import repair
from lmc_jax.paths import lerp


@pytest.mark.parametrize(("kind", "norm"), [("mlp", "none"), ("cnn", "layer")])
def test_repaired_networks_have_the_statistics_between_those_of_the_ends(kind, norm):
    make, shape = NETWORKS[kind]
    network = make(norm)
    x = np.random.default_rng(8).normal(size=shape)
    first, second = network_weights(network, 9), network_weights(network, 10)
    t = 0.3
    between = jax.tree.map(np.asarray, lerp(first, second, jnp.float64(t)))
    given = (network.hidden, network.spec, network.affine, first, second)
    mended = jax.jit(lambda between: repair(*given, between, t, x))(between)

    @jax.jit
    def moments(weights):
        hidden = network.hidden(weights, x)
        axes = {group: tuple(range(h.ndim - 1)) for group, h in hidden.items()}
        return {
            g: jnp.array([h.mean(axes[g]), h.std(axes[g])]) for g, h in hidden.items()
        }

    start, stop, found, plain = map(moments, (first, second, mended, between))
    for group in found:
        wanted = (1 - t) * start[group] + t * stop[group]
        np.testing.assert_allclose(found[group], wanted, atol=1e-9)
        assert np.abs(plain[group] - wanted).max() > 1e-3


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_repair_does_not_scale_what_varies_by_rounding_alone(precision):
    network, (n, size) = mlp((20, 16, 5)), (1000, 20)
    x = np.random.default_rng(13).normal(size=(n, size)).astype(precision)
    first, second = (
        jax.tree.map(
            lambda leaf: leaf.astype(precision), network_weights(network, seed)
        )
        for seed in (14, 15)
    )
    layer, (scale, shift) = next(iter(network.affine.items()))
    kernel, bias = scale.split("/"), shift.split("/")
    between = jax.tree.map(np.array, lerp(first, second, jnp.float64(0.5)))
    tiny = 1e-17 if precision == "float64" else 1e-9
    between[kernel[0]][kernel[1]][:, :2] *= tiny  # next to a bias, and next to none
    between[bias[0]][bias[1]][1] = 0
    given = (network.hidden, network.spec, network.affine, first, second)
    mended = jax.jit(lambda between: repair(*given, between, 0.5, x))(between)
    before, after = (tree[kernel[0]][kernel[1]] for tree in (between, mended))
    assert after.dtype == precision
    np.testing.assert_array_equal(after[:, :2], before[:, :2])
    assert (np.abs(after[:, 2:] - before[:, 2:]).max(0) > 0).all()
    start, stop, found = (
        network.hidden(tree, x)[layer].mean(0) for tree in (first, second, mended)
    )
    np.testing.assert_allclose(found, (start + stop) / 2, atol=1e-5)


def test_every_unit_of_every_head_is_repaired_on_its_own():
    heads = Product(((2, "heads"), (3, "units")))
    spec = {"kernel": (heads, heads), "bias": (heads,)}
    rng = np.random.default_rng(16)
    ends = [
        {"kernel": rng.normal(size=(6, 6)), "bias": rng.normal(size=6)} for _ in "ab"
    ]
    x = rng.normal(size=(50, 6))

    def hidden(weights, x):
        return {"values": x @ weights["kernel"] + weights["bias"]}

    between = lerp(*ends, jnp.float64(0.5))
    affine = {"values": ("kernel", "bias")}
    mended = repair(hidden, spec, affine, *ends, between, 0.5, x)
    first, second, found = (hidden(w, x)["values"] for w in (*ends, mended))
    for moment in (np.mean, np.std):
        wanted = (moment(first, 0) + moment(second, 0)) / 2
        np.testing.assert_allclose(moment(found, 0), wanted, atol=1e-9)


def test_batch_statistics_taken_anew_standardise_every_unit():
    make, shape = NETWORKS["cnn"]
    network = make("batch")
    x = np.random.default_rng(11).normal(size=shape)
    weights = network.reset(network_weights(network, 12), x)
    for group, hidden in network.hidden(weights, x).items():
        layer = weights[f"{group}_norm"]
        axes = tuple(range(hidden.ndim - 1))
        np.testing.assert_allclose(hidden.mean(axes), layer["offset"], atol=1e-9)
        np.testing.assert_allclose(hidden.std(axes), abs(layer["scale"]), rtol=1e-3)
    np.testing.assert_allclose(
        network.apply(weights, x), network.fit(weights, x), atol=1e-9
    )
