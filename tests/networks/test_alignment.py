"""Alignment recovers planted permutations, and climbs only."""

import itertools

import jax
import numpy as np
import pytest
from cases import NETWORKS, network_weights
from oracles import inner

from lmc_jax.networks import NORMS, cnn, mlp
from lmc_jax.networks.alignment import align_activations, align_weights
from lmc_jax.networks.alignment.activations import correlations
from lmc_jax.networks.alignment.distances import squares
from lmc_jax.networks.permutations import group_sizes, permute


def planted(network, weights, seed):
    """The weights in a random order, and the permutations that bring them back."""
    rng = np.random.default_rng(seed)
    sizes = group_sizes(weights, network.spec)
    perms = {group: rng.permutation(units) for group, units in sizes.items()}
    back = {group: np.argsort(perm) for group, perm in perms.items()}
    return permute(weights, network.spec, perms), back


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("noise", [0, 0.02])
def test_weight_matching_recovers_planted_permutations(kind, norm, noise):
    network = NETWORKS[kind][0](norm)
    weights = network_weights(network, 1)
    moved, back = planted(network, weights, 2)
    rng = np.random.default_rng(3)
    moved = jax.tree.map(lambda leaf: leaf + noise * rng.normal(size=leaf.shape), moved)
    perms, info = align_weights(
        weights, moved, network.spec, leave_out=network.statistics
    )
    assert info.converged
    assert perms.keys() == back.keys()
    for group, perm in perms.items():
        np.testing.assert_array_equal(perm, back[group])


@pytest.mark.parametrize("scale", [1e-170, 1e149])
def test_planted_permutations_are_recovered_at_every_scale(scale):
    network = mlp((20, 16, 12, 5))
    weights = jax.tree.map(lambda leaf: scale * leaf, network_weights(network, 5))
    moved, back = planted(network, weights, 6)
    perms, _ = align_weights(weights, moved, network.spec)
    jax.tree.map(np.testing.assert_array_equal, perms, back)


@pytest.mark.parametrize(
    "network",
    [
        *(mlp(sizes) for sizes in ((2, 16, 16, 1), (30, 4, 4, 4, 4, 10))),
        mlp((30, *8 * (8,), 10)),
        *(mlp((30, *5 * (8,), 10), norm) for norm in NORMS),
        cnn((16, 16, 1), (2, 2, 2), (4, 4, 4), 10),
        cnn((8, 8, 1), (16, 16), (8, 8, 8, 8, 8), 10),
    ],
    ids=lambda network: f"{len(network.spec)} arrays",
)
def test_weight_matching_finds_exact_copies_of_narrow_and_deep_networks(network):
    """Without biases, from which a descent that starts at the identity often fails."""
    for seed in range(20):
        weights = jax.tree.map(
            lambda leaf: leaf if leaf.ndim > 1 else 0 * leaf,
            network_weights(network, seed),
        )
        moved, back = planted(network, weights, seed + 100)
        perms, _ = align_weights(
            weights, moved, network.spec, leave_out=network.statistics
        )
        for group, perm in perms.items():
            np.testing.assert_array_equal(perm, back[group])


@pytest.mark.parametrize("kind", ["dead", "twins", "pruned"])
@pytest.mark.parametrize("sizes", [(1, 8, 8, 1), (4, 16, 16, 16, 3), (60, 32, 32, 10)])
def test_copies_whose_units_tie_in_incoming_weights_are_found(kind, sizes):
    network = mlp(sizes)
    for seed in range(20):
        weights = network_weights(network, seed)
        for layer in weights.values():
            kernel, bias = layer["kernel"], layer["bias"]
            bias[:] = 0
            if kind == "pruned":
                kernel[abs(kernel) < np.quantile(abs(kernel), 0.8)] = 0
            elif layer is not weights["output"]:
                kernel[:, 1::2] = kernel[:, ::2] if kind == "twins" else 0
        moved, _ = planted(network, weights, seed + 100)
        perms, _ = align_weights(weights, moved, network.spec)
        back = permute(moved, network.spec, perms)
        jax.tree.map(np.testing.assert_array_equal, back, weights)


@pytest.mark.parametrize(
    ("kind", "norm"), [("mlp", "none"), *(("cnn", norm) for norm in NORMS)]
)
def test_activation_matching_recovers_planted_permutations(kind, norm):
    make, shape = NETWORKS[kind]
    network = make(norm)
    x = np.random.default_rng(4).normal(size=shape)
    weights = jax.tree.map(
        np.asarray, jax.jit(network.reset)(network_weights(network, 1), x)
    )
    moved, back = planted(network, weights, 2)

    def activations(weights, x):
        return jax.tree.map(jax.nn.relu, network.hidden(weights, x))

    perms, paired = align_activations(activations, weights, moved, x)
    hidden = jax.jit(activations)(weights, x)
    for group, perm in perms.items():
        alive = np.asarray(hidden[group].reshape(-1, len(perm)).std(0)) > 0
        np.testing.assert_array_equal(perm[alive], back[group][alive])
        np.testing.assert_allclose(paired[group][alive], 1, rtol=1e-9)


def test_objective_rises_and_is_that_of_the_permuted_weights():
    network = mlp((6, 20, 20, 20, 4))
    first, second = network_weights(network, 5), network_weights(network, 6)
    perms, info = align_weights(first, second, network.spec)
    assert info.converged
    assert len(info.objective) > 4
    assert (np.diff(info.objective) > 0).all()
    aligned = permute(second, network.spec, perms)
    least, most = (inner(first, one, network.spec) for one in (second, aligned))
    np.testing.assert_allclose(info.objective[-1], most, rtol=1e-10)
    assert least < info.objective[0]  # after the first pass


@pytest.mark.parametrize("seed", range(5))
def test_no_group_alone_could_do_better(seed):
    network = cnn((4, 4, 1), (4,), (3,), 2)
    first, second = network_weights(network, seed), network_weights(network, seed + 50)
    perms, _ = align_weights(first, second, network.spec)
    reached = inner(first, permute(second, network.spec, perms), network.spec)
    for group, units in group_sizes(first, network.spec).items():
        for other in itertools.permutations(range(units)):
            changed = permute(second, network.spec, perms | {group: np.array(other)})
            assert inner(first, changed, network.spec) <= reached + 1e-9


def test_one_hidden_layer_reaches_the_best_of_all_orders():
    network = mlp((3, 5, 2))
    first, second = network_weights(network, 0), network_weights(network, 1)
    _, info = align_weights(first, second, network.spec)
    best = max(
        inner(first, permute(second, network.spec, {"hidden1": order}), network.spec)
        for order in map(np.array, itertools.permutations(range(5)))
    )
    assert info.objective[-1] == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("kind", ["decades", "copies"])
def test_short_units_and_near_copies_are_recovered(kind):
    network = mlp((4, 64, 64, 3))
    weights = network_weights(network, 14)
    rng = np.random.default_rng(15)
    first, second = (weights[layer] for layer in ("hidden1", "hidden2"))
    if kind == "decades":
        sizes = 10 ** rng.uniform(-9, 0, 64)
        first["kernel"] *= sizes
        first["bias"] *= sizes
        second["kernel"] *= sizes[:, None]
    else:
        for array in (first["kernel"].T, first["bias"], second["kernel"]):
            array[1::2] = array[::2] + 1e-8 * array[1::2]
    moved, back = planted(network, weights, 16)
    perms, info = align_weights(weights, moved, network.spec)
    assert info.converged
    for group, perm in perms.items():
        np.testing.assert_array_equal(perm, back[group])


@pytest.mark.parametrize("factor", [0, 1])
def test_descent_ends_where_units_are_equal(factor):
    network = mlp((4, 32, 32, 32, 3))
    ends = []
    for seed in (17, 18):
        weights = jax.tree.map(
            lambda leaf: factor * leaf, network_weights(network, seed)
        )
        for layer in ("hidden1", "hidden2", "hidden3"):  # of four units, eight times
            weights[layer] = jax.tree.map(
                lambda leaf: leaf[..., np.arange(32) % 4], weights[layer]
            )
        ends.append(planted(network, weights, seed)[0])
    _, info = align_weights(*ends, network.spec)
    assert info.converged
    assert (np.diff(info.objective) >= 0).all()
    assert len(info.objective) < 30


@pytest.mark.parametrize("sizes", [(20, 64, 64, 10), (784, 32, 32, 32, 10)])
def test_weight_matching_never_ends_farther_than_the_given_order(sizes):
    """Where the largest array, from which the first pass starts, is another one."""
    network = mlp(sizes)
    first, second, other = (
        network_weights(network, 0),
        network_weights(network, 0),
        network_weights(network, 1),
    )
    second["hidden1"]["kernel"] = other["hidden1"]["kernel"]
    perms, info = align_weights(first, second, network.spec)
    given = inner(first, second, network.spec)
    found = inner(first, permute(second, network.spec, perms), network.spec)
    assert info.objective[0] >= given * (1 - 1e-12)
    assert (np.diff(info.objective) >= 0).all()
    assert info.objective[-1] == pytest.approx(found, rel=1e-12)


def test_units_of_few_directions_are_recovered_in_every_layer():
    network = mlp((1, 32, 32, 32, 2))
    weights = network_weights(network, 19)
    for layer in weights.values():
        layer["bias"][:] = 0
    moved, back = planted(network, weights, 20)
    x = np.random.default_rng(21).normal(size=(300, 1))

    def activations(weights, x):
        return jax.tree.map(jax.nn.relu, network.hidden(weights, x))

    perms, paired = align_activations(activations, weights, moved, x, spec=network.spec)
    for group, perm in perms.items():
        np.testing.assert_array_equal(perm, back[group])
    _, plain = align_activations(activations, weights, moved, x)
    for group, found in paired.items():
        assert found.sum() == pytest.approx(plain[group].sum(), rel=1e-12)


def test_distances_are_those_of_differences():
    rng = np.random.default_rng(22)
    first = rng.normal(size=(7, 5)) * 10 ** rng.uniform(-9, 0, (7, 1))
    second = np.concatenate([first, first[:3] * (1 + 1e-9), 0 * first[:1]])
    expected = np.square(first[:, None] - second).sum(axis=-1)
    np.testing.assert_allclose(squares(first, second), expected, rtol=1e-12)


def test_arrays_left_out_do_not_count():
    network = mlp((6, 8, 3), "batch")
    first, tame, wild = (
        network_weights(network, 0),
        network_weights(network, 1),
        network_weights(network, 1),
    )
    wild["hidden1_norm"]["mean"] += 1e6 * np.arange(8)
    left = {"leave_out": network.statistics}
    found = [align_weights(first, end, network.spec, **left)[0] for end in (tame, wild)]
    np.testing.assert_array_equal(found[0]["hidden1"], found[1]["hidden1"])
    counted, _ = align_weights(first, wild, network.spec)
    assert (counted["hidden1"] != found[0]["hidden1"]).any()


def test_correlations_are_those_of_numpy_and_dead_units_correlate_with_none():
    rng = np.random.default_rng(7)
    first, second = rng.normal(size=(2, 3, 4))
    second[:, 2] = 0

    def activations(weights, x):
        return {"g": x @ weights}

    x = rng.normal(size=(1203, 3)) + 5  # more than one chunk, with a remainder
    found = correlations(activations, first, second, x)["g"]
    with np.errstate(invalid="ignore"):
        expected = np.corrcoef((x @ first).T, (x @ second).T)[:4, 4:]
    np.testing.assert_allclose(found, np.nan_to_num(expected), atol=1e-9)
    assert not found[:, 2].any()


def test_what_cannot_be_aligned_is_refused_in_one_line():
    network = mlp((3, 4, 2))
    first, other = network_weights(network, 0), network_weights(mlp((5, 4, 2)), 0)
    broken = jax.tree.map(np.copy, first)
    broken["hidden1"]["bias"][0] = np.nan
    turned = {"W": np.full((3, 3), 1j)}
    for arguments, said in (
        ((first, other, network.spec), "only equal shapes"),
        ((first, broken, network.spec), "NaN or infinity"),
        ((turned, turned, {"W": ("g", None)}), "complex"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            align_weights(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="not finite"):
        align_activations(network.hidden, first, broken, np.ones((5, 3)))
