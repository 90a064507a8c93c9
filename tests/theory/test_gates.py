"""Sharpness at minima of any teacher: Monte Carlo, finite differences, closed forms."""

import itertools

import numpy as np
import oracles
import pytest

from lmc_jax import theory
from lmc_jax.students.teachers import Teacher, named
from lmc_jax.theory import gates, stability

TEACHERS = [
    *("equiangular:0.5", "equiangular:0.9", "equiangular:0.999999", "random"),
    "norms:1,2,4",
]
NEAR = 1e-7
PAIRS = {
    **{"orthogonal": ([1, 0], [0, 3]), "parallel": ([1, 2], [2, 4])},
    **{"opposite": ([1, 2], [-2, -4]), "obtuse": ([1, 0], [-1, 0.5])},
    **{"nearly parallel": ([1, 0], [1, NEAR]), "nearly opposite": ([1, 0], [-1, NEAR])},
}


@pytest.mark.parametrize("name", PAIRS)
def test_blocks_of_two_neurons_against_monte_carlo(name):
    """In the plane of the two, up to a turn of it: by eigenvalues and the trace."""
    V = np.array(PAIRS[name], float)
    x = np.random.default_rng(0).normal(size=(100_000, 2))
    both = np.all(x @ V.T > 0, axis=1)
    block = gates.gate_blocks(Teacher(V))[0, 1]
    turn = np.linalg.qr(Teacher(V).directions.T)[0]  # the basis of the blocks
    oracles.assert_mean(
        both[:, None, None] * x[:, :, None] * x[:, None], turn @ block @ turn.T, 1e-7
    )
    same = gates.gate_blocks(Teacher(V))[[0, 1], [0, 1]]
    np.testing.assert_allclose(same, [np.eye(2) / 2] * 2, rtol=0, atol=1e-15)


def test_blocks_of_axes_are_those_of_the_orthonormal_teacher():
    blocks = gates.gate_blocks(Teacher(np.eye(3)))
    full = np.moveaxis(blocks, 2, 1).reshape(9, 9)
    expected = oracles.gauss_newton([1, 1, 1], 3)
    assert np.linalg.eigvalsh(full) == pytest.approx(np.linalg.eigvalsh(expected))
    counts = [[1, 1, 1], [3, 1, 2], [0, 4, 1], [7, 0, 0], [0, 0, 0]]
    found = stability.gauss_newton_sharpness(counts, Teacher(np.eye(3, 5)))
    expected = stability.gauss_newton_sharpness(counts)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", TEACHERS)
def test_sharpness_is_that_of_the_loss_in_every_dimension(name):
    """Differences of a gradient from angles at a minimum, in d = k and beyond."""
    for d in (3, 5):
        teacher = named(name, 3, d)
        W = oracles.minimum(np.random.default_rng(0), [3, 1, 2], d, teacher.neurons)
        W *= 10 / np.linalg.norm(W, axis=1, keepdims=True)  # gates do not see norms
        V = np.stack([W[kind].sum(0) for kind in rows_by_type(W, teacher)])
        assert np.abs(oracles.gradient(W, V)).max() < 1e-7
        h = 1e-4  # error O(h): the third derivative jumps where neurons are parallel
        shifts = h * np.eye(W.size).reshape(-1, *W.shape)
        slopes = [
            oracles.gradient(W + s, V) - oracles.gradient(W - s, V) for s in shifts
        ]
        hessian = np.reshape(slopes, (W.size, W.size)) / (2 * h)
        top = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
        found = stability.gauss_newton_sharpness([3, 1, 2], teacher)
        assert found == pytest.approx(top, rel=1e-3)


def rows_by_type(W, teacher):
    """Rows of each type, by their angles."""
    kinds = (W @ teacher.directions.T).argmax(1)
    return [np.flatnonzero(kinds == j) for j in range(teacher.k)]


@pytest.mark.parametrize("name", ["random", "equiangular:0.7"])
def test_gradient_in_the_counts_against_differences(name):
    teacher, n = named(name, 4, 6, 3), np.array([1.0, 2.5, 0.7, 3])
    value, slope = gates.top(teacher, n)
    for j, step in enumerate(1e-6 * np.eye(4)):
        up, down = gates.top(teacher, n + step)[0], gates.top(teacher, n - step)[0]
        assert slope[j] == pytest.approx((up - down) / 2e-6, rel=1e-6)
    assert slope @ n == pytest.approx(value, rel=1e-12)  # of degree 1


def equiangular(k, rho):
    """μ_k(ρ), the top eigenvalue of one neuron a type, in the symmetric sector."""
    theta = np.arccos(rho)
    c, s = (np.pi - theta) / (2 * np.pi), np.sin(theta) / (2 * np.pi)
    t, sigma = np.tan(theta / 2) / (2 * np.pi), 1 + (k - 1) * rho
    matrix = [
        [1 / 2 - c + (k - 1) * s, (k - 2) * sigma * t],
        [c, 1 / 2 + (k - 1) * c + sigma * t],
    ]
    return np.linalg.eigvals(matrix).real.max()


@pytest.mark.parametrize("k", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("rho", [0, 0.3, 0.9, 1 - 1e-9])
def test_least_sharpness_of_equal_angles_in_closed_form(k, rho):
    teacher = named(f"equiangular:{rho}", k, k)
    expected = equiangular(k, rho)
    assert k * gates.least_sharpness(teacher) == pytest.approx(expected, rel=1e-9)
    one_each = stability.gauss_newton_sharpness(np.ones(k), teacher)
    assert one_each == pytest.approx(expected, rel=1e-9)
    if rho == 0:
        assert expected == pytest.approx(stability.balanced_sharpness(k), rel=1e-12)
    if rho > 0.99:
        assert expected == pytest.approx(k / 2, rel=1e-3)
    critical = stability.critical_learning_rate([k, 3 * k], teacher)
    np.testing.assert_allclose(critical, [2 / expected, 2 / expected / 3], rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_least_sharpness_of_random_neurons_against_all_shares(seed):
    """Of three types, on a grid: none is below, the best is near; nor are counts."""
    teacher = named("random", 3, 3, seed)
    least = gates.least_sharpness(teacher)
    steps = 40
    grid = [
        np.array([a, b, steps - a - b]) / steps
        for a, b in itertools.product(range(steps + 1), repeat=2)
        if a + b <= steps
    ]
    values = [gates.top(teacher, shares)[0] for shares in grid]
    assert least <= min(values) * (1 + 1e-9)
    assert min(values) < least * 1.005
    vectors, _ = oracles.count_vectors(9, 3)
    rates = 2 / stability.gauss_newton_sharpness(vectors, teacher)
    critical = stability.critical_learning_rate(9, teacher)
    assert rates.max() <= critical * (1 + 1e-9)
    assert rates.max() > 0.9 * critical
    bound = stability.zero_fraction_bound([critical, 2 * critical], 9, teacher)
    np.testing.assert_allclose(bound, [0, 0.5], atol=1e-9)


def test_norms_do_not_enter():
    counts = [[3, 1, 2], [2, 2, 2]]
    found = stability.gauss_newton_sharpness(counts, named("norms:1,2,4", 3, 3))
    expected = stability.gauss_newton_sharpness(counts)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["equiangular:0.6", "norms:1,2,4"])
def test_expected_certificate_against_uniform_minima(name):
    """½ ρᵀKρ of half the unmatched masses of both students, drawn neuron by neuron."""
    teacher, rng, m, k = named(name, 3, 3), np.random.default_rng(0), 8, 3
    values = []
    for _ in range(8000):
        rho = np.zeros(k)
        counts = 1 + rng.multinomial(m - k, np.ones(k) / k, size=2)
        for own, other in (counts, counts[::-1]):
            for j in range(k):
                norms = np.sort(rng.dirichlet(np.ones(own[j])))
                rho[j] += norms[: max(own[j] - other[j], 0)].sum() / 2
        rho *= np.linalg.norm(teacher.neurons, axis=1)
        values.append(rho @ teacher.kernel @ rho / 2)
    oracles.assert_mean(np.array(values), theory.expected_certificate(m, teacher))


@pytest.mark.parametrize("cosine", [-1, -0.5, 0, 0.5, 0.99, 1])
def test_loss_of_a_mixed_pair_against_monte_carlo(cosine):
    V = np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]])
    x = np.random.default_rng(0).normal(size=(200_000, 2))
    lost = oracles.student(V / 2, x) - oracles.student(V.sum(0, keepdims=True) / 2, x)
    oracles.assert_mean(lost**2 / 2, theory.mixed_pair_loss(cosine), 1e-15)
