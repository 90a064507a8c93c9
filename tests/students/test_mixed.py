"""Losses on paths from mixed pairs alone, against those of the whole students."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax import paths
from lmc_jax.matching import align_types
from lmc_jax.students import minima, mixed, two_layer

SIZE, K = 16, 3


@functools.cache
def drawn(count):
    """Pairs [n, 2, SIZE, K]; every fourth of K ... SIZE neurons, the other rows zero.

    Every third pair has ties: its norms are equal within each type.
    """

    def student(key, m, tied):
        first, second = jax.random.split(key)
        W = jnp.where(
            tied,
            minima.sample(first, m, K, K, alpha=jnp.inf, size=SIZE),
            minima.sample(first, m, K, K, size=SIZE),
        )
        return jax.random.permutation(second, W)

    keys = jax.random.split(jax.random.key(2), (count, 2))
    rng = np.random.default_rng(2)
    widths = rng.integers(K, SIZE, (count, 2), np.int32, endpoint=True)
    widths[np.arange(count) % 4 > 0] = SIZE
    tied = np.arange(count)[:, None] % 3 == np.zeros(2)
    return jax.jit(jax.vmap(jax.vmap(student)))(keys, widths, tied)


@functools.partial(jax.jit, static_argnames="leftovers")
def both_losses(pairs, key, leftovers):
    """Losses [n, T] of whole students and of mixed pairs, and how many mix [n]."""
    ts = paths.times()

    def one(pair, key):
        if leftovers == "random":
            perm = jax.random.permutation(key, SIZE)
        else:
            perm = align_types(pair, K, leftovers=leftovers)
        loss = functools.partial(two_layer.loss, k=K)
        found = mixed.mixed(pair, perm, K)
        whole = paths.path_losses(loss, pair[0], pair[1][perm], ts)
        return whole, mixed.path_losses(found, K, ts), jnp.sum(found.masses[0] > 0)

    return jax.vmap(one)(pairs, jax.random.split(key, len(pairs)))


@pytest.mark.parametrize("leftovers", ["index", "sorted", "opposed", "random"])
def test_equal_to_the_losses_of_whole_students(leftovers):
    """2,500 pairs each, 10,000 in all: ties, zero neurons and unequal widths."""
    pairs = drawn(2500)
    whole, few, mixing = both_losses(pairs, jax.random.key(3), leftovers)
    np.testing.assert_allclose(few, whole, rtol=0, atol=1e-12)
    assert np.mean(mixing > 0) > 0.5
    assert np.median(whole.max(axis=1)) > 1e-5
    assert np.mean((np.asarray(pairs) == 0).all(axis=-1)) > 0.05  # zero neurons


def test_two_swapped_neurons_by_the_loss_in_numpy():
    axes = np.eye(2)
    found = mixed.mixed(
        jnp.stack([axes, axes[::-1]]), jnp.arange(2, dtype=jnp.int32), 2
    )
    ts = np.linspace(0, 1, 7)
    expected = [oracles.loss((1 - t) * axes + t * axes[::-1], 2) for t in ts]
    losses = mixed.path_losses(found, 2, jnp.asarray(ts))
    np.testing.assert_allclose(losses, expected, atol=1e-15)
    assert losses[3] > 0.09


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_padding_and_blocks_change_nothing(count):
    """Pairs of mass 0, of whatever type, add nothing; nor do blocks of rows."""
    rng = np.random.default_rng(count)
    masses = rng.exponential(size=(2, count))
    kinds = np.stack([rng.integers(2, size=count), 2 + rng.integers(2, size=count)])
    ts = paths.times(5)
    losses = mixed.path_losses(mixed.Mixed(masses, kinds), 4, ts)
    room = [(0, 0), (7, 90)]
    padded = mixed.Mixed(np.pad(masses, room), np.pad(kinds, room, constant_values=4))
    again = mixed.path_losses(padded, 4, ts)
    np.testing.assert_allclose(again, losses, rtol=0, atol=1e-15 * np.sum(masses) ** 2)
    # The residual as one student of the neurons and, with a minus, of the axes.
    own = np.eye(4)[kinds] * masses[..., None]
    for t, loss in zip(np.asarray(ts), losses, strict=True):
        neurons = (1 - t) * own[0] + t * own[1]
        rows = np.concatenate([neurons, np.diag(neurons.sum(axis=0))])
        signs = np.repeat([1.0, -1.0], [count, 4])
        norms = np.linalg.norm(rows, axis=1)
        units = rows / np.where(norms > 0, norms, 1)[:, None]
        cosine = np.clip(units @ units.T, -1, 1)
        angle = np.arccos(cosine)
        kernel = (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
        expected = (signs * norms) @ kernel @ (signs * norms) / 2
        assert loss == pytest.approx(expected, abs=1e-9 * np.sum(masses) ** 2)
