"""Whether sparse minima have the lower permuted barrier, as the paper says (Section 5).

Minima that gradient descent found at the same width just below and above the threshold
of the learning rate, put on their axes, dying rows taken as zero.
"""

from collections.abc import Sequence

import numpy as np

from experiments.lib import projected, students
from experiments.lib.claims import Claim
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs
from lmc_jax.statistics import mean_interval
from lmc_jax.theory import uniform_model

MATCHING = "types_opposed"
POINTS = 11


def claims(
    records: Sequence[store.Record], rows: Sequence[dict], definition: str
) -> list[Claim]:
    """One a width of the scan over rates; ``rows`` describe the records."""
    judged = []
    for m in sorted({row["m"] for row in rows}):
        scan = [i for i, row in enumerate(rows) if row["m"] == m and row["runs"]]
        scan.sort(key=lambda i: rows[i]["lr_times_m"])
        half = 1 / (2 * m)  # of a zero row a student
        dense = [i for i in scan if rows[i]["zero_fraction_high"] < half]
        sparse = [i for i in scan if rows[i]["zero_fraction_low"] > half]
        if dense and sparse:
            most = max(sparse, key=lambda i: (rows[i]["runs"], i))
            ends = (dense[-1], most)
            found = ((rows[i], _barriers(records[i], definition)) for i in ends)
            judged.append(_claim(*found))
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


def _claim(dense: tuple[dict, np.ndarray], sparse: tuple[dict, np.ndarray]) -> Claim:
    (low, before), (high, after) = dense, sparse
    intervals = [mean_interval(values) for values in (before, after)]
    shown = [
        f"{mean:.3g} [{least:.2g}, {most:.2g}] at ηm = {row['lr_times_m']:.4g}, zero "
        f"fraction {row['zero_fraction_mean']:.2g}"
        for (mean, least, most), row in zip(intervals, (low, high), strict=True)
    ]
    drop = intervals[0][1] - intervals[1][2]  # NaN without pairs
    return Claim(
        paper="Section 5",
        text="zero rows lower the permuted barrier, at equal width and start",
        case=f"m = {low['m']}",
        measured=f"{shown[0]}, against {shown[1]}",
        rule="of the rates with zero rows, more than half a one a student by the "
        "whole interval, the one with most converged runs, against the largest rate "
        "with less than half a one: its interval lies below",
        n=min(len(before), len(after)),
        holds=bool(drop > 0) if drop == drop else None,
    )
