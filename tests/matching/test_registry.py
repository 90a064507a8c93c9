"""What holds for every matching that sweeps, flags and figures know."""

import dataclasses

import jax
import numpy as np
import pytest

from lmc_jax.matching import DIRECT, MATCHINGS, PATHS
from lmc_jax.students import minima
from lmc_jax.sweep.cell import Cell, Minima

K, M = 3, 7
CELL = Cell(k=K, m=M, d=K, source=Minima(), pairs=2)
EVERY = pytest.mark.parametrize("matching", PATHS.values(), ids=PATHS.keys())


@pytest.fixture(scope="module")
def pairs():
    keys = jax.random.split(jax.random.key(0), (5, 2))
    drawn = jax.vmap(jax.vmap(lambda key: minima.sample(key, M, K, K)))(keys)
    noise = np.random.default_rng(1).normal(size=(3, 2, M, K))
    return np.concatenate([np.asarray(drawn), noise])


def test_matchings_are_told_apart_by_name_label_and_look():
    assert [*PATHS] == [DIRECT.name, *MATCHINGS]
    assert all(matching.name == name for name, matching in PATHS.items())
    for told in ("label", "marker", "color"):
        assert len({getattr(matching, told) for matching in PATHS.values()}) == len(
            PATHS
        )


@EVERY
def test_what_a_pair_gets_does_not_depend_on_its_company(matching, pairs):
    perm, info = matching.on_host(pairs, K)
    assert perm.dtype == np.int32
    np.testing.assert_array_equal(np.sort(perm, axis=1), [range(M)] * len(pairs))
    assert info.value.shape == (len(pairs),)
    alone = [matching.on_host(pair[None], K)[0][0] for pair in pairs]
    np.testing.assert_array_equal(perm, alone)


@pytest.mark.parametrize("name", [n for n, of in MATCHINGS.items() if of.on_device])
def test_the_device_finds_what_the_host_finds_and_leaves_padding(name, pairs):
    matching = MATCHINGS[name]
    padded = np.pad(pairs, ((0, 0), (0, 0), (0, 2), (0, 0)))
    on_device = jax.jit(
        jax.vmap(lambda pair, m: matching.on_device(pair, K, m), (0, None))
    )
    found = np.asarray(on_device(padded, np.int32(M)))
    np.testing.assert_array_equal(found[:, :M], matching.on_host(pairs, K)[0])
    np.testing.assert_array_equal(found[:, M:], [[M, M + 1]] * len(pairs))


def test_cells_take_every_matching_and_refuse_other_names_in_one_line():
    dataclasses.replace(CELL, matchings=tuple(MATCHINGS)).validate()
    for name in ("types", "types_none", "direct"):
        with pytest.raises(ValueError, match=f"unknown matching '{name}'") as caught:
            dataclasses.replace(CELL, matchings=(name,)).validate()
        assert all(known in str(caught.value) for known in MATCHINGS)
        assert "\n" not in str(caught.value)
