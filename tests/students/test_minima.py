"""The set of global minima: the uniform model's laws, types, distance."""

import functools
from itertools import combinations, product
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from lmc_jax.students import minima

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
ALPHAS = [1.0, 0.01, 0.5, np.inf]
K, D, SIZE = 3, 4, 9
DRAWS = 6000


@functools.cache
def drawer(alpha, dtype, m=None):
    """Compiled draws from keys [n]: width m, or with m=None traced widths [n]."""

    def padded(key, width):
        return minima.sample(key, width, K, D, alpha=alpha, size=SIZE, dtype=dtype)

    def exact(key):
        return minima.sample(key, m, K, D, alpha=alpha, dtype=dtype)

    return jax.jit(jax.vmap(exact if m else padded))


def draw(alpha, dtype, widths, seed=0):
    keys = jax.random.split(jax.random.key(seed), DRAWS)
    same_shape = np.resize(np.asarray(widths, np.int32), DRAWS)  # compiled once
    return np.asarray(drawer(alpha, dtype)(keys, same_shape))[: len(widths)]


def kinds_of(W):
    """Types [..., m] of one-hot rows, K where the row is zero."""
    return np.where(W.any(-1), W.argmax(-1), K)


# Sampling.


@pytest.mark.parametrize("alpha", ALPHAS)
def test_samples_are_global_minima(alpha, dtype):
    widths = np.tile(np.arange(K, SIZE + 1), 30)
    W = draw(alpha, dtype, widths)
    assert W.dtype == dtype
    assert np.isfinite(W).all()
    assert np.all(W >= 0)
    assert np.all((W > 0).sum(-1) <= 1)
    np.testing.assert_array_equal(W[..., K:], 0)
    np.testing.assert_array_equal(W[np.arange(SIZE) >= widths[:, None]], 0)
    eps = jnp.finfo(dtype).eps
    totals = W.astype(float).sum(1)[:, :K]
    np.testing.assert_allclose(totals, 1, rtol=0, atol=4 * eps)
    assert np.all(np.asarray(distances(W)) <= 4 * eps * SIZE**0.5)
    # ½ Δᵀ M Δ of the missing masses Δ, M at most k/2: below 1e-28 in float64
    losses = [oracles.precise_loss(w.astype(float), K) for w in W[:: len(W) // 8]]
    assert max(losses) <= (4 * eps * K) ** 2


def test_traced_width_equals_static_width(dtype):
    alpha, m = 0.5, 7
    padded = draw(alpha, dtype, [m] * 20)[:, :m]
    keys = jax.random.split(jax.random.key(0), DRAWS)[:20]
    alone = np.asarray(drawer(alpha, dtype, m)(keys))
    np.testing.assert_array_equal(kinds_of(padded), kinds_of(alone))
    rtol = 16 * jnp.finfo(dtype).eps  # sums over padding associate otherwise
    np.testing.assert_allclose(padded, alone, rtol=rtol, atol=0)


def test_width_k_gives_every_type_once(dtype):
    W = draw(1.0, dtype, [K] * 200)[:, :K]
    kinds = kinds_of(W)
    np.testing.assert_array_equal(np.sort(kinds, axis=1), [range(K)] * 200)
    np.testing.assert_array_equal(W.max(-1), 1)
    assert len({tuple(order) for order in kinds}) == factorial(K)


def test_counts_are_one_plus_multinomial(dtype):
    m = 8
    kinds = kinds_of(draw(1.0, dtype, [m] * DRAWS, seed=1)[:, :m])
    extra = (kinds[..., None] == np.arange(K)).sum(1) - 1
    assert extra.min() >= 0
    outcomes = [n for n in product(range(m - K + 1), repeat=K) if sum(n) == m - K]
    observed = [np.all(extra == n, axis=1).sum() for n in outcomes]
    law = stats.multinomial(m - K, [1 / K] * K)
    p = stats.chisquare(observed, DRAWS * law.pmf(outcomes)).pvalue
    assert p > 1e-3


def test_order_of_neurons_is_uniform(dtype):
    """Given the counts, every arrangement of the types has the same chance."""
    m = 5
    kinds = kinds_of(draw(1.0, dtype, [m] * DRAWS, seed=2)[:, :m])
    arrangements = np.array(list(product(range(K), repeat=m)))
    counts = np.array([np.bincount(row, minlength=K) for row in arrangements])
    present = counts.min(1) > 0
    counts, code = counts[present], (arrangements @ K ** np.arange(m))[present]
    orders = factorial(m) / np.prod([[factorial(n) for n in row] for row in counts], 1)
    chance = stats.multinomial(m - K, [1 / K] * K).pmf(counts - 1) / orders
    assert chance.sum() == pytest.approx(1, rel=1e-12)
    observed = np.bincount(kinds @ K ** np.arange(m), minlength=K**m)
    assert stats.chisquare(observed[code], DRAWS * chance).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_norms_within_a_type_are_dirichlet(alpha, dtype):
    W = draw(alpha, dtype, [SIZE] * DRAWS, seed=3)
    kinds = kinds_of(W)
    members = (kinds == kinds[:, :1]).sum(1)  # of the type of the first neuron
    first = W[:, 0].max(1)
    np.testing.assert_array_equal(first[members == 1], 1)
    for n in range(2, 6):
        law = stats.beta(alpha, alpha * (n - 1))
        norms = first[(members == n) & (kinds[:, 0] < K)].astype(float)
        assert len(norms) > 300
        assert stats.kstest(norms, law.cdf).pvalue > 1e-3


def test_infinite_alpha_gives_equal_norms(dtype):
    W = draw(np.inf, dtype, [SIZE] * 50)
    kinds = kinds_of(W)
    members = (kinds[:, :, None] == kinds[:, None]).sum(-1)
    rtol = 4 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(W.max(-1), 1 / members, rtol=rtol)


def test_small_alpha_leaves_one_neuron_a_type(dtype):
    W = draw(0.01, dtype, [SIZE] * 200)
    assert np.mean(W.max(1)[:, :K] > 0.99) > 0.9


def test_exponential_draw_of_zero_is_a_minimum_all_the_same():
    """In float32 about one draw in 2²³ is zero; with this key it is the only one."""
    W = minima.sample(jax.random.key(16438558), 1, 1, 1, dtype=jnp.float32)
    np.testing.assert_array_equal(W, [[1]])


# Types, counts, shares.


def test_types_by_hand(dtype):
    rows = [
        ([0, 0.5, 0, 0], 1),
        ([0.2, 0.1, 0.3, 0], 2),
        ([0.2, 0.2, 0.1, 0], 0),  # ties go to the lowest
        ([-3, -1, -2, 0], 1),
        ([0, 0, 0, 0], 3),
        ([1e-3, 0, 0, 0], 0),
        ([0, 0, 0.1, 7], 2),  # coordinates beyond k do not count
    ]
    W = jnp.asarray([row for row, _ in rows], dtype)
    kinds = minima.types(W, 3)
    assert kinds.dtype == jnp.int32
    assert kinds.tolist() == [kind for _, kind in rows]
    assert minima.types(W, 3, zero=1e-3).tolist() == [1, 2, 0, 1, 3, 3, 2]
    assert minima.counts(kinds, 3).tolist() == [2, 2, 2]
    assert minima.counts(kinds, 4).tolist() == [2, 2, 2, 1]
    assert minima.counts(kinds, 3).dtype == jnp.int32


def test_types_and_counts_of_batches(dtype):
    rng = np.random.default_rng(4)
    W = rng.normal(size=(2, 5, 7, 4)).astype(dtype)
    W[rng.random((2, 5, 7)) < 0.3] = 0
    kinds = np.where(W.any(-1), W[..., :3].argmax(-1), 3)
    np.testing.assert_array_equal(minima.types(jnp.asarray(W), 3), kinds)
    expected = [[np.bincount(row, minlength=4)[:3] for row in pair] for pair in kinds]
    np.testing.assert_array_equal(minima.counts(jnp.asarray(kinds), 3), expected)


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        ([[3, 4, 0]], 9 / 25),
        ([[-1, 0, 0]], 1),
        ([[0, 0, 2]], 1),  # beyond k = 2
        ([[0, 0, 0], [0, 0, 0]], 0),
        ([[0.7, 0, 0], [0, 1, 0], [0.3, 0, 0]], 0),
        ([[1, 0, 0], [0, 0, 1]], 1 / 2),
        ([[1, 1, 0], [1, -1, 0]], 1 / 2),
    ],
)
def test_off_axis_share_by_hand(W, expected, dtype):
    found = minima.off_axis_share(jnp.asarray(W, dtype), 2)
    assert found.dtype == dtype
    assert abs(float(found) - expected) <= 4 * jnp.finfo(dtype).eps


def test_off_axis_share_of_batches(dtype):
    W = np.random.default_rng(5).normal(size=(3, 6, 4)).astype(dtype)
    exact = W.astype(float)
    on_axis = np.maximum(exact[..., :3].max(-1), 0)
    expected = 1 - (on_axis**2).sum(-1) / (exact**2).sum((-2, -1))
    found = minima.off_axis_share(jnp.asarray(W), 3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=8 * jnp.finfo(dtype).eps)


# Distance.

distance = jax.jit(minima.distance, static_argnums=1)
distances = jax.jit(jax.vmap(functools.partial(minima.distance, k=K)))


def plain_distance(W, k):
    """Over all supports of the masses of each type, the least distance."""
    kinds = np.where(W.any(1), W[:, :k].argmax(1), k)
    rest = np.array(W)
    typed = kinds < k
    rest[typed, kinds[typed]] = 0
    total = np.sum(rest**2)
    for kind in range(k):
        parts = W[kinds == kind, kind]
        best = np.inf
        for count in range(1, len(parts) + 1):
            for support in combinations(range(len(parts)), count):
                masses = np.zeros(len(parts))
                chosen = list(support)
                masses[chosen] = parts[chosen] - (parts[chosen].sum() - 1) / count
                if masses.min() >= 0:
                    best = min(best, np.sum((parts - masses) ** 2))
        total += best
    return np.sqrt(total)


@pytest.mark.parametrize(
    ("W", "k", "expected"),
    [
        ([[2]], 1, 1),
        ([[0.7], [0.7]], 1, 0.2 * 2**0.5),
        ([[1.5], [0.1]], 1, 0.26**0.5),  # all mass on the larger
        ([[1.5], [-2]], 1, 4.25**0.5),
        ([[-1]], 1, 2),
        ([[1, 0.5]], 1, 0.5),  # beyond k
        ([[1, 0], [0, 1], [0, 0]], 2, 0),
        ([[1, 0.3], [-0.4, 1]], 2, 0.5),
        ([[1, 0]], 2, np.inf),  # m < k
        ([[1, 0], [2, 1]], 2, np.inf),  # no neuron of type 1
        ([[0, 0], [0, 0]], 2, np.inf),
    ],
)
def test_distance_by_hand(W, k, expected, dtype):
    padded = np.zeros((3, 2), dtype)
    padded[: len(W), : len(W[0])] = W
    found = distance(padded, k)
    assert found.dtype == dtype
    np.testing.assert_allclose(float(found), expected, rtol=8 * jnp.finfo(dtype).eps)


def test_distance_against_all_supports(dtype):
    rng = np.random.default_rng(6)
    W = rng.normal(0.3, 1, size=(200, 8, D)) * rng.exponential(size=(200, 1, 1))
    W[rng.random((200, 8)) < 0.1] = 0
    W = W.astype(dtype)
    expected = [plain_distance(w, K) for w in W.astype(float)]
    assert 100 < np.isfinite(expected).sum() < 200
    rtol = 32 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(distances(W), expected, rtol=rtol)


@PROPERTY
@given(st.integers(0, 2**32 - 1), st.floats(1e-9, 0.5), st.lists(st.integers(1, 3)))
def test_distance_is_at_most_the_perturbation(seed, scale, counts):
    rng = np.random.default_rng(seed)
    counts = (counts + [1] * K)[:K]
    minimum = np.zeros((SIZE, D))
    minimum[: sum(counts)] = oracles.minimum(rng, counts, D)
    noise = scale * rng.normal(size=(SIZE, D)) * rng.random((SIZE, 1))
    W = minimum + noise
    alive = minimum.any(1)
    assume(np.array_equal(W[alive, :K].argmax(1), minimum[alive].argmax(1)))
    found = float(distances(W[None])[0])
    assert found <= np.linalg.norm(noise) * (1 + 1e-12) + 1e-15
    assert found == pytest.approx(plain_distance(W, K), rel=1e-9)
