"""Training that can be stopped: checkpoints in OUT/unfinished, and OUT/looks.csv.

The log has a line for each look at the networks of a cell. The lines of a cell are
written anew at each of its looks, from all that its checkpoint has of it: after a kill
and a resume none is missing and none is there twice.
"""

import contextlib
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lib.compute import found, opened
from lmc_jax.data.datasets import Dataset
from lmc_jax.networks.cell import ClassifierCell, compute
from lmc_jax.networks.checkpoint import pack, unpack
from lmc_jax.networks.training import TrainingState
from lmc_jax.results import files, store


def computed(
    cell: ClassifierCell, data: Dataset, out: Path, progress: Callable[[int], object]
) -> tuple[dict[str, np.ndarray], Any]:
    """``networks.cell.compute``, which keeps a checkpoint and goes on from one."""
    parameters, unfinished = cell.parameters(), opened(out / "unfinished")
    state = None
    if record := found(unfinished, parameters, "training from the start"):
        network = cell.network(data.train_images.shape[1:])
        state = unpack(network, cell.training, record.arrays)
        log(out, cell, state)
        progress(2 * cell.pairs * state.step)

    def keep(state: TrainingState) -> None:
        store.save(unfinished, parameters, pack(state), {})
        log(out, cell, state)

    return compute(cell, data, state=state, keep=keep, progress=progress)


def drop(cell: ClassifierCell, out: Path) -> None:
    """Removes the checkpoint of a cell that is stored: nobody needs it any more."""
    with contextlib.suppress(OSError):
        store.cell_path(out / "unfinished", cell.parameters()).unlink()


def log(out: Path, cell: ClassifierCell, state: TrainingState) -> None:
    """Puts the lines of a cell, as its training stands, at the end of the log.

    Raises:
      StoreError: where the disk refuses.
    """
    path, new = out / "looks.csv", lines(cell, state)
    with files.alone(out):  # shards write one log
        others: list[dict[str, Any]] = []
        with (
            contextlib.suppress(FileNotFoundError),
            path.open(newline="", encoding="utf-8") as file,
        ):
            others = [
                one for one in csv.DictReader(file) if one["cell"] != new[0]["cell"]
            ]
        files.write_csv(path, [*others, *new])


def lines(cell: ClassifierCell, state: TrainingState) -> list[dict[str, Any]]:
    """A line for each look so far: how many are done, losses over all networks."""
    table = []
    for i, seen in enumerate(state.history):  # [networks, samples, metrics]
        (train, train_error), (test, test_error) = np.moveaxis(seen, 0, -1)
        done = np.isfinite(cell.training.reached(state.history[: i + 1])).sum()
        table.append(
            {
                **{"data": cell.data, "train_images": cell.train_images},
                **{"label_noise": cell.label_noise, "layers": cell.layers},
                **{"width": cell.width, "step": cell.training.stops()[i]},
                **{"networks": len(seen), "done": done},
                **{"train_nll_least": train.min(), "train_nll_mean": train.mean()},
                **{"train_nll_most": train.max()},
                **{"train_error_mean": train_error.mean()},
                **{"test_nll_mean": test.mean(), "test_error_mean": test_error.mean()},
                "cell": store.fingerprint(cell.parameters()),
            }
        )
    return table
