"""What a sweep of classifiers will take, from a few updates of its own networks.

Of each curve (all that cells share but the width) the smallest, the middle and the
largest networks are tried; between these widths what was found is interpolated. With
``until`` it is what would be taken if no network were done before the last step.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lmc_jax import environment
from lmc_jax.data.datasets import Dataset
from lmc_jax.networks.cell import ClassifierCell, compute, orders
from lmc_jax.sweep.estimate import Plan, chosen

SHARE = 50  # of the updates of a network, between two looks of one that is tried
PROGRAMS = 4  # to start, train, look and measure paths, without those of alignment


class _Tried(NamedTuple):
    """What was measured of networks of a width.

    fixed: seconds of what is done once, nearly all of it compilation. update, image:
    seconds of an update and of an image evaluated, of as many networks as train at a
    time.
    """

    width: int
    fixed: float
    update: float
    image: float


def planned(
    cells: Sequence[ClassifierCell],
    data: Mapping[str, Dataset],
    progress: Callable[[int], object] = lambda curves: None,
) -> Plan:
    """What it will take to compute the cells on the devices of this process.

    Alignment is counted once a cell, REPAIR as any other path.

    Args:
      cells: valid cells.
      data: their data sets by name.
      progress: called with 1 after each width of a curve that was tried.
    """
    curves: dict[ClassifierCell, list[ClassifierCell]] = {}
    for cell in cells:
        curves.setdefault(_curve(cell), []).append(cell)
    tried: dict[ClassifierCell, list[_Tried]] = {}
    for shared, group in curves.items():
        tried[shared] = []
        for cell in chosen(sorted(group, key=lambda cell: cell.width)):
            tried[shared].append(_tried(cell, data[cell.data]))
            progress(1)
    return Plan(
        runs=sum(2 * cell.pairs for cell in cells),
        programs=PROGRAMS * len(cells),
        memory=environment.peak_memory(),
        seconds=lambda cells: sum(_seconds(c, tried[_curve(c)]) for c in cells),
    )


def _curve(cell: ClassifierCell) -> ClassifierCell:
    return dataclasses.replace(cell, width=1)


def _at_a_time(cell: ClassifierCell) -> int:
    """Networks that are computed side by side."""
    if jax.default_backend() == "cpu":
        return jax.local_device_count()
    return 2 * cell.pairs


def _tried(cell: ClassifierCell, data: Dataset) -> _Tried:
    """Two looks, of which the second finds all programs compiled, and short paths."""
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
    return _Tried(cell.width, max(0.0, fixed), update, image)


def _looked_at(cell: ClassifierCell) -> int:
    """Images that every look evaluates."""
    return cell.look_images + cell.test_images


def _on_paths(cell: ClassifierCell) -> int:
    """Images that are evaluated along the paths of a pair."""
    measured = 1 + len(cell.training.measure_at_looks)
    count = measured * len(orders(cell.parameters())) * cell.points
    return count * (cell.train_images + cell.test_images)


def _seconds(cell: ClassifierCell, tried: Iterable[_Tried]) -> float:
    """Seconds to compile for a cell and to compute it."""
    widths, *measured = np.array(list(tried)).T
    fixed, update, image = (
        np.interp(np.log(cell.width), np.log(widths), column) for column in measured
    )
    side_by_side = _at_a_time(cell)
    networks = -(-2 * cell.pairs // side_by_side)
    training = cell.training.steps * update
    training += len(cell.training.stops()) * _looked_at(cell) * image
    paths = -(-cell.pairs // side_by_side) * _on_paths(cell) * image
    return float(fixed + networks * training + paths)
