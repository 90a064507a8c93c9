"""Weight matching against all permutations."""

import itertools

import numpy as np
import oracles
import pytest

from lmc_jax.matching import match_weights


def gain(first, second):
    return float(np.sum(first * second))


@pytest.mark.parametrize("m", range(1, 7))
def test_gain_is_the_best_of_all_permutations(m, dtype):
    students = np.random.default_rng(m).normal(size=(8, 2, m, 4)).astype(dtype)
    perms = match_weights(students)
    assert perms.shape == (8, m)
    assert perms.dtype == np.int32
    for (first, second), perm in zip(students.astype(float), perms, strict=True):
        assert sorted(perm.tolist()) == list(range(m))
        orders = itertools.permutations(range(m))
        best = max(gain(first, second[list(order)]) for order in orders)
        assert gain(first, second[perm]) == pytest.approx(best, rel=1e-13, abs=1e-13)


def test_best_gain_is_the_least_distance():
    first, second = np.random.default_rng(0).normal(size=(2, 5, 3))
    [perm] = match_weights(np.stack([first, second])[None])
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
        perms = match_weights(np.stack([first, other], axis=1))
        np.testing.assert_array_equal(perms, inverse)


def test_permuted_student_is_the_same_function():
    rng = np.random.default_rng(2)
    students = rng.normal(size=(3, 2, 9, 4))
    x = rng.normal(size=(30, 4))
    for (_, second), perm in zip(students, match_weights(students), strict=True):
        before, after = (oracles.student(W, x) for W in (second, second[perm]))
        np.testing.assert_allclose(after, before, rtol=1e-13)


def test_zero_students_are_permuted_all_the_same():
    perms = match_weights(np.zeros((2, 2, 4, 3)))
    np.testing.assert_array_equal(np.sort(perms, axis=1), [range(4)] * 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_one_clear_line(bad, dtype):
    students = np.ones((2, 2, 3, 4), dtype)
    students[1, 0, 2, 1] = bad
    with pytest.raises(ValueError, match="finite weights") as caught:
        match_weights(students)
    assert "\n" not in str(caught.value)
