"""Leftovers drawn alone, against whole minima of the uniform model."""

import numpy as np
import oracles
import pytest
from scipy import stats

from lmc_jax.matching import LEFTOVERS
from lmc_jax.matching.leftovers import leftovers, paired, smallest, uniform_counts


@pytest.mark.parametrize(("n", "r"), [(1, 0), (2, 1), (7, 3), (7, 6), (400, 5)])
def test_smallest_are_distributed_as_those_of_whole_students(n, r):
    rng = np.random.default_rng([n, r])
    found = np.array([smallest(rng, n, r) for _ in range(2000)]).reshape(2000, r)
    whole = np.sort(rng.dirichlet(np.ones(n), size=2000), axis=1)[:, :r]
    assert (np.diff(found, axis=1) >= 0).all()
    for column, expected in zip(found.T, whole.T, strict=True):
        assert stats.ks_2samp(column, expected).pvalue > 1e-3
    if r > 1:  # and so do they together
        assert stats.ks_2samp(found.sum(axis=1), whole.sum(axis=1)).pvalue > 1e-3


def test_counts_are_those_of_the_uniform_model():
    rng = np.random.default_rng(1)
    vectors, chances = oracles.count_vectors(7, 3)
    found = np.concatenate([uniform_counts(rng, 7, 3) for _ in range(4000)])
    often = [(found == vector).all(axis=1).sum() for vector in vectors]
    assert sum(often) == len(found)
    assert stats.chisquare(often, chances * len(found)).pvalue > 1e-3


def test_each_side_has_what_the_other_cannot_match():
    counts = np.array([[5, 1, 2], [2, 3, 3]])
    (first, own), (second, others) = leftovers(np.random.default_rng(0), counts)
    assert own.tolist() == [0, 0, 0]
    assert others.tolist() == [1, 1, 2]
    assert (first < 0.5).all()
    assert first.sum() < 1
    assert second[:2].sum() < 1
    assert second[2] < 1 / 3


@pytest.mark.parametrize("order", LEFTOVERS)
def test_partners_stand_in_the_order_asked_for(order):
    rng = np.random.default_rng(5)
    sides = leftovers(rng, np.array([[9, 40, 3], [30, 4, 18]]))
    found = paired(rng, sides, order)
    for side in (0, 1):  # nothing is lost, and norms keep their types
        both = set(zip(*sides[side], strict=True))
        assert set(zip(found.masses[side], found.kinds[side], strict=True)) == both
    ranks = np.argsort(np.argsort(found.masses, axis=1), axis=1)
    together = np.corrcoef(ranks)[0, 1]
    if order == "index":
        assert abs(together) < 0.6
    else:
        assert together == pytest.approx(1 if order == "sorted" else -1)


def test_minima_without_leftovers():
    rng = np.random.default_rng(0)
    found = paired(rng, leftovers(rng, np.array([[2, 3], [2, 3]])), "opposed")
    assert found.masses.shape == found.kinds.shape == (2, 0)
