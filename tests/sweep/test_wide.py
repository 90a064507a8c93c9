"""Cells of wide minima: their pairs against whole students, their bits, their cost."""

import dataclasses

import numpy as np
import pytest
from cases import assert_same_bits, uniform_minima

from lmc_jax.matching import ALGORITHM_1
from lmc_jax.sweep.cell import Cell, Minima
from lmc_jax.sweep.run import measure as measure_whole
from lmc_jax.sweep.wide import WideCell, measure, padded

CELL = WideCell(k=3, m=12, pairs=1500)


@pytest.fixture(scope="module")
def found():
    return measure(CELL)


def test_losses_are_distributed_as_those_of_whole_students(found):
    cell = Cell(3, 12, 3, Minima(), 1500, matchings=ALGORITHM_1)
    students = np.asarray(uniform_minima(3000, 12, 3, 3)).reshape(1500, 2, 12, 3)
    whole = measure_whole(cell, students)
    for own, expected in (
        (found["losses"].max(axis=-1), whole["losses"][:, 1:].max(axis=-1)),
        (found["losses"][..., 3], whole["losses"][:, 1:, 3]),
        (found["certificate"][:, 5], whole["certificate"][:, 1, 5]),
    ):
        error = np.sqrt((own.var(axis=0) + expected.var(axis=0)) / 1500)
        gap = np.abs(own.mean(axis=0) - expected.mean(axis=0))
        assert np.all(gap < 4 * error)
        assert np.all(error < 0.1 * expected.mean(axis=0))


def test_bounds_hold_and_ends_are_minima(found):
    assert np.all(found["losses"] <= found["certificate"][:, None] + 1e-14)
    assert np.all(found["losses"][..., [0, -1]] == 0)
    np.testing.assert_array_equal(found["counts"].sum(axis=-1), 12)
    same = (found["counts"][:, 0] == found["counts"][:, 1]).all(axis=1)
    assert same.any()
    assert np.all(found["losses"][same] == 0)


def test_a_pair_has_the_same_bits_in_any_company(found):
    few = measure(dataclasses.replace(CELL, pairs=7))
    assert_same_bits(few, {name: array[:7] for name, array in found.items()})


@pytest.mark.parametrize(("k", "m"), [(1, 9), (4, 4)])
def test_what_leaves_nothing_has_no_barrier(k, m):
    found = measure(WideCell(k=k, m=m, pairs=3))
    assert np.all(found["losses"] == 0)


def test_progress_counts_every_pair_once():
    seen = []
    measure(WideCell(k=2, m=50, pairs=30), seen.append)
    assert sum(seen) == 30


def test_sizes_hold_the_leftovers():
    count = np.arange(5000)
    sizes = padded(count)
    assert np.all(sizes >= count)
    assert set(sizes[:513]) == {16, 32, 64, 128, 256, 512}
    assert np.all(sizes[513:] < 1.5 * count[513:] + 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"m": 2}, "m=2 < k=3"),
        ({"pairs": 0}, "pairs=0: give at least 1"),
        ({"points": 4}, "points=4: give an odd number"),
        ({"seed": -1}, "seed=-1: give at least 0"),
    ],
)
def test_bad_cells_are_refused_in_one_line(change, reason):
    with pytest.raises(ValueError, match=reason):
        dataclasses.replace(CELL, **change).validate()
