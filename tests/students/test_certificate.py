"""The certificate: by hand, by brute force, and above every loss on the path."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax import paths
from lmc_jax.matching import align_types
from lmc_jax.students import minima, mixed, two_layer

POINTS = 11
MATCHINGS = ["index", "opposed", "respects types", "random"]


def certificate(pair, perm, k, ts):
    return mixed.certificate(mixed.mixed(pair, perm, k), k, ts)


def brute_force(pair, perm, k, ts):
    """½ ρ(t)ᵀ K ρ(t), neuron by neuron."""
    rho = np.zeros((2, k))
    for i, j in enumerate(perm):
        rows = pair[0, i], pair[1, j]
        kinds = [int(row.argmax()) for row in rows]
        if all(row.any() for row in rows) and kinds[0] != kinds[1]:
            for student in (0, 1):
                rho[student, kinds[student]] += np.linalg.norm(rows[student])
    K = np.full((k, k), 1 / (2 * np.pi))
    np.fill_diagonal(K, 0.5)
    along = [(1 - t) * rho[0] + t * rho[1] for t in ts]
    return np.array([r @ K @ r / 2 for r in along])


def align(pair, k, matching, key, width):
    """A permutation of the first ``width`` rows of the second student."""
    if matching == "random":
        return shuffle(key, pair.shape[1], width)
    if matching == "respects types":  # as if the norms were others
        norms = jax.random.uniform(key, (*pair.shape[:2], 1), pair.dtype, 0.1)
        return align_types(jnp.sign(pair) * norms, k, leftovers="index", m=width)
    return align_types(pair, k, leftovers=matching, m=width)


def shuffle(key, size, width):
    """Permutation of ``size`` rows that leaves those from ``width`` on in place."""
    draws = jax.random.uniform(key, (size,))
    return jnp.argsort(
        jnp.where(jnp.arange(size, dtype=jnp.int32) < width, draws, jnp.inf)
    )


@functools.cache
def sampler(k, size):
    """Pairs [n, 2, size, k] of m neurons each, zero ones among the first ``width``."""

    def student(key, m, width):
        first, second = jax.random.split(key)
        W = minima.sample(first, m, k, k, size=size)
        return W[shuffle(second, size, width)]

    def one(key, m, width):
        return jax.vmap(student, (0, None, None))(jax.random.split(key), m, width)

    return jax.jit(jax.vmap(one))


def draw(k, size, count):
    """Pairs and their keys and widths, from k to size; every fourth has zero rows."""
    keys = jax.random.split(jax.random.key(k), count)
    rng = np.random.default_rng(k)
    widths = np.geomspace(k, size + 0.99, count).astype(np.int32)
    m = np.where(np.arange(count) % 4, widths, rng.integers(k, widths, endpoint=True))
    return sampler(k, size)(keys, m.astype(np.int32), widths), keys, widths


class Measured(NamedTuple):
    pairs: np.ndarray  # [n, 2, 8k, k]
    widths: np.ndarray  # [n], from k to 8k
    perms: np.ndarray  # [n, matchings, 8k]
    losses: np.ndarray  # [n, matchings, POINTS]
    bounds: np.ndarray  # [n, matchings, POINTS]


@functools.cache
def measured(k, count):
    ts = paths.times(POINTS)

    def one(pair, key, width):
        def along(perm):
            loss = functools.partial(two_layer.loss, k=k)
            losses = paths.path_losses(loss, pair[0], pair[1][perm], ts)
            return perm, losses, certificate(pair, perm, k, ts)

        perms = [align(pair, k, name, key, width).astype(int) for name in MATCHINGS]
        return jax.lax.map(along, jnp.stack(perms))

    pairs, keys, widths = draw(k, 8 * k, count)
    found = jax.device_get(jax.jit(jax.vmap(one))(pairs, keys, widths))
    return Measured(np.asarray(pairs), widths, *found)


@functools.partial(jax.jit, static_argnums=2)
def bound(pair, perm, k, ts):
    return certificate(pair, perm, k, ts)


CELLS = [(5, 1000), pytest.param(20, 120, marks=pytest.mark.slow)]


def test_two_swapped_neurons_by_hand(dtype):
    axes = jnp.eye(2, dtype=dtype)
    pair = jnp.stack([axes, axes[::-1]])
    ts = jnp.linspace(0, 1, 5, dtype=dtype)
    same, swapped = jnp.array([1, 0], jnp.int32), jnp.array([0, 1], jnp.int32)
    found = bound(pair, swapped, 2, ts)
    assert found.dtype == dtype
    eps = jnp.finfo(dtype).eps
    np.testing.assert_allclose(found, (1 + 1 / np.pi) / 2, rtol=4 * eps)
    np.testing.assert_array_equal(bound(pair, same, 2, ts), 0)


def test_masses_of_both_students_by_hand(dtype):
    """Types 0 1 0 against 0 1 1: the last neurons part, masses ¼ of 0 and ⅜ of 1."""
    first = jnp.array([[0.75, 0], [0, 1], [0.25, 0]], dtype)
    second = jnp.array([[1, 0], [0, 0.625], [0, 0.375]], dtype)
    ts = jnp.array([0, 0.5, 1], dtype)
    found = bound(jnp.stack([first, second]), jnp.arange(3, dtype=jnp.int32), 2, ts)
    middle = (1 / 64 + 9 / 256) / 2 + 3 / (128 * np.pi)
    expected = np.array([1 / 16 / 2, middle, 9 / 64 / 2]) / 2
    np.testing.assert_allclose(found, expected, rtol=4 * jnp.finfo(dtype).eps)


@pytest.mark.parametrize(("k", "count"), CELLS)
def test_against_brute_force(k, count):
    found = measured(k, count)
    ts = np.linspace(0, 1, POINTS)
    for i in range(0, count, 37):
        for perm, bounds in zip(found.perms[i], found.bounds[i], strict=True):
            expected = brute_force(found.pairs[i], perm, k, ts)
            np.testing.assert_allclose(bounds, expected, rtol=0, atol=1e-14 * k**2)


@pytest.mark.parametrize(("k", "count"), CELLS)
def test_never_below_the_loss(k, count):
    found = measured(k, count)
    rounding = 4 * np.finfo(float).eps * (2 * k) ** 2
    assert np.all(found.losses <= found.bounds + rounding)
    ends = found.losses[..., [0, -1]]
    np.testing.assert_allclose(ends, 0, rtol=0, atol=rounding)
    assert np.all(np.diff(found.bounds, 2) >= -rounding)  # convex


@pytest.mark.parametrize(("k", "count"), CELLS)
def test_is_not_vacuous(k, count):
    """On average within two orders of the barrier, at some pairs near one."""
    found = measured(k, count)
    wide = found.widths > 1.5 * k
    barrier = found.losses[wide].max(-1)
    bounds = found.bounds[wide, :, 1:-1].max(-1)
    assert np.all(bounds.mean(0) < 100 * barrier.mean(0))
    parted = barrier > 1e-6
    assert parted.mean() > 0.5
    assert np.min(bounds[parted] / barrier[parted]) < 15


def test_a_student_aligned_with_itself_has_none(dtype):
    W = jnp.asarray(oracles.minimum(np.random.default_rng(1), [3, 1, 2], 4), dtype)
    order = jnp.array([4, 2, 0, 5, 1, 3], jnp.int32)
    pair = jnp.stack([W, W[order]])
    found = bound(pair, jnp.argsort(order), 3, jnp.linspace(0, 1, 5, dtype=dtype))
    np.testing.assert_array_equal(found, 0)


def test_zero_neurons_carry_no_mass(dtype):
    """A neuron paired with a zero one stays on its axis: the path is all minima."""
    first = jnp.array([[0.5, 0], [0, 1], [0.5, 0], [0, 0]], dtype)
    second = jnp.array([[1, 0], [0, 0.5], [0, 0], [0, 0.5]], dtype)
    pair, perm = jnp.stack([first, second]), jnp.arange(4, dtype=jnp.int32)
    ts = jnp.linspace(0, 1, 5, dtype=dtype)
    np.testing.assert_array_equal(bound(pair, perm, 2, ts), 0)
    path = [oracles.loss((1 - t) * first + t * second, 2) for t in np.asarray(ts)]
    np.testing.assert_allclose(path, 0, atol=1e-15)
