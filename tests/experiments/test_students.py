"""The grid of a sweep of students, from its settings."""

import pytest

from experiments.lib import compute, curves, students
from lmc_jax.results import store
from lmc_jax.sweep.cell import Descent, Minima

DEFAULTS = {name: setting.default for name, setting in students.SETTINGS.items()}
GRID = {**DEFAULTS, "k": "2", "m": "4", "pairs": 3}


def test_grid_is_the_product_of_teachers_widths_sources_and_rates():
    setting = GRID | {
        "k": "2,3",
        "m": "4,6",
        "source": "gd,uniform",
        "lr_times_m": "1,2",
    }
    grid = students.cells(setting)
    assert len(grid) == len(set(grid)) == 2 * 2 * (2 + 1)
    assert {(cell.k, cell.d) for cell in grid} == {(2, 2), (3, 3)}
    for cell in grid:
        if isinstance(cell.source, Descent):
            assert cell.source.lr * cell.m in (1.0, 2.0)
    assert [cell.source.name for cell in grid[:3]] == ["gd", "gd", "uniform"]


def test_learning_rate_is_taken_as_given_or_divided_by_the_width():
    fixed = GRID | {"m": "4,8", "source": "gd", "lr": "0.25", "lr_times_m": None}
    assert [cell.source.lr for cell in students.cells(fixed)] == [0.25, 0.25]
    scaled = GRID | {"m": "4,8", "source": "gd", "lr_times_m": "2"}
    assert [cell.source.lr for cell in students.cells(scaled)] == [0.5, 0.25]


def test_widths_may_be_given_in_units_of_the_teacher_width():
    grid = students.cells(GRID | {"k": "2,3", "m": None, "m_over_k": "1,4"})
    assert {(cell.k, cell.m) for cell in grid} == {(2, 2), (2, 8), (3, 3), (3, 12)}


def test_matchings_are_taken_in_order_and_may_be_none():
    several = students.cells(GRID | {"matching": "weights,types_index"})
    assert several[0].matchings == ("weights", "types_index")
    assert students.cells(GRID | {"matching": ""})[0].matchings == ()


def test_each_source_has_its_own_settings():
    setting = GRID | {"source": ",".join(students.SOURCES), "batch": 32}
    sources = {cell.source.name: cell.source for cell in students.cells(setting)}
    assert list(sources) == list(students.SOURCES)
    assert sources.keys() <= curves.NAMES.keys() & curves.COLORS.keys()
    assert (sources["gd"].batch, sources["sgd"].batch) == (0, 32)
    assert sources["uniform"] == Minima(1.0)
    assert sources["equal"] == Minima("equal")
    assert sources["dirichlet"] == Minima(0.5)


def test_dimension_is_the_teacher_width_unless_given():
    assert [cell.d for cell in students.cells(GRID)] == [2, 2]
    assert [cell.d for cell in students.cells(GRID | {"d": 7})] == [7, 7]


def test_rows_of_a_grid_are_its_own_and_none_may_be_missing():
    grid = students.cells(GRID)
    names = [store.fingerprint(cell.parameters()) for cell in grid]
    own = [{"cell": name, "made_by": ""} for name in names]
    assert compute.of_grid([{"cell": "another"}, *own], grid) == own
    with pytest.raises(store.StoreError, match="1 of 2 cells were lost"):
        compute.of_grid(own[1:], grid)
