"""Alignment where arrays run over a group twice, and of units within others."""

import itertools

import jax
import numpy as np
import programs
import pytest
from oracles import inner

from lmc_jax.networks.alignment import align_weights
from lmc_jax.networks.entries import Concat, Fixed, Product, Within
from lmc_jax.networks.permutations import group_sizes, perm_shapes, permute
from lmc_jax.networks.symmetry import explain_spec

SQUARES = {  # arrays that run over a group of six units twice
    "square": {"W": ("g", "g")},
    "residual": {"in": (None, "g"), "W": ("g", "g"), "out": ("g", None)},
    "recurrent": {"in": (None, Concat(((6, "g"),) * 2)),
                  "W": ("g", Concat(((6, "g"),) * 2))},
    "product": {"W": (Product(((6, "g"), (6, "g"))), None), "in": ("g",)},
    "two groups": {"W": ("g", "g"), "V": ("h", "h"), "in": ("g", "h")},
}  # fmt: skip
LENGTHS = {None: 2, "g": 6, "h": 4}


def square_weights(spec, seed):
    rng = np.random.default_rng(seed)

    def length(entry):
        if isinstance(entry, Concat):
            return 12
        return 36 if isinstance(entry, Product) else LENGTHS[entry]

    return {path: rng.normal(size=[*map(length, over)]) for path, over in spec.items()}


@pytest.mark.parametrize("noise", [0, 0.02])
@pytest.mark.parametrize("kind", SQUARES)
def test_copies_are_found_where_arrays_run_over_a_group_twice(kind, noise):
    spec = SQUARES[kind]
    rng = np.random.default_rng(1)
    for seed in range(20):
        weights = square_weights(spec, seed)
        sizes = group_sizes(weights, spec)
        perms = {group: rng.permutation(units) for group, units in sizes.items()}
        moved = jax.tree.map(
            lambda array: array + noise * rng.normal(size=array.shape),
            permute(weights, spec, perms),
        )
        found, info = align_weights(weights, moved, spec)
        assert info.converged
        for group, perm in perms.items():
            np.testing.assert_array_equal(found[group], np.argsort(perm))


@pytest.mark.parametrize("kind", ["square", "residual", "recurrent", "product"])
def test_quadratic_objectives_rise_to_near_the_best_of_all_orders(kind):
    spec = SQUARES[kind]
    better = []
    for seed in range(8):
        first, second = (square_weights(spec, 100 * seed + i) for i in range(2))
        perms, info = align_weights(first, second, spec)
        assert info.converged
        assert (np.diff(info.objective) > 0).all()
        orders = map(np.array, itertools.permutations(range(6)))
        reached, *objectives = (
            inner(first, permute(second, spec, {"g": order}), spec)
            for order in (perms["g"], *orders)
        )
        np.testing.assert_allclose(info.objective[-1], reached, rtol=1e-10)
        better.append(np.mean(np.array(objectives) > reached + 1e-9))
    assert np.mean(better) < 0.05  # of 720 orders


def test_no_exchange_of_two_units_brings_a_square_nearer():
    for seed in range(5):
        first, second = (
            {"W": np.random.default_rng([seed, side]).normal(size=(12, 12))}
            for side in (0, 1)
        )
        perm = align_weights(first, second, {"W": ("g", "g")})[0]["g"]
        reached = np.vdot(first["W"], second["W"][np.ix_(perm, perm)])
        for i, j in itertools.combinations(range(12), 2):
            other = perm.copy()
            other[[i, j]] = perm[[j, i]]
            moved = second["W"][np.ix_(other, other)]
            assert np.vdot(first["W"], moved) <= reached + 1e-9


UNITS = Within("units", ("layers", "heads"))
HEADS = Within("heads", ("layers",))
NESTED = {  # and the shapes of arrays
    "heads": (
        {"in": ("stream", Product(((4, "heads"), (5, Within("units", ("heads",)))))),
         "out": ("heads", Within("units", ("heads",)), "stream"), "gate": ("heads",)},
        {"in": (9, 20), "out": (4, 5, 9), "gate": (4,)},
    ),
    "layers": (
        {"in": (Fixed("layers"), "stream", Within("units", ("layers",))),
         "out": (Fixed("layers"), Within("units", ("layers",)), "stream")},
        {"in": (3, 9, 6), "out": (3, 6, 9)},
    ),
    "heads of layers": (
        {"in": (Fixed("layers"), "stream", HEADS, Concat(((5, UNITS), (5, UNITS)))),
         "out": (Fixed("layers"), HEADS, UNITS, "stream"), "read": ("stream", None)},
        {"in": (3, 9, 4, 10), "out": (3, 4, 5, 9), "read": (9, 2)},
    ),
    "layers of models, models of layers": (
        {"a": (Fixed("layers"), Within("g", ("layers",)), None),
         "b": (Fixed("models"), Fixed("layers"), None,
               Within("h", ("models", "layers")))},
        {"a": (3, 6, 9), "b": (2, 3, 9, 5)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("noise", [0, 0.05])
@pytest.mark.parametrize("kind", NESTED)
def test_copies_are_found_where_units_are_within_others(kind, noise):
    spec, shapes = NESTED[kind]
    rng = np.random.default_rng(2)
    for _ in range(5):
        weights = {path: rng.normal(size=shape) for path, shape in shapes.items()}
        moved = permute(weights, spec, random_orders(rng, weights, spec))
        noisy = jax.tree.map(lambda a: a + noise * rng.normal(size=a.shape), moved)
        found, info = align_weights(weights, noisy, spec)
        assert info.converged
        back = permute(moved, spec, found)
        jax.tree.map(np.testing.assert_array_equal, back, weights)


def assert_copies_of_programs_are_recovered(seeds):
    for seed in seeds:
        apply, weights, x = programs.program(seed)
        spec = explain_spec(apply, weights, x).spec
        orders = random_orders(np.random.default_rng(seed), weights, spec)
        moved = permute(weights, spec, orders)
        found, _ = align_weights(weights, moved, spec)
        back = permute(moved, spec, found)
        jax.tree.map(np.testing.assert_array_equal, back, weights)


def test_copies_of_random_programs_are_recovered():
    assert_copies_of_programs_are_recovered(range(10))


@pytest.mark.slow
def test_copies_of_500_random_programs_are_recovered():
    assert_copies_of_programs_are_recovered(range(10, 500))


def random_orders(rng, weights, spec):
    return {
        group: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for group, shape in perm_shapes(weights, spec).items()
    }


@pytest.mark.parametrize("kind", NESTED)
def test_units_within_others_end_nearer_than_given(kind):
    spec, shapes = NESTED[kind]
    rng = np.random.default_rng(3)
    for _ in range(5):
        first, second = (
            {path: rng.normal(size=shape) for path, shape in shapes.items()}
            for _ in range(2)
        )
        perms, info = align_weights(first, second, spec)
        given, found = (
            inner(first, end, spec) for end in (second, permute(second, spec, perms))
        )
        np.testing.assert_allclose(info.objective[-1], found, rtol=1e-10)
        assert found > given
