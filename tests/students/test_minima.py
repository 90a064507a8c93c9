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
K, D, SIZE = 3, 4, 9
DRAWS = 6000


@functools.cache
def drawer(alpha):
    """Compiled draws from keys [n] and traced widths [n]."""

    def padded(key, width):
        return minima.sample(key, width, K, D, alpha=alpha, size=SIZE)

    return jax.jit(jax.vmap(padded))


def draw(alpha, m, seed=0):
    """Draws [DRAWS, SIZE, D] of width m, or of widths that follow each other."""
    keys = jax.random.split(jax.random.key(seed), DRAWS)
    return np.asarray(drawer(alpha)(keys, np.resize(m, DRAWS).astype(np.int32)))


def kinds_of(W):
    """Types [..., m] of one-hot rows, K where the row is zero."""
    return np.where(W.any(-1), W.argmax(-1), K)


# Sampling.


@pytest.mark.parametrize("alpha", [1.0, 0.01, 0.5, np.inf])
def test_samples_are_global_minima(alpha):
    widths = np.arange(K, SIZE + 1)
    W = draw(alpha, widths)[:210]
    assert W.dtype == float
    assert np.all(W >= 0)
    assert np.all((W > 0).sum(-1) <= 1)
    np.testing.assert_array_equal(W[..., K:], 0)
    beyond = np.arange(SIZE) >= np.resize(widths, 210)[:, None]
    np.testing.assert_array_equal(W[beyond], 0)
    eps = np.finfo(float).eps
    np.testing.assert_allclose(W.sum(1)[:, :K], 1, rtol=0, atol=4 * eps)
    assert np.all(np.asarray(distances(W)) <= 4 * eps * SIZE**0.5)
    # ½ Δᵀ M Δ of the missing masses Δ, M at most k/2: below 1e-28
    losses = [oracles.precise_loss(w, K) for w in W[:: len(W) // 8]]
    assert max(losses) <= (4 * eps * K) ** 2


def test_traced_width_equals_static_width():
    alpha, m = 0.5, 7
    padded = draw(alpha, m)[:20, :m]
    keys = jax.random.split(jax.random.key(0), DRAWS)[:20]
    exact = functools.partial(minima.sample, m=m, k=K, d=D, alpha=alpha)
    alone = np.asarray(jax.jit(jax.vmap(exact))(keys))
    np.testing.assert_array_equal(kinds_of(padded), kinds_of(alone))
    rtol = 16 * np.finfo(float).eps  # sums over padding associate otherwise
    np.testing.assert_allclose(padded, alone, rtol=rtol, atol=0)


def test_width_k_gives_every_type_once():
    W = draw(1.0, K)[:200, :K]
    kinds = kinds_of(W)
    np.testing.assert_array_equal(np.sort(kinds, axis=1), [range(K)] * 200)
    np.testing.assert_array_equal(W.max(-1), 1)
    assert len({tuple(order) for order in kinds}) == factorial(K)


def test_counts_and_order_have_the_law_of_the_uniform_model():
    """Counts are 1 + multinomial; given them every arrangement has the same chance."""
    m = 5
    kinds = kinds_of(draw(1.0, m, seed=2)[:, :m])
    arrangements = np.array(list(product(range(K), repeat=m)))
    counts = np.array([np.bincount(row, minlength=K) for row in arrangements])
    present = counts.min(1) > 0
    counts, code = counts[present], (arrangements @ K ** np.arange(m))[present]
    orders = factorial(m) / np.prod([[factorial(n) for n in row] for row in counts], 1)
    chance = stats.multinomial(m - K, [1 / K] * K).pmf(counts - 1) / orders
    assert chance.sum() == pytest.approx(1, rel=1e-12)
    observed = np.bincount(kinds @ K ** np.arange(m), minlength=K**m)
    assert observed[code].sum() == DRAWS
    assert stats.chisquare(observed[code], DRAWS * chance).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_norms_within_a_type_are_dirichlet(alpha):
    W = draw(alpha, SIZE, seed=3)
    kinds = kinds_of(W)
    members = (kinds == kinds[:, :1]).sum(1)  # of the type of the first neuron
    first = W[:, 0].max(1)
    np.testing.assert_array_equal(first[members == 1], 1)
    for n in range(2, 6):
        law = stats.beta(alpha, alpha * (n - 1))
        norms = first[(members == n) & (kinds[:, 0] < K)]
        assert len(norms) > 300
        assert stats.kstest(norms, law.cdf).pvalue > 1e-3


def test_infinite_alpha_gives_equal_norms_and_small_alpha_one_neuron_a_type():
    W = draw(np.inf, SIZE)[:50]
    kinds = kinds_of(W)
    members = (kinds[:, :, None] == kinds[:, None]).sum(-1)
    np.testing.assert_allclose(W.max(-1), 1 / members, rtol=1e-15)
    assert np.mean(draw(0.01, SIZE).max(1)[:, :K] > 0.99) > 0.9


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
    [found] = minima.off_axis_share(jnp.asarray([W], dtype), 2)
    assert found.dtype == dtype
    assert abs(float(found) - expected) <= 4 * jnp.finfo(dtype).eps


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
