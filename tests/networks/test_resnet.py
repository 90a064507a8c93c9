"""Residual networks: what they compute, what permutes, what REPAIR does for them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import network_weights, random_weights

from lmc_jax.data.datasets import Dataset
from lmc_jax.networks import resnet
from lmc_jax.networks.alignment import align_activations, align_weights
from lmc_jax.networks.cell import (
    ClassifierCell,
    align,
    compute,
    losses_along_paths,
    orders,
    samples,
)
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.networks.permutations import group_sizes, leaves, permute
from lmc_jax.networks.repair import repair
from lmc_jax.networks.symmetry import check_spec, infer_spec
from lmc_jax.networks.training import Training
from lmc_jax.paths import lerp

NORMS = ("layer", "batch")
SHAPE = (8, 6, 3)


def small(norm, width=4):
    return resnet(SHAPE, width, 8, 5, norm)


def examples(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE))


def convolved(layer, x, stride=1):
    """By NumPy."""
    kernel = layer["kernel"]
    size = len(kernel)
    around = (size // 2, size // 2)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    found = np.einsum("nhwcij,ijco->nhwo", windows, kernel) + layer["bias"]
    return found[:, ::stride, ::stride]


def normalised(layer, x, norm):
    if norm == "layer":
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    else:
        mean, var = layer["mean"], layer["var"]
    return (x - mean) / np.sqrt(var + 1e-5) * layer["scale"] + layer["offset"]


@pytest.mark.parametrize("norm", NORMS)
def test_a_residual_network_is_what_numpy_computes(norm):
    network = small(norm)
    weights, x = random_weights(network), examples(2)

    def step(name, x, stride=1):
        y = convolved(weights[name], x, stride)
        return normalised(weights[f"{name}_norm"], y, norm)

    y = np.maximum(step("stem", x), 0)
    for block, stride in (("block1", 1), ("block2", 2), ("block3", 2)):
        inner = np.maximum(step(f"{block}_first", y, stride), 0)
        skip = step(f"{block}_skip", y, stride) if stride > 1 else y
        y = np.maximum(skip + step(f"{block}_second", inner), 0)
    assert y.shape == (2, 2, 2, 16)
    output = weights["output"]
    expected = y.mean((1, 2)) @ output["kernel"] + output["bias"]
    found = jax.jit(network.apply)(weights, x)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_fit_has_the_values_of_apply_with_statistics_taken_anew(norm):
    network, x = small(norm), examples(20)
    weights = random_weights(network)
    reset, fitted = jax.jit(lambda w: (network.reset(w, x), network.fit(w, x)))(weights)
    same = jax.jit(network.apply)(reset, x)
    np.testing.assert_allclose(same, fitted, rtol=1e-9, atol=1e-9)
    before, after = leaves(weights), leaves(reset)
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed == set(network.statistics)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("depth", "blocks"), [(8, 1), pytest.param(20, 3, marks=pytest.mark.slow)]
)
def test_the_residual_channels_of_a_stage_are_one_group_and_those_in_blocks_their_own(
    depth, blocks, norm
):
    network = resnet(SHAPE, 4, depth, 5, norm)
    weights = jax.eval_shape(network.init, jax.random.key(0))
    sizes = group_sizes(weights, network.spec)
    assert sorted(sizes.values()) == sorted((1 + blocks) * [4, 8, 16])
    x = jax.ShapeDtypeStruct((2, *SHAPE), "float64")
    assert infer_spec(network.apply, weights, x) == network.spec
    weights = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, float), weights)
    for function in (network.apply, network.fit):
        assert check_spec(function, weights, network.spec, x) < 1e-10
    unmoved = network.spec | {"block3_first_norm/scale": (None,)}
    with pytest.raises(ValueError, match=r"wrong about block3_first$"):
        check_spec(network.apply, weights, unmoved, x)


@pytest.mark.parametrize(
    "norm", ["batch", pytest.param("layer", marks=pytest.mark.slow)]
)
def test_exact_copies_are_recovered(norm):
    network, rng = small(norm), np.random.default_rng(2)
    first = network_weights(network, 3)
    sizes = group_sizes(first, network.spec).items()
    planted = {group: rng.permutation(units) for group, units in sizes}
    second = permute(first, network.spec, planted)
    given, x = (first, second), examples(40, 4)
    for perms, _ in (
        align_weights(*given, network.spec),
        align_activations(network.activations, *given, x, spec=network.spec),
    ):
        back = permute(second, network.spec, perms)
        jax.tree.map(np.testing.assert_array_equal, back, first)


def test_repaired_residual_networks_have_the_statistics_between_those_of_the_ends():
    network, x, t = small("layer"), examples(50), 0.3
    first, second = network_weights(network, 5), network_weights(network, 6)
    between = lerp(first, second, jnp.float64(t))
    given = (network.hidden, network.spec, network.affine, first, second)
    mended = jax.jit(lambda between: repair(*given, between, t, x))(between)

    @jax.jit
    def moments(weights):
        axes, hidden = (0, 1, 2), network.hidden(weights, x)
        return {
            name: jnp.stack([h.mean(axes), h.std(axes)]) for name, h in hidden.items()
        }

    start, stop, found, plain = map(moments, (first, second, mended, between))
    assert len(found) == 9  # the stem, two of each block, two skips
    for name, both in found.items():
        wanted = (1 - t) * start[name] + t * stop[name]
        np.testing.assert_allclose(both, wanted, atol=1e-9)
        assert np.abs(plain[name] - wanted).max() > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [{"depth": 9}, {"depth": 2}, {"depth": 116}, {"norm": "none"}, {"width": 0}],
)
def test_what_cannot_be_built_is_refused_in_one_line(wrong):
    right = {"shape": SHAPE, "width": 4, "depth": 8, "classes": 5, "norm": "layer"}
    with pytest.raises(ValueError, match=r"among 8, 14, 20, \.\.\., 110") as caught:
        resnet(**(right | wrong))
    assert "\n" not in str(caught.value)


# --- trained ----------------------------------------------------------------------


def stripes(count, seed):
    """Noisy stripes of 8 × 8 pixels: ten directions and wave lengths."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(10, size=count).astype(np.int32)
    rows, columns = np.mgrid[:8, :8]
    angle = np.pi * (labels % 5)[:, None, None] / 5
    along = np.cos(angle) * rows + np.sin(angle) * columns
    waves = np.sin(along * np.where(labels < 5, 1, 2)[:, None, None])
    pixels = 128 + 60 * waves + rng.normal(scale=30, size=(count, 8, 8))
    return pixels.clip(0, 255).astype(np.uint8)[..., None], labels


@pytest.mark.slow
def test_pairs_are_trained_and_statistics_taken_anew_lower_their_barrier():
    data = Dataset("stripes", *stripes(600, 0), *stripes(200, 1), digest="")
    cell = ClassifierCell(
        data=data.name,
        digest=data.digest,
        train_images=600,
        test_images=200,
        architecture="resnet",
        width=4,
        layers=8,
        training=Training(steps=100, batch=50, optimizer="momentum", looks=2),
        norm="batch",
        alignments=("activations",),
        repaired=True,
        points=3,
        pairs=2,
    )
    cell.validate(data)
    with jax.numpy_dtype_promotion("standard"):
        arrays, weights = compute(cell, data)
    losses = arrays["losses"]  # [pairs, orders, 3, samples, metrics]
    assert orders(cell.parameters()) == [
        "direct",
        "activations",
        "activations_repaired",
    ]
    error = losses[..., METRICS.index("error")]
    assert error[:, 0, [0, -1], 1].max() < 0.3  # where guessing has 0.9
    ends = losses[:, :, [0, -1]]
    np.testing.assert_allclose(ends, ends[:, :1].repeat(3, 1), rtol=1e-6)
    nll = losses[:, :, 1, 0, METRICS.index("nll")]
    assert (nll[:, 2] < nll[:, 1]).all()
    # Without repair every path takes statistics anew, as repaired ones do.
    network, seen = cell.network((8, 8, 1)), samples(cell, data)
    perms = align(cell, network, weights, seen[0])
    plain = dataclasses.replace(cell, repaired=False)
    found = losses_along_paths(plain, network, weights, perms, seen)
    np.testing.assert_allclose(found[:, 1], losses[:, 2], rtol=1e-9)
