"""What a cell is expected to cost, known before anything is computed.

A stated model rather than a measurement, so that shards that do not talk agree on it.
"""

from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.programs import padded_width

# η times the steps of a run to the loss 1e-6 is about this times k (k/m)^(1/3). Fitted
# to 491 stored cells, whose mean steps are within a factor of 2 of it in 92%
# (experiments/bench/RECORDS.md). Runs at barely stable learning rates take longer.
TIME = 55.0
# From here on most runs of m = k end in spurious minima (Safran and Shamir, 2018).
SPURIOUS = 6


def expected_steps(cell: Cell) -> float:
    """Steps that a run of a trained cell is expected to take.

    Loss falls as steps to the power -3 (Xu and Du, 2023), so steps to a tolerance rise
    as its power -1/3. Students that cannot reach it take all steps: those of m < k, and
    most of m = k.

    >>> cell = Cell(k=5, m=10, d=5, source=Descent(lr=0.2), pairs=1)
    >>> round(expected_steps(cell))
    1291
    """
    source = cell.source
    assert isinstance(source, Descent)
    if cell.m < cell.k or cell.m == cell.k >= SPURIOUS:
        return source.steps
    time = TIME * cell.k * (cell.k / cell.m * 1e-6 / source.tol) ** (1 / 3)
    return min(source.steps, source.hold * source.check_every + time / source.lr)


def expected_cost(cell: Cell) -> float:
    """Kernel elements that a cell is expected to take: of its steps and its paths.

    What is matched on the host is not counted.

    >>> cell = Cell(k=5, m=10, d=5, source=Descent(lr=0.2), pairs=20)
    >>> f"{expected_cost(cell):.3g}"
    '1.76e+07'
    """
    size, batch = padded_width(cell.m), getattr(cell.source, "batch", 0)
    loss = size * (size + cell.k)
    paths = (1 + len(cell.matchings)) * cell.points * loss
    if not isinstance(cell.source, Descent):
        return cell.pairs * paths
    runs = 2 * expected_steps(cell) * size * (batch or size + cell.k)
    return cell.pairs * (runs + paths)
