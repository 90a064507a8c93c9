"""Whether sparse minima have the lower permuted barrier, as the paper says (Section 5).

Minima that gradient descent found at the same width just below and above the threshold
of the learning rate, put on their axes, dying rows taken as zero.
"""

from collections.abc import Sequence

import numpy as np

from experiments.claims.sparsity import dense, sparse
from experiments.lib import projected, students
from experiments.lib.claims import Claim, Statement, below
from experiments.lib.table import with_interval
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs
from lmc_jax.statistics import mean_interval, named
from lmc_jax.theory import uniform_model

MATCHING = "types_opposed"
POINTS = 11
LOWER = Statement(
    "zero rows lower the permuted barrier, at equal width and start",
    "of the rates with zero rows, more than half a one a student by the whole "
    "interval, the one with most converged runs, against the largest rate with less "
    "than half a one: its interval lies below",
    "Section 5",
)


def claims(
    records: Sequence[store.Record], rows: Sequence[dict], definition: str
) -> list[Claim]:
    """One a width of the scan over rates; ``rows`` describe the records."""
    judged = []
    for m in sorted({row["m"] for row in rows}):
        scan = [i for i, row in enumerate(rows) if row["m"] == m and row["runs"]]
        scan.sort(key=lambda i: rows[i]["lr_times_m"])
        before, after = ([i for i in scan if kind(rows[i])] for kind in (dense, sparse))
        if not before or not after:
            continue
        ends = before[-1], max(after, key=lambda i: (rows[i]["runs"], i))
        heights = [_barriers(records[i], definition) for i in ends]
        low, high = (
            rows[i] | named("barrier", mean_interval(values))
            for i, values in zip(ends, heights, strict=True)
        )
        measured = ", against ".join(
            f"{with_interval(row, 'barrier')} at ηm = {row['lr_times_m']:.4g}, zero "
            f"fraction {row['zero_fraction_mean']:.2g}"
            for row in (low, high)
        )
        n = min(map(len, heights))
        judged.append(
            LOWER.judged(f"m = {m}", measured, n, below(high, low, "barrier"))
        )
    return judged


def _barriers(record: store.Record, definition: str) -> np.ndarray:
    """Permuted barriers ``[n]`` of the pairs that converged."""
    cell = record.parameters
    W = students.trained(record)[converged_runs(record.arrays).all(axis=1)]
    if not len(W):
        return np.empty(0)
    living = np.linalg.norm(W, axis=-1) > cell["source"]["zero_row"]
    along = W[..., : cell["k"]]
    sizes = np.where(living, along.max(axis=-1), 0)
    minima = uniform_model.minimum(along.argmax(axis=-1), sizes, cell["k"])
    return projected.heights(minima, [MATCHING], POINTS, definition)[:, 0]
