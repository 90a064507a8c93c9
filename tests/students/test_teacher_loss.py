"""Teachers that are not orthonormal: their neurons, loss, gradient and sharpness.

Against explicit angles, 60 and 100 digits, Monte Carlo, and what an orthonormal teacher
gives by its width alone.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import REGULAR, TAUGHT, size, taught

from lmc_jax.students import two_layer
from lmc_jax.students.sharpness import sharpness
from lmc_jax.students.teachers import Teacher, energies, named

M, K, D = 7, 3, 4
NORMAL = np.random.default_rng(0).normal(size=(M, D))
NEARLY_ONE = named(f"equiangular:{1 - 1e-12}", K, D)
SINGULAR = {
    "nearly one": NEARLY_ONE,
    "close": Teacher([[1, 0, 0, 0], [1, 1e-9, 0, 0], [0, 1, 0, 0]]),
    "parallel": Teacher([[1, 2, 0, 0], [2, 4, 0, 0], [0, 1, 1, 0]]),
    "opposite": Teacher([[1, 2, 0, 0], [-2, -4, 0, 0], [0, 1, 1, 0]]),
    "all sizes": named("norms:0.001,1,1000", K, D),
}
AXES = Teacher(np.eye(K, D))


def students(teacher):
    """At ordinary and at singular points [5, M, D]."""
    V = teacher.neurons
    ones = np.linspace(0.1, 1, M)[:, None]
    along = ones * V[np.arange(M) % K]
    zeros = NORMAL * (np.arange(M) % 3 > 0)[:, None]
    opposite = np.concatenate([-V, NORMAL[K:]])
    minimum = oracles.minimum(np.random.default_rng(1), [3, 1, 3], D, V)
    return np.stack([NORMAL, along, zeros, opposite, minimum])


def scale(W, teacher):
    """Magnitude of the terms that cancel in the gradient; its square, in the loss."""
    return size(W, 0) + teacher.lengths.sum()


@functools.partial(jax.jit, static_argnums=1)
def everything(W, k):
    loss = functools.partial(two_layer.loss, k=k)
    gradient = functools.partial(two_layer.gradient, k=k)
    slope = jax.vmap(jax.grad(loss))(W)
    return {"loss": loss(W), "gradient": gradient(W), "grad of loss": slope}


@taught(TAUGHT | SINGULAR, "lengths and angles", "opposite", "all sizes")
def test_loss_and_gradient_against_angles_and_many_digits(teacher, dtype):
    W = students(teacher).astype(dtype)
    found = {k: np.asarray(v, float) for k, v in everything(W, teacher).items()}
    for number, exact in enumerate(W.astype(float)):
        of_one = {name: values[number] for name, values in found.items()}
        rounding = 8 * jnp.finfo(dtype).eps * scale(exact, teacher)
        expected = oracles.precise_loss(exact, teacher.neurons)
        assert abs(of_one["loss"] - expected) <= rounding * scale(exact, teacher)
        slope = oracles.gradient(exact, teacher.neurons)
        for name in ("gradient", "grad of loss"):
            assert np.abs(of_one[name] - slope).max() <= rounding, name
            np.testing.assert_array_equal(of_one[name][~exact.any(1)], 0)
        if number < 2:
            precise = oracles.precise_gradient(exact, teacher.neurons)
            assert np.abs(slope - precise).max() <= rounding


@taught(SINGULAR, "parallel")
def test_derivatives_of_the_gradient_are_finite_at_singular_points(teacher, dtype):
    gradient = functools.partial(two_layer.gradient, k=teacher)
    hessians = jax.jit(jax.vmap(jax.jacfwd(gradient)))(students(teacher).astype(dtype))
    assert np.isfinite(hessians).all()


@REGULAR
def test_loss_and_gradients_against_monte_carlo(teacher):
    x = np.random.default_rng(1).normal(size=(50_000, D))
    found = jax.tree.map(lambda x: x[0], everything(NORMAL[None], teacher))
    losses = oracles.sampled_loss(NORMAL, x, teacher.neurons)
    oracles.assert_mean(losses, float(found["loss"]))
    slopes = oracles.sampled_gradient(NORMAL, x, teacher.neurons)
    oracles.assert_mean(slopes, np.asarray(found["gradient"]))
    sampled = two_layer.sampled_gradient(jnp.asarray(NORMAL), jnp.asarray(x), teacher)
    np.testing.assert_allclose(sampled, slopes.mean(0), rtol=1e-9, atol=1e-12)
    outputs = oracles.student(teacher.neurons, x)
    oracles.assert_mean(outputs**2, sum(energies(teacher)))


@REGULAR
def test_columns_of_zeros_change_nothing(teacher):
    wide = np.pad(NORMAL, ((0, 0), (0, 5)))
    of_wide = jax.jit(two_layer.gradient, static_argnums=1)(wide, teacher)
    alone = oracles.gradient(NORMAL, teacher.neurons)
    rounding = 1e-14 * scale(NORMAL, teacher)
    np.testing.assert_allclose(of_wide[:, :D], alone, rtol=0, atol=rounding)
    np.testing.assert_array_equal(of_wide[:, D:], 0)
    expected = oracles.loss(NORMAL, teacher.neurons)
    found = float(jax.jit(two_layer.loss, static_argnums=1)(wide, teacher))
    assert abs(found - expected) <= rounding * scale(NORMAL, teacher)


OF_NORMAL = {
    "values": lambda k: everything(NORMAL[None], k),
    "sampled": lambda k: two_layer.sampled_gradient(
        jnp.asarray(NORMAL), jnp.asarray(NORMAL), k
    ),
    "sharpness": lambda k: jax.jit(sharpness, static_argnums=1)(NORMAL, k),
    "energy": energies,
}


@pytest.mark.parametrize("name", OF_NORMAL)
def test_the_axes_in_full_give_what_their_number_gives(name):
    leaves = (jax.tree.leaves(OF_NORMAL[name](k)) for k in (K, AXES))
    for expected, found in zip(*leaves, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_loss_of_almost_parallel_neurons_is_that_of_one_neuron():
    """ρ → 1: of norm k, along the mean."""
    teacher = NEARLY_ONE
    mean = teacher.neurons.sum(axis=0)
    one = Teacher(mean[None])
    both = np.stack([NORMAL, np.resize(mean, (M, D)) / M])
    first, second = (everything(both, k)["loss"] for k in (teacher, one))
    assert abs(float(first[0] - second[0])) < 1e-5
    assert float(abs(first[1])) < 1e-14


# --- sharpness ------------------------------------------------------------------------


@REGULAR
def test_sharpness_against_differences(teacher):
    hessian = np.zeros((M * D, M * D))
    for index in range(M * D):
        shift = np.zeros(M * D)
        shift[index] = 1e-6
        up, down = (
            oracles.gradient(NORMAL + sign * shift.reshape(M, D), teacher.neurons)
            for sign in (1, -1)
        )
        hessian[index] = (up - down).ravel() / 2e-6
    spectrum = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    found = float(jax.jit(sharpness, static_argnums=1)(jnp.asarray(NORMAL), teacher))
    assert abs(found - spectrum[-1]) <= 1e-7 * np.abs(spectrum).max()


# --- names ----------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0, 0.25, 0.9, 1 - 1e-9])
@pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 5), (20, 20)])
def test_equiangular_neurons_have_unit_length_and_one_cosine(rho, k, d):
    V = named(f"equiangular:{rho}", k, d).neurons
    expected = (1 - rho) * np.eye(k) + rho
    np.testing.assert_allclose(V @ V.T, expected, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(V[:, k:], 0)


def test_random_directions_are_unit_vectors_of_their_seed():
    V = named("random", 5, 8, 1).neurons
    np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1, rtol=1e-15)
    assert named("random", 5, 8, 1) == Teacher(V)
    assert named("random", 5, 8, 2) != named("random", 5, 8, 1)
    many = named("random", 400, 400).neurons
    oracles.assert_mean(np.sqrt(400) * many.ravel(), 0)
    cosines = (many @ many.T)[np.triu_indices(400, 1)]
    oracles.assert_mean(400 * cosines**2, 1)


def test_norms_are_those_of_the_first_axes():
    V = named("norms:1,2.5,1000", 3, 4).neurons
    np.testing.assert_array_equal(V, np.diag([1, 2.5, 1000, 0])[:3])
    assert named("orthonormal", 3, 4) == 3


WRONG = [
    *("", "axes", "orthonormal:1", "random:3", "equiangular", "equiangular:"),
    *("equiangular:1", "equiangular:-0.1", "equiangular:nan", "equiangular:0.1,0.2"),
    *("norms:", "norms:1,2", "norms:1,2,0", "norms:1,2,-1", "norms:1,2,inf"),
    *("norms:1,2,nan", "norms:1,2,1001", "norms:1,2,x"),
]


@pytest.mark.parametrize("name", WRONG)
def test_other_names_are_refused_in_one_line(name):
    with pytest.raises(ValueError, match="give orthonormal, equi") as caught:
        named(name, 3, 4)
    assert str(caught.value).startswith(f"teacher={name!r} of k=3 neurons: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "neurons", [[1.0, 2.0], [[1.0, 0], [0, 0]], [[np.nan, 1]], [[np.inf, 1]], [[]]]
)
def test_what_is_no_teacher_is_refused(neurons):
    with pytest.raises(ValueError, match=r"give \[k, d\]|zero or not finite"):
        Teacher(np.array(neurons))
    with pytest.raises(ValueError, match="a teacher in 4 dimensions, inputs in 3"):
        two_layer.loss(jnp.ones((2, 3)), AXES)


def test_equal_teachers_are_one_and_cannot_be_changed():
    one, same, other = Teacher(np.eye(2)), Teacher(np.eye(2)), Teacher(np.eye(2, 3))
    assert one == same
    assert hash(one) == hash(same)
    assert one not in (other, 2)
    with pytest.raises(ValueError, match="read-only"):
        one.neurons[0] = 1
