"""A sweep in memory: cells in, the columns of their table out, nothing on disk."""

from collections.abc import Iterable

import jax
import numpy as np

from lmc_jax.paths import barrier, times
from lmc_jax.results import summary
from lmc_jax.results.store import Record
from lmc_jax.sweep.cell import Cell
from lmc_jax.sweep.run import sweep


def simulate(cells: Iterable[Cell], definition: str = "lerp") -> dict[str, np.ndarray]:
    """Trains or samples the students of cells, measures them, and tabulates.

    What ``load`` reads back from a folder: losses ½ E[(f - f*)²], x ~ N(0, I), means
    over independent pairs with 95% bootstrap intervals. Large sweeps belong on disk
    (``experiments``), where they can be resumed.

    Args:
      cells: points of a grid, in any order; equal ones count once.
      definition: of the barrier, one of ``interpolation.BARRIERS``.

    Returns:
      Arrays ``[rows]`` by column name, a row a (cell, matching), sorted by k, d,
      source, learning rate, m, matching; see ``summary.rows``.

    Raises:
      ValueError: in one line, before anything is computed, for no cells, a cell that
        cannot be computed as asked, an unknown definition, or JAX without float64.
      OutOfMemory: when not even two runs a device fit.
    """
    if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError("simulate needs float64: call lmc_jax.configure() first")
    asked = list(cells)
    for cell in asked:
        if not isinstance(cell, Cell):
            raise ValueError(f"{cell!r} is no cell: give lmc_jax.Cell")
        cell.validate()
    grid = list(dict.fromkeys(asked))
    barrier(times(3), times(3), definition)  # refuses an unknown one
    found: list[Record] = []

    def keep(cell: Cell, arrays: dict[str, np.ndarray], _: np.ndarray | None) -> None:
        found.append(Record(cell.parameters(), arrays, {}))

    sweep(grid, keep)
    return summary.columns(summary.rows(found, definition))
