"""Assignments on weights and activations against all permutations."""

import itertools

import numpy as np
import oracles
import pytest

from lmc_jax.matching import match_activations, match_weights
from lmc_jax.matching.assignment import _gaussian, assign


def gain(first, second):
    return float(np.sum(first * second))


@pytest.mark.parametrize("m", range(1, 7))
def test_gain_is_the_best_of_all_permutations(m, dtype):
    students = np.random.default_rng(m).normal(size=(8, 2, m, 4)).astype(dtype)
    perms, info = match_weights(students)
    assert perms.shape == (8, m)
    assert perms.dtype == np.int32
    for (first, second), perm in zip(students.astype(float), perms, strict=True):
        assert sorted(perm.tolist()) == list(range(m))
        orders = itertools.permutations(range(m))
        best = max(gain(first, second[list(order)]) for order in orders)
        assert gain(first, second[perm]) == pytest.approx(best, rel=1e-13, abs=1e-13)
    second = np.take_along_axis(students[:, 1], perms[..., None], axis=1).astype(float)
    distance = np.sum((students[:, 0] - second) ** 2, axis=(1, 2))
    np.testing.assert_allclose(info.value, distance, rtol=1e-12)
    assert info.objective == "weight distance"


def test_best_gain_is_the_least_distance():
    first, second = np.random.default_rng(0).normal(size=(2, 5, 3))
    [perm], _ = match_weights(np.stack([first, second])[None])
    orders = itertools.permutations(range(5))
    least = min(np.linalg.norm(first - second[list(order)]) for order in orders)
    assert np.linalg.norm(first - second[perm]) == pytest.approx(least, rel=1e-13)


def test_planted_permutations_are_recovered(dtype):
    rng = np.random.default_rng(1)
    first = rng.normal(size=(6, 50, 10)).astype(dtype)
    orders = np.stack([rng.permutation(50) for _ in range(6)])
    second = np.take_along_axis(first, orders[..., None], axis=1)
    noisy = second + dtype.type(1e-3) * rng.normal(size=second.shape).astype(dtype)
    inverse = np.argsort(orders, axis=1)
    for other in (second, noisy):
        perms, _ = match_weights(np.stack([first, other], axis=1))
        np.testing.assert_array_equal(perms, inverse)


def test_permuted_student_is_the_same_function():
    rng = np.random.default_rng(2)
    students = rng.normal(size=(3, 2, 9, 4))
    x = rng.normal(size=(30, 4))
    for (_, second), perm in zip(students, match_weights(students)[0], strict=True):
        before, after = (oracles.student(W, x) for W in (second, second[perm]))
        np.testing.assert_allclose(after, before, rtol=1e-13)


def test_zero_students_are_permuted_all_the_same():
    perms, _ = match_weights(np.zeros((2, 2, 4, 3)))
    np.testing.assert_array_equal(np.sort(perms, axis=1), [range(4)] * 2)


@pytest.mark.parametrize("m", range(1, 7))
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


def test_neurons_of_one_direction_meet_by_their_norms():
    """A correlation does not see norms: without ranking any order would do."""
    rng = np.random.default_rng(4)
    first = np.eye(3)[[0, 0, 1, 0, 2, 1]] * rng.exponential(size=(6, 1))
    order = rng.permutation(6)
    perm, _ = match_activations(np.stack([first, first[order]])[None])
    np.testing.assert_array_equal(first[order][perm[0]], first)


def test_gains_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite gains"):
        assign(np.full((1, 2, 2), np.nan))
