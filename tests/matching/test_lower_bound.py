"""The lower bound: its moments by quadrature, and never above the optimum."""

import itertools

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from lmc_jax.matching import lower_bound, match_exhaustive
from lmc_jax.matching.bound import deficit

ROUNDING = 1e-14


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.4, 2.0])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_moments_of_a_deficit_are_its_integrals(alpha, beta):
    """Over directions of (x_p, x_q) = r (cos φ, sin φ), with E r² = 2, E r = √(π/2)."""
    relu = lambda value: np.maximum(value, 0)  # noqa: E731

    def delta(angle):
        u, v = alpha * np.cos(angle), beta * np.sin(angle)
        return relu(u) + relu(v) - relu(u + v)

    def average(function):
        knots = [np.arctan2(-alpha, beta) + shift for shift in (np.pi, 2 * np.pi)]
        knots += [np.pi / 2, np.pi, 3 * np.pi / 2]
        whole = integrate.quad(
            function, 0, 2 * np.pi, points=sorted(knots), epsabs=1e-13
        )
        return whole[0] / (2 * np.pi)

    mean, square = deficit(np.array(alpha), np.array(beta))
    assert mean == pytest.approx(np.sqrt(np.pi / 2) * average(delta), abs=1e-12)
    second = 2 * average(lambda angle: delta(angle) ** 2)
    assert square == pytest.approx(second, abs=1e-12)
    # Harris with one pair of types: what step 2 takes off is not more than there is.
    assert square >= 2 * mean**2 - 1e-15


def random_minima(rng, pairs, m, k, zeros=0):
    """Pairs of minima with any counts n_j >= 1, some zero rows."""

    def one():
        live = m - zeros
        cuts = np.sort(rng.choice(np.arange(1, live), k - 1, replace=False))
        counts = np.diff([0, *cuts, live])
        W = oracles.minimum(rng, counts, k + 1)
        return rng.permutation(np.concatenate([W, np.zeros((zeros, k + 1))]))

    return np.stack([[one(), one()] for _ in range(pairs)])


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(3, "lerp"), (4, "midpoint")]),
    st.sampled_from([0, 1]),
)
def test_no_permutation_is_below_the_bound(seed, setting, zeros):
    k, definition = setting
    pairs = random_minima(np.random.default_rng(seed), 20, 6, k, zeros)
    best = match_exhaustive(pairs, k, definition=definition)[1].value
    bound = lower_bound(pairs, k, definition=definition)
    assert (bound <= best + ROUNDING).all()
    assert (bound >= 0).all()


def test_the_bound_is_within_half_of_the_optimum():
    """No trivial bound: it certifies the optimum to a factor of two on average."""
    k = 3
    pairs = random_minima(np.random.default_rng(k), 40, 8, k)
    best = match_exhaustive(pairs, k)[1].value
    bound = lower_bound(pairs, k)
    assert best.mean() > 1e-4
    assert bound.mean() > best.mean() / 2
    assert (bound[best > 1e-9] > 0).all()


def test_by_hand_two_types_one_cross_pair():
    """Counts (2, 1) against (1, 2): one cross pair, and the bound is its moment."""
    first = np.array([[0.7, 0], [0.3, 0], [0, 1.0]])
    second = np.array([[1.0, 0], [0, 0.6], [0, 0.4]])
    crossed = [(0.7, 0.6), (0.7, 0.4), (0.3, 0.6), (0.3, 0.4)]
    expected = min(deficit(a / 2, b / 2)[1] / 2 for a, b in map(np.array, crossed))
    found = lower_bound(np.stack([first, second])[None], 2, definition="midpoint")
    assert found[0] == pytest.approx(expected, rel=1e-12)
    heights = [
        oracles.loss((first + second[list(order)]) / 2, 2)
        for order in itertools.permutations(range(3))
    ]
    assert min(heights) == pytest.approx(expected, rel=1e-10)


def test_equal_counts_have_bound_zero():
    rng = np.random.default_rng(1)
    pair = [oracles.minimum(rng, [3, 2, 1], 3) for _ in range(2)]
    assert lower_bound(np.stack(pair)[None], 3)[0] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    "spoil",
    [lambda W: 2 * W, lambda W: W + 0.01, lambda W: -W, lambda W: W[:, :, ::-1]],
)
def test_students_that_are_no_minima_are_one_clear_line(spoil):
    W = random_minima(np.random.default_rng(2), 1, 5, 2)[0]
    with pytest.raises(ValueError, match="off the set of global minima") as caught:
        lower_bound(spoil(W)[None], 2)
    assert "\n" not in str(caught.value)
