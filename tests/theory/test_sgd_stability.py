"""Mean-square stability of SGD against sampled moments, closed forms, the limit GD."""

from itertools import product

import numpy as np
import oracles
import pytest

from lmc_jax.theory import stability
from lmc_jax.theory.sgd_stability import sgd_critical_learning_rate


def features(rng, counts, d, samples):
    """φ(x) = (√n_p 1{x_p > 0} x)_p of standard normal x, ``[samples, k d]``.

    Every x comes with all changes of sign of its coordinates that have a gate, so that
    the gates are exact.
    """
    k = len(counts)
    signs = np.array(list(product([-1, 1], repeat=k)))
    x = rng.normal(size=(samples, 1, d)).repeat(len(signs), axis=1)
    x[..., :k] *= signs
    x = x.reshape(-1, d)
    gated = (x[:, :k] > 0) * np.sqrt(counts)
    return (gated[:, :, None] * x[:, None]).reshape(len(x), -1)


def sampled_rate(phi, batch):
    """Largest stable η by the full spectrum of M ↦ (H· + ·H)⁻¹ S(M), no symmetry."""
    n, size = phi.shape
    H, one = phi.T @ phi / n, np.eye(size)
    squares = (phi[:, :, None] * phi[:, None]).reshape(n, -1)
    S = (1 - 1 / batch) * np.kron(H, H) + squares.T @ squares / (n * batch)
    lyapunov = np.kron(H, one) + np.kron(one, H)
    return 1 / np.abs(np.linalg.eigvals(np.linalg.solve(lyapunov, S))).max()


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize(
    ("counts", "d"), [([1], 1), ([3], 2), ([2, 2], 3), ([1, 3], 2), ([2, 1, 4], 3)]
)
def test_the_rate_against_sampled_inputs(counts, d, batch):
    rates = [
        sampled_rate(features(np.random.default_rng(seed), counts, d, 2000), batch)
        for seed in range(8)
    ]
    found = sgd_critical_learning_rate(counts, d, batch)
    assert np.std(rates) < 0.03 * found
    assert found == pytest.approx(np.mean(rates), abs=4 * np.std(rates) / np.sqrt(8))


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 2), (2, 10)])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_one_type_in_closed_form(n, d, batch):
    """One gate: E[φ φᵀ M φ φᵀ] = n²/2 (2 M + tr M), so that M = I leads."""
    expected = 4 * batch / (n * (batch + 2 * d + 3))
    assert sgd_critical_learning_rate([n], d, batch) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "d"), [([2] * 5, 10), ([1] * 10, 10), ([2, 3, 3], 4), ([1, 4], 2)]
)
def test_infinite_batches_are_gradient_descent(counts, d):
    expected = 2 / stability.gauss_newton_sharpness(counts)
    found = sgd_critical_learning_rate(counts, d, [np.inf, 1e9])
    assert found[0] == pytest.approx(expected, rel=1e-12)
    assert found[1] == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(
        2 / np.linalg.eigvalsh(oracles.gauss_newton(counts, d))[-1]
    )


def test_known_rates_of_a_sampled_prototype():
    """It gave two digits, from other code: 0.26 to 5.43."""
    found = 10 * sgd_critical_learning_rate([2] * 5, 10, [1, 2, 4, 8, 16, 32, 64, 256])
    known = [0.26, 0.51, 0.97, 1.71, 2.76, 3.90, 4.80, 5.43]
    np.testing.assert_allclose(found, known, atol=0.012)


def test_rates_scale_with_counts_and_grow_with_the_batch():
    batches = 2.0 ** np.arange(12).reshape(3, 4)
    single = sgd_critical_learning_rate([1] * 5, 10, batches)
    assert single.shape == batches.shape
    assert np.all(np.diff(single.ravel()) > 0)
    triple = sgd_critical_learning_rate([3] * 5, 10, batches)
    np.testing.assert_allclose(triple, single / 3, rtol=1e-12)


@pytest.mark.parametrize(
    ("d", "batch", "said"), [(1, 1, "d=1: give d >= k = 2"), (2, [4, 0.5], "batch=0.5")]
)
def test_too_few_inputs_are_refused_in_one_line(d, batch, said):
    with pytest.raises(ValueError, match=said):
        sgd_critical_learning_rate([1, 1], d, batch)
