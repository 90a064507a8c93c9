"""Trained students put on their axes: barriers without the loss that was left.

Whole students are measured, not their unmatched pairs alone (``students.mixed``): any
matching may be asked for, and those by weights or by swaps need the m × m distances or
kernels of all neurons. So widths end where these no longer fit into memory; trained
students end long before.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from experiments.lib import students as sweeps
from lmc_jax import paths
from lmc_jax.results import store
from lmc_jax.results.selection import regular_runs
from lmc_jax.sweep.cell import Cell, Minima
from lmc_jax.sweep.run import measure
from lmc_jax.theory import uniform_model


def minima_of(record: store.Record) -> np.ndarray:
    """Pairs ``[n, 2, m, k]`` of global minima of a cell whose weights are stored.

    Pairs with a run that has zero rows, misses a type or did not converge are left out.
    """
    cell = record.parameters
    W = sweeps.trained(record)[regular_runs(record.arrays).all(axis=1)]
    kinds, sizes = uniform_model.parts(W, cell["k"])
    found = uniform_model.minimum(kinds, sizes, cell["k"])
    complete = np.isclose(found.sum(axis=2), 1).all(axis=(1, 2))  # no type is missing
    return found[complete]


def barriers(record: store.Record, definition: str) -> dict[str, np.ndarray]:
    """Barriers ``[n]`` of ``minima_of`` a cell, by its matchings."""
    cell, students = record.parameters, minima_of(record)
    names = cell["matchings"]
    if not len(students):
        return {name: np.empty(0) for name in names}
    found = heights(students, names, cell["points"], definition)
    return dict(zip(names, found.T, strict=True))


def heights(
    students: np.ndarray, matchings: Sequence[str], points: int, definition: str
) -> np.ndarray:
    """Permuted barriers ``[n, matchings]`` of pairs ``[n, 2, m, k]`` of minima."""
    permuted = jnp.asarray(losses(students, matchings, points)[:, 1:])
    ts = paths.times(points)
    return np.asarray(paths.barrier(permuted, ts, definition))


def losses(students: np.ndarray, matchings: Sequence[str], points: int) -> np.ndarray:
    """Losses ``[n, 1 + matchings, points]`` on paths of such pairs, direct first."""
    pairs, _, m, k = students.shape
    cell = Cell(k, m, k, Minima(), pairs, 0, tuple(matchings), points)
    return measure(cell, students)["losses"]
