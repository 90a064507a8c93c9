"""A sweep in memory: cells in, the columns of their table out, nothing on disk."""

from collections.abc import Iterable

import jax
import numpy as np

from lmc_jax.paths import barrier, times
from lmc_jax.results import summary
from lmc_jax.results.store import Record, fingerprint
from lmc_jax.sweep.cell import Cell
from lmc_jax.sweep.run import sweep


def simulate(
    cells: Iterable[Cell], definition: str = "lerp", *, weights: bool = False
) -> dict[str, np.ndarray]:
    """Trains or samples the students of cells, measures them, and tabulates.

    What ``load`` reads back from a folder: losses ½ E[(f - f*)²], x ~ N(0, I), means
    over independent pairs with 95% bootstrap intervals. Large sweeps belong on disk
    (``experiments``), where they can be resumed. For initial weights of your own there
    is ``descent.run``, and ``sweep.run.measure`` for pairs of what it trained.

    >>> source = Descent(lr=0.5, steps=400)
    >>> table = simulate([Cell(k=2, m=3, d=2, source=source, pairs=4)], weights=True)
    >>> table["matching"].tolist()
    ['direct', 'types_index', 'types_opposed']
    >>> table["weights"][0].shape  # pairs, two students, m, d
    (4, 2, 3, 2)

    Args:
      cells: points of a grid, in any order; equal ones count once.
      definition: of the barrier, one of ``interpolation.BARRIERS``.
      weights: give the students back as well.

    Returns:
      Arrays ``[rows]`` by column name, a row a (cell, matching), sorted by k, d,
      source, learning rate, m, matching; see ``summary.rows``. Where asked, ``weights``
      too: an array of objects, of each row the students ``[pairs, 2, m, d]`` of its
      cell, in the precision of their training, before any matching.

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
    students: dict[str, np.ndarray | None] = {}

    def keep(cell: Cell, arrays: dict[str, np.ndarray], W: np.ndarray | None) -> None:
        parameters = cell.parameters()
        found.append(Record(parameters, arrays, {}))
        students[fingerprint(parameters)] = W

    sweep(grid, keep, weights=weights)
    table = summary.columns(summary.rows(found, definition))
    if weights:
        table["weights"] = np.empty(len(table["cell"]), object)
        for row, cell in enumerate(table["cell"]):
            table["weights"][row] = students[cell]
    return table
