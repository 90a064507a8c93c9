"""Means of many minima against samples, quadrature, and definitions in NumPy."""

import numpy as np
import oracles
import pytest
from scipy import stats

from lmc_jax import theory
from lmc_jax.matching import LEFTOVERS
from lmc_jax.students.merged import merged_certificate
from lmc_jax.sweep.wide import WideCell, measure
from lmc_jax.theory.merging_limit import aligned_constants

AXES = np.linspace(0, 2 * np.pi, 4001)[:-1] + np.pi / 4001  # angles of inputs


def minima(rng, n, m, k):
    """n uniform minima, [n, m, k]."""
    kinds = [rng.integers(k, size=(n, m - k)), np.tile(np.arange(k), (n, 1))]
    kinds = rng.permuted(np.concatenate(kinds, axis=1), axis=1)
    rows = rng.exponential(size=(n, m, 1)) * np.eye(k)[kinds]
    return rows / rows.sum(axis=1, keepdims=True)


def means_of(rng, n, m, k, groups):
    return [oracles.loss(minima(rng, n, m, k).mean(0), k) for _ in range(groups)]


# Not aligned.


@pytest.mark.parametrize(("m", "k"), [(1, 1), (4, 1), (2, 2), (9, 2), (5, 5), (40, 7)])
def test_the_limit_is_the_loss_of_equal_rows(m, k):
    expected = oracles.loss(np.full((m, k), 1 / m), k)
    found = theory.unaligned(m, k)
    assert found.limit == pytest.approx(expected, abs=1e-13)
    assert found.at(np.inf) == found.limit


@pytest.mark.parametrize(("n", "m", "k"), [(100, 2, 2), (100, 6, 3), (60, 12, 5)])
def test_the_expansion_in_n(n, m, k):
    """Both terms: without the second it is away by far more."""
    drawn = np.array(means_of(np.random.default_rng(0), n, m, k, 3000))
    form = theory.unaligned(m, k)
    error = 4 * drawn.std() / np.sqrt(len(drawn)) + form.first * k / n**2
    assert abs(drawn.mean() - form.at(n)) < error
    assert abs(drawn.mean() - (form.limit - form.first / n)) > error


def test_one_neuron_of_the_teacher_merges_without_loss():
    assert theory.unaligned(7, 1) == (0, 0, 0)


# Aligned.


def leftovers(rng, n, m, k, size):
    """Masses that lie on foreign neurons in the mean of n, from counts, [size, k]."""
    counts = 1 + rng.multinomial(m - k, np.full(k, 1 / k), size=(size, n))
    norms = rng.exponential(size=(size, n, k, m - k + 1))
    norms *= np.arange(m - k + 1) < counts[..., None]
    norms = -np.sort(-norms / norms.sum(-1, keepdims=True), axis=-1)
    beyond = np.arange(m - k + 1) >= counts[:, :1, :, None]
    return np.sum(norms * beyond, axis=-1).mean(axis=1)


@pytest.mark.parametrize(("n", "m", "k"), [(2, 6, 2), (3, 9, 3), (5, 12, 4)])
def test_the_expected_certificate(n, m, k):
    rho = leftovers(np.random.default_rng(0), n, m, k, 20_000)
    drawn = ((rho**2).sum(1) / 2 + rho.sum(1) ** 2 / (2 * np.pi)) / 2
    oracles.assert_mean(drawn, theory.merged_certificate(n, m, k))


@pytest.mark.parametrize(("n", "m", "k"), [(1, 9, 3), (4, 3, 3), (4, 6, 1)])
def test_nothing_is_foreign(n, m, k):
    assert theory.merged_certificate(n, m, k) == pytest.approx(0, abs=1e-15)


def test_many_tend_to_infinitely_many():
    found = [theory.merged_certificate(n, 20, 4) for n in (1e9, np.inf)]
    assert found[0] == pytest.approx(found[1], rel=1e-8)


@pytest.mark.parametrize("n", [2, 5, np.inf])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_the_certificate_tends_to_its_law(n, k):
    widths = np.array([300, 2700]) * k
    found = [theory.merged_certificate(n, int(m), k) * m**2 for m in widths]
    left = np.abs(np.array(found) / theory.merged_certificate_law(n, k) - 1)
    assert np.all(left < 3 * np.sqrt(k / widths))
    assert left[1] < left[0] / 2.5  # of the order of sqrt(k/m), a third


def test_no_loss_is_above_the_certificate():
    """Aligned in any way: by type, or not at all."""
    rng = np.random.default_rng(0)
    ratios = []
    for n, m, k in [(2, 4, 2), (3, 6, 3), (8, 12, 2), (20, 9, 4)] * 25:
        students = minima(rng, n, m, k)
        if rng.integers(2):
            order = np.argsort(students.argmax(axis=2), axis=1, kind="stable")
            students = np.take_along_axis(students, order[..., None], axis=1)
        mean, kinds = students.mean(axis=0), students[0].argmax(axis=1)
        bound, loss = merged_certificate(mean, kinds), oracles.loss(mean, k)
        assert loss <= bound + 1e-13
        ratios.append(loss / bound if bound else 0)
    assert max(ratios) > 0.3


# Two neurons of the teacher.


def constant(mixing):
    """½ E R² of a residual that is, at inputs of unit length, R(angle) [angles]."""
    return np.mean(np.square(mixing))


def test_infinitely_many_of_two_neurons_by_quadrature():
    """The loss of all neurons of the mean, each with the masses of both types."""
    t = np.linspace(-9, 9, 1801)
    up, down = (
        sign * t * stats.norm.cdf(sign * t) + stats.norm.pdf(t) for sign in (1, -1)
    )
    x, y = np.cos(AXES)[:, None], np.sin(AXES)[:, None]
    relu = lambda value: np.maximum(value, 0)  # noqa: E731
    gap = up * relu(x) + down * relu(y) - relu(up * x + down * y)
    # Scaled by the variance ½ of both, and (k/m)².
    found = constant(gap.sum(axis=1) * (t[1] - t[0])) * (1 / 2) ** 2 * 2**2
    assert theory.two_neuron_merging().limit == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("n", [2, 40])
def test_finitely_many_of_two_neurons_sampled(n):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, n, 1)) * np.sqrt(1 / 2)
    v = np.linspace(-4, 4, 321)
    above = np.concatenate(
        [np.maximum(z[i] - v, 0).mean(0)[None] for i in range(len(z))]
    )
    below = above - z.mean(axis=1) + v
    nodes, weights = np.polynomial.legendre.leggauss(10)
    total = np.zeros(len(z))
    for angle, weight in zip((nodes + 1) * np.pi / 8, weights * np.pi / 8, strict=True):
        residual = np.minimum(np.cos(angle) * above, np.sin(angle) * below).sum(axis=1)
        total += 8 / np.pi * weight * (residual * (v[1] - v[0])) ** 2
    if n == 2:
        expected, left = theory.two_neuron_limit("opposed"), 0
    else:
        form = theory.two_neuron_merging()
        expected, left = float(form.at(n)), form.limit / n**2
    error = 4 * total.std() / np.sqrt(len(total)) + left
    assert abs(total.mean() - expected) < error


# The limit m ≫ k, sampled.


@pytest.mark.parametrize("n", [2, 30])
def test_the_sampled_limit_of_two_neurons(n):
    drawn = aligned_constants(np.random.default_rng(1), n, 2, 400)
    expected = theory.two_neuron_limit("opposed")
    if n > 2:
        expected = theory.two_neuron_merging().at(n)
    oracles.assert_mean(drawn, expected, rounding=expected / n**2)


@pytest.mark.slow
def test_the_sampled_limit_of_pairs_is_that_of_wide_minima():
    """Of three neurons, drawn as minima by their leftovers."""
    k, m = 3, 30_000
    found = measure(WideCell(k=k, m=m, pairs=1000))
    wide = found["losses"][:, LEFTOVERS.index("opposed"), 5] * m**2
    drawn = aligned_constants(np.random.default_rng(0), 2, k, 1000)
    error = np.hypot(*(part.std() / len(part) ** 0.5 for part in (wide, drawn)))
    assert abs(wide.mean() - drawn.mean()) < 4 * error + 0.02 * drawn.mean()
    assert 4 * error < 0.5 * drawn.mean()
