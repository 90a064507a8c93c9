"""A sweep in memory against the same sweep by way of the disk, and what it refuses."""

import dataclasses

import jax
import numpy as np
import oracles
import pytest

from lmc_jax import Cell, Descent, Minima, load, simulate
from lmc_jax.results import store
from lmc_jax.sweep.run import sweep

SAMPLED = Cell(k=2, m=4, d=2, source=Minima(), pairs=3, matchings=("types_index",))
TRAINED = dataclasses.replace(SAMPLED, m=3, source=Descent(lr=0.5, steps=200))


def changed(**values):
    return dataclasses.replace(SAMPLED, **values)


def test_columns_are_those_of_the_sweep_on_disk(tmp_path):
    store.open_store(tmp_path)

    def save(cell, arrays, weights):
        store.save(tmp_path, cell.parameters(), arrays, {})

    sweep([SAMPLED, TRAINED], save)
    expected = load(tmp_path, "max")
    found = simulate([TRAINED, SAMPLED, TRAINED], "max")
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)
    assert found["source"].tolist() == ["gd", "gd", "uniform", "uniform"]
    assert found["matching"].tolist() == ["direct", "types_index"] * 2


def test_weights_are_given_back_where_asked():
    """Of every row those of its cell: they have the losses at the ends of its paths."""
    cells = [SAMPLED, TRAINED, dataclasses.replace(TRAINED, seed=1)]
    handed = {}
    sweep(cells, lambda cell, _, W: handed.update({cell: W}), weights=True)
    found = simulate(cells, weights=True)
    assert len(found["weights"]) == 6
    for row, W in enumerate(found["weights"]):
        (cell,) = (
            cell
            for cell in cells
            if (cell.seed, cell.source.name)
            == (found["seed"][row], found["source"][row])
        )
        assert W.dtype == ("float32" if cell.source.name == "gd" else "float64")
        np.testing.assert_array_equal(W, handed[cell])
        losses = [oracles.loss(student, 2) for student in W.reshape(6, cell.m, 2)]
        np.testing.assert_allclose(max(losses), found["loss_max"][row], atol=1e-14)
    assert not np.array_equal(found["weights"][0], found["weights"][2])
    without = simulate(cells)
    assert found.keys() - without.keys() == {"weights"}


def test_histories_are_of_the_runs_that_a_sweep_makes():
    source = dataclasses.replace(TRAINED.source, batch=16, precision="float64")
    cell = dataclasses.replace(TRAINED, source=source)
    swept = simulate([SAMPLED, cell], weights=True)
    found = simulate([SAMPLED, cell], weights=True, histories=True)
    assert found.keys() - swept.keys() == {"history"}
    for name, column in swept.items():
        if name == "weights":
            np.testing.assert_allclose(found[name][0], column[0], atol=1e-12)
        elif column.dtype.kind == "f":
            np.testing.assert_allclose(found[name], column, rtol=1e-6, atol=1e-12)
        else:
            np.testing.assert_array_equal(found[name], column)
    history = found["history"][0]
    assert history.shape == (3, 2, 1)
    for W, losses in zip(found["weights"][0][0], history[0], strict=True):
        assert losses[-1] == pytest.approx(oracles.loss(W, 2), rel=1e-10)
    assert found["history"][2] is None  # of sampled minima


def test_students_start_from_the_weights_that_are_given():
    source = dataclasses.replace(TRAINED.source, steps=1, check_every=1)
    cell = dataclasses.replace(TRAINED, source=source)
    W = np.random.default_rng(0).normal(size=(3, 2, 3, 2)).astype(np.float32)
    found = simulate([cell], weights=True, initial={cell: W})["weights"][0]
    for before, after in zip(W.reshape(6, 3, 2), found.reshape(6, 3, 2), strict=True):
        slope = oracles.gradient(before.astype(np.float64), 2)
        np.testing.assert_allclose(after, before - 0.5 * slope, atol=1e-5)
    for wrong in (W[:1], W + 5j, W.astype(str)):
        with pytest.raises(ValueError, match=r"give real numbers \[3, 2, 3, 2\]"):
            simulate([cell], initial={cell: wrong})
    for other in (SAMPLED, "a"):
        with pytest.raises(ValueError, match="cells that are trained"):
            simulate([SAMPLED], initial={other: np.ones((3, 2, 4, 2))})


@pytest.mark.parametrize(
    ("cells", "definition", "reason"),
    [
        ([], "lerp", "no cells: give at least one"),
        ([changed(m=1)], "lerp", "m=1 < k=2"),
        ([SAMPLED], "height", "unknown barrier 'height'"),
        (["a"], "lerp", "'a' is not a cell"),
        ([changed(matchings=["refine"])], "lerp", "give a tuple of names"),
    ],
)
def test_refusals_come_before_anything_is_computed(
    monkeypatch, cells, definition, reason
):
    def never(grid, save, weights):
        assert not grid

    monkeypatch.setattr("lmc_jax.simulation.sweep", never)
    with pytest.raises(ValueError, match=reason):
        simulate(cells, definition)


def test_float64_is_asked_for():
    with jax.enable_x64(False), pytest.raises(ValueError, match="configure"):
        simulate([SAMPLED])


def test_numbers_of_numpy_are_numbers():
    source = Descent(lr=np.float64(0.5), steps=np.int32(200))
    twin = changed(m=np.int64(3), seed=np.uint32(0), source=source)
    assert twin.parameters() == TRAINED.parameters()
    np.testing.assert_equal(simulate([twin]), simulate([TRAINED]))
