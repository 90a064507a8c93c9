"""Centres and equal counts of few small minima, against every case there is."""

from itertools import product
from math import factorial

import numpy as np
import oracles
import pytest

from lmc_jax import theory


def type_vectors(m, k):
    """All type vectors with every type, and their uniform-model probabilities."""
    counts, chances = oracles.count_vectors(m, k)
    chance = dict(zip(map(tuple, counts), chances, strict=True))
    vectors = [v for v in product(range(k), repeat=m) if len(set(v)) == k]
    tallies = [tuple(np.bincount(v, minlength=k)) for v in vectors]
    orders = [
        factorial(m) / np.prod([factorial(c) for c in tally]) for tally in tallies
    ]
    p = [chance[tally] / each for tally, each in zip(tallies, orders, strict=True)]
    assert sum(p) == pytest.approx(1, rel=1e-12)
    return np.array(vectors), np.array(p)


def centres(m, k):
    """All type vectors of minima that may have zero neurons, of type k."""
    every = product(range(k + 1), repeat=m)
    return np.array([v for v in every if set(range(k)) <= set(v)])


@pytest.mark.parametrize(
    ("n", "m", "k"),
    [(1, 4, 2), (2, 2, 2), (2, 5, 2), (3, 4, 2), (2, 3, 3), (2, 4, 3), (3, 3, 1)],
)
def test_centres_of_every_group(n, m, k):
    vectors, p = type_vectors(m, k)
    tried = centres(m, k)
    # Joined: no neuron of another type; a zero neuron has none.
    joined = ((tried[:, None] == vectors) | (tried[:, None] == k)).all(axis=2)
    found = 0.0
    for group in product(range(len(vectors)), repeat=n):
        if joined[:, list(group)].all(axis=1).any():
            found += np.prod(p[list(group)])
    assert theory.centre_probability(n, m, k) == pytest.approx(found, rel=1e-12)


def test_independent_types_are_the_limit():
    widths = np.array([10, 20, 40])
    exact = [theory.centre_probability(3, int(m), 2) for m in widths]
    gaps = np.abs(exact - theory.centre_law(3, widths, 2))
    assert np.all(gaps < 0.5 / widths)
    assert np.all(np.diff(gaps) < 0)


@pytest.mark.parametrize(("n", "k"), [(1, 4), (2, 3), (4, 2)])
def test_half_of_the_groups_have_a_centre_where_it_is_said(n, k):
    """From k^n log k on; exact of independent types by inclusion and exclusion."""
    m = 1e4 * float(k) ** n
    assert theory.centre_law(n, m, k) == pytest.approx(1, abs=1e-12)
    half = float(k) ** n * (np.log(k) - np.log(np.log(2)))
    assert theory.centre_law(n, half, k) == pytest.approx(1 / 2, abs=0.12)


@pytest.mark.parametrize(
    ("n", "m", "k"), [(1, 6, 3), (2, 3, 3), (2, 7, 2), (3, 7, 3), (5, 6, 4), (4, 9, 1)]
)
def test_equal_counts_of_every_group(n, m, k):
    _, chances = oracles.count_vectors(m, k)
    expected = np.sum(chances**n)
    assert theory.equal_counts(n, m, k) == pytest.approx(expected, rel=1e-12)


def test_equal_counts_become_rare():
    n, k, widths = 3, 4, np.array([1000, 4000])
    found = theory.equal_counts(n, widths, k)
    slope = np.diff(np.log(found)) / np.log(4)
    assert slope == pytest.approx(-(k - 1) * (n - 1) / 2, abs=0.01)
