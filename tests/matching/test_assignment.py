"""Assignments on weights and activations against all permutations."""

import itertools

import numpy as np
import pytest

from lmc_jax.matching import match_activations, match_weights
from lmc_jax.matching.assignment import _gaussian


@pytest.mark.parametrize("m", range(1, 7))
def test_distance_is_the_least_of_all_permutations(m, dtype):
    students = np.random.default_rng(m).normal(size=(8, 2, m, 4)).astype(dtype)
    perms, info = match_weights(students)
    assert info.objective == "weight distance"
    for (first, second), perm, value in zip(
        students.astype(float), perms, info.value, strict=True
    ):
        orders = map(list, itertools.permutations(range(m)))
        least = min(np.sum((first - second[order]) ** 2) for order in orders)
        assert value == pytest.approx(least, rel=1e-12)
        assert np.sum((first - second[perm]) ** 2) == pytest.approx(least, rel=1e-12)


def test_permutations_with_noise_are_recovered(dtype):
    rng = np.random.default_rng(1)
    first = rng.normal(size=(6, 50, 10)).astype(dtype)
    orders = np.stack([rng.permutation(50) for _ in range(6)])
    second = np.take_along_axis(first, orders[..., None], axis=1)
    noisy = second + dtype.type(1e-3) * rng.normal(size=second.shape).astype(dtype)
    perms, _ = match_weights(np.stack([first, noisy], axis=1))
    np.testing.assert_array_equal(perms, np.argsort(orders, axis=1))


@pytest.mark.parametrize("m", [1, 6])
def test_correlation_is_the_best_of_all_permutations(m):
    students = np.random.default_rng(m).normal(size=(4, 2, m, 3))
    perms, info = match_activations(students)
    assert info.objective == "correlation"
    gains = np.asarray(_gaussian(students)[0])
    for gain, perm, value in zip(gains, perms, info.value, strict=True):
        orders = [list(order) for order in itertools.permutations(range(m))]
        best = max(gain[range(m), order].sum() for order in orders)
        assert gain[range(m), perm].sum() == pytest.approx(best, rel=1e-12)
        assert value == pytest.approx(best, rel=1e-12)


def test_correlations_are_those_of_many_inputs():
    rng = np.random.default_rng(3)
    students = rng.normal(size=(3, 2, 6, 4))
    students[0, 0, 2] = 0
    x = rng.normal(size=(200_000, 4))
    across, within = map(np.asarray, _gaussian(students))
    error = 6 / np.sqrt(len(x))  # of n samples' correlation the standard one is 1/√n
    for pair, expected, own in zip(students, across, within, strict=True):
        hidden = [np.maximum(x @ W.T, 0) for W in pair]
        with np.errstate(invalid="ignore"):  # the zero neuron has none
            sampled = np.nan_to_num(np.corrcoef(*hidden, rowvar=False))
        np.testing.assert_allclose(sampled[:6, 6:], expected, atol=error)
        np.testing.assert_allclose(sampled[:6, :6], own[0], atol=error)
        np.testing.assert_allclose(sampled[6:, 6:], own[1], atol=error)
    np.testing.assert_array_equal(across[0, 2], 0)


def test_neurons_alike_on_one_side_only_are_told_apart_by_distance():
    """Any order has the same correlation; the least distance pairs by projections."""
    distinct = np.array([[2.0, 0.5], [3.0, -2.0], [1.0, 1.0]])
    parallel = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    students = np.array([[distinct, parallel], [parallel, distinct]])
    perms, _ = match_activations(students)
    assert perms.tolist() == [[1, 2, 0], [2, 0, 1]]
