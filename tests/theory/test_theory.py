"""Predictions against enumeration, exact arithmetic, samples, finite differences."""

from fractions import Fraction
from math import comb

import numpy as np
import oracles
import pytest
from scipy import optimize, stats

from lmc_jax import theory
from lmc_jax.theory import stability


def sample_norms(rng, m, k, size):
    """Counts [size, k] and norms [size, k, m - k + 1] of uniform minima, sorted."""
    n = 1 + rng.multinomial(m - k, np.full(k, 1 / k), size=size)
    draws = rng.exponential(size=(size, k, m - k + 1))
    draws *= np.arange(m - k + 1) < n[..., None]
    draws /= draws.sum(-1, keepdims=True)
    return n, -np.sort(-draws, axis=-1)


def tails(norms, start):
    """Mass of the neurons from rank ``start`` on: [..., ranks], [...] to [...]."""
    return np.sum(norms * (np.arange(norms.shape[-1]) >= start[..., None]), axis=-1)


def sample_unmatched(rng, m, k, size):
    """ρ and ρ' of Algorithm 1, each [size, k]."""
    (n, a), (n2, a2) = (sample_norms(rng, m, k, size) for _ in range(2))
    return tails(a, np.minimum(n, n2)), tails(a2, np.minimum(n, n2))


def gram(k):
    return np.full((k, k), 1 / (2 * np.pi)) + np.eye(k) * (1 / 2 - 1 / (2 * np.pi))


def assert_mean(draws, expected):
    error = draws.std() / np.sqrt(len(draws))
    assert abs(draws.mean() - expected) < 4.5 * error + 1e-15


# Overlap.


@pytest.mark.parametrize(("m", "k"), [(1, 1), (4, 1), (3, 2), (7, 2), (6, 3), (7, 4)])
def test_overlap_enumerated(m, k):
    n, p = oracles.count_vectors(m, k)
    shared = np.minimum(n[:, None], n).sum(-1)
    assert p.sum() == pytest.approx(1, rel=1e-12)
    assert theory.expected_overlap(m, k) == pytest.approx(p @ shared @ p / m, rel=1e-13)


@pytest.mark.parametrize(("m", "k"), [(11, 5), (46, 20), (90, 7), (229, 100)])
def test_overlap_in_exact_arithmetic(m, k):
    trials, cdf, gap = m - k, Fraction(0), Fraction(0)
    for s in range(trials + 1):
        cdf += Fraction(comb(trials, s) * (k - 1) ** (trials - s), k**trials)
        gap += cdf * (1 - cdf)
    exact = float(1 - Fraction(k, m) * gap)
    assert theory.expected_overlap(m, k) == pytest.approx(exact, rel=1e-13)


def test_overlap_is_whole_without_a_choice_and_keeps_shapes():
    assert theory.expected_overlap(7, 7) == 1
    np.testing.assert_array_equal(theory.expected_overlap([[1, 2], [9, 30]], 1), 1)


@pytest.mark.parametrize("k", [2, 3, 4, 7, 13, 31])
def test_overlap_falls_then_rises(k):
    widths = np.arange(k, 12 * k)
    increments = np.diff(theory.expected_overlap(widths, k))
    turn = theory.overlap_minimum(k) - k
    assert np.all(increments[:turn] < 0)
    assert np.all(increments[turn + (k == 2) :] > 0)  # k = 2: 4 and 5 tie


def test_overlap_clt():
    ratio = optimize.minimize_scalar(
        lambda x: theory.expected_overlap_clt(50 * x, 50), bounds=(1, 6)
    ).x
    assert ratio == pytest.approx(theory.CLT_MINIMUM_RATIO, abs=1e-5)
    assert theory.expected_overlap_clt(2e9, 10**9) == pytest.approx(0.7179, abs=5e-5)
    many = np.array([2_000, 20_000])  # exact and approximate meet where m >> k
    gap = theory.expected_overlap(many, 5) - theory.expected_overlap_clt(many, 5)
    assert np.all(np.abs(gap) < 1e-4)


def test_overlap_limit():
    ratios = np.array([1, 1.5, 2, 2.292, 4, 8])
    n = np.arange(80)
    p = stats.poisson.pmf(n, ratios[:, None] - 1)  # counts less 1
    shared = np.einsum("ra,ab,rb->r", p, np.minimum.outer(n, n), p)
    limit = theory.expected_overlap_limit(ratios)
    np.testing.assert_allclose(limit, (1 + shared) / ratios, rtol=1e-12)
    wide = theory.expected_overlap(4000 * ratios, 4000)
    np.testing.assert_allclose(wide, limit, atol=1e-4)
    assert theory.expected_overlap_limit(1) == 1
    assert theory.expected_overlap_limit(1e8) == pytest.approx(1, abs=1e-4)


def test_overlap_limit_minimum():
    found = optimize.minimize_scalar(theory.expected_overlap_limit, bounds=(1, 6))
    assert pytest.approx(found.x, abs=1e-5) == theory.LIMIT_MINIMUM_RATIO
    assert pytest.approx(2.292, abs=5e-4) == theory.LIMIT_MINIMUM_RATIO
    assert found.fun == pytest.approx(0.7352, abs=5e-5)
    assert theory.overlap_minimum(3000) / 3000 == pytest.approx(found.x, abs=2e-3)


# Unmatched mass and certificates.


def test_spacing_order_statistics():
    np.testing.assert_array_equal(theory.spacing_order_statistics(1), [1])
    np.testing.assert_allclose(theory.spacing_order_statistics(2), [0.75, 0.25])
    expected = theory.spacing_order_statistics(7)
    draws = np.random.default_rng(2).dirichlet(np.ones(7), size=40_000)
    for column, value in zip(np.sort(draws)[:, ::-1].T, expected, strict=True):
        assert_mean(column, value)
    assert expected.sum() == pytest.approx(1, rel=1e-14)
    assert np.all(np.diff(expected) < 0)


@pytest.mark.parametrize(("m", "k"), [(8, 2), (60, 5), (46, 20)])
def test_certificate_sampled(m, k):
    size = 3_000
    rho, rho2 = sample_unmatched(np.random.default_rng([m, k]), m, k, size)
    mixed = (rho + rho2) / 2
    bound = np.einsum("sp,pq,sq->s", mixed, gram(k), mixed) / 2
    assert_mean(bound, theory.expected_certificate(m, k))


def test_rates():
    m = np.array([4_000, 40_000])
    bound = theory.expected_certificate(m, 5)
    assert np.log10(bound[1] / bound[0]) == pytest.approx(-2, abs=0.03)
    assumed = theory.certificate_rate(m, 5)
    assert np.log10(assumed[1] / assumed[0]) == pytest.approx(-1, abs=0.01)
    assert np.all(assumed > bound)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_no_certificate_needed_without_leftovers(k):
    for function in (theory.certificate_rate, theory.expected_certificate):
        np.testing.assert_allclose(function([k], k), 0, atol=1e-15)
        np.testing.assert_allclose(function([1, 2, 30], 1), 0, atol=1e-15)


@pytest.mark.parametrize(
    "call",
    [
        theory.expected_overlap,
        theory.expected_overlap_clt,
        theory.expected_certificate,
        theory.certificate_rate,
        theory.expected_count_forms,
        stability.critical_learning_rate,
        stability.balanced_counts,
        stability.zero_fraction_bound,
        stability.zero_fraction,
    ],
)
@pytest.mark.parametrize(("m", "k"), [(4, 5), (5, 0), (np.nan, 5)])
def test_students_narrower_than_the_teacher_are_one_clear_line(call, m, k):
    rate = (0.1,) if "zero_fraction" in call.__name__ else ()
    with pytest.raises(
        ValueError, match=f"m={m}, .* k={k}: give m >= k >= 1"
    ) as caught:
        call(*rate, m, k)
    assert "\n" not in str(caught.value)
