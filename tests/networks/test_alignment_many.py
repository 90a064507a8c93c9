"""Many networks aligned: to the first, and each to the mean of the others."""

import itertools

import jax
import numpy as np
import pytest
from cases import NETWORKS, network_weights

from lmc_jax.networks import mlp
from lmc_jax.networks.alignment import align_many, align_weights
from lmc_jax.networks.alignment.many import mean
from lmc_jax.networks.permutations import group_sizes, leaves, permute


def spread(networks):
    """Mean squared distance from the mean, by all pairs: Σ |Θᵢ - Θⱼ|² / 2n²."""
    flat = [np.concatenate([a.ravel() for a in leaves(w).values()]) for w in networks]
    pairs = itertools.combinations(flat, 2)
    return sum(((a - b) ** 2).sum() for a, b in pairs) / len(flat) ** 2


def placed(networks, spec, perms):
    return [permute(w, spec, perm) for w, perm in zip(networks, perms, strict=True)]


@pytest.mark.parametrize(("kind", "norm"), [("mlp", "none"), ("cnn", "batch")])
def test_copies_of_a_network_come_into_its_order(kind, norm):
    network, rng = NETWORKS[kind][0](norm), np.random.default_rng(1)
    first = network_weights(network, 2)
    sizes = group_sizes(first, network.spec).items()
    several = [first] + [
        permute(first, network.spec, {g: rng.permutation(n) for g, n in sizes})
        for _ in range(4)
    ]
    perms, spreads = align_many(several, network.spec, leave_out=network.statistics)
    for weights in placed(several, network.spec, perms):
        jax.tree.map(np.testing.assert_array_equal, weights, first)
    assert spreads[0] > 1e-3
    assert spreads[1:].max() < 1e-28  # the rounding of a mean


def test_two_networks_are_aligned_as_a_pair():
    network = NETWORKS["mlp"][0]("none")
    for seed in range(5):
        first, second = (network_weights(network, 2 * seed + i) for i in range(2))
        expected, _ = align_weights(first, second, network.spec)
        for cycles in (0, 10):
            perms, _ = align_many([first, second], network.spec, cycles=cycles)
            for group, perm in expected.items():
                np.testing.assert_array_equal(perms[0][group], np.arange(len(perm)))
                np.testing.assert_array_equal(perms[1][group], perm)


def test_cycles_bring_networks_nearer_to_their_mean_until_no_turn_does():
    network = mlp((6, 8, 8, 3))
    several = [network_weights(network, seed) for seed in range(5)]
    reference, before = align_many(several, network.spec, cycles=0)
    perms, spreads = align_many(several, network.spec)
    for found, order in (
        (spreads[0], None),
        (before[-1], reference),
        (spreads[-1], perms),
    ):
        own = placed(several, network.spec, order) if order else several
        # Biases of the output stay, and do not count.
        fixed = spread([{"b": w["output"]["bias"]} for w in several])
        np.testing.assert_allclose(found, spread(own) - fixed, rtol=1e-9)
    np.testing.assert_array_equal(spreads[:2], before)
    assert (np.diff(spreads) <= 1e-12 * spreads[0]).all()
    assert spreads[-1] < 0.99 * spreads[1] < 0.99 * spreads[0]
    assert 3 < len(spreads) < 20
    ends = placed(several, network.spec, perms)
    for i, weights in enumerate(ends[1:], 1):
        rest = mean(ends[:i] + ends[i + 1 :])
        more, _ = align_weights(rest, weights, network.spec)
        assert all((np.diff(perm) == 1).all() for perm in more.values())


def test_a_mean_is_in_float64_and_of_floating_point_numbers_alone():
    one = {"w": np.float32([0.1, 0.2]), "count": np.array(3)}
    other = {"w": np.float32([0.3, 0.4]), "count": np.array(8)}
    found = mean([one, one, other])
    assert found["w"].dtype == np.float64
    expected = (2 * one["w"].astype(float) + other["w"]) / 3
    np.testing.assert_allclose(found["w"], expected, rtol=1e-15)
    assert found["count"] == 3
