"""Entries of a specification against axes merged and concatenated by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmc_jax.networks.entries import Concat, Product, Tiled, index, sections, squared

HEADS = Product(((2, "h"), (3, "u")))
GATES = Concat(((3, "u"), (2, None), (3, "u")))
NESTED = Product(((2, None), (5, Concat(((2, "h"), (3, "u"))))))
PERMS = {"h": np.array([1, 0]), "u": np.array([2, 0, 1])}
MOVED = {  # what stands at each position of the permuted axis
    "u": ("u", np.array([2, 0, 1])),
    "others": ("v", np.arange(3)),
    "none": (None, np.arange(4)),
    "tiled": (Tiled("u", 2), np.arange(12).reshape(2, 3, 2)[:, PERMS["u"]].ravel()),
    "product": (HEADS, np.arange(6).reshape(2, 3)[PERMS["h"]][:, PERMS["u"]].ravel()),
    "concat": (GATES, np.r_[PERMS["u"], 3, 4, 5 + PERMS["u"]]),
    "nested": (NESTED, np.arange(10).reshape(2, 5)[:, np.r_[1, 0, 4, 2, 3]].ravel()),
}


@pytest.mark.parametrize("name", MOVED)
def test_an_axis_moves_as_its_parts_do(name):
    entry, expected = MOVED[name]
    found = index(entry, len(expected), PERMS)
    np.testing.assert_array_equal(found, expected)
    traced = jax.jit(lambda perms: jnp.asarray(index(entry, len(expected), perms)))
    np.testing.assert_array_equal(traced(PERMS), expected)


@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("group", PERMS)
def test_sections_hold_all_that_a_group_moves_and_move_with_it(name, group):
    entry, order = MOVED[name]
    units = len(PERMS[group])
    array = np.arange(2 * len(order)).reshape(2, -1)
    alone = {group: PERMS[group]}
    moved = array[:, index(entry, len(order), alone)]
    before, after = (list(sections(a, 1, entry, group, units)) for a in (array, moved))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one[PERMS[group]], other)
    held = {n for section in before for n in section.ravel().tolist()}
    assert set(array[array != moved].tolist()) <= held


def test_groups_that_move_a_number_by_two_axes():
    assert squared(("h", "u", None)) == set()
    assert squared(("u", "u")) == squared((GATES, "u")) == {"u"}
    assert squared((GATES,)) == set()  # one gate or the other
    assert squared((Product(((3, "u"), (3, "u"))),)) == {"u"}
    assert squared((Tiled("u"), HEADS)) == {"u"}
