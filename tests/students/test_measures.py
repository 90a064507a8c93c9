"""Overlap, zero rows, and the bootstrap intervals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmc_jax.statistics import controlled, mean_interval, ratio_interval
from lmc_jax.students.measures import overlap, zero_rows


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[3, 1, 2], [3, 1, 2]], 6),
        ([[4, 1, 1], [1, 1, 4]], 3),
        ([[6, 0, 0], [0, 0, 6]], 0),
        ([[7], [7]], 7),
    ],
)
def test_overlap_by_hand(counts, expected):
    counts = jnp.asarray(counts, jnp.int32)
    assert overlap(counts) == expected
    assert overlap(counts[::-1]) == expected


def test_overlap_of_batches():
    counts = np.random.default_rng(0).integers(0, 9, (4, 3, 2, 5))
    expected = [[sum(map(min, *pair)) for pair in pairs] for pairs in counts.tolist()]
    np.testing.assert_array_equal(overlap(jnp.asarray(counts)), expected)


def test_zero_rows_by_hand(dtype):
    W = np.zeros((6, 3), dtype)
    W[0] = 1
    W[1, 2] = 0.125  # at the threshold counts as zero
    W[2, 1] = 0.126
    W[3] = 1e-30
    for m, expected in [(6, 4), (4, 2), (3, 1), (1, 0), (0, 0)]:
        assert zero_rows(jnp.asarray(W), m, 0.125) == expected
    assert zero_rows(jnp.asarray(W), 6, 0) == 2
    assert zero_rows(jnp.asarray(W), 6, 10) == 6
    W[0, 0] = np.nan
    assert zero_rows(jnp.asarray(W), 6, 0.125) == 4


def test_zero_rows_of_batches_and_traced_widths(dtype):
    rng = np.random.default_rng(1)
    W = rng.normal(size=(5, 2, 8, 3)).astype(dtype)
    W[rng.random((5, 2, 8)) < 0.4] = 0
    widths = np.array([8, 3, 1, 5, 8], np.int32)
    expected = [
        [(~row[:m].any(1)).sum() for row in pair]
        for pair, m in zip(W, widths, strict=True)
    ]
    count = jax.jit(jax.vmap(functools.partial(zero_rows, threshold=1e-6)))
    np.testing.assert_array_equal(count(W, widths), expected)
    np.testing.assert_array_equal(
        zero_rows(jnp.asarray(W), 8, 1e-6), (~W.any(-1)).sum(-1)
    )


# Intervals.

mean_fast = functools.partial(mean_interval, resamples=999)
ratio_fast = functools.partial(ratio_interval, resamples=999)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_mean_interval_is_the_normal_one_for_many_values(scale):
    values = scale * np.random.default_rng(2).normal(3, 1, 1000)
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(values.mean(), rel=1e-14)
    half = 1.96 * values.std() / 1000**0.5
    assert mean - low == pytest.approx(half, rel=0.06)  # 3 errors of the quantile
    assert high - mean == pytest.approx(half, rel=0.06)


def test_equal_data_give_equal_intervals_alone_and_as_columns():
    values = np.random.default_rng(3).normal(size=(30, 3))
    first, again = mean_fast(values[:, 0]), mean_fast(values[:, 0].copy())
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(mean_fast(values)[0], first, rtol=1e-14)


def test_confidence_widens_the_interval():
    values = np.random.default_rng(4).normal(size=30)
    widths = [np.diff(mean_fast(values, confidence=c)[1:])[0] for c in (0.5, 0.8, 0.99)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 2


def covered(interval, truth):
    value, low, high = interval
    assert low <= value <= high
    return low <= truth <= high


def test_mean_interval_covers():
    draws = np.random.default_rng(5).normal(2, 3, (400, 30))
    coverage = np.mean([covered(mean_fast(values), 2) for values in draws])
    assert 0.90 <= coverage <= 0.98


def test_ratio_interval_covers():
    shared, top, bottom = np.random.default_rng(6).normal(size=(3, 400, 30))
    top, bottom = 2 + shared + 0.5 * top, 5 + 2 * shared + bottom
    pairs = zip(top, bottom, strict=True)
    coverage = np.mean([covered(ratio_fast(a, b), 2 / 5) for a, b in pairs])
    assert 0.90 <= coverage <= 0.98


def test_ratio_interval_resamples_pairs():
    bottom = np.random.default_rng(7).exponential(size=20)
    value, low, high = ratio_fast(2 * bottom, bottom)
    assert (value, low, high) == pytest.approx((2, 2, 2), rel=1e-14)
    shuffled = ratio_fast(2 * bottom[::-1], bottom)
    assert shuffled[0] == pytest.approx(2, rel=1e-14)
    assert shuffled[2] - shuffled[1] > 0.5


def test_ratio_over_ones_is_the_mean():
    values = np.random.default_rng(8).exponential(size=25)
    np.testing.assert_array_equal(ratio_fast(values, np.ones(25)), mean_fast(values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_constant_values_have_a_point_as_interval(dtype):
    values = np.full(12, 3, dtype)
    assert mean_fast(values).tolist() == [3, 3, 3]
    assert ratio_fast(values, 2 * values).tolist() == [0.5, 0.5, 0.5]
    assert mean_fast(np.zeros(12, dtype)).tolist() == [0, 0, 0]


def test_too_few_values_have_no_interval():
    np.testing.assert_array_equal(mean_interval(np.array([])), [np.nan] * 3)
    np.testing.assert_array_equal(mean_interval(np.array([4.0])), [4, np.nan, np.nan])
    empty = np.array([])
    np.testing.assert_array_equal(ratio_interval(empty, empty), [np.nan] * 3)
    one = ratio_interval(np.array([1.0]), np.array([4.0]))
    np.testing.assert_array_equal(one, [0.25, np.nan, np.nan])
    low, middle, high = sorted(mean_fast(np.array([1.0, 2.0])))
    assert (low, middle, high) == (1, 1.5, 2)


def test_ratio_over_zero_is_nan():
    for top in (np.ones(5), np.zeros(5)):
        np.testing.assert_array_equal(ratio_fast(top, np.zeros(5)), [np.nan] * 3)
    one = ratio_fast(np.array([1.0]), np.array([0.0]))
    np.testing.assert_array_equal(one, [np.nan] * 3)


def test_nan_among_the_values_is_not_hidden():
    values = np.random.default_rng(9).normal(size=20)
    values[3] = np.nan
    assert np.isnan(mean_fast(values)).all()


def test_controls_keep_the_mean_and_lower_the_error():
    """Known answers: values 5 + 2 a - b + noise of 0.1, controls a and b."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        controls = rng.normal(size=(60, 2)) * [1, 1e6]  # scales apart
        noise = 0.1 * rng.normal(size=60)
        values = 5 + controls @ [2, -1e-6] + noise
        found.append(controlled(values, controls))
    means = np.mean(found, axis=1)
    assert np.mean(means) == pytest.approx(5, abs=4 * 0.1 / np.sqrt(60 * 200))
    assert np.std(means) == pytest.approx(0.1 / np.sqrt(60), rel=0.2)
    assert np.std(found) == pytest.approx(0.1, rel=0.1)


def test_controls_of_few_values_or_of_nothing_change_nothing():
    values = np.random.default_rng(0).normal(size=40)
    few = values[:29]
    np.testing.assert_array_equal(controlled(few, few[:, None]), few)
    np.testing.assert_array_equal(controlled(values, np.zeros((40, 2))), values)
