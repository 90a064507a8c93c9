"""Expected cost: beside the steps that runs take, and beside XLA's count of flops."""

import dataclasses

import jax
import numpy as np
import pytest

from lmc_jax.networks import cnn, mlp
from lmc_jax.networks.estimate import multiplications
from lmc_jax.students import descent, two_layer
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.cost import expected_cost, expected_steps

GD = Descent(lr=0.25, tol=1e-5, check_every=50, init_std=0.1)


def test_runs_take_the_expected_steps_within_a_factor_of_two():
    k, shapes = 3, [(4, 0.5), (8, 0.25), (8, 0.125), (8, 0.0625)]
    keys = jax.random.split(jax.random.key(0), 4)

    @jax.vmap
    def steps(m, lr):
        def run(key):
            W = two_layer.init(key, m, k, std=GD.init_std, size=8)
            check = {"tol": GD.tol, "check_every": GD.check_every}
            return descent.run(W, k, lr=lr, **check).steps

        return jax.vmap(run)(keys)

    m, lr = np.array(shapes).T
    taken = np.asarray(steps(m.astype(np.int32), lr)).mean(1)
    cells = [Cell(k, m, k, dataclasses.replace(GD, lr=lr), 1) for m, lr in shapes]
    expected = np.array([expected_steps(cell) for cell in cells])
    assert (np.abs(np.log(taken / expected)) < np.log(2)).all(), taken / expected
    assert np.ptp(expected) > 3 * expected.min()  # of cells that differ


@pytest.mark.parametrize(("k", "m"), [(3, 2), (6, 6), (20, 20)])
def test_students_that_cannot_reach_the_minimum_take_all_steps(k, m):
    assert expected_steps(Cell(k, m, k, GD, pairs=1)) == GD.steps


def test_cost_grows_with_what_is_computed():
    cell = Cell(k=5, m=10, d=5, source=GD, pairs=20)
    batch = dataclasses.replace(cell, source=dataclasses.replace(GD, batch=256))
    drawn = dataclasses.replace(cell, source=Minima())
    assert expected_cost(batch) > 10 * expected_cost(cell)
    assert expected_cost(drawn) < expected_cost(cell) / 10
    # Of 20 pairs, three paths of 11 points, 16 × (16 + 5) kernel elements.
    assert expected_cost(drawn) == 20 * 3 * 11 * 16 * 21
    double = dataclasses.replace(cell, pairs=40)
    assert expected_cost(double) == 2 * expected_cost(cell)


@pytest.mark.parametrize(
    ("network", "shape"),
    [(mlp((48, 20, 30, 10)), (4, 4, 3)), (cnn((8, 8, 3), (4, 8), (), 10), (8, 8, 3))],
    ids=["mlp", "cnn"],
)
def test_multiplications_of_an_image_are_half_of_xlas_flops(network, shape):
    weights = jax.eval_shape(network.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((1, *shape), "float32")
    flops = jax.jit(network.apply).lower(weights, images).cost_analysis()["flops"]
    # XLA counts biases as well, and no products with the zeros around an image.
    ratio = 2 * multiplications(network, shape) / flops
    assert 0.9 < ratio < 1.25, ratio
