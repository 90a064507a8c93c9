"""Algorithm 1 against a plain Python implementation, and what it does to barriers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmc_jax.matching import LEFTOVERS, align_types, match_types, match_weights
from lmc_jax.paths import barrier, times
from lmc_jax.students import minima, two_layer

ROWS, D = 12, 5
COUNT = 60  # of pairs in one call, everywhere: compiled once


@functools.cache
def matcher(k, *leftovers):
    """Compiled over a batch of pairs [n, 2, ROWS, d] with their widths [n]."""

    def single(pair, m):
        given = {"leftovers": leftovers[0]} if leftovers else {}
        return align_types(pair, k, m=m, **given)

    return jax.jit(jax.vmap(single))


def plain(pair, k, leftovers, m):
    """Algorithm 1, neuron by neuron, with lists."""
    norms = np.linalg.norm(pair, axis=-1)
    kinds = [[_type(row, k) for row in student] for student in pair]
    perm = list(range(len(pair[0])))
    rest = [set(range(m)), set(range(m))]
    for kind in range(k):
        ranked = []
        for side in range(2):
            members = [i for i in range(m) if kinds[side][i] == kind]
            ranked.append(sorted(members, key=lambda i, s=side: (-norms[s][i], i)))
        for i, j in zip(*ranked, strict=False):
            perm[i] = j
            rest[0].remove(i)
            rest[1].remove(j)
    sign = {"index": (0, 0), "sorted": (-1, -1), "opposed": (-1, 1)}[leftovers]
    first, second = (
        sorted(rest[s], key=lambda i, s=s: (sign[s] * norms[s][i], i)) for s in range(2)
    )
    for i, j in zip(first, second, strict=True):
        perm[i] = j
    return perm


def _type(row, k):
    return int(np.argmax(row[:k])) if row.any() else None


def random_pairs(rng, count, k, dtype, tied):
    """Pairs of every width up to ROWS, rows beyond it zero, and some real zeros."""
    widths = rng.integers(1, ROWS + 1, count)
    if tied:  # one-hot rows whose norms are exact and often equal
        sizes = rng.integers(0, 4, (count, 2, ROWS, 1)) / 4
        pairs = sizes * np.eye(D)[rng.integers(0, k, (count, 2, ROWS))]
    else:
        pairs = rng.normal(size=(count, 2, ROWS, D))
        pairs *= rng.random((count, 2, ROWS, 1)) < 0.8
    pairs *= (np.arange(ROWS) < widths[:, None])[:, None, :, None]
    return pairs.astype(dtype), widths.astype(np.int32)


@pytest.mark.parametrize(
    ("k", "leftovers"),
    [*((3, name) for name in LEFTOVERS), (1, "index"), (D, "opposed")],
)
def test_equals_plain_algorithm(k, leftovers, dtype):
    rng = np.random.default_rng(k)
    for tied in (False, True, False, True):
        pairs, widths = random_pairs(rng, COUNT, k, dtype, tied)
        found = np.asarray(matcher(k, leftovers)(pairs, widths))
        assert found.dtype == np.int32
        for perm, pair, m in zip(found, pairs.astype(float), widths, strict=True):
            assert perm.tolist() == plain(pair, k, leftovers, m)


def test_distinct_neurons_of_equal_norm_are_recovered():
    rng = np.random.default_rng(0)
    near = rng.normal(size=5) + 1e-6 * rng.normal(size=(32, 5))
    every = [rng.normal(size=(512, 10)), near, rng.choice([-1.0, 1.0], size=(16, 9))]
    for W in every:
        W = np.unique(W / np.linalg.norm(W, axis=1, keepdims=True), axis=0)
        second = W[rng.permutation(len(W))]
        (perm,), _ = match_types(np.stack([W, second])[None], 3)
        np.testing.assert_array_equal(second[perm], W)


def test_leftovers_by_hand(dtype):
    """One type is shared; a, b, c of the first meet p, q, r of the second."""
    first, second = [0.9, 0.2, 0.3, 0.1], [0.7, 0.6, 0.5, 0.4]
    pair = np.zeros((COUNT, 2, ROWS, D), dtype)
    pair[:, 0, :4, 0] = first
    pair[:, 1, [0, 1, 2, 3], [1, 1, 0, 1]] = second
    width = np.full(COUNT, 4, np.int32)
    for leftovers, expected in [
        ("index", [2, 0, 1, 3]),  # 0.2, 0.3, 0.1 meet 0.7, 0.6, 0.4
        ("sorted", [2, 1, 0, 3]),  # 0.3, 0.2, 0.1 meet 0.7, 0.6, 0.4
        ("opposed", [2, 1, 3, 0]),  # 0.3, 0.2, 0.1 meet 0.4, 0.6, 0.7
    ]:
        assert matcher(3, leftovers)(pair, width)[0, :4].tolist() == expected
    assert matcher(3)(pair, width)[0, :4].tolist() == [2, 1, 3, 0]


def test_unknown_leftovers_are_one_clear_line():
    pair = jnp.zeros((2, 3, 2))
    for match, students in ((align_types, pair), (match_types, pair[None])):
        with pytest.raises(ValueError, match="unknown leftovers") as caught:
            match(students, 2, leftovers="none")
        assert "'none'" in str(caught.value)
        assert "index, sorted, opposed" in str(caught.value)
        assert "\n" not in str(caught.value)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def uniform_pairs(pairs, m, k):
    keys = jax.random.split(jax.random.key(k), (pairs, 2))
    return jax.vmap(jax.vmap(lambda key: minima.sample(key, m, k, k)))(keys)


@functools.partial(jax.jit, static_argnums=2)
def mean_barrier(pairs, perms, k):
    second = jnp.take_along_axis(pairs[:, 1], perms[..., None], axis=1)

    def losses(t):
        return two_layer.loss((1 - t) * pairs[:, 0] + t * second, k)

    return jnp.mean(barrier(jax.lax.map(losses, times()).T, times()))


@pytest.mark.slow
@pytest.mark.parametrize(("k", "m"), [(5, 100), (20, 60)])
def test_order_of_leftovers_decides_the_barrier_of_uniform_minima(k, m):
    """Against index order: opposed halves it, sorted is 1.8 times, weights level."""
    pairs = uniform_pairs(120, m, k)
    height = {}
    for leftovers in LEFTOVERS:
        perms = match_types(pairs, k, leftovers=leftovers)[0]
        height[leftovers] = float(mean_barrier(pairs, perms, k))
    weights = float(mean_barrier(pairs, match_weights(pairs)[0], k))
    assert 0.4 < height["opposed"] / height["index"] < 0.6
    assert 1.55 < height["sorted"] / height["index"] < 2.1
    assert 0.85 < weights / height["index"] < 1.15


def test_the_objective_is_the_overlap():
    pairs = uniform_pairs(120, 100, 5)
    _, info = match_types(pairs, 5)
    assert info.objective == "overlap"
    counts = minima.counts(minima.types(pairs, 5), 5)  # [120, 2, 5]
    np.testing.assert_array_equal(info.value, counts.min(axis=1).sum(axis=1))
