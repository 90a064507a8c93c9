"""Random programs: what is said to be a symmetry is one."""

import itertools

import numpy as np
import pytest
from changes import MOST, change, drawn, prepared

from lmc_jax.networks.symmetry.axes import ATOM, SUM, find
from lmc_jax.networks.symmetry.dependence import dependencies
from lmc_jax.networks.symmetry.infer import analysed


def assert_sound(seeds):
    found = [change(seed) for seed in seeds]
    moved = {seed: change for seed, (change, _) in zip(seeds, found, strict=True)}
    assert {seed: change for seed, change in moved.items() if not change < MOST} == {}
    assert sum(groups for _, groups in found) > len(seeds)  # there is something to test


def test_random_programs_keep_their_outputs():
    assert_sound(range(10))


@pytest.mark.slow
def test_500_random_programs_keep_their_outputs():
    assert_sound(range(10, 500))


def positions(axis):
    """What each position of an axis is: of which terms, at which place of each atom."""
    axis = find(axis)
    if axis.kind == ATOM:
        return [((axis, i),) for i in range(axis.size)]
    parts = [positions(part) for part in axis.parts]
    if axis.kind == SUM:
        return [((axis, k), *p) for k, part in enumerate(parts) for p in part]
    return [sum(combined, ()) for combined in itertools.product(*parts)]


def moved_apart(array, axes, atom, other, perms):
    """An array with an atom permuted by ``perms[i]`` at position i of another."""

    def goes(key):
        if atom not in dict(key):
            return key
        perm = perms[dict(key)[other]]
        return tuple((a, perm[i] if a is atom else i) for a, i in key)

    keys = [sum(p, ()) for p in itertools.product(*map(positions, axes))]
    places = {key: i for i, key in enumerate(keys)}
    source = [places[goes(key)] for key in keys]
    return array.ravel()[source].reshape(array.shape)


def assert_nested_groups_permute_apart(seeds):
    tried = 0
    for seed in seeds:
        (apply, weights, x), (compiled, before) = drawn(seed), prepared(seed)
        values, names, program = analysed(apply, weights, x)
        rng = np.random.default_rng(seed)
        for atom, others in dependencies(program.arrays, names).items():
            for other in others:
                perms = [rng.permutation(atom.size) for _ in range(other.size)]
                moved = {
                    path: moved_apart(array, values[path], atom, other, perms)
                    for path, array in weights.items()
                }
                after = np.array(compiled(moved, x))
                assert np.abs(after - before).max() < MOST, (seed, names[atom])
                tried += 1
    return tried


def test_nested_groups_permute_apart():
    assert assert_nested_groups_permute_apart(range(10)) > 3


@pytest.mark.slow
def test_nested_groups_of_500_random_programs_permute_apart():
    assert assert_nested_groups_permute_apart(range(10, 500)) > 200
