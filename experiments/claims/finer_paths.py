"""Whether the positions along a path are enough: one cell on ten times as many.

The paper takes steps of 0.1 and says that this is always sufficient (Section 2).
"""

import jax.numpy as jnp
import numpy as np

from experiments.lib import curves, projected
from experiments.lib.claims import Claim, Statement
from lmc_jax import paths
from lmc_jax.matching import PATHS
from lmc_jax.results import store
from lmc_jax.theory import uniform_model

FINER = 10
LIMIT = 0.05  # of a mean barrier, whose interval is several times as wide
ENOUGH = Statement(
    "steps of 1/{} along a path are sufficient",
    f"the mean barrier misses at most {LIMIT:.0%} of that with a tenth of the step",
    "Section 2",
)


def claims(record: store.Record, matching: str, definition: str) -> list[Claim]:
    """One a path, direct and permuted, of trained students and of uniform minima.

    Takes a cell of trained students with their weights.
    """
    cell = record.parameters
    k, name = cell["k"], cell["source"]["name"]
    trained = projected.minima_of(record)
    if not len(trained):
        return []
    kinds, sizes = uniform_model.parts(trained, k)
    rng = np.random.default_rng(cell["seed"])
    model = {"counts": "uniform", "norms": "uniform"}
    uniform = uniform_model.resampled(rng, kinds, sizes, k, **model)
    points = FINER * (cell["points"] - 1) + 1
    judged = []
    for source, students in ((name, trained), ("uniform", uniform)):
        losses = projected.losses(students, [matching], points).swapaxes(0, 1)
        for path, along in zip(("direct", matching), losses, strict=True):
            label = f"{curves.NAMES[source]}, {PATHS[path].label}"
            case = f"k = {k}, m = {cell['m']}, {label}"
            judged.append(judge(case, along, definition))
    return judged


def judge(case: str, losses: np.ndarray, definition: str) -> Claim:
    """By how much steps are too large, from losses ``[n, points]`` of small ones."""
    fine, coarse = (
        float(np.mean(paths.barrier(jnp.asarray(along), ts, definition)))
        for along in (losses, losses[:, ::FINER])
        for ts in [paths.times(along.shape[1])]
    )
    missed = 1 - coarse / fine if fine > 0 else 0.0
    steps = (losses.shape[1] - 1) // FINER
    measured = (
        f"mean barrier {coarse:.4g} with these steps, {fine:.4g} with steps of "
        f"1/{FINER * steps}: {missed:.2%} are missed"
    )
    statement = ENOUGH._replace(text=ENOUGH.text.format(steps))
    return statement.judged(case, measured, len(losses), missed <= LIMIT)
