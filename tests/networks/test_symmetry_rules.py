"""Every rule is needed: broken in any way, a random program shows it."""

import functools
import inspect

import jax
import pytest
from changes import MOST, change, drawn

from lmc_jax.networks.symmetry import explain_spec
from lmc_jax.networks.symmetry.axes import Axis
from lmc_jax.networks.symmetry.rules import RULES, Operation

ALL = dict(RULES)
LATER = {"stack", "tile", "unstack"}  # primitives of JAX 0.12, not of 0.10


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
