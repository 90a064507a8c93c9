"""Random programs: what is said to be a symmetry is one, and every rule is needed."""

import functools
import inspect
import itertools

import jax
import numpy as np
import programs
import pytest

from lmc_jax.networks.permutations import perm_shapes, permute
from lmc_jax.networks.symmetry import explain_spec
from lmc_jax.networks.symmetry.axes import ATOM, SUM, Axis, find
from lmc_jax.networks.symmetry.dependence import dependencies
from lmc_jax.networks.symmetry.infer import analysed
from lmc_jax.networks.symmetry.rules import RULES, Operation

MOST = 1e-9  # of a change of an output of size 1: rounding is 1e-13
ALL = dict(RULES)
LATER = {"stack", "tile", "unstack"}  # primitives of JAX 0.12, not of 0.10


@functools.cache
def drawn(seed):
    apply, weights, x = programs.program(seed)
    return jax.jit(apply), weights, x


@functools.cache
def prepared(seed):
    """A program compiled, its outputs, its arguments."""
    function, weights, x = drawn(seed)
    return function, np.array(function(weights, x)), weights, x


@functools.cache
def sound(seed):
    """The specification by whole rules."""
    with pytest.MonkeyPatch.context() as patch:
        for name, rule in ALL.items():
            patch.setitem(RULES, name, rule)
        return explain_spec(*drawn(seed)).spec


@functools.cache
def met(seed):
    """The rules that a program meets."""
    found = set()

    def noting(rule):
        return lambda op, *arrays: found.add(rule) or rule(op, *arrays)

    with pytest.MonkeyPatch.context() as patch:
        for name, rule in ALL.items():
            patch.setitem(RULES, name, noting(rule))
        explain_spec(*drawn(seed))
    return found


def change(seed):
    """How far random permutations of all groups found move outputs; the groups."""
    function, before, weights, x = prepared(seed)
    found = explain_spec(function, weights, x)
    rng = np.random.default_rng(seed)
    perms = {
        name: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for name, shape in perm_shapes(weights, found.spec).items()
    }
    after = np.array(function(permute(weights, found.spec, perms), x))
    return np.abs(after - before).max(), len(perms)


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
        function, before, weights, x = prepared(seed)
        values, names, program = analysed(function, weights, x)
        rng = np.random.default_rng(seed)
        for atom, others in dependencies(program.arrays, names).items():
            for other in others:
                perms = [rng.permutation(atom.size) for _ in range(other.size)]
                moved = {
                    path: moved_apart(array, values[path], atom, other, perms)
                    for path, array in weights.items()
                }
                after = np.array(function(moved, x))
                assert np.abs(after - before).max() < MOST, (seed, names[atom])
                tried += 1
    return tried


def test_nested_groups_permute_apart():
    assert assert_nested_groups_permute_apart(range(10)) > 3


@pytest.mark.slow
def test_nested_groups_of_500_random_programs_permute_apart():
    assert assert_nested_groups_permute_apart(range(10, 500)) > 200


class Careless(Operation):
    """An operation one of whose ways to restrict permutations does nothing."""

    def __init__(self, op, forgotten):
        self.__dict__.update(op.__dict__)
        setattr(self, forgotten, self.ignore if forgotten != "new_axis" else Axis)

    def ignore(self, *_):
        pass


def careless(rule, forgotten):
    """A rule that forgets to tie or to fix, or how outputs and inputs are related."""

    def broken(op, *arrays):
        if forgotten != "relation":
            return list(rule(Careless(op, forgotten), *arrays))
        list(rule(op, *arrays))
        return [[Axis(size) for size in shape] for shape in op.shapes]

    return broken


def names_of(rule):
    return [name for name in ALL if ALL[name] is rule]


HELPERS = {"tie": "op.tie_all(", "fix": "told_apart(", "new_axis": "told_apart("}
BROKEN = [
    pytest.param(rule, forgotten, id=f"{names_of(rule)[0]}-{forgotten}")
    for rule in dict.fromkeys(RULES.values())
    for forgotten in ("relation", "tie", "fix", "new_axis")
    if forgotten == "relation"
    or f"op.{forgotten}(" in inspect.getsource(rule)
    or HELPERS[forgotten] in inspect.getsource(rule)
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "forgotten"), BROKEN)
def test_every_rule_is_needed(rule, forgotten, monkeypatch):
    if LATER & {*names_of(rule)} and jax.__version_info__ < (0, 12):
        pytest.skip("not a primitive of this JAX")
    for name in names_of(rule):
        monkeypatch.setitem(RULES, name, careless(rule, forgotten))
    seeds = (seed for seed in range(1000) if rule in met(seed))
    # A program's own compilation takes longer than to see that the fault hides in it.
    wrong = (s for s in seeds if explain_spec(*drawn(s)).spec != sound(s))
    assert any(change(seed)[0] > MOST for seed in wrong)
