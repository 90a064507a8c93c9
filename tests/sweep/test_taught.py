"""Cells of teachers that are not orthonormal, against NumPy on the saved weights."""

import dataclasses

import numpy as np
import oracles
import pytest
from cases import GD32, GD64, SGD, UNIFORM, assert_same_bits, swept

from lmc_jax import simulate
from lmc_jax.matching import MATCHINGS
from lmc_jax.students import descent
from lmc_jax.sweep.cell import Cell

NAMES = ("types_opposed", "weights", "refine")  # on the device and the host
CELL = Cell(k=3, m=9, d=4, source=GD32, pairs=4, matchings=NAMES)
SLOW = dataclasses.replace(GD32, lr=0.2, steps=2000)


def numpy_counts(W, V, zero):
    """Neurons at the least angle to each of the teacher's."""
    W = W[np.linalg.norm(W, axis=1) > zero]
    return np.bincount(oracles.angles(W, V).argmin(1), minlength=len(V))


@pytest.mark.parametrize(
    ("source", "teacher"),
    [
        pytest.param(SLOW, "random", id="gd"),
        pytest.param(UNIFORM, "equiangular:0.5", id="angles", marks=pytest.mark.slow),
        pytest.param(UNIFORM, "norms:1,2,4", id="lengths", marks=pytest.mark.slow),
    ],
)
def test_measures_equal_numpy_on_the_saved_weights(teacher, source):
    cell = dataclasses.replace(CELL, source=source, teacher=teacher)
    found, V = swept([cell])[cell], cell.taught.neurons
    ts = np.linspace(0, 1, cell.points)
    for n, pair in enumerate(found["weights"].astype(float)):
        counts = np.array([numpy_counts(W, V, source.zero_row) for W in pair])
        np.testing.assert_array_equal(found["counts"][n], counts)
        assert found["overlap"][n] == np.minimum(*counts).sum()
        perms = [np.arange(9)]
        for name in NAMES:
            perms += [*MATCHINGS[name].on_host(pair[None], cell.taught)[0]]
        for row, perm in enumerate(perms):
            along = [oracles.loss((1 - t) * pair[0] + t * pair[1][perm], V) for t in ts]
            np.testing.assert_allclose(
                found["losses"][n, row], along, rtol=1e-9, atol=1e-11
            )
    if source is UNIFORM:
        assert np.abs(found["losses"][..., [0, -1]]).max() < 1e-11
        assert found["distance"].max() < 1e-12
        assert np.all(found["losses"] <= found["certificate"] + 1e-11)
    else:
        assert (found["status"] != descent.DIVERGED).all()
        assert found["losses"][..., [0, -1]].max() < 1e-2


def test_a_run_follows_plain_descent():
    cell = dataclasses.replace(CELL, source=GD64, teacher="equiangular:0.5", pairs=1)
    source = dataclasses.replace(GD64, lr=0.1, steps=100, check_every=50)
    cell = dataclasses.replace(cell, source=source, matchings=())
    started = np.random.default_rng(0).normal(size=(1, 2, 9, 4)) / 3
    table = simulate([cell], weights=True, histories=True, initial={cell: started})
    V = cell.taught.neurons
    for role in (0, 1):
        W, status, steps, history = oracles.descend(
            started[0, role],
            V,
            lambda slope: -0.1 * slope,
            lambda W, _: oracles.gradient(W, V),
            **{"steps": 100, "tol": source.tol, "check_every": 50},
        )
        assert (status, steps) == ("exhausted", 100)
        np.testing.assert_allclose(table["weights"][0][0, role], W, rtol=1e-9)
        np.testing.assert_allclose(table["history"][0][0, role], history, rtol=1e-9)
    assert table["teacher"].tolist() == ["equiangular:0.5"]


@pytest.mark.slow
@pytest.mark.parametrize("source", [SGD, UNIFORM], ids=["sgd", "uniform"])
def test_a_cell_has_the_same_bits_beside_other_teachers(source):
    small = dataclasses.replace(CELL, source=source, matchings=("types_opposed",))
    other = dataclasses.replace(small, teacher="equiangular:0.5")
    together = swept([small, other])
    for cell in (small, other):
        assert_same_bits(swept([cell])[cell], together[cell])
    one, two = (together[cell]["weights"] for cell in (small, other))
    assert np.abs(one - two).max() > 1e-3
