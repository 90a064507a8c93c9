"""Teachers that are not orthonormal: loss, gradient, minima, matching, sharpness.

Against explicit angles, 60 and 100 digits, Monte Carlo, and what an orthonormal teacher
gives by its width alone.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import size

from lmc_jax import paths
from lmc_jax.matching import align_types, lower_bound, match_exhaustive, match_refine
from lmc_jax.matching.path import inner_times, path_of
from lmc_jax.students import minima, mixed, two_layer
from lmc_jax.students.sharpness import sharpness
from lmc_jax.students.teachers import Teacher, energies, named

M, K, D = 7, 3, 4
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(M, D))
UNEQUAL = np.array([[1.0], [2], [4]]) * named("equiangular:0.5", K, D).neurons
CLOSE = np.array([[1.0, 0, 0, 0], [1, 1e-9, 0, 0], [0, 1, 0, 0]])
PARALLEL = np.array([[1.0, 2, 0, 0], [2, 4, 0, 0], [0, 1, 1, 0]])
OPPOSITE = np.array([[1.0, 2, 0, 0], [-2, -4, 0, 0], [0, 1, 1, 0]])
# By name, or neurons whose types are not unique.
TEACHERS = {
    **{f"equiangular:{rho}": None for rho in (0.9, 1 - 1e-12)},
    **{"random": None, "norms:0.001,1,1000": None, "lengths and angles": UNEQUAL},
    **{"close": CLOSE, "parallel": PARALLEL, "opposite": OPPOSITE},
}
REGULAR = ["equiangular:0.9", "random", "lengths and angles"]


def teacher_of(name):
    if TEACHERS[name] is None:
        return named(name, K, D)
    return Teacher(TEACHERS[name])


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


@pytest.fixture(params=TEACHERS)
def teacher(request):
    return teacher_of(request.param)


# --- loss and gradient ----------------------------------------------------------------


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


@pytest.mark.parametrize("name", ["parallel", "opposite", f"equiangular:{1 - 1e-12}"])
def test_derivatives_of_the_gradient_are_finite_at_singular_points(name, dtype):
    teacher = teacher_of(name)
    gradient = functools.partial(two_layer.gradient, k=teacher)
    hessians = jax.jit(jax.vmap(jax.jacfwd(gradient)))(students(teacher).astype(dtype))
    assert np.isfinite(hessians).all()


@pytest.mark.parametrize("name", REGULAR)
def test_loss_and_gradients_against_monte_carlo(name):
    teacher = teacher_of(name)
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


@pytest.mark.parametrize("name", REGULAR)
def test_columns_of_zeros_change_nothing(name):
    teacher = teacher_of(name)
    wide = np.pad(NORMAL, ((0, 0), (0, 5)))
    of_wide = two_layer.gradient(jnp.asarray(wide), teacher)
    alone = oracles.gradient(NORMAL, teacher.neurons)
    rounding = 1e-14 * scale(NORMAL, teacher)
    np.testing.assert_allclose(of_wide[:, :D], alone, rtol=0, atol=rounding)
    np.testing.assert_array_equal(of_wide[:, D:], 0)
    expected = oracles.loss(NORMAL, teacher.neurons)
    found = float(two_layer.loss(jnp.asarray(wide), teacher))
    assert abs(found - expected) <= rounding * scale(NORMAL, teacher)


def test_loss_of_almost_parallel_neurons_is_that_of_one_neuron():
    """ρ → 1: of norm k, along the mean."""
    teacher = teacher_of(f"equiangular:{1 - 1e-12}")
    mean = teacher.neurons.sum(axis=0)
    one = Teacher(mean[None])
    difference = two_layer.loss(jnp.asarray(NORMAL), teacher) - two_layer.loss(
        jnp.asarray(NORMAL), one
    )
    assert abs(float(difference)) < 1e-5
    assert float(two_layer.loss(jnp.asarray(mean[None]), teacher)) < 1e-15


# --- minima ---------------------------------------------------------------------------


def drawn(k, count=40, m=M):
    keys = jax.random.split(jax.random.key(3), (count, 2))
    draw = functools.partial(minima.sample, m=m, k=k, d=D)
    return jax.jit(jax.vmap(jax.vmap(draw)))(keys)


@pytest.mark.parametrize("name", REGULAR)
def test_samples_are_global_minima_with_the_types_of_the_uniform_model(name):
    teacher = teacher_of(name)
    W, of_axes = np.asarray(drawn(teacher)), np.asarray(drawn(K))
    np.testing.assert_allclose(W, of_axes[..., :K] @ teacher.neurons, atol=1e-15)
    kinds = np.asarray(minima.types(jnp.asarray(W), teacher))
    np.testing.assert_array_equal(kinds, of_axes.argmax(-1))
    np.testing.assert_array_equal(minima.counts(kinds, teacher).sum(-1), M)
    for one in W[:3].reshape(-1, M, D):
        assert (
            abs(oracles.loss(one, teacher.neurons)) < 1e-14 * scale(one, teacher) ** 2
        )
        assert np.abs(oracles.gradient(one, teacher.neurons)).max() < 1e-7
        assert float(minima.distance(jnp.asarray(one), teacher)) < 1e-14
    assert float(jnp.abs(minima.off_axis_share(jnp.asarray(W), teacher)).max()) < 1e-14


@pytest.mark.parametrize("name", REGULAR)
def test_types_shares_and_distances_against_plain_ones(name):
    """Distances by projected descent on the masses of each type."""
    teacher = teacher_of(name)
    units = teacher.neurons / np.linalg.norm(teacher.neurons, axis=1)[:, None]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        W = oracles.minimum(rng, [2, 3, 2], D, teacher.neurons)
        W = W * (1 + 0.1 * rng.normal(size=W.shape))
        cosines = np.array([[w @ u / np.linalg.norm(w) for u in units] for w in W])
        kinds = cosines.argmax(1)
        np.testing.assert_array_equal(minima.types(jnp.asarray(W), teacher), kinds)
        along = np.maximum(np.sum(W * units[kinds], axis=1), 0)
        share = float(minima.off_axis_share(jnp.asarray(W), teacher))
        assert share == pytest.approx(1 - np.sum(along**2) / np.sum(W**2), abs=1e-12)
        nearest = np.zeros_like(W)
        for j, length in enumerate(np.linalg.norm(teacher.neurons, axis=1)):
            rows = np.flatnonzero(kinds == j)
            parts = W[rows] @ units[j]
            nearest[rows] = on_simplex(parts, length)[:, None] * units[j]
        found = float(minima.distance(jnp.asarray(W), teacher))
        assert found == pytest.approx(np.linalg.norm(W - nearest), rel=1e-9)


def on_simplex(parts, total):
    """The nearest masses >= 0 with this sum, by bisection on their level."""
    low, high = parts.min() - total, parts.max()
    for _ in range(200):
        level = (low + high) / 2
        above = np.maximum(parts - level, 0).sum() > total
        low, high = (level, high) if above else (low, level)
    return np.maximum(parts - level, 0)


# --- paths and matchings --------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=1)
def along(pairs, k):
    """Permutations of Algorithm 1; losses of whole students and of mixed pairs, and
    certificates."""

    def one(pair):
        perm = align_types(pair, k)
        loss = functools.partial(two_layer.loss, k=k)
        found = mixed.mixed(pair, perm, k)
        whole = paths.path_losses(loss, pair[0], pair[1][perm], paths.times())
        few, bound = (
            f(found, k, paths.times()) for f in (mixed.path_losses, mixed.certificate)
        )
        return perm, whole, few, bound

    return jax.vmap(one)(pairs)


@pytest.mark.parametrize("name", REGULAR)
def test_paths_from_mixed_pairs_are_those_of_students_and_below_the_certificate(name):
    teacher = teacher_of(name)
    pairs = drawn(teacher, 400)
    _, whole, few, bounds = map(np.asarray, along(pairs, teacher))
    rounding = 1e-13 * teacher.lengths.sum() ** 2
    np.testing.assert_allclose(few, whole, rtol=0, atol=rounding)
    assert np.all(whole <= bounds + rounding)
    assert np.mean(whole.max(axis=1) > 1e-6) > 0.5  # most pairs mix


@pytest.mark.parametrize("name", REGULAR)
def test_certificates_against_monte_carlo(name):
    """½ E[(Σ ρⱼ(t) relu(v̂ⱼ·x))²] of the unmatched masses, neuron by neuron."""
    teacher = teacher_of(name)
    pairs = drawn(teacher, 400)
    perms, whole, _, bounds = map(np.asarray, along(pairs, teacher))
    pair, perm, bound = (x[whole.max(1).argmax()] for x in (pairs, perms, bounds))
    rho = np.zeros((2, K))
    ends = np.stack([pair[0], np.asarray(pair[1])[perm]])
    kinds = np.asarray(minima.types(jnp.asarray(ends), teacher))
    for i in range(M):
        if kinds[0, i] != kinds[1, i]:
            for side in (0, 1):
                rho[side, kinds[side, i]] += np.linalg.norm(ends[side, i])
    x = np.random.default_rng(2).normal(size=(50_000, D))
    hidden = np.maximum(x @ (teacher.neurons / teacher.lengths[:, None]).T, 0)
    for t, value in ((0.0, bound[0]), (0.3, bound[3]), (1.0, bound[-1])):
        drawn_loss = (hidden @ ((1 - t) * rho[0] + t * rho[1])) ** 2 / 2
        oracles.assert_mean(drawn_loss, value)


def test_matchings_of_minima_do_not_depend_on_an_equal_angle():
    """Types and ranks are the same, whatever the teacher."""
    axes, others = (drawn(k, 400) for k in (K, teacher_of("equiangular:0.9")))
    expected = along(axes, K)[0]
    found = along(others, teacher_of("equiangular:0.9"))[0]
    np.testing.assert_array_equal(found, expected)


def test_searches_find_permutations_of_the_least_barrier():
    teacher = teacher_of("lengths and angles")
    pairs = np.asarray(drawn(teacher, 3, m=5))
    perm, info = match_exhaustive(pairs, teacher)
    refined, told = match_refine(pairs, teacher, definition="lerp", restarts=4)
    for pair, best, value in zip(pairs, perm, info.value, strict=True):
        height = oracles.barrier(pair, best, teacher.neurons)
        assert value == pytest.approx(height, abs=1e-12)
        direct = oracles.barrier(pair, range(5), teacher.neurons)
        assert value <= direct + 1e-12
    for pair, own, value in zip(pairs, refined, told.value, strict=True):
        height = oracles.barrier(pair, own, teacher.neurons)
        assert value == pytest.approx(height, abs=1e-12)
    assert np.all(told.value >= info.value - 1e-12)


def test_the_lower_bound_is_of_orthonormal_teachers():
    teacher = teacher_of("equiangular:0.9")
    with pytest.raises(ValueError, match=r"^the bound is proved for orthonormal"):
        lower_bound(np.asarray(drawn(teacher, 1)), teacher)


# --- the axes as a teacher ------------------------------------------------------------

AXES = Teacher(np.eye(K, D))


def found_of_pair(pair, k):
    path = path_of(pair, k, inner_times(5, "lerp"))
    perm = align_types(pair, k)
    own = mixed.mixed(pair, perm, k)
    return path.solo, path.const, path.ends, perm, own.masses


EVERYTHING = {
    "values": lambda k: everything(jnp.asarray(NORMAL[None]), k),
    "sampled": lambda k: two_layer.sampled_gradient(
        jnp.asarray(NORMAL), jnp.asarray(NORMAL), k
    ),
    "minima": lambda k: drawn(k),
    "types": lambda k: minima.types(jnp.asarray(NORMAL), k, 0.5),
    "shares": lambda k: minima.off_axis_share(jnp.asarray(NORMAL), k),
    "distance": lambda k: minima.distance(jnp.asarray(np.abs(NORMAL)), k),
    "paths": lambda k: along(drawn(K, 400), k)[1:],
    "pair": lambda k: found_of_pair(drawn(K)[0], k),
    "sharpness": lambda k: sharpness(jnp.asarray(NORMAL), k),
    "energy": energies,
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_axes_in_full_give_what_their_number_gives(name):
    of_width, of_neurons = (
        jax.tree.map(np.asarray, EVERYTHING[name](k)) for k in (K, AXES)
    )
    leaves = zip(*map(jax.tree.leaves, (of_width, of_neurons)), strict=True)
    for expected, found in leaves:
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", REGULAR)
def test_nothing_depends_on_the_axes(name):
    """Teacher and students turned together."""
    teacher = teacher_of(name)
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(D, D)))[0]
    turned = Teacher(teacher.neurons @ turn)
    loss, slope = (
        f(jnp.asarray(NORMAL @ turn), turned)
        for f in (two_layer.loss, two_layer.gradient)
    )
    assert float(loss) == pytest.approx(
        oracles.loss(NORMAL, teacher.neurons), rel=1e-12
    )
    expected = oracles.gradient(NORMAL, teacher.neurons) @ turn
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-12)
    pairs = drawn(teacher, 400)
    for one, other in zip(
        along(pairs, teacher), along(pairs @ turn, turned), strict=True
    ):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-12)


# --- sharpness ------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGULAR)
def test_sharpness_against_differences(name):
    teacher = teacher_of(name)
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
