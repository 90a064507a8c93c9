"""Best permutations against brute force in NumPy; descent from any start."""

import functools
import itertools

import jax
import numpy as np
import oracles
import pytest

from lmc_jax.matching import (
    LEFTOVERS,
    align_refined,
    lower_bound,
    match_activations,
    match_exhaustive,
    match_identity,
    match_refine,
    match_types,
    match_weights,
)
from lmc_jax.matching.path import inner_times, kernel, path_of
from lmc_jax.matching.refine import refine
from lmc_jax.paths import BARRIERS
from lmc_jax.students import minima

ROUNDING = 1e-13  # of a loss


def height(pair, perm, k, definition="lerp", points=11):
    """A barrier from its definition, path and losses in NumPy."""
    ts = np.arange(points) / (points - 1)
    first, second = pair[0], pair[1][np.asarray(perm)]
    losses = np.array([oracles.loss((1 - t) * first + t * second, k) for t in ts])
    chord = (1 - ts) * losses[0] + ts * losses[-1]
    return {
        "lerp": np.max(losses - chord),
        "mean": np.max(losses) - (losses[0] + losses[-1]) / 2,
        "max": np.max(losses) - max(losses[0], losses[-1]),
        "midpoint": (losses - chord)[points // 2],
    }[definition]


@functools.cache
def uniform_pairs(n, m, k, d):
    keys = jax.random.split(jax.random.key(10 * m + k), (n, 2))
    draw = jax.jit(jax.vmap(jax.vmap(lambda key: minima.sample(key, m, k, d))))
    return np.asarray(draw(keys))


def gaussian_pairs(n, m, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2, m, d))


def students(kind, n, m, k, d):
    if kind == "minima":
        return uniform_pairs(n, m, k, d)
    pairs = gaussian_pairs(n, m, d) / 2
    pairs[0, 0, :1] = 0
    pairs[-1, 1, :2] = pairs[-1, 0, :2]
    return pairs


@pytest.mark.parametrize("definition", BARRIERS)
@pytest.mark.parametrize("kind", ["minima", "gaussian"])
@pytest.mark.parametrize("m", [1, 3, 5])
def test_exhaustive_is_the_least_of_brute_force(definition, kind, m):
    k = min(m, 3)
    pairs = students(kind, 3, m, k, 3)
    perms, info = match_exhaustive(pairs, k, definition=definition, points=5)
    assert info.objective == f"barrier ({definition})"
    for pair, perm, value in zip(pairs, perms, info.value, strict=True):
        orders = itertools.permutations(range(m))
        best = min(height(pair, order, k, definition, 5) for order in orders)
        assert value == pytest.approx(best, abs=ROUNDING)
        assert height(pair, perm, k, definition, 5) == pytest.approx(best, abs=ROUNDING)


def losses_of(W, k):
    """The oracle's loss of many students at once, [n, m, d] to [n]."""
    n, m, d = W.shape
    norms = np.linalg.norm(W, axis=2)
    directions = W / np.where(norms > 0, norms, 1)[..., None]
    both = np.concatenate([directions, np.broadcast_to(np.eye(d)[:k], (n, k, d))], 1)
    theta = 2 * np.arctan2(
        np.linalg.norm(directions[:, :, None] - both[:, None], axis=-1),
        np.linalg.norm(directions[:, :, None] + both[:, None], axis=-1),
    )
    pulls = oracles.relu_kernel(theta)
    twice = np.einsum("ni,nij,nj->n", norms, pulls[:, :, :m], norms)
    twice -= 2 * np.einsum("ni,nij->n", norms, pulls[:, :, m:])
    return (twice + k / 2 + k * (k - 1) / (2 * np.pi)) / 2


@pytest.mark.parametrize("kind", ["minima", "gaussian"])
@pytest.mark.parametrize(
    "m", [6, 7, *(pytest.param(m, marks=pytest.mark.slow) for m in (8, 9))]
)
def test_exhaustive_is_the_least_of_all_permutations_of_wide_pairs(kind, m):
    k = 3
    [pair] = students(kind, 3, m, k, 3)[1:2]
    _, info = match_exhaustive(pair[None], k, points=3)
    orders = np.array(list(itertools.permutations(range(m))))
    ends = (oracles.loss(pair[0], k) + oracles.loss(pair[1], k)) / 2
    least = min(
        losses_of((pair[0] + pair[1][chunk]) / 2, k).min()
        for chunk in np.array_split(orders, -(-len(orders) // 10_000))
    )
    assert info.value[0] == pytest.approx(max(least - ends, 0), abs=ROUNDING)


@pytest.mark.parametrize("m", [8, 9])
def test_every_permutation_of_wide_pairs_is_tried(m):
    """The only good permutation is found wherever it is in the order of all m!."""
    rng = np.random.default_rng(m)
    W = rng.normal(size=(4, m, 3))
    orders = [np.arange(m), np.arange(m)[::-1], rng.permutation(m), rng.permutation(m)]
    pairs = np.stack([[w, w[order]] for w, order in zip(W, orders, strict=True)])
    perm, _ = match_exhaustive(pairs, 3, definition="max", points=3)
    found = [
        height(p, order, 3, "max", 3) for p, order in zip(pairs, perm, strict=True)
    ]
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_wider_pairs_are_refused_in_one_line():
    with pytest.raises(ValueError, match="ends at m = 9") as caught:
        match_exhaustive(np.ones((1, 2, 10, 3)), 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["minima", "gaussian"])
def test_no_matching_is_better_than_exhaustive(kind):
    k, m, definition = 3, 7, "lerp"
    pairs = students(kind, 4, m, k, 3)
    best, _ = match_exhaustive(pairs, k, definition=definition)
    heuristics = [
        match_identity(pairs),
        *(match_types(pairs, k, leftovers=order) for order in LEFTOVERS),
        match_weights(pairs),
        match_activations(pairs),
        match_refine(pairs, k),
        match_refine(pairs, k, definition="lerp"),
    ]
    for row, pair in enumerate(pairs):
        least = height(pair, best[row], k, definition)
        for perm, _ in heuristics:
            assert height(pair, perm[row], k, definition) >= least - ROUNDING


@pytest.mark.parametrize("definition", BARRIERS)
@pytest.mark.parametrize("kind", ["minima", "gaussian"])
def test_descent_ends_where_no_swap_helps_and_reports_its_height(definition, kind):
    k, m = 2, 7
    pairs = students(kind, 4, m, k, 3)
    start = np.argsort(np.random.default_rng(1).random((4, m)), axis=1).astype(np.int32)
    ts = inner_times(5, definition)
    descend = jax.jit(lambda pair, perm: refine(path_of(pair, k, ts), perm, definition))
    ends = [descend(pair, begin) for pair, begin in zip(pairs, start, strict=True)]
    if kind == "minima":  # the others may start without a barrier
        assert max(end.rounds for end in ends) > 0
    for pair, begin, end in zip(pairs, start, ends, strict=True):
        perm = np.asarray(end.perm)
        reached = height(pair, perm, k, definition, 5)
        assert end.height == pytest.approx(reached, abs=ROUNDING)
        assert reached <= height(pair, begin, k, definition, 5) + ROUNDING
        for i, l in itertools.combinations(range(m), 2):
            swapped = perm.copy()
            swapped[[i, l]] = perm[[l, i]]
            other = height(pair, swapped, k, definition, 5)
            assert other >= reached - 1e-9 * abs(reached) - ROUNDING


def test_descent_takes_the_best_of_its_starts():
    pairs = gaussian_pairs(6, 8, 4) / 2
    alone, more = (
        match_refine(pairs, 4, restarts=restarts)[1].value for restarts in (0, 3)
    )
    assert (more <= alone).all()
    assert (more < alone).any()


def test_padding_stays_in_place_and_changes_nothing():
    pairs = uniform_pairs(6, 7, 3, 3)
    padded = np.pad(pairs, ((0, 0), (0, 0), (0, 5), (0, 0)))
    align = jax.jit(jax.vmap(lambda pair, m: align_refined(pair, 3, m=m), (0, None)))
    found = np.asarray(align(padded, np.int32(7)))
    expected, info = match_refine(pairs, 3)
    np.testing.assert_array_equal(found[:, :7], expected)
    np.testing.assert_array_equal(found[:, 7:], [range(7, 12)] * 6)
    assert info.objective == "barrier (midpoint)"


def test_kernel_is_that_of_the_mixed_neurons_even_where_they_cancel():
    rng = np.random.default_rng(2)
    pair = rng.normal(size=(2, 4, 3))
    pair[1, 1] = -pair[0, 0] * (1 + 1e-9)  # almost nothing is left at the middle
    ts = inner_times(5, "lerp")
    index = np.indices((4, 4, 4, 4)).astype(np.int32)
    found = np.asarray(kernel(path_of(pair, 2, ts), *index))
    for t, values in zip(np.asarray(ts), found, strict=True):
        mixed = (1 - t) * pair[0][:, None] + t * pair[1]  # [i, a, d]
        flat = mixed.reshape(16, 3)
        norms = np.linalg.norm(flat, axis=1)
        theta = oracles.angles(flat, flat)
        expected = norms[:, None] * norms * oracles.relu_kernel(theta)
        np.testing.assert_allclose(
            values.reshape(16, 16), expected, rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"definition": "none"}, "unknown barrier"),
        *(({"points": points}, "odd number") for points in (4, 1)),
    ],
)
def test_bad_definitions_and_points_are_one_clear_line(given, message):
    for match in (match_exhaustive, match_refine, lower_bound):
        with pytest.raises(ValueError, match=message) as caught:
            match(np.ones((1, 2, 3, 2)), 2, **given)
        assert "\n" not in str(caught.value)
