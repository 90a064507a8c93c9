"""The signature of every matching for pytrees: two-layer students and networks."""

import functools

import jax
import numpy as np
import pytest

from lmc_jax.matching import (
    match_activations,
    match_exhaustive,
    match_identity,
    match_refine,
    match_types,
    match_weights,
)
from lmc_jax.networks import cnn, mlp
from lmc_jax.networks.alignment import align_activations, align_weights
from lmc_jax.networks.permutations import leaves, permute

K, D, PAIRS = 3, 4, 3
LAYER = {"layer/kernel": ("hidden", None)}
TRANSPOSED = {"layer/kernel": (None, "hidden")}
OF_STUDENTS = {
    "identity": match_identity,
    "types": functools.partial(match_types, k=K),
    "weights": match_weights,
    "activations": match_activations,
    "activations over data": functools.partial(
        match_activations, x=np.random.default_rng(0).normal(size=(50, D))
    ),
    "exhaustive": functools.partial(match_exhaustive, k=K),
    "refine": functools.partial(match_refine, k=K, restarts=1),
}
NETWORKS = {
    "mlp": (mlp((20, 16, 12, 5)), (40, 20)),
    "cnn": (cnn((4, 4, 2), (5,), (6,), 3), (40, 4, 4, 2)),
}
EVERY = pytest.mark.parametrize("match", OF_STUDENTS.values(), ids=OF_STUDENTS.keys())
KINDS = pytest.mark.parametrize("kind", NETWORKS)


def drawn(network, seed):
    """Random pairs of networks, every array ``[pairs, 2, ...]``."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.normal(size=(PAIRS, 2, *leaf.shape)), shapes)


def one(students, pair, role):
    return jax.tree.map(lambda leaf: leaf[pair, role], students)


def of_pair(perm, pair):
    return {group: perms[pair] for group, perms in perm.items()}


@EVERY
@pytest.mark.parametrize("spec", [LAYER, TRANSPOSED], ids=["rows", "columns"])
def test_a_student_in_a_pytree_is_matched_as_its_array(match, spec):
    W = np.random.default_rng(1).normal(size=(PAIRS, 2, 5, D))
    expected, before = match(W)
    kernel = W if spec is LAYER else np.swapaxes(W, 2, 3)
    perm, info = match({"layer": {"kernel": kernel}}, spec=spec)
    assert perm.keys() == {"hidden"}
    assert perm["hidden"].dtype == np.int32
    np.testing.assert_array_equal(perm["hidden"], expected)
    np.testing.assert_allclose(info.value, before.value, rtol=1e-12)
    assert info.objective == before.objective


def test_descent_starts_where_another_matching_of_the_pytree_ended():
    W = np.random.default_rng(2).normal(size=(PAIRS, 2, 6, D))
    students = {"layer": {"kernel": W}}
    start, _ = match_weights(students, spec=LAYER)
    perm, _ = match_refine(students, K, start=start, spec=LAYER)
    expected, _ = match_refine(W, K, start=start["hidden"])
    np.testing.assert_array_equal(perm["hidden"], expected)


@KINDS
def test_networks_are_aligned_pair_by_pair(kind):
    network, shape = NETWORKS[kind]
    students = drawn(network, 3)
    x = np.random.default_rng(4).normal(size=shape)

    def activations(weights, x):
        return jax.tree.map(jax.nn.relu, network.hidden(weights, x))

    by_weights, of_weights = match_weights(students, spec=network.spec, seed=1)
    by_activations, of_activations = match_activations(
        students, x, spec=network.spec, activations=activations
    )
    unmoved, of_unmoved = match_identity(students, spec=network.spec)
    for perm in (by_weights, by_activations, unmoved):
        assert perm.keys() == set(network.affine)
        assert {found.dtype for found in perm.values()} == {np.dtype(np.int32)}
        assert {len(found) for found in perm.values()} == {PAIRS}
    for pair in range(PAIRS):
        first, second = (one(students, pair, role) for role in (0, 1))
        perms, descent = align_weights(first, second, network.spec, seed=1)
        jax.tree.map(np.testing.assert_array_equal, of_pair(by_weights, pair), perms)
        assert of_weights.rounds[pair] == len(descent.objective) - 1
        perms, paired = align_activations(activations, first, second, x)
        jax.tree.map(
            np.testing.assert_array_equal, of_pair(by_activations, pair), perms
        )
        total = sum(part.sum() for part in paired.values())
        assert of_activations.value[pair] == pytest.approx(total, rel=1e-12)
        for perm, info in ((by_weights, of_weights), (unmoved, of_unmoved)):
            moved = permute(second, network.spec, of_pair(perm, pair))
            gaps = leaves(jax.tree.map(np.subtract, first, moved))
            counted = [path for path, axes in network.spec.items() if any(axes)]
            distance = sum(np.sum(gaps[path] ** 2) for path in counted)
            assert info.value[pair] == pytest.approx(distance, rel=1e-12)
    assert (of_weights.value < of_unmoved.value).all()
    assert (of_unmoved.rounds == 0).all()


@KINDS
@pytest.mark.parametrize("scale", [1e-170, 1, 1e149])
def test_planted_permutations_are_recovered_at_every_scale(kind, scale):
    network, _ = NETWORKS[kind]
    students = jax.tree.map(lambda leaf: scale * leaf, drawn(network, 5))
    rng = np.random.default_rng(6)
    orders = {
        group: rng.permuted(np.tile(np.arange(perm.shape[1]), (PAIRS, 1)), axis=1)
        for group, perm in match_identity(students, spec=network.spec)[0].items()
    }
    shuffled = jax.vmap(lambda W, perm: permute(W, network.spec, perm))(
        jax.tree.map(lambda leaf: leaf[:, 0], students), orders
    )
    pairs = jax.tree.map(
        lambda leaf, second: np.stack([leaf[:, 0], second], axis=1), students, shuffled
    )
    perm, info = match_weights(pairs, spec=network.spec)
    for group, order in orders.items():
        np.testing.assert_array_equal(perm[group], np.argsort(order, axis=1))
    np.testing.assert_array_equal(info.value, 0)


def test_arrays_left_out_do_not_count():
    network, _ = NETWORKS["mlp"]
    students = drawn(network, 7)
    path = next(iter(network.spec))
    layer, name = path.split("/")
    other = students | {layer: students[layer] | {name: np.zeros((PAIRS, 2, 20, 16))}}
    found = [
        match_weights(each, spec=network.spec, leave_out=[path])
        for each in (students, other)
    ]
    jax.tree.map(np.testing.assert_array_equal, found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1].value, found[1][1].value)


def test_paths_to_leave_out_that_do_not_fit_are_one_clear_line():
    network, _ = NETWORKS["mlp"]
    for students, spec, said in (
        (drawn(network, 0), network.spec, r"leave_out=\['none'\]: give paths"),
        ({"layer": {"kernel": np.ones((2, 2, 5, D))}}, LAYER, "give paths"),
        (np.ones((2, 2, 5, D)), None, "give spec with it"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            match_weights(students, spec=spec, leave_out=["none"])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["types", "activations", "exhaustive", "refine"])
def test_what_has_no_meaning_for_networks_is_one_clear_line(name):
    network, _ = NETWORKS["mlp"]
    with pytest.raises(ValueError, match="defined for two-layer students") as caught:
        OF_STUDENTS[name](drawn(network, 0), spec=network.spec)
    assert "match_weights" in str(caught.value)
    assert "\n" not in str(caught.value)


W = np.ones((2, 2, 5, D))
BAD = {
    "a bare array": (W, LAYER, "array '' is not in the permutation spec"),
    "another path": ({"W": W}, LAYER, "is not in the permutation specification"),
    "one network": ({"layer": {"kernel": W[0, 0]}}, LAYER, r"begin with \[pairs, 2"),
    "three a pair": (
        {"layer": {"kernel": np.ones((2, 3, 5, D))}},
        LAYER,
        r"begin with \[pairs, 2",
    ),
    "a function": (
        {"layer": {"kernel": W}, "act": len},
        LAYER | {"act": ()},
        "'act' holds builtin_function_or_method: give real numbers",
    ),
    "keys": (
        {"layer": {"kernel": jax.random.key(0)}},
        LAYER,
        r"'layer/kernel' holds key<.*>: give real numbers",
    ),
    "no group": ({"layer": {"kernel": W}}, {"layer/kernel": (None, None)}, "without a"),
    "text": ({"layer": {"kernel": np.full(W.shape, "a")}}, LAYER, "give real numbers"),
    "complex": ({"layer": {"kernel": 1j * W}}, LAYER, "give real numbers"),
    "NaN in one": (
        {"layer": {"kernel": np.where(np.arange(D) == 1, np.nan, W)}},
        LAYER,
        "give finite ones",
    ),
    "objects": ({"layer": {"kernel": W.astype(object)}}, LAYER, "give real numbers"),
    "no arrays": ({}, LAYER, "networks without arrays"),
    "NaN": ({"layer": {"kernel": np.nan * W}}, LAYER, "give finite ones"),
    "too large": ({"layer": {"kernel": 1e160 * W}}, LAYER, r"at most 1e\+150"),
    "a list of axes": (
        {"layer": {"kernel": W}},
        [None],
        "type list: give a mapping",
    ),
    "text for axes": ({"layer": {"kernel": W}}, {"layer/kernel": "h"}, "axes 'h'"),
    "missing axes": ({"layer": {"kernel": W}}, {"layer/kernel": ("h",)}, "has 2 axes"),
    "numbers": (
        {"layer": {"kernel": W}},
        {"layer/kernel": (0, "h")},
        "axes .* give a group or None",
    ),
}


@EVERY
@pytest.mark.parametrize(("students", "spec", "said"), BAD.values(), ids=BAD.keys())
def test_bad_pytrees_are_one_clear_line(match, students, spec, said):
    with pytest.raises(ValueError, match=said) as caught:
        match(students, spec=spec)
    assert "\n" not in str(caught.value)


def test_arrays_of_unequal_pairs_are_one_clear_line():
    network, _ = NETWORKS["mlp"]
    students = drawn(network, 0)
    students["hidden1"]["bias"] = students["hidden1"]["bias"][:2]
    for match in (match_identity, match_weights):
        with pytest.raises(ValueError, match=r"/bias': 2.* as many in each") as caught:
            match(students, spec=network.spec)
        assert "\n" not in str(caught.value)


def test_activations_that_do_not_fit_are_one_clear_line():
    network, shape = NETWORKS["mlp"]
    students, x = drawn(network, 0), np.ones(shape)

    def some(weights, x):
        return {"hidden1": x}

    whole = {"activations": network.hidden, "spec": network.spec, "x": x}

    for given, said in (
        ({"activations": network.hidden}, "give spec and inputs"),
        ({"activations": network.hidden, "spec": network.spec}, "give spec and inputs"),
        ({"activations": some, "spec": network.spec, "x": x}, "of every group"),
        ({"activations": some, "spec": network.spec, "x": "a"}, "give x"),
        (whole | {"activations": 3}, "of type int: give a function"),
        (whole | {"activations": lambda weights, x: x}, "no dict of arrays"),
        (whole | {"activations": lambda weights, x: {"hidden1": 1}}, "no dict of"),
        (whole | {"x": np.ones((40, 7))}, "cannot be had"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            match_activations(students, **given)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-1, "1", 1.5])
def test_seeds_that_are_none_are_one_clear_line(seed):
    with pytest.raises(ValueError, match=f"seed={seed!r}: give an integer"):
        match_weights(np.ones((1, 2, 3, 2)), seed=seed)


def test_float64_is_asked_for():
    network, _ = NETWORKS["mlp"]
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match=r"lmc_jax\.configure\(\) first"),
    ):
        match_weights(drawn(network, 0), spec=network.spec)
