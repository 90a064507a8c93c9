"""What classifiers cost: a stated model, and what a sweep will take here.

The model is known before anything is computed, as ``lmc_jax.sweep.cost`` is of
students. The other is from a few updates of the sweep's own networks: of each curve
(all that cells share but the width) the smallest, the middle and the largest are tried;
between these widths what was found is interpolated. With
``until`` both are what would be taken if no network were done before the last step.
"""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lmc_jax import environment
from lmc_jax.data.datasets import Dataset, blank
from lmc_jax.environment import root_key
from lmc_jax.networks import Network
from lmc_jax.networks.cell import ClassifierCell, compute, orders
from lmc_jax.sweep.estimate import Plan, Progress, interpolated

SHARE = 50  # of the updates of a network, between two looks of one that is tried
PROGRAMS = 4  # to start, train, look and measure paths, without those of alignment


def planned(
    cells: Sequence[ClassifierCell],
    data: Mapping[str, Dataset],
    progress: Progress = lambda done, trials: None,
) -> Plan:
    """What it will take to compute the cells on the devices of this process.

    Alignment is counted once a cell, REPAIR as any other path.

    Args:
      cells: valid cells.
      data: their data sets by name.
      progress: as of ``lmc_jax.sweep.estimate.planned``.
    """
    expected = interpolated(
        cells,
        curve=lambda cell: dataclasses.replace(cell, width=1),
        size=lambda cell: cell.width,
        tried=lambda cell: _tried(cell, data[cell.data]),
        progress=progress,
    )
    return Plan(
        runs=sum(2 * cell.pairs for cell in cells),
        programs=PROGRAMS * len(cells),
        memory=environment.peak_memory(),
        seconds=lambda cells: sum(_seconds(cell, *expected(cell)) for cell in cells),
    )


def _at_a_time(cell: ClassifierCell) -> int:
    """Networks that are computed side by side."""
    if jax.default_backend() == "cpu":
        return jax.local_device_count()
    return 2 * cell.pairs


def _tried(cell: ClassifierCell, data: Dataset) -> tuple[float, float, float]:
    """Seconds of what is done once, nearly all of it compilation, and of as many
    networks as train at a time: of an update, and of an image evaluated.

    From two looks, of which the second finds all programs compiled, and short paths.
    """
    updates = max(1, cell.training.steps // SHARE)
    plain: dict[str, Any] = {"steps": 2 * updates, "until": 0.0, "measure_at_looks": ()}
    small = dataclasses.replace(
        cell,
        pairs=-(-_at_a_time(cell) // 2),
        training=dataclasses.replace(cell.training, looks=2, **plain),
        repaired=False,
        points=2,
    )
    begun, looked, updated = time.perf_counter(), [], []

    def keep(_: Any) -> None:
        looked.append(time.perf_counter())

    def progress(_: int) -> None:
        updated.append(time.perf_counter())

    compute(small, data, keep=keep, progress=progress)
    whole = time.perf_counter() - begun
    update = (updated[-1] - looked[0]) / updates
    image = (looked[1] - updated[-1]) / _looked_at(small)
    fixed = whole - 2 * (updates * update + _looked_at(small) * image)
    fixed -= _on_paths(small) * image
    return max(0.0, fixed), update, image


def _looked_at(cell: ClassifierCell) -> int:
    """Images that every look evaluates."""
    return cell.look_images + cell.test_images


def _on_paths(cell: ClassifierCell) -> int:
    """Images that are evaluated along the paths of a pair."""
    measured = 1 + len(cell.training.measure_at_looks)
    count = measured * len(orders(cell.parameters())) * cell.points
    return count * (cell.train_images + cell.test_images)


def _seconds(cell: ClassifierCell, fixed: float, update: float, image: float) -> float:
    """Seconds to compile for a cell and to compute it."""
    side_by_side = _at_a_time(cell)
    networks = -(-2 * cell.pairs // side_by_side)
    training = cell.training.steps * update
    training += len(cell.training.stops()) * _looked_at(cell) * image
    paths = -(-cell.pairs // side_by_side) * _on_paths(cell) * image
    return fixed + networks * training + paths


# --- the stated model --------------------------------------------------------------


def multiplications(network: Network, shape: tuple[int, ...]) -> int:
    """Of weights with units in one evaluation of an image of a shape, biases apart.

    >>> from lmc_jax.networks import mlp
    >>> multiplications(mlp((784, 20, 10)), (28, 28, 1))
    15880
    """
    weights = jax.eval_shape(network.init, root_key(0))
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    hidden = jax.eval_shape(network.hidden, weights, image)
    # A kernel is used at every position of what it gives.
    positions = {name: math.prod(units.shape[:-1]) for name, units in hidden.items()}
    return sum(
        positions.get(name, 1) * math.prod(layer["kernel"].shape)
        for name, layer in weights.items()
        if "kernel" in layer
    )


def expected_cost(cell: ClassifierCell) -> float:
    """Multiplications of a cell: of its updates, of its looks and along its paths.

    An update is three evaluations, and an evaluation in float64 counts twice.
    """
    shape = blank(cell.data).train_images.shape[1:]
    each = multiplications(cell.network(shape), shape) + math.prod(shape)
    fitted = 3 * cell.training.steps * cell.training.batch
    looked = 2 * len(cell.training.stops()) * _looked_at(cell)
    return float(cell.pairs * each * 2 * (fitted + looked + _on_paths(cell)))
