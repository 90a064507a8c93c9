"""Best permutations against brute force in NumPy; descent from any start."""

import functools
import itertools

import jax
import numpy as np
import oracles
import pytest

from lmc_jax.matching import lower_bound, match_exhaustive, match_refine
from lmc_jax.matching.path import inner_times, kernel, path_of
from lmc_jax.matching.refine import refine
from lmc_jax.paths import BARRIERS
from lmc_jax.students import minima

ROUNDING = 1e-13  # of a loss


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


@pytest.mark.parametrize("kind", ["minima", "gaussian"])
@pytest.mark.parametrize("definition", BARRIERS)
def test_exhaustive_is_the_least_of_brute_force(definition, kind):
    k, m = 3, 5
    pairs = students(kind, 3, m, k, 3)
    perms, info = match_exhaustive(pairs, k, definition=definition, points=5)
    assert info.objective == f"barrier ({definition})"
    for pair, perm, value in zip(pairs, perms, info.value, strict=True):
        orders = itertools.permutations(range(m))
        best = min(oracles.barrier(pair, order, k, definition, 5) for order in orders)
        assert value == pytest.approx(best, abs=ROUNDING)
        assert oracles.barrier(pair, perm, k, definition, 5) == pytest.approx(
            best, abs=ROUNDING
        )


def test_every_permutation_of_wide_pairs_is_tried():
    """The only good permutation is found wherever it is in the order of all m!."""
    m = 9
    rng = np.random.default_rng(m)
    W = rng.normal(size=(4, m, 3))
    orders = [np.arange(m), np.arange(m)[::-1], rng.permutation(m), rng.permutation(m)]
    pairs = np.stack([[w, w[order]] for w, order in zip(W, orders, strict=True)])
    perm, _ = match_exhaustive(pairs, 3, definition="max", points=3)
    found = [
        oracles.barrier(p, order, 3, "max", 3)
        for p, order in zip(pairs, perm, strict=True)
    ]
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_wider_pairs_are_refused_in_one_line():
    with pytest.raises(ValueError, match="ends at m = 9") as caught:
        match_exhaustive(np.ones((1, 2, 10, 3)), 3)
    assert "\n" not in str(caught.value)


@functools.partial(jax.jit, static_argnums=3)
def descend(pair, perm, ts, definition):
    return refine(path_of(pair, 2, ts), perm, definition)


@pytest.mark.parametrize("definition", ["lerp", "max"])
@pytest.mark.parametrize("kind", ["minima", "gaussian"])
def test_descent_ends_where_no_swap_helps_and_reports_its_height(definition, kind):
    k, m = 2, 7
    pairs = students(kind, 4, m, k, 3)
    start = np.argsort(np.random.default_rng(1).random((4, m)), axis=1).astype(np.int32)
    ts = inner_times(5, definition)
    both = zip(pairs, start, strict=True)
    ends = [descend(pair, begin, ts, definition) for pair, begin in both]
    if kind == "minima":  # the others may start without a barrier
        assert max(end.rounds for end in ends) > 0
    for pair, begin, end in zip(pairs, start, ends, strict=True):
        perm = np.asarray(end.perm)
        reached = oracles.barrier(pair, perm, k, definition, 5)
        assert end.height == pytest.approx(reached, abs=ROUNDING)
        assert reached <= oracles.barrier(pair, begin, k, definition, 5) + ROUNDING
        for i, l in itertools.combinations(range(m), 2):
            swapped = perm.copy()
            swapped[[i, l]] = perm[[l, i]]
            other = oracles.barrier(pair, swapped, k, definition, 5)
            assert other >= reached - 1e-9 * abs(reached) - ROUNDING


def test_kernel_is_that_of_the_mixed_neurons_even_where_they_cancel():
    rng = np.random.default_rng(2)
    pair = rng.normal(size=(2, 4, 3))
    pair[1, 1] = -pair[0, 0] * (1 + 1e-9)  # almost nothing is left at the middle
    ts = inner_times(5, "lerp")
    index = np.indices((4, 4, 4, 4)).astype(np.int32)
    found = jax.jit(lambda pair: kernel(path_of(pair, 2, ts), *index))(pair)
    for t, values in zip(np.asarray(ts), np.asarray(found), strict=True):
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
