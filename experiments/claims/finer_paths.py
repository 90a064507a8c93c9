"""Whether the positions along a path are enough: one cell on ten times as many.

The paper takes steps of 0.1 and says that this is always sufficient (Section 2).
"""

import jax.numpy as jnp
import numpy as np

from experiments.lib import curves, projected
from experiments.lib.claims import Claim
from lmc_jax import paths
from lmc_jax.matching import PATHS
from lmc_jax.results import store
from lmc_jax.theory import uniform_model

FINER = 10
LIMIT = 0.05  # of a mean barrier, whose interval is several times as wide


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
        losses = projected.losses(students, [matching], points)
        for path, along in zip(
            ("direct", matching), losses.swapaxes(0, 1), strict=True
        ):
            label = (
                f"k = {k}, m = {cell['m']}, {curves.NAMES[source]}, {PATHS[path].label}"
            )
            judged.append(_claim(label, along, definition))
    return judged


def _claim(label: str, losses: np.ndarray, definition: str) -> Claim:
    """By how much steps are too large, from losses ``[n, points]`` of small ones."""
    fine, coarse = (_heights(losses[:, ::step], definition) for step in (1, FINER))
    means = fine.mean(), coarse.mean()
    missed = 1 - means[1] / means[0] if means[0] > 0 else 0.0
    steps = (losses.shape[1] - 1) // FINER
    return Claim(
        paper="Section 2",
        text=f"steps of 1/{steps} along a path are sufficient",
        case=label,
        measured=f"mean barrier {means[1]:.4g} with these steps, {means[0]:.4g} "
        f"with steps of 1/{FINER * steps}: {missed:.2%} are missed",
        rule=f"the mean barrier misses at most {LIMIT:.0%} of that with a tenth of "
        "the step",
        n=len(losses),
        holds=bool(missed <= LIMIT),
    )


def _heights(losses: np.ndarray, definition: str) -> np.ndarray:
    ts = paths.times(losses.shape[1])
    return np.asarray(paths.barrier(jnp.asarray(losses), ts, definition))
