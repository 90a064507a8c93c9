"""What sweeps, flags and figures know by name."""

import dataclasses

import jax
import numpy as np
import pytest
from cases import uniform_minima

from lmc_jax.matching import DIRECT, MATCHINGS, PATHS
from lmc_jax.sweep.cell import Cell, Minima

K, D = 3, 4


@pytest.fixture(scope="module")
def pairs():
    drawn = np.asarray(uniform_minima(10, 5, K, D)).reshape(5, 2, 5, D)
    gaussian = np.random.default_rng(1).normal(size=(4, 2, 5, D))
    return np.concatenate([drawn, gaussian])


def test_matchings_are_told_apart_by_name_label_and_look():
    assert [*PATHS] == [DIRECT.name, *MATCHINGS]
    assert all(matching.name == name for name, matching in PATHS.items())
    for told in ("label", "marker", "color"):
        looks = {getattr(matching, told) for matching in PATHS.values()}
        assert len(looks) == len(PATHS)
    assert all(matching.words for matching in MATCHINGS.values())


@pytest.mark.parametrize("matching", PATHS.values(), ids=PATHS.keys())
def test_what_a_pair_gets_does_not_depend_on_its_company(matching, pairs):
    perm, info = matching.on_host(pairs, K)
    assert perm.dtype == np.int32
    np.testing.assert_array_equal(np.sort(perm, axis=1), [range(5)] * 9)
    assert info.value.shape == (9,)
    order = [8, 7, 6, 5, 4, 3, 3, 2, 3]  # others, and in other places
    np.testing.assert_array_equal(perm[order], matching.on_host(pairs[order], K)[0])


@pytest.mark.parametrize("name", [n for n, of in MATCHINGS.items() if of.on_device])
def test_the_device_finds_what_the_host_finds_and_leaves_padding(name, pairs):
    matching = MATCHINGS[name]
    padded = np.pad(pairs, ((0, 0), (0, 0), (0, 2), (0, 0)))
    on_device = jax.jit(
        jax.vmap(lambda pair, m: matching.on_device(pair, K, m), (0, None))
    )
    found = np.asarray(on_device(padded, np.int32(5)))
    np.testing.assert_array_equal(found[:, :5], matching.on_host(pairs, K)[0])
    np.testing.assert_array_equal(found[:, 5:], [[5, 6]] * 9)


def test_cells_take_every_matching_and_refuse_other_names_in_one_line():
    cell = Cell(k=3, m=7, d=3, source=Minima(), pairs=2, matchings=tuple(MATCHINGS))
    cell.validate()
    for name in ("types", "types_none", "direct"):
        with pytest.raises(ValueError, match=f"unknown matching '{name}'") as caught:
            dataclasses.replace(cell, matchings=(name,)).validate()
        assert all(known in str(caught.value) for known in MATCHINGS)
        assert "\n" not in str(caught.value)
