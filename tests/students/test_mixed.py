"""Losses and certificates from mixed pairs alone, against those of whole students."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax import paths
from lmc_jax.matching import align_types
from lmc_jax.students import minima, mixed, two_layer

SIZE = 16
TIMES = np.linspace(0, 1, 11)
LEFTOVERS = pytest.mark.parametrize(
    ("leftovers", "k"),
    [
        ("index", 3),
        ("opposed", 7),
        pytest.param("sorted", 5, marks=pytest.mark.slow),
        pytest.param("random", 2, marks=pytest.mark.slow),
    ],
)


@functools.cache
def drawn(count, k):
    """Pairs [n, 2, SIZE, k]; every fourth of k ... SIZE neurons, the other rows zero.

    Every third pair has ties: its norms are equal within each type.
    """

    def student(key, m, tied):
        first, second = jax.random.split(key)
        W = jnp.where(
            tied,
            minima.sample(first, m, k, k, alpha=jnp.inf, size=SIZE),
            minima.sample(first, m, k, k, size=SIZE),
        )
        return jax.random.permutation(second, W)

    keys = jax.random.split(jax.random.key(k), (count, 2))
    rng = np.random.default_rng(k)
    widths = rng.integers(k, SIZE, (count, 2), np.int32, endpoint=True)
    widths[np.arange(count) % 4 > 0] = SIZE
    tied = np.arange(count)[:, None] % 3 == np.zeros(2)
    return jax.jit(jax.vmap(jax.vmap(student)))(keys, widths, tied)


@functools.partial(jax.jit, static_argnames=("leftovers", "k"))
def measured(pairs, leftovers, k):
    """Permutations [n, SIZE]; losses of whole students, losses of mixed pairs and
    certificates, each [n, T]."""
    ts = paths.times()

    def one(pair, key):
        if leftovers == "random":
            perm = jax.random.permutation(key, SIZE)
        else:
            perm = align_types(pair, k, leftovers=leftovers)
        loss = functools.partial(two_layer.loss, k=k)
        found = mixed.mixed(pair, perm, k)
        whole = paths.path_losses(loss, pair[0], pair[1][perm], ts)
        few, bounds = (f(found, k, ts) for f in (mixed.path_losses, mixed.certificate))
        return perm, whole, few, bounds

    return jax.vmap(one)(pairs, jax.random.split(jax.random.key(3), len(pairs)))


@LEFTOVERS
def test_losses_are_those_of_whole_students_and_below_the_certificate(leftovers, k):
    """2,500 pairs each, 10,000 in all: ties, zero neurons and unequal widths."""
    pairs = drawn(2500, k)
    _, whole, few, bounds = map(np.asarray, measured(pairs, leftovers, k))
    np.testing.assert_allclose(few, whole, rtol=0, atol=1e-12)
    assert np.all(whole <= bounds + 1e-13)
    assert np.mean((np.asarray(pairs) == 0).all(axis=-1)) > 0.05  # zero neurons
    # None of it is void: most pairs mix, and bounds are within a factor of 100.
    parted = whole.max(axis=1) > 1e-6
    assert parted.mean() > 0.5
    barriers, middle = whole.max(axis=1), bounds[:, 1:-1].max(axis=1)
    assert middle.mean() < 100 * barriers.mean()
    assert np.min(middle[parted] / barriers[parted]) < 15


def certificate(pair, perm, k):
    """½ ρ(t)ᵀ K ρ(t), neuron by neuron."""
    rho = np.zeros((2, k))
    for i, j in enumerate(perm):
        rows = pair[0, i], pair[1, j]
        kinds = [int(row.argmax()) for row in rows]
        if all(row.any() for row in rows) and kinds[0] != kinds[1]:
            for student in (0, 1):
                rho[student, kinds[student]] += np.linalg.norm(rows[student])
    gram = np.full((k, k), 1 / (2 * np.pi))
    np.fill_diagonal(gram, 0.5)
    along = [(1 - t) * rho[0] + t * rho[1] for t in TIMES]
    return np.array([r @ gram @ r / 2 for r in along])


@LEFTOVERS
def test_certificates_against_brute_force(leftovers, k):
    pairs = drawn(2500, k)
    perms, _, _, bounds = map(np.asarray, measured(pairs, leftovers, k))
    for i in range(0, len(pairs), 37):
        expected = certificate(np.asarray(pairs[i]), perms[i], k)
        np.testing.assert_allclose(bounds[i], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("first", "second", "bound"),
    [
        # Two swapped neurons; the last neurons part, masses ¼ of 0 and ⅜ of 1; a
        # neuron paired with a zero one stays on its axis: the path is all minima.
        ([[1, 0], [0, 1]], [[0, 1], [1, 0]], [(1 + 1 / np.pi) / 2] * 3),
        (
            [[0.75, 0], [0, 1], [0.25, 0]],
            [[1, 0], [0, 0.625], [0, 0.375]],
            [1 / 64, (1 / 64 + 9 / 256) / 4 + 3 / (256 * np.pi), 9 / 256],
        ),
        (
            [[0.5, 0], [0, 1], [0.5, 0], [0, 0]],
            [[1, 0], [0, 0.5], [0, 0], [0, 0.5]],
            [0, 0, 0],
        ),
    ],
)
def test_by_hand_and_by_the_loss_in_numpy(first, second, bound, dtype):
    pair = jnp.asarray([first, second], dtype)
    found = mixed.mixed(pair, jnp.arange(len(first), dtype=jnp.int32), 2)
    ts = jnp.linspace(0, 1, 3, dtype=dtype)
    certified, losses = (
        f(found, 2, ts) for f in (mixed.certificate, mixed.path_losses)
    )
    assert certified.dtype == losses.dtype == dtype
    eps = jnp.finfo(dtype).eps
    np.testing.assert_allclose(certified, bound, rtol=4 * eps)
    exact = np.asarray(pair, float)
    expected = [oracles.loss((1 - t) * exact[0] + t * exact[1], 2) for t in (0, 0.5, 1)]
    np.testing.assert_allclose(losses, expected, rtol=0, atol=8 * eps)


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
        charge = np.repeat([1.0, -1.0], [count, 4]) * np.linalg.norm(rows, axis=1)
        kernel = oracles.relu_kernel(oracles.angles(rows, rows))
        expected = charge @ kernel @ charge / 2
        assert loss == pytest.approx(expected, abs=1e-9 * np.sum(masses) ** 2)
