"""Barrier curves do not depend on the precision of the training.

The initial students are draws of the same law but other draws, since the bits of a
float32 normal are not those of a float64 one: two independent samples, whose intervals
must meet. That float32 training follows float64 training step by step, from the same
students, is tested in ``test_sweep``.
"""

import numpy as np
import pytest

from lmc_jax.paths import barrier, times
from lmc_jax.statistics import mean_interval
from lmc_jax.students import descent
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.run import sweep

WIDTHS = (3, 6, 12, 24)  # beyond 16 the gradient takes another layout


def curves(precision):
    """Arrays of a cell a width, students trained in this precision."""
    cells = [
        Cell(
            k=3,
            m=m,
            d=3,
            source=Descent(lr=2 / m, tol=1e-6, init_std=0.01, precision=precision),
            pairs=48,
        )
        for m in WIDTHS
    ]
    found = {}
    sweep(cells, lambda cell, arrays, _: found.setdefault(cell.m, arrays))
    return found


@pytest.mark.slow
def test_barrier_curves_of_float32_and_float64_training_agree_within_intervals():
    single, double = curves("float32"), curves("float64")
    differ = 0
    for m in WIDTHS:
        for arrays in (single[m], double[m]):
            assert arrays["losses"].dtype == np.float64
            assert (arrays["status"] == descent.CONVERGED).all()
        differ += not np.array_equal(single[m]["losses"], double[m]["losses"])
        for row in range(3):  # direct, types_index, types_opposed
            intervals = [
                mean_interval(np.asarray(barrier(arrays["losses"][:, row], times())))
                for arrays in (single[m], double[m])
            ]
            (_, low, high), (_, other_low, other_high) = intervals
            assert max(low, other_low) <= min(high, other_high), (m, row, intervals)
    assert differ == len(WIDTHS)  # two trainings were compared, not one with itself
