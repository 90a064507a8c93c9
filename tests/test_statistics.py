"""Bootstrap intervals of means and ratios, and means with controls."""

import functools

import numpy as np
import pytest
import scipy.stats

from lmc_jax.statistics import (
    controlled,
    largest_shares,
    mean_interval,
    ratio_interval,
    resampled_means,
    share_interval,
    slopes,
    statistic_interval,
)

mean_fast = functools.partial(mean_interval, resamples=999)
ratio_fast = functools.partial(ratio_interval, resamples=999)


@pytest.mark.parametrize("of", [1, 7, 40, 3000])
def test_share_intervals_are_those_of_wilson(of):
    counts = np.unique([0, 1, of // 3, of])
    for count, interval in zip(counts, share_interval(counts, of), strict=True):
        ends = scipy.stats.binomtest(int(count), of).proportion_ci(method="wilson")
        np.testing.assert_allclose(interval, [count / of, *ends], atol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_mean_interval_is_the_normal_one_for_many_values(scale):
    values = scale * np.random.default_rng(2).normal(3, 1, 1000)
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(values.mean(), rel=1e-14)
    half = 1.96 * values.std() / 1000**0.5
    assert mean - low == pytest.approx(half, rel=0.06)  # 3 errors of the quantile
    assert high - mean == pytest.approx(half, rel=0.06)


def test_equal_data_give_equal_intervals_alone_as_columns_and_as_ratios_to_one():
    values = np.random.default_rng(3).normal(size=(30, 3))
    first, again = mean_fast(values[:, 0]), mean_fast(values[:, 0].copy())
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(mean_fast(values)[0], first, rtol=1e-14)
    np.testing.assert_array_equal(ratio_fast(values[:, 0], np.ones(30)), first)


def test_confidence_widens_the_interval():
    values = np.random.default_rng(4).normal(size=30)
    widths = [np.diff(mean_fast(values, confidence=c)[1:])[0] for c in (0.5, 0.8, 0.99)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 2


def covered(interval, truth):
    value, low, high = interval
    assert low <= value <= high
    return low <= truth <= high


def test_intervals_cover():
    shared, top, bottom = np.random.default_rng(6).normal(size=(3, 400, 30))
    top, bottom = 2 + shared + 0.5 * top, 5 + 2 * shared + bottom
    means = [covered(mean_fast(values), 2) for values in top]
    pairs = zip(top, bottom, strict=True)
    ratios = [covered(ratio_fast(a, b), 2 / 5) for a, b in pairs]
    for coverage in (np.mean(means), np.mean(ratios)):
        assert 0.90 <= coverage <= 0.98


def test_ratio_interval_resamples_pairs():
    bottom = np.random.default_rng(7).exponential(size=20)
    value, low, high = ratio_fast(2 * bottom, bottom)
    assert (value, low, high) == pytest.approx((2, 2, 2), rel=1e-14)
    shuffled = ratio_fast(2 * bottom[::-1], bottom)
    assert shuffled[0] == pytest.approx(2, rel=1e-14)
    assert shuffled[2] - shuffled[1] > 0.5


NONE = [np.nan] * 3


@pytest.mark.parametrize(
    ("top", "bottom", "expected"),
    [
        ([], [], NONE),
        ([1.0], [4.0], [0.25, np.nan, np.nan]),
        ([1.0], [0.0], NONE),
        ([1.0] * 5, [0.0] * 5, NONE),
        ([0.0] * 5, [0.0] * 5, NONE),
        ([1.0] * 3, [0.0, 0.0, 1.0], [3, np.nan, np.nan]),  # some resamples have none
        ([1.0, np.nan, 2.0], [1.0] * 3, NONE),
        (np.full(12, 3, np.int64), np.full(12, 6, np.int64), [0.5] * 3),
        (np.full(12, 3, np.float32), np.full(12, 6, np.float32), [0.5] * 3),
        ([0.0] * 12, [1.0] * 12, [0] * 3),
    ],
)
def test_few_constant_zero_and_undefined_values(top, bottom, expected):
    found = ratio_fast(np.asarray(top), np.asarray(bottom))
    np.testing.assert_array_equal(found, expected)


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


# --- independent groups ---------------------------------------------------------------


def test_resampled_means_have_the_means_first_and_their_spread():
    rng = np.random.default_rng(3)
    groups = [rng.normal(size=n) for n in (400, 100)]
    means = resampled_means(groups)
    assert means[0].tolist() == [group.mean() for group in groups]
    expected = [group.std() / np.sqrt(len(group)) for group in groups]
    np.testing.assert_allclose(means[1:].std(axis=0), expected, rtol=0.1)


def test_groups_are_resampled_independently_of_each_other():
    values = np.random.default_rng(4).normal(size=50)
    means = resampled_means([values, values])
    again = resampled_means([values], first=1)
    assert abs(np.corrcoef(means[1:].T)[0, 1]) < 0.1  # equal draws would give 1
    assert again[:, 0].tolist() == means[:, 1].tolist()


def test_slopes_against_polyfit():
    rng = np.random.default_rng(5)
    x, values = rng.normal(size=7), rng.normal(size=(3, 7))
    np.testing.assert_allclose(slopes(x, values), np.polyfit(x, values.T, 1)[0])


def test_largest_shares_of_equal_and_of_unequal_groups():
    rng = np.random.default_rng(6)
    alike = [rng.normal(size=300) for _ in range(2)]
    shares = largest_shares(resampled_means([*alike, alike[0] - 1]))
    assert shares[2] == 0
    assert min(shares[:2]) > 0
    assert shares.sum() == pytest.approx(1)


def test_a_statistic_that_is_not_finite_in_a_resample_has_no_interval():
    assert np.isnan(statistic_interval(np.array([1.0, np.inf, 2.0]))[1:]).all()
