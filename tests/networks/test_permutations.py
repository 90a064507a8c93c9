"""Permutations of hidden units leave every network's function as it is."""

import architectures
import jax
import numpy as np
import pytest
from cases import random_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from lmc_jax.networks import NORMS, cnn, mlp
from lmc_jax.networks.entries import Concat, Fixed, Product, Tiled, Within
from lmc_jax.networks.permutations import after, group_sizes, perm_shapes, permute
from lmc_jax.networks.symmetry import infer_spec

PROPERTY = settings(max_examples=10, deadline=None, derandomize=True)
widths = st.integers(1, 6)


def assert_unchanged(network, x, rng):
    weights = random_weights(network, rng)
    sizes = group_sizes(weights, network.spec)
    perms = {group: rng.permutation(units) for group, units in sizes.items()}
    moved = permute(weights, network.spec, perms)
    functions = (network.apply, network.fit, network.hidden)
    compute = jax.jit(lambda weights: [function(weights, x) for function in functions])
    (*outputs, hidden), (*same, others) = compute(weights), compute(moved)
    for before, found in zip(outputs, same, strict=True):
        np.testing.assert_allclose(found, before, atol=1e-10 * np.abs(before).max())
    assert hidden.keys() == sizes.keys()
    for group, perm in perms.items():
        expected = np.asarray(hidden[group])[..., perm]
        np.testing.assert_allclose(
            others[group], expected, atol=1e-10 * np.abs(expected).max()
        )


@PROPERTY
@given(
    st.lists(widths, min_size=3, max_size=6), st.sampled_from([*NORMS]), st.integers(0)
)
def test_mlp_computes_the_same_in_any_order_of_its_units(sizes, norm, seed):
    rng = np.random.default_rng(seed)
    assert_unchanged(mlp(sizes, norm), rng.normal(size=(5, sizes[0])), rng)


@PROPERTY
@given(
    st.lists(widths, min_size=1, max_size=2),
    st.lists(widths, max_size=2),
    st.sampled_from([*NORMS]),
    st.integers(0),
)
def test_cnn_computes_the_same_in_any_order_of_its_units(channels, hidden, norm, seed):
    rng = np.random.default_rng(seed)
    network = cnn((4, 8, 2), channels, hidden, 3, norm)
    assert_unchanged(network, rng.normal(size=(3, 4, 8, 2)), rng)


@PROPERTY
@given(*[st.tuples(st.permutations(range(4)), st.permutations(range(5)))] * 2)
def test_permutations_compose_and_invert(first, second):
    network = mlp((3, 4, 5, 2))
    weights = random_weights(network)
    first, second = (
        dict(zip(("hidden1", "hidden2"), map(np.array, orders), strict=True))
        for orders in (first, second)
    )
    once = permute(weights, network.spec, first)
    twice = permute(once, network.spec, second)
    both = {group: first[group][second[group]] for group in first}
    jax.tree.map(
        np.testing.assert_array_equal, twice, permute(weights, network.spec, both)
    )
    back = {group: np.argsort(perm) for group, perm in first.items()}
    jax.tree.map(
        np.testing.assert_array_equal, permute(once, network.spec, back), weights
    )


NESTED = ("group_norm", "gpt", "vit", "llama_scanned", "looped", "dense_experts")


@pytest.mark.parametrize("name", ["mlp", "lstm", "unet", *NESTED])
def test_permutations_after_others_do_what_both_do(name):
    apply, weights, *inputs = architectures.example(architectures.CASES[name])
    spec, rng = infer_spec(apply, weights, *inputs), np.random.default_rng(0)
    weights = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), weights)
    first, second = (
        {
            group: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
            for group, shape in perm_shapes(weights, spec).items()
        }
        for _ in range(2)
    )
    some = dict(list(second.items())[::2])
    once = permute(weights, spec, first)
    for more in (second, some):
        both = permute(weights, spec, after(first, more, spec))
        jax.tree.map(np.testing.assert_array_equal, permute(once, spec, more), both)


def test_channels_first_images_flatten_with_an_inner_length():
    rng = np.random.default_rng(0)
    weights = {"conv": rng.normal(size=(3, 2)), "dense": rng.normal(size=(3 * 4, 5))}
    spec = {"conv": ("channel", None), "dense": (Tiled("channel", inner=4), None)}

    def function(weights):  # one channel-wise map of two inputs to 2 × 2 images
        image = np.einsum("ci,ixy->cxy", weights["conv"], x)
        return image.reshape(-1) @ weights["dense"]

    x = rng.normal(size=(2, 2, 2))
    moved = permute(weights, spec, {"channel": np.array([2, 0, 1])})
    np.testing.assert_allclose(function(moved), function(weights), rtol=1e-12)
    assert (moved["conv"] == weights["conv"][[2, 0, 1]]).all()


def test_units_within_others_are_in_an_order_of_their_own_at_each_place():
    rng = np.random.default_rng(0)
    weights = {
        "apart": rng.normal(size=(2, 5, 3, 4)),
        "merged": rng.normal(size=(2, 12, 5)),
        "bias": rng.normal(size=(2, 2 * 12)),
        "heads": rng.normal(size=(5, 3)),
    }
    units = Within("units", ("layers", "heads"))
    layers, heads = Fixed("layers"), "heads"
    both = Product(((3, heads), (4, units)))
    spec = {
        "apart": (layers, None, heads, units),
        "merged": (layers, both, None),
        "bias": (layers, Concat(((12, both), (12, both)))),
        "heads": (None, heads),
    }
    assert perm_shapes(weights, spec) == {"heads": (3,), "units": (2, 3, 4)}
    order = np.array([2, 0, 1])
    perms = rng.permuted(np.broadcast_to(np.arange(4), (2, 3, 4)), axis=-1)
    moved = permute(weights, spec, {"heads": order, "units": perms})
    traced = jax.jit(lambda w: permute(w, spec, {"heads": order, "units": perms}))
    jax.tree.map(np.testing.assert_array_equal, moved, traced(weights))
    for layer, head in np.ndindex(2, 3):
        perm = perms[layer, head]
        expected = weights["apart"][layer, :, order[head]][:, perm]
        np.testing.assert_array_equal(moved["apart"][layer, :, head], expected)
        for name, copies in (("merged", 1), ("bias", 2)):
            shape = (2, copies, 3, 4, -1)
            found, before = moved[name].reshape(shape), weights[name].reshape(shape)
            expected = before[layer, :, order[head]][:, perm]
            np.testing.assert_array_equal(found[layer, :, head], expected)
    np.testing.assert_array_equal(moved["heads"], weights["heads"][:, order])
    together = permute(weights, spec, {"units": perms[0, 0]})
    alike = np.broadcast_to(perms[0, 0], (2, 3, 4))
    same = permute(weights, spec, {"units": alike})
    jax.tree.map(np.testing.assert_array_equal, together, same)
    with pytest.raises(ValueError, match=r"heads \(3\), units \(2 × 3 × 4\)"):
        permute(weights, spec, {"units": perms[0]})


def test_groups_left_out_keep_their_order_and_traced_permutations_do_the_same():
    network = mlp((3, 4, 5, 2))
    weights = random_weights(network, 1)
    perm = np.array([3, 1, 0, 2])
    moved = permute(weights, network.spec, {"hidden1": perm})
    traced = jax.jit(
        lambda weights, perm: permute(weights, network.spec, {"hidden1": perm})
    )(weights, perm)
    assert (moved["hidden2"]["bias"] == weights["hidden2"]["bias"]).all()
    jax.tree.map(np.testing.assert_array_equal, moved, traced)


WEIGHTS = {"a": np.zeros((2, 3)), "b": np.zeros(4)}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"a": (None, None)}, "'b' is not in the permutation"),
        ({"a": (None, None), "b": (None,), "c": ()}, "'c' is not in the weights"),
        ({"a": (None,), "b": (None,)}, "has 2 axes"),
        ({"a": (None, "g"), "b": ("g",)}, "'g' has 3 units"),
        ({"a": (None, "g"), "b": (Tiled("g"),)}, "not a multiple of 3"),
        ({"a": (None, None), "b": (Tiled("g"),)}, "no plain axis"),
        ({"a": ("g", None), "b": (Tiled("g", 0),)}, "give inner of at least 1"),
        ({"a": ("g", None), "b": (Tiled("g", -1),)}, "give inner of at least 1"),
        ({"a": (None, "g"), "b": (Product(((2, "h"), (3, "g"))),)}, "4 entries, the"),
        ({"a": (None, "g"), "b": (Concat(((2, "h"), (3, "g"))),)}, "4 entries, the"),
        ({"a": (None, "g"), "b": (Concat(((4, "g"),)),)}, "'g' has 3 units"),
        (None, "spec=None: give"),
    ],
)
def test_specifications_that_do_not_fit_are_refused_in_one_line(spec, said):
    with pytest.raises(ValueError, match=said) as caught:
        permute(WEIGHTS, spec, {})
    assert "\n" not in str(caught.value)


def test_two_arrays_of_one_path_are_refused():
    weights = {"a/b": np.ones(2), "a": {"b": np.ones(2)}}
    with pytest.raises(ValueError, match=r"^two arrays have the same path: give keys"):
        permute(weights, {"a/b": ("g",)}, {"g": [1, 0]})


def test_permutations_of_unknown_groups_and_wrong_lengths_are_refused():
    spec = {"a": (None, "g"), "b": (None,)}
    for perms in (None, [0, 1, 2]):
        with pytest.raises(ValueError, match="give the permutations by group"):
            permute(WEIGHTS, spec, perms)
    for perms in ({"h": [0, 1, 2]}, {"g": [0, 1]}, {"g": None}, {"g": 3}):
        with pytest.raises(ValueError, match=r"the groups are g \(3\)"):
            permute(WEIGHTS, spec, perms)
    floats, masks = np.arange(3.0), [True, False, True]
    for units in ([0, 1, 1], [0, 1, 3], [-1, 0, 1], [0.5, 1, 2], floats, masks):
        with pytest.raises(ValueError, match=r"give each of 0 \.\.\. 2 once"):
            permute(WEIGHTS, spec, {"g": units})


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp((3, 2)),
        lambda: mlp((3, 0, 2)),
        lambda: mlp((3, 2, 2), "group"),
        lambda: cnn((6, 6, 1), (2, 2), (), 3),
        lambda: cnn((8, 8, 1), (), (), 3),
        lambda: cnn((8, 8, 1), (0,), (), 3),
    ],
)
def test_sizes_that_make_no_network_are_refused(make):
    with pytest.raises(ValueError, match=r"give|must be"):
        make()


def test_initial_weights_have_the_variance_of_he():
    weights = jax.jit(cnn((8, 8, 3), (64,), (256,), 10).init)(jax.random.key(0))
    for name, fan_in in (("conv1", 27), ("hidden1", 1024), ("output", 256)):
        kernel = np.asarray(weights[name]["kernel"])
        error = 4 * np.sqrt(2 / kernel.size)  # four standard errors of a variance
        assert abs(kernel.var() * fan_in / 2 - 1) < error
        assert not np.asarray(weights[name]["bias"]).any()
