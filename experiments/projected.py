"""Trained students put on their axes: barriers without the loss that was left."""

import jax.numpy as jnp
import numpy as np

from experiments import common
from lmc_jax import interpolation, store, sweep, uniformity
from lmc_jax.spec import Cell, Minima


def minima_of(record: store.Record) -> np.ndarray:
    """Pairs ``[n, 2, m, k]`` of global minima of a cell whose weights are stored.

    Pairs with a run that has zero rows, misses a type or did not converge are left out.
    """
    cell = record.parameters
    kept = uniformity.regular_runs(record.arrays).all(axis=1)
    stored = store.read_weights(store.cell_path(common.FLAGS.out, cell))
    assert stored is not None
    W = stored.arrays["W"][kept].astype(np.float64)
    kinds, sizes = uniformity.parts(W, cell["k"])
    found = uniformity.minimum(kinds, sizes, cell["k"])
    complete = np.isclose(found.sum(axis=2), 1).all(axis=(1, 2))  # no type is missing
    return found[complete]


def barriers(record: store.Record) -> dict[str, np.ndarray]:
    """Barriers ``[n]`` of ``minima_of`` a cell, by its matchings."""
    given = record.parameters
    k, m, points, matchings = (given[x] for x in ("k", "m", "points", "matchings"))
    students = minima_of(record)
    if not len(students):
        return {name: np.empty(0) for name in matchings}
    cell = Cell(k, m, k, Minima(), given["pairs"], 0, tuple(matchings), points)
    losses = jnp.asarray(sweep.measure(cell, students)["losses"][:, 1:])
    ts = interpolation.times(points)
    heights = np.asarray(interpolation.barrier(losses, ts, common.FLAGS.barrier))
    return dict(zip(matchings, heights.T, strict=True))
