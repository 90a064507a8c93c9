"""Laws of vanishing barriers against exact forms, enumeration and simulation."""

import numpy as np
import oracles
import pytest

from lmc_jax import theory
from lmc_jax.sweep.wide import WideCell, measure


@pytest.mark.parametrize("k", [2, 3, 5, 20])
def test_the_certificate_tends_to_its_law(k):
    widths = np.array([400, 1600]) * k
    law = theory.certificate_law(k)
    scaled = theory.expected_certificate(widths, k) * widths**2 / law.limit
    small = np.sqrt(k / widths)
    # What is left is of the next order, k/m: a quarter at four times the width.
    left = np.abs(scaled - (1 - law.correction * small))
    assert np.all(left < 4 * small**2)
    assert left[0] / left[1] == pytest.approx(4, rel=0.1)
    slope = np.diff(np.log(scaled / widths**2)) / np.log(4)
    middle = law.slope(np.sqrt(widths[0] * widths[1]), k)
    assert slope == pytest.approx(middle, abs=0.01)


def test_slopes_are_those_of_the_law():
    law, m, k = theory.Law(2.0, 1.5), 500.0, 5
    form = lambda m: np.log((1 - 1.5 * np.sqrt(k / m)) / m**2)  # noqa: E731
    step = 1e-5
    expected = (form(m * np.exp(step)) - form(m * np.exp(-step))) / (2 * step)
    assert law.slope(m, k) == pytest.approx(expected, abs=1e-8)
    assert law.slope(1e12, k) == pytest.approx(-2, abs=1e-5)


def midpoint_loss(first, second, often):
    """Loss of neurons (first, second)/2, so often, less their masses, in NumPy."""
    rows = np.stack([first, second], axis=1) / 2
    angle, length = np.arctan2(rows[:, 1], rows[:, 0]), often * np.hypot(*rows.T)

    def kernel(apart):
        return (np.sin(apart) + (np.pi - apart) * np.cos(apart)) / (2 * np.pi)

    mass = often @ rows
    axes = kernel(np.stack([angle, np.pi / 2 - angle]))
    loss = length @ kernel(np.abs(angle[:, None] - angle)) @ length / 2
    return loss - mass @ axes @ length + mass @ mass / 4 + mass[0] * mass[1] / 2 / np.pi


@pytest.mark.parametrize("order", ["index", "sorted", "opposed"])
def test_limits_by_the_midpoint_of_regular_leftovers(order):
    """Many leftovers of norms even on [0, 1], as a quadrature of their measure."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    norms, often = (nodes + 1) / 2, weights / 2
    others = {"sorted": norms, "opposed": norms[::-1]}
    if order == "index":  # any with any
        norms, others[order] = (side.ravel() for side in np.meshgrid(norms, norms))
        often = np.outer(often, often).ravel()
    loss = midpoint_loss(norms, others[order], often)
    # Of r leftovers of norms up to r/n² it is r⁴/n⁴ times as high: as a barrier, times
    # m² E (r/n)⁴ for r normal of variance m/2.
    fourth = 3 * (1 / 2) ** 2 * 2**4
    limit = theory.two_neuron_limit(order)
    assert loss * fourth == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize(("m", "k"), [(5, 2), (7, 3), (7, 4), (6, 6), (5, 1)])
def test_count_forms_enumerated(m, k):
    vectors, chances = oracles.count_vectors(m, k)
    pairs = np.stack(np.broadcast_arrays(vectors[:, None], vectors), axis=2)
    forms = theory.count_forms(pairs)
    expected = np.einsum("a,b,abf->f", chances, chances, forms)
    np.testing.assert_allclose(
        theory.expected_count_forms(m, k), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.slow
def test_barriers_of_two_neurons_tend_to_the_closed_forms():
    m = 30_000
    found = measure(WideCell(k=2, m=m, pairs=1000))
    heights = found["losses"].max(axis=-1) * m**2
    scale = theory.count_forms(found["counts"])[:, 0]
    scale = scale / theory.expected_count_forms(m, 2)[0]
    for column, order in enumerate(("index", "sorted", "opposed")):
        ratio = heights[:, column].mean() / scale.mean()
        limit = theory.two_neuron_limit(order)
        assert ratio == pytest.approx(limit * (1 - 1.7 * (2 / m) ** 0.5), rel=0.03)
