"""The table of a sweep: one row per cell and matching, rebuilt from stored cells."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmc_jax.paths import barrier
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs, kept_pairs, kept_runs
from lmc_jax.statistics import RESAMPLES, mean_interval, named, ratio_interval
from lmc_jax.students.teachers import ORTHONORMAL


def barriers(record: store.Record, definition: str = "lerp") -> np.ndarray:
    """Barriers of the kept pairs, float64 ``[n, 1 + matchings]``, the direct one first.

    In units of the loss ½ E[(f - f*)²], x ~ N(0, I).

    Raises:
      ValueError: for an unknown definition.
    """
    losses: Any = record.arrays["losses"][kept_pairs(record.arrays)]
    ts = np.arange(losses.shape[-1]) / (losses.shape[-1] - 1)
    return np.asarray(barrier(losses, ts, definition))


def rows(
    records: Iterable[store.Record], definition: str = "lerp"
) -> list[dict[str, Any]]:
    """Rows of ``summary.csv``, by k, d, teacher, source, learning rate, m, matching.

    One row per cell and path: what belongs to the cell stands in each of its rows; keep
    those of the matching "direct" to have it once. A value ``x`` with an interval has
    the columns ``x_mean, x_low, x_high``: ``barrier``, ``normalized``, ``overlap``;
    ``x, x_low, x_high``: ``converged_fraction``, ``diverged_fraction``,
    ``zero_row_fraction``.

    Means are over ``pairs`` independent pairs in which neither run diverged, with 95%
    percentile-bootstrap intervals; ``normalized`` is the ratio of the mean permuted to
    the mean direct barrier. Fractions are over all runs, their intervals over pairs,
    and so are the median and the maximum of the final float64 loss. The matching
    ``direct`` permutes nothing.

    Raises:
      ValueError: for an unknown barrier definition.
    """
    table = []
    for record in records:
        cell, arrays = record.parameters, record.arrays
        heights = barriers(record, definition)
        shared = cell_columns(cell) | {"made_by": made_by(record)}
        shared |= _run_columns(cell, arrays)
        overlap = arrays["overlap"][kept_pairs(arrays)] / cell["m"]
        direct = np.broadcast_to(heights[:, :1], heights.shape)
        means = mean_interval(heights, resamples=RESAMPLES)
        ratios = ratio_interval(heights, direct, resamples=RESAMPLES)
        for column, matching in enumerate(["direct", *cell["matchings"]]):
            row = {
                **shared,
                "matching": matching,
                "barrier": definition,
                "pairs": len(heights),
                **named("barrier", means[column]),
                **named("normalized", ratios[column]),
                **named("overlap", mean_interval(overlap, resamples=RESAMPLES)),
            }
            table.append(row)
    return sorted(table, key=_order)


def load(out: str | Path, definition: str = "lerp") -> dict[str, np.ndarray]:
    """The table of a sweep's output folder as NumPy columns.

    >>> load("results/barrier_vs_width")["barrier_mean"]  # doctest: +SKIP

    Args:
      out: folder of a sweep, finished or not; nothing is written.
      definition: of the barrier, one of ``paths.BARRIERS``.

    Returns:
      Arrays ``[rows]`` by column name; see ``rows``.

    Raises:
      StoreError: when the folder holds no cells, or a damaged one.
      ValueError: for an unknown barrier definition, and as ``require_students``.
    """
    records = store.load(out)
    for record in records:
        require_students(record)
    return columns(rows(records, definition))


def made_by(record: store.Record) -> str:
    """The JAX and the backend that made a cell; empty for one in memory."""
    origin = record.provenance
    return f"JAX {origin['jax']} on {origin['backend']}" if "jax" in origin else ""


def require_students(record: store.Record) -> None:
    """Raises ValueError for a cell of networks on data, which have other columns."""
    if "matchings" not in record.parameters:
        raise ValueError(
            "these are cells of networks trained on data, whose table is summary.csv "
            "in their folder: give the output of a sweep of two-layer students"
        )


def columns(table: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Rows of a table as arrays ``[rows]`` by column name.

    Raises:
      ValueError: for a table without rows.
    """
    if not table:
        raise ValueError("no cells: give at least one")
    return {name: np.array([row[name] for row in table]) for name in table[0]}


def cell_columns(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that describe a cell: NaN or empty where its source has no value."""
    source = cell["source"]
    lr = source.get("lr", np.nan)
    return {
        "k": cell["k"],
        "m": cell["m"],
        "d": cell["d"],
        "source": source["name"],
        "lr": lr,
        "lr_times_m": lr * cell["m"],
        "optimizer": source.get("optimizer", ""),
        "batch": source.get("batch", 0),
        "init_std": source.get("init_std", np.nan),
        "precision": source.get("precision", "float64"),
        "tol": source.get("tol", np.nan),
        "alpha": str(source.get("alpha", "")),
        "teacher": cell.get("teacher", ORTHONORMAL),
        "seed": cell["seed"],
        "cell": store.fingerprint(cell),
    }


def _run_columns(
    cell: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    loss = arrays["losses"][:, 0, [0, -1]]
    shares = {
        "converged_fraction": converged_runs(arrays),
        "diverged_fraction": ~kept_runs(arrays),
        "zero_row_fraction": arrays["zero_rows"],
    }
    by_pair = np.stack([share.mean(axis=1) for share in shares.values()], axis=1)
    intervals = mean_interval(by_pair, resamples=RESAMPLES)
    intervals[-1] /= cell["m"]
    columns: dict[str, Any] = {}
    for name, (mean, low, high) in zip(shares, intervals.tolist(), strict=True):
        columns |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return columns | {
        "loss_median": float(np.median(loss)),
        "loss_max": float(np.max(loss)),
    }


def _order(row: Mapping[str, Any]) -> tuple:
    lr = -1.0 if np.isnan(row["lr"]) else row["lr_times_m"]
    names = ("k", "d", "teacher", "source", "alpha")
    return (*(row[name] for name in names), lr, row["m"], row["cell"])
