"""Student, loss and gradients against explicit angles, 100 digits, Monte Carlo."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import STUDENTS, cast, size
from hypothesis import given, settings
from hypothesis import strategies as st

from lmc_jax.students import two_layer

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)


GENERIC = ["d > k", "d = k", "k = 1", "m < k"]
WITHOUT_ZERO = [name for name, (W, _) in STUDENTS.items() if W.any(1).all()]


@pytest.fixture(params=STUDENTS)
def case(request, dtype):
    return cast(request.param, dtype)


def on_host(function):
    """Compiled function of (W, k) that returns NumPy arrays."""
    compiled = jax.jit(function, static_argnums=1)
    return lambda W, k: jax.device_get(compiled(W, k))


@on_host
def everything(W, k):
    """All values and derivatives that must agree or be finite, in one program."""
    loss = functools.partial(two_layer.loss, k=k)
    gradient = functools.partial(two_layer.gradient, k=k)
    return {
        "loss": loss(W),
        "gradient": gradient(W),
        "grad of loss": jax.grad(loss)(W),
        "hessian of loss": jax.hessian(loss)(W),
        "jacobian of gradient": jax.jacfwd(gradient)(W),
    }


@on_host
def loss_and_gradient(W, k):
    return two_layer.loss(W, k), two_layer.gradient(W, k)


HESSIANS = ["hessian of loss", "jacobian of gradient"]


# Population loss and gradient.


def test_all_values_and_derivatives_are_finite(case):
    W, _, k = case
    for name, found in everything(W, k).items():
        assert np.isfinite(found).all(), name
        assert found.dtype == W.dtype, name


def test_loss_against_60_digits(case, dtype):
    W, exact, k = case
    tolerance = 4 * jnp.finfo(dtype).eps * size(exact, k) ** 2
    expected = oracles.precise_loss(exact, k)
    assert abs(float(everything(W, k)["loss"]) - expected) <= tolerance
    rounding = 4 * np.finfo(float).eps * size(exact, k) ** 2
    assert abs(oracles.loss(exact, k) - expected) <= rounding


def test_gradient_against_differences_in_100_digits(case, dtype):
    W, exact, k = case
    found = np.asarray(everything(W, k)["gradient"], float)
    expected = oracles.precise_gradient(exact, k)
    error = np.linalg.norm(found - expected, axis=1)
    assert np.all(error <= 4 * jnp.finfo(dtype).eps * size(exact, k))
    np.testing.assert_array_equal(found[~exact.any(1)], 0)
    slope = np.linalg.norm(expected, axis=1)
    steep = slope > 1e-9 * size(exact, k)  # all but zero neurons and minima
    if dtype == jnp.float64:
        assert np.all(error[steep] < 1e-6 * slope[steep])
    own = oracles.gradient(exact, k)
    assert np.all(abs(own - expected) <= 4 * np.finfo(float).eps * size(exact, k))


def test_gradient_is_autodiff_of_loss(case, dtype):
    W, exact, k = case
    found = everything(W, k)
    error = np.abs(found["gradient"] - found["grad of loss"])
    assert np.all(error <= 8 * jnp.finfo(dtype).eps * size(exact, k))
    np.testing.assert_array_equal(found["grad of loss"][~exact.any(1)], 0)


@pytest.mark.parametrize("name", ["d > k", "m < k", "opposite", "some zero", "minimum"])
def test_loss_and_gradient_against_monte_carlo(name, dtype):
    W, exact, k = cast(name, dtype)
    found = everything(W, k)
    x = np.random.default_rng(1).normal(size=(50_000, W.shape[1]))
    rounding = 4 * jnp.finfo(dtype).eps * size(exact, k)
    losses = oracles.sampled_loss(exact, x, k)
    oracles.assert_mean(losses, float(found["loss"]), rounding * size(exact, k))
    slopes = oracles.sampled_gradient(exact, x, k)
    oracles.assert_mean(slopes, np.asarray(found["gradient"], float), rounding)


@pytest.mark.parametrize("name", WITHOUT_ZERO)
@pytest.mark.parametrize("hessian", HESSIANS)
def test_hessian_against_differences_of_gradient(name, hessian, dtype):
    W, exact, k = cast(name, dtype)
    found = np.asarray(everything(W, k)[hessian], float)
    # Differences err by the step where a third derivative jumps: at equal neurons.
    relative = 1e-5 + 16 * jnp.finfo(dtype).eps
    for l, j in np.ndindex(exact.shape):
        length = np.linalg.norm(exact[l])
        step = np.zeros_like(exact)
        step[l, j] = 1e-6 * length
        up, down = oracles.gradient(exact + step, k), oracles.gradient(exact - step, k)
        slopes = (up - down) / (2e-6 * length)
        tolerance = relative * size(exact, k) / length
        np.testing.assert_allclose(found[..., l, j], slopes, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["minimum", "minimum and zero"])
@pytest.mark.parametrize("hessian", HESSIANS)
def test_hessian_at_a_minimum_is_gauss_newton(name, hessian, dtype):
    W, exact, k = cast(name, dtype)
    found = np.asarray(everything(W, k)[hessian], float)
    norms = np.linalg.norm(exact, axis=1)
    # float32 rows miss the minimum by eps, and curvature is divided by the norm
    tolerance = 8 * jnp.finfo(dtype).eps * size(exact, k) / norms[norms > 0].min()
    expected = oracles.hessian_at_minimum(exact, k)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_direction_of_a_row_on_an_axis_is_exact(dtype):
    """Or cosines of parallel neurons at a minimum would round to less than 1."""
    W = (
        np.random.default_rng(3).exponential(size=(64, 1))
        * np.eye(6)[np.arange(64) % 6]
    )
    directions, norms, alive = jax.jit(two_layer._rows)(jnp.asarray(W, dtype))
    np.testing.assert_array_equal(directions, W > 0)
    np.testing.assert_array_equal(norms, W.astype(dtype).sum(1, keepdims=True))
    assert alive.all()


def test_batch_axes_equal_a_loop(dtype):
    names = [name for name, (W, k) in STUDENTS.items() if (*W.shape, k) == (8, 5, 3)]
    W = jnp.asarray(np.array([STUDENTS[name][0] for name in names[:12]]), dtype)
    losses, gradients = loss_and_gradient(W.reshape(3, 2, 2, 8, 5), 3)
    assert losses.shape == (3, 2, 2)
    assert gradients.shape == (3, 2, 2, 8, 5)
    pairs = zip(losses.ravel(), gradients.reshape(W.shape), strict=True)
    for w, (loss, gradient) in zip(W, pairs, strict=True):
        single_loss, single_gradient = loss_and_gradient(w, 3)
        rounding = 4 * jnp.finfo(dtype).eps * size(np.asarray(w, float), 3)
        assert abs(loss - single_loss) <= rounding * size(np.asarray(w, float), 3)
        np.testing.assert_allclose(gradient, single_gradient, rtol=0, atol=rounding)


@pytest.mark.parametrize(("rows", "columns"), [(7, 0), (0, 5)])
@pytest.mark.parametrize("name", GENERIC)
def test_rows_and_columns_of_zeros_change_nothing(name, rows, columns, dtype):
    W, exact, k = cast(name, dtype)
    room = ((0, rows), (0, columns))
    loss, gradient = loss_and_gradient(jnp.pad(W, room), k)
    alone = everything(W, k)
    rounding = 2 * jnp.finfo(dtype).eps * size(exact, k)
    assert abs(loss - alone["loss"]) <= rounding * size(exact, k)
    inside = gradient[: W.shape[0], : W.shape[1]]
    assert np.all(np.abs(inside - alone["gradient"]) <= rounding)
    assert np.count_nonzero(gradient) == np.count_nonzero(inside)


@PROPERTY
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_loss_depends_on_the_function_only(seed, share):
    """Permuted rows, or a neuron split in two of its direction: the same loss."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(8, 5)) * rng.exponential(size=(8, 1))
    W[7] = 0
    split = W.copy()
    split[6:] = share * W[6], (1 - share) * W[6]
    rounding = 4 * np.finfo(float).eps * size(W, 3) ** 2
    value = oracles.loss(W, 3)
    for same in (W, W[rng.permutation(8)], split):
        assert abs(float(loss_and_gradient(same, 3)[0]) - value) <= rounding
    assert value >= -rounding


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_never_look_finite(bad, dtype):
    W = jnp.asarray(STUDENTS["d > k"][0], dtype)
    for spoilt in (W.at[1, 2].set(bad), W.at[1].set(bad), W.at[:].set(bad)):
        loss, gradient = loss_and_gradient(spoilt, 3)
        assert not np.isfinite(loss)
        assert not np.isfinite(gradient[1]).any()


PRODUCTS = {
    "loss": lambda W, x: two_layer.loss(W, 3),
    "gradient": lambda W, x: two_layer.gradient(W, 3),
    "grad of loss": lambda W, x: jax.grad(two_layer.loss)(W, 3),
    "sampled gradient": lambda W, x: two_layer.sampled_gradient(W, x, 3),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_matrix_products_ask_for_full_precision(name):
    """Accelerators otherwise round float32 factors to TF32 or bfloat16."""
    x = jnp.ones((4, 5), jnp.float32)
    lowered = jax.jit(PRODUCTS[name]).lower(jnp.ones((8, 5), jnp.float32), x).as_text()
    products = [line for line in lowered.splitlines() if "dot_general" in line]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


# Initialisation.


def test_init_is_normal_with_the_given_std(dtype):
    W = two_layer.init(jax.random.key(0), 400, 50, 0.01, dtype=dtype)
    assert W.shape == (400, 50)
    assert W.dtype == dtype
    draws = np.ravel(np.asarray(W, float)) / 0.01
    oracles.assert_mean(draws, 0)
    oracles.assert_mean(draws**2, 1)
    oracles.assert_mean(draws**4, 3)


def test_init_takes_traced_width_and_std(dtype):
    widths = jnp.array([1, 4, 9], jnp.int32)
    stds = jnp.array([0.01, 0.1, 1], dtype)
    key = jax.random.key(6)
    init = functools.partial(two_layer.init, d=3, size=9, dtype=dtype)
    found = jax.jit(jax.vmap(lambda m, std: init(key, m, std=std)))(widths, stds)
    for W, m, std in zip(found, [1, 4, 9], [0.01, 0.1, 1], strict=True):
        alone = two_layer.init(key, m, 3, std, dtype=dtype)
        rtol = 4 * jnp.finfo(dtype).eps  # the normal quantile may be fused otherwise
        np.testing.assert_allclose(W[:m], alone, rtol=rtol, atol=0)
        np.testing.assert_array_equal(W[m:], 0)
        assert np.all(alone != 0)


def _sampled(W, k):
    return two_layer.sampled_gradient(W, jnp.ones((2, 3)), k)


@pytest.mark.parametrize("function", [two_layer.loss, two_layer.gradient, _sampled])
@pytest.mark.parametrize("k", [5, 0, -1, True, 2.0, "2"])
def test_what_is_no_teacher_width_is_refused(function, k):
    with pytest.raises(
        ValueError, match=rf"^k={k!r}: give an integer, 1 <= k <= d = 3"
    ):
        function(jnp.ones((4, 3)), k)
