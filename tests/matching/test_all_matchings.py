"""What every matching keeps: one signature, bad input, planted and odd students."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import uniform_minima

from lmc_jax.matching import (
    ALGORITHM_1,
    PATHS,
    lower_bound,
    match_activations,
    match_exhaustive,
    match_refine,
    match_types,
    match_weights,
)
from lmc_jax.networks.alignment import align_activations

K, D = 3, 4
INPUTS = np.random.default_rng(7).normal(size=(500, D))
MATCHERS = {
    **{name: functools.partial(one.on_host, k=K) for name, one in PATHS.items()},
    "refine": functools.partial(match_refine, k=K, restarts=2),
    "refine barrier": functools.partial(match_refine, k=K, definition="lerp"),
    "exhaustive": functools.partial(match_exhaustive, k=K),
}
BASELINES = [name for name, one in PATHS.items() if one.baseline]
EVERY = pytest.mark.parametrize("match", MATCHERS.values(), ids=MATCHERS.keys())
ALL_BUT_BASELINES = pytest.mark.parametrize(
    "name", [name for name in MATCHERS if name not in BASELINES]
)
# Those whose objective is largest where equal neurons are paired.
OF_NEURONS = ["weights", "activations", *ALGORITHM_1]


def gaussian(seed):
    """As many as there are odd students: what is compiled for those serves these."""
    return np.random.default_rng(seed).normal(size=(9, 2, 5, D))


def odd_students():
    """Pairs [9, 2, 5, 4] with ties, duplicates, zero neurons, zero students."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(2, 5, D))
    duplicates = plain[:, [0, 0, 1, 1, 1]]
    ties = np.abs(plain[:, :, :1]) * np.eye(D)[[0, 1, 2, 0, 1]]
    ties[:, 3:] = ties[:, :2]
    some_zeros = plain * np.array([1, 0, 1, 0, 1])[:, None]
    one_zero = np.stack([plain[0], np.zeros((5, D))])
    opposite = np.stack([plain[0], -plain[0]])
    tiny, huge = 1e-200 * plain, 1e5 * plain
    return np.stack(
        [plain, duplicates, ties, some_zeros, one_zero, 0 * plain, opposite, tiny, huge]
    )


@EVERY
def test_odd_students_get_permutations_that_keep_the_function(match):
    students = odd_students()
    perm, info = match(students)
    assert perm.shape == (len(students), 5)
    assert perm.dtype == np.int32
    np.testing.assert_array_equal(np.sort(perm, axis=1), [range(5)] * len(students))
    assert info.objective
    assert info.value.shape == info.rounds.shape == (len(students),)
    assert info.value.dtype == np.float64
    assert np.isfinite(info.value).all()
    for (_, second), order in zip(students, perm, strict=True):
        before, after = (oracles.student(W, INPUTS) for W in (second, second[order]))
        np.testing.assert_allclose(after, before, rtol=1e-12)


@pytest.mark.parametrize(
    "name", [name for name in MATCHERS if name != "refine barrier"]
)
def test_students_narrower_than_the_teacher_are_matched(name):
    perm, _ = MATCHERS[name](gaussian(1)[:, :, :1])
    np.testing.assert_array_equal(perm, np.zeros((9, 1)))


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.bool_, jnp.bfloat16])
def test_students_of_every_real_dtype_are_matched_as_their_float64_values(match, dtype):
    students = gaussian(1).round().astype(dtype)
    perm, _ = match(students)
    np.testing.assert_array_equal(perm, match(students.astype(np.float64))[0])


NAN = np.ones((2, 2, 5, D))
NAN[1, 0, 2, 1] = np.nan
FORM = r"give \[pairs, 2, m, d\]"
REFUSED = [
    (NAN, "finite weights"),
    (np.where(np.isnan(NAN), -np.inf, NAN), "finite weights"),
    ([[np.ones((5, D)), np.ones((6, D))]], "padded with zero rows"),
    *((np.ones(shape), FORM) for shape in ((2, 5, D), (1, 3, 5, D), (1, 2, 0, D))),
    (np.ma.masked_array(np.ones((1, 2, 5, D)), False), "masked students"),
    *((wrong, FORM) for wrong in (None, "students", 3j * np.ones((1, 2, 5, D)))),
]


@pytest.mark.parametrize(("students", "said"), REFUSED)
def test_what_are_no_students_is_refused_in_one_line(students, said):
    with pytest.raises(ValueError, match=said) as caught:
        match_weights(students)
    assert "\n" not in str(caught.value)


@EVERY
def test_every_matching_looks_at_its_students(match):
    with pytest.raises(ValueError, match="finite weights"):
        match(NAN)


@pytest.mark.parametrize("k", [0, D + 1, True])
@pytest.mark.parametrize(
    "match", [match_types, match_refine, match_exhaustive, lower_bound]
)
def test_teachers_that_do_not_fit_are_one_clear_line(match, k):
    with pytest.raises(ValueError, match=f"k={k}: give an integer, 1 <= k <= d = {D}"):
        match(np.ones((1, 2, 4, D)), k)


@ALL_BUT_BASELINES
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-100, 1e100, 1e149])
def test_permutations_do_not_depend_on_the_scale_of_the_weights(name, scale):
    """Where the objective does not; losses and barriers know the teacher's scale."""
    students, match = gaussian(8), MATCHERS[name]
    perm, info = match(scale * students)
    assert np.isfinite(info.value).all()
    np.testing.assert_array_equal(np.sort(perm, axis=1), [range(5)] * 9)
    if not info.objective.startswith("barrier"):
        np.testing.assert_array_equal(perm, match(students)[0])
    if info.objective == "correlation":
        np.testing.assert_allclose(info.value, match(students)[1].value, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-170, 1e100, 1e149])
def test_swap_descent_is_not_below_the_optimum_at_any_scale(scale):
    least, found = (
        MATCHERS[name](scale * gaussian(9))[1].value
        for name in ("exhaustive", "refine barrier")
    )
    assert (found >= least - 1e-9 * np.abs(least)).all()


@EVERY
def test_no_matching_is_better_than_exhaustive(match):
    drawn = np.asarray(uniform_minima(18, 5, K, D)).reshape(9, 2, 5, D)
    for students in (gaussian(4) / 2, drawn):
        (best, _), (perm, _) = MATCHERS["exhaustive"](students), match(students)
        for pair, least, order in zip(students, best, perm, strict=True):
            heights = [oracles.barrier(pair, p, K) for p in (least, order)]
            assert heights[1] >= heights[0] - 1e-13


def test_descent_takes_the_best_of_its_starts():
    alone = match_refine(gaussian(0) / 2, K)[1].value
    more = MATCHERS["refine"](gaussian(0) / 2)[1].value
    assert (more <= alone).all()
    assert (more < alone).any()


def test_float64_is_asked_for():
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match=r"lmc_jax\.configure\(\) first"),
    ):
        match_weights(np.ones((1, 2, 3, 2)))


def planted(rng, W):
    """Students W [n, m, d] beside their shuffles: pairs, and the permutations."""
    order = np.argsort(rng.random(W.shape[:2]), axis=1)
    second = np.take_along_axis(W, order[..., None], axis=1)
    return np.stack([W, second], axis=1), np.argsort(order, axis=1)


@pytest.mark.parametrize("m", [5, 512])
@pytest.mark.parametrize("kind", ["gaussian", "minima", "decades", "copies"])
def test_planted_permutations_of_distinct_neurons_are_recovered(m, kind):
    """All of them. Gaussian neurons differ in direction, those of minima in norm."""
    rng = np.random.default_rng(m)
    n = 3 if m == 512 else 9
    W = rng.normal(size=(n, m, D))
    if kind == "minima":
        W = np.asarray(uniform_minima(n, m, K, D))
    elif kind == "decades":  # norms over nine
        W *= 10 ** rng.uniform(-9, 0, size=(n, m, 1))
    elif kind == "copies":  # of every other neuron, next to it
        W[:, 1::2] = W[:, :-1:2] + 1e-8 * W[:, 1::2]
    assert all(len(np.unique(student, axis=0)) == m for student in W)
    pairs, expected = planted(rng, W)
    for name in OF_NEURONS:
        perm, _ = MATCHERS[name](pairs)
        np.testing.assert_array_equal(perm, expected, err_msg=name)


def chain(rng, n, m, step):
    """Plane neurons at angles ``step`` apart, their norms 1 ... m in any order."""
    angles = step * np.arange(m)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    norms = rng.permuted(np.tile(np.arange(1.0, m + 1), (n, 1)), axis=1)
    return norms[..., None] * directions


def near(rng, n, m, size):
    """Neurons that differ from one by ``size``."""
    return rng.normal(size=(n, 1, D)) + size * rng.normal(size=(n, m, D))


def of_one_norm(rng, n, m, size):
    W = near(rng, n, m, size)
    return W / np.linalg.norm(W, axis=2, keepdims=True)


ALIKE = {
    **{
        f"chain, {step:g}": functools.partial(chain, n=8, m=16, step=step)
        for step in (1e-6, 5e-7, 1e-7)
    },
    "directions 1e-8 apart": functools.partial(of_one_norm, n=4, m=64, size=1e-8),
    "directions 1e-12 apart": functools.partial(of_one_norm, n=3, m=512, size=1e-12),
    "one neuron and 1e-8": functools.partial(near, n=1, m=512, size=1e-8),
}


def hidden(weights, x):
    return {"hidden": jax.nn.relu(x @ weights["W"].T)}


def by_data(pairs, x):
    """Activation matching of students as networks of one array."""
    spec = {"W": ("hidden", None)}
    found = [
        align_activations(hidden, {"W": first}, {"W": second}, x, spec=spec)
        for first, second in pairs
    ]
    return np.stack([perms["hidden"] for perms, _ in found])


@pytest.mark.parametrize("draw", ALIKE.values(), ids=ALIKE.keys())
def test_neurons_that_no_correlation_tells_apart_are_recovered(draw):
    rng = np.random.default_rng(12)
    pairs, expected = planted(rng, draw(rng))
    x = rng.normal(size=(2000, pairs.shape[-1]))
    for name, perm in (
        ("closed form", match_activations(pairs)[0]),
        ("of a network", by_data(pairs, x)),
        ("weights", match_weights(pairs)[0]),
        ("types", match_types(pairs, pairs.shape[-1])[0]),
    ):
        np.testing.assert_array_equal(perm, expected, err_msg=name)


def test_rounding_of_many_inputs_tells_no_neurons_apart():
    rng = np.random.default_rng(13)
    pairs, expected = planted(rng, np.asarray(uniform_minima(2, 16, K, D)))
    x = rng.normal(size=(60_000, D))
    np.testing.assert_array_equal(by_data(pairs, x), expected)


def test_neurons_dead_on_all_inputs_are_recovered():
    rng = np.random.default_rng(14)
    W = rng.normal(size=(4, 12, D))
    W[:, ::2] = -np.abs(W[:, ::2])
    pairs, expected = planted(rng, W)
    x = rng.random((300, D)) + 0.1
    np.testing.assert_array_equal(by_data(pairs, x), expected)


def test_alike_neurons_cost_no_correlation():
    """Of other students, to which they do not stand alike."""
    students = np.random.default_rng(15).normal(size=(6, 2, 6, D))
    students[:, 0, 3:] = 2 * students[:, 0, :3]
    students[:3, 0, 3:] += 1e-7 * students[:3, 0, :3, ::-1]
    nudged = students + 1e-9 * np.random.default_rng(16).normal(size=students.shape)
    value, other = (match_activations(W)[1].value for W in (students, nudged))
    np.testing.assert_allclose(value, other, atol=1e-7)


@pytest.mark.parametrize("name", OF_NEURONS)
def test_planted_permutations_are_recovered_up_to_equal_neurons(name):
    rng = np.random.default_rng(5)
    W = oracles.minimum(rng, [1, 1, 1], D)
    W = np.concatenate([W, W[:1], np.zeros((1, D))])
    pairs, _ = planted(rng, np.stack([W] * 9))
    perm, _ = MATCHERS[name](pairs)
    back = np.take_along_axis(pairs[:, 1], perm[..., None], axis=1)
    np.testing.assert_array_equal(back, pairs[:, 0])


@ALL_BUT_BASELINES
def test_planted_permutations_of_minima_have_no_barrier(name):
    pairs, _ = planted(np.random.default_rng(6), np.asarray(uniform_minima(9, 5, K, D)))
    perm, _ = MATCHERS[name](pairs)
    for (first, second), order in zip(pairs, perm, strict=True):
        middle = (first + second[order]) / 2
        assert abs(oracles.loss(middle, K)) < 1e-14
