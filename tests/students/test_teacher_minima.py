"""Minima of teachers that are not orthonormal, their paths and their matchings.

Against NumPy from angles, Monte Carlo, and what an orthonormal teacher gives by its
width alone.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import REGULAR, TAUGHT

from lmc_jax import paths
from lmc_jax.matching import align_types, lower_bound, match_exhaustive, match_refine
from lmc_jax.matching.path import inner_times, path_of
from lmc_jax.students import minima, mixed, two_layer
from lmc_jax.students.teachers import Teacher

M, K, D = 7, 3, 4
NORMAL = np.random.default_rng(0).normal(size=(M, D))
AXES = Teacher(np.eye(K, D))

# --- minima ---------------------------------------------------------------------------


def drawn(k, count=40, m=M):
    keys = jax.random.split(jax.random.key(3), (count, 2))
    draw = functools.partial(minima.sample, m=m, k=k, d=D)
    return jax.jit(jax.vmap(jax.vmap(draw)))(keys)


@functools.partial(jax.jit, static_argnums=1)
def described(W, k):
    """Types, counts, shares off the directions and distances of students [n, M, D]."""
    kinds = minima.types(W, k)
    distances = jax.vmap(functools.partial(minima.distance, k=k))(W)
    return kinds, minima.counts(kinds, k), minima.off_axis_share(W, k), distances


@REGULAR
def test_samples_are_global_minima_with_the_types_of_the_uniform_model(teacher):
    W, of_axes = (np.asarray(drawn(k)).reshape(-1, M, D) for k in (teacher, K))
    np.testing.assert_allclose(W, of_axes[..., :K] @ teacher.neurons, atol=1e-15)
    kinds, counts, shares, distances = map(np.asarray, described(W, teacher))
    np.testing.assert_array_equal(kinds, of_axes.argmax(-1))
    np.testing.assert_array_equal(counts.sum(-1), M)
    assert max(np.abs(shares).max(), distances.max()) < 1e-14
    for one in W[:6]:
        loss = oracles.loss(one, teacher.neurons)
        assert abs(loss) < 1e-14 * teacher.lengths.sum() ** 2
        assert np.abs(oracles.gradient(one, teacher.neurons)).max() < 1e-7


@REGULAR
def test_types_shares_and_distances_against_plain_ones(teacher):
    """Distances by bisection on the masses of each type."""
    rng = np.random.default_rng(5)
    units = teacher.neurons / np.linalg.norm(teacher.neurons, axis=1)[:, None]
    exact = [oracles.minimum(rng, [2, 3, 2], D, teacher.neurons) for _ in range(80)]
    students = np.stack(exact) * (1 + 0.1 * rng.normal(size=(80, M, D)))
    for W, kinds, _, share, distance in zip(
        students, *map(np.asarray, described(students, teacher)), strict=True
    ):
        np.testing.assert_array_equal(kinds, oracles.angles(W, units).argmin(1))
        along = np.maximum(np.sum(W * units[kinds], axis=1), 0)
        assert share == pytest.approx(1 - np.sum(along**2) / np.sum(W**2), abs=1e-12)
        nearest = np.zeros_like(W)
        for j, length in enumerate(np.linalg.norm(teacher.neurons, axis=1)):
            rows = np.flatnonzero(kinds == j)
            parts = W[rows] @ units[j]
            nearest[rows] = on_simplex(parts, length)[:, None] * units[j]
        assert distance == pytest.approx(np.linalg.norm(W - nearest), rel=1e-9)


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


@REGULAR
def test_paths_from_mixed_pairs_are_those_of_students_and_below_the_certificate(
    teacher,
):
    pairs = drawn(teacher, 400)
    _, whole, few, bounds = map(np.asarray, along(pairs, teacher))
    rounding = 1e-13 * teacher.lengths.sum() ** 2
    np.testing.assert_allclose(few, whole, rtol=0, atol=rounding)
    assert np.all(whole <= bounds + rounding)
    assert np.mean(whole.max(axis=1) > 1e-6) > 0.5  # most pairs mix


@REGULAR
def test_certificates_against_monte_carlo(teacher):
    """½ E[(Σ ρⱼ(t) relu(v̂ⱼ·x))²] of the unmatched masses, neuron by neuron."""
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
    axes, others = (drawn(k, 400) for k in (K, TAUGHT["equiangular:0.9"]))
    expected = along(axes, K)[0]
    found = along(others, TAUGHT["equiangular:0.9"])[0]
    np.testing.assert_array_equal(found, expected)


def test_searches_find_permutations_of_the_least_barrier():
    teacher = TAUGHT["lengths and angles"]
    pairs = np.asarray(drawn(teacher, 3, m=4))
    perm, info = match_exhaustive(pairs, teacher)
    refined, told = match_refine(pairs, teacher, definition="lerp")
    for pair, best, value in zip(pairs, perm, info.value, strict=True):
        height = oracles.barrier(pair, best, teacher.neurons)
        assert value == pytest.approx(height, abs=1e-12)
        direct = oracles.barrier(pair, range(4), teacher.neurons)
        assert value <= direct + 1e-12
    for pair, own, value in zip(pairs, refined, told.value, strict=True):
        height = oracles.barrier(pair, own, teacher.neurons)
        assert value == pytest.approx(height, abs=1e-12)
    assert np.all(told.value >= info.value - 1e-12)


def test_the_lower_bound_is_of_orthonormal_teachers():
    teacher = TAUGHT["equiangular:0.9"]
    with pytest.raises(ValueError, match=r"^the bound is proved for orthonormal"):
        lower_bound(np.asarray(drawn(teacher, 1)), teacher)


# --- the axes as a teacher ------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=1)
def found_of_pair(pair, k):
    path = path_of(pair, k, inner_times(5, "lerp"))
    perm = align_types(pair, k)
    own = mixed.mixed(pair, perm, k)
    return path.solo, path.const, path.ends, perm, own.masses


EVERYTHING = {
    "minima": lambda k: drawn(k),
    "described": lambda k: described(np.abs(NORMAL[None]), k),
    "paths": lambda k: along(drawn(K, 400), k)[1:],
    "pair": lambda k: found_of_pair(drawn(K)[0], k),
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_axes_in_full_give_what_their_number_gives(name):
    of_width, of_neurons = (
        jax.tree.map(np.asarray, EVERYTHING[name](k)) for k in (K, AXES)
    )
    leaves = zip(*map(jax.tree.leaves, (of_width, of_neurons)), strict=True)
    for expected, found in leaves:
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@REGULAR
def test_nothing_depends_on_the_axes(teacher):
    """Teacher and students turned together."""
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
