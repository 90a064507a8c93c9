"""Linear stability against full matrices, Lanczos, enumeration, finite differences."""

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lmc_jax.theory import stability

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)


def test_sharpness_is_that_of_the_loss():
    k, d, kinds = 3, 4, np.array([0, 0, 0, 1, 2, 2])
    W = np.eye(d)[kinds] * np.array([0.5, 0.2, 0.3, 1, 0.4, 0.6])[:, None]
    assert np.abs(oracles.gradient(W, k)).max() < 1e-14
    h = 1e-5  # error O(h): the third derivative jumps where neurons are parallel
    shifts = h * np.eye(W.size).reshape(-1, *W.shape)
    hessian = np.array(
        [
            (oracles.gradient(W + s, k) - oracles.gradient(W - s, k)).ravel() / (2 * h)
            for s in shifts
        ]
    )
    spectrum = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    assert spectrum[-1] == pytest.approx(
        stability.gauss_newton_sharpness([3, 1, 2]), rel=1e-3
    )
    reduced = np.linalg.eigvalsh(oracles.gauss_newton([3, 1, 2], d))
    np.testing.assert_allclose(spectrum[-k * d :], reduced, atol=2e-3)
    np.testing.assert_allclose(spectrum[: -k * d], 0, atol=2e-3)


@PROPERTY
@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(0, 2))
def test_sharpness_against_the_full_matrix(counts, more):
    matrix = oracles.gauss_newton(counts, len(counts) + more)
    np.testing.assert_array_equal(matrix, matrix.T)
    spectrum = np.linalg.eigvalsh(matrix)
    scale = 1 + sum(counts)
    assert spectrum[0] >= -1e-12 * scale
    assert abs(spectrum[-1] - stability.gauss_newton_sharpness(counts)) <= 1e-13 * scale


@pytest.mark.parametrize("high", [1, 2, 4, 1000])
def test_sharpness_against_lanczos(high):
    k = 100
    n = np.random.default_rng(high).integers(0, high, size=k, endpoint=True)
    root = np.sqrt(n)

    def apply(vector):
        V = vector.reshape(k, k)  # [type, coordinate]
        rooted = root[:, None] * V
        mix = np.where(np.eye(k), np.trace(rooted) - np.diag(rooted), rooted.T)
        return root[:, None] * ((rooted + rooted.sum(0)) / 4 + mix / (2 * np.pi))

    operator = sparse.linalg.LinearOperator((k * k, k * k), apply, dtype=np.float64)
    (top,) = sparse.linalg.eigsh(operator, 1, v0=np.ones(k * k), tol=0)[0]
    assert stability.gauss_newton_sharpness(n) == pytest.approx(top, rel=1e-12)


def test_sharpness_shapes_and_corners():
    batch = np.arange(24).reshape(2, 4, 3)
    single = [[stability.gauss_newton_sharpness(n) for n in row] for row in batch]
    np.testing.assert_array_equal(stability.gauss_newton_sharpness(batch), single)
    assert stability.gauss_newton_sharpness(np.empty((0, 3))).shape == (0,)
    assert stability.gauss_newton_sharpness([0, 0]) == 0
    assert stability.gauss_newton_sharpness([7]) == pytest.approx(3.5, rel=1e-14)
    assert stability.gauss_newton_sharpness([0, 7, 0]) == pytest.approx(3.5, rel=1e-14)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 20, 100])
def test_balanced_sharpness(k):
    sharpness = stability.gauss_newton_sharpness(np.full((2, k), [[1], [6]]))
    expected = np.array([1, 6]) * stability.balanced_sharpness(k)
    np.testing.assert_allclose(sharpness, expected, rtol=1e-13)


def test_critical_learning_rate():
    assert stability.critical_learning_rate(1, 1) == 4
    widths = np.array([10, 100])
    scaled = widths * stability.critical_learning_rate(widths, 5)
    np.testing.assert_allclose(scaled, 5.583, atol=5e-4)


@pytest.mark.parametrize(("m", "k"), [(7, 1), (11, 2), (12, 3), (11, 4), (9, 5)])
def test_zero_fraction_enumerated(m, k):
    lr = np.linspace(0.5 / m, 2.2 / stability.balanced_sharpness(k), 97)
    vectors = [oracles.count_vectors(active, k)[0] for active in range(k, m + 1)]
    limits = [2 / stability.gauss_newton_sharpness(n) for n in vectors]
    for n, limit in zip(vectors, limits, strict=True):
        balanced = np.ptp(n, axis=1) <= 1
        np.testing.assert_allclose(limit[balanced], limit.max(), rtol=1e-12)
    best = np.array([limit.max() for limit in limits])
    zeros = 1 - np.arange(k, m + 1) / m
    expected = [min(zeros[best >= rate], default=np.nan) for rate in lr]
    fraction = stability.zero_fraction(lr, m, k)
    np.testing.assert_allclose(fraction, expected, atol=1e-15)
    bound = stability.zero_fraction_bound(lr, m, k)
    assert not np.any(fraction < bound - 1e-12)
    assert np.isnan(fraction[-1])
    assert fraction[0] == bound[0] == 0


@pytest.mark.parametrize(
    ("scaled", "expected"), [(5.4, 0), (5.8, 0.1), (6.2, 0.2), (50, np.nan)]
)
def test_zero_fraction_at_known_rates(scaled, expected):
    fraction = stability.zero_fraction(scaled / 10, 10, 5)
    assert fraction == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("m", "k"), [(10, 5), (15, 5), (20, 5), (40, 20), (60, 20), (100, 10)]
)
def test_dense_minima_are_stable_up_to_the_critical_rate_itself(m, k):
    critical = stability.critical_learning_rate(m, k)
    assert stability.zero_fraction(critical, m, k) == 0
    above = stability.zero_fraction(critical * (1 + 1e-9), m, k)
    assert above == pytest.approx(1 / m)
