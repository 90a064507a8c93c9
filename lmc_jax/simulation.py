"""A sweep in memory: cells in, the columns of their table out, nothing on disk."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lmc_jax.environment import root_key, self_check
from lmc_jax.paths import barrier, times
from lmc_jax.results import summary
from lmc_jax.results.store import Record, fingerprint
from lmc_jax.students import descent, two_layer
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.pairs import run_keys
from lmc_jax.sweep.run import measure, sweep


def simulate(
    cells: Iterable[Cell],
    definition: str = "lerp",
    *,
    weights: bool = False,
    histories: bool = False,
    initial: Mapping[Cell, ArrayLike] | None = None,
) -> dict[str, np.ndarray]:
    """Trains or samples the students of cells, measures them, and tabulates.

    The result is the table that ``load`` reads from a folder: losses ½ E[(f - f*)²],
    x ~ N(0, I), means over independent pairs with 95% bootstrap intervals. Run large
    sweeps on disk (``experiments``), where they can be resumed.

    >>> cell = Cell(k=2, m=3, d=2, source=Descent(lr=0.5, steps=400), pairs=4)
    >>> table = simulate([cell], weights=True, histories=True)
    >>> table["matching"].tolist()
    ['direct', 'types_index', 'types_opposed']
    >>> table["weights"][0].shape  # pairs, two students, m, d
    (4, 2, 3, 2)
    >>> table["history"][0].shape  # a loss every 200 steps
    (4, 2, 2)
    >>> again = simulate([cell], initial={cell: table["weights"][0]})

    Args:
      cells: points of a grid, in any order; duplicates are computed once.
      definition: of the barrier, one of ``paths.BARRIERS``.
      weights: return the students as well.
      histories: return the losses of their training as well.
      initial: weights ``[pairs, 2, m, d]`` from which the students of a cell start,
        by cell; the others start from N(0, init_std²).

    Returns:
      Arrays ``[rows]`` by column name, one row per cell and matching, sorted by k, d,
      teacher, source, learning rate, m, matching; see ``summary.rows``. With
      ``weights`` and ``histories`` two columns of objects: ``weights``, the students
      ``[pairs, 2, m, d]`` of the row's cell before any matching, in the precision of
      their training; ``history``, their losses ``[pairs, 2, looks]`` as from
      ``descent.run``, None for sampled minima. With histories or initial weights
      students are trained by ``descent.run``, whose numbers equal those of a sweep up
      to rounding.

    Raises:
      ValueError: in one line, before anything is computed, for no cells, a cell that
        cannot be computed as asked, initial weights of another shape, an unknown
        definition, or JAX without float64.
      UnsoundJax: when this JAX build fails the self-check.
      OutOfMemory: when not even two runs a device fit.
    """
    if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ValueError("simulate needs float64: call lmc_jax.configure() first")
    begin = {cell: np.asarray(W) for cell, W in (initial or {}).items()}
    asked = list(cells)
    _validate(asked, begin)
    grid = list(dict.fromkeys(asked))
    barrier(times(3), times(3), definition)  # refuses an unknown one
    self_check()
    records: list[Record] = []
    extras: dict[str, list[Any]] = {"weights": [], "history": []}

    def keep(cell: Cell, arrays: Any, W: Any, losses: Any = None) -> None:
        records.append(Record(cell.parameters(), arrays, {}))
        extras["weights"].append(W)
        extras["history"].append(losses)

    others = []
    for cell in grid:
        if isinstance(cell.source, Descent) and (histories or cell in begin):
            keep(cell, *_trained(cell, cell.source, begin.get(cell)))
        else:
            others.append(cell)
    sweep(others, keep, weights=weights)
    table = summary.columns(summary.rows(records, definition))
    place = {fingerprint(record.parameters): i for i, record in enumerate(records)}
    for name in ["weights"] * weights + ["history"] * histories:
        table[name] = np.empty(len(table["cell"]), object)
        for row, cell in enumerate(table["cell"]):
            table[name][row] = extras[name][place[cell]]
    return table


def _validate(grid: list[Cell], initial: Mapping[Cell, np.ndarray]) -> None:
    for cell in grid:
        if not isinstance(cell, Cell):
            raise ValueError(f"{cell!r} is not a cell: give lmc_jax.Cell")
        cell.validate()
    for cell, W in initial.items():
        if cell not in grid or not isinstance(cell.source, Descent):
            raise ValueError("initial weights: give those of cells that are trained")
        shape = (cell.pairs, 2, cell.m, cell.d)
        if W.shape != shape or W.dtype.kind not in "iuf":
            raise ValueError(
                f"initial weights {W.dtype}{list(W.shape)}: give real numbers "
                f"{list(shape)}"
            )


def _trained(
    cell: Cell, source: Descent, initial: np.ndarray | None
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Arrays, students and losses of a cell, each run by ``descent.run``."""
    dtype = jnp.dtype(source.precision)
    keys = run_keys(root_key(cell.seed), cell.k, cell.m, cell.d, pairs=cell.pairs)
    first = None if initial is None else jnp.asarray(initial, dtype)

    def run(key, W):
        init_key, data_key = jax.random.split(key)
        if W is None:
            W = two_layer.init(init_key, cell.m, cell.d, source.init_std, dtype=dtype)
        return descent.run(
            W,
            cell.taught,
            lr=source.lr,
            optimizer=source.optimizer,
            steps=source.steps,
            tol=source.tol,
            check_every=source.check_every,
            batch=source.batch,
            key=data_key if source.batch else None,
            hold=source.hold,
        )

    ends = jax.tree.map(np.asarray, jax.vmap(jax.vmap(run))(keys, first))
    arrays = measure(cell, ends.weights.astype(np.float64))
    arrays |= {"status": ends.status, "steps": ends.steps}
    return arrays, ends.weights, ends.history
