"""Sweeps of classifiers: settings, data, the grid of cells, their work and rows."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from experiments.lib import checkpoints
from experiments.lib.compute import Family, opened
from experiments.lib.lists import Refusal, integers, joined, refusing, words
from experiments.lib.settings import OUTPUTS, Setting, Values
from lmc_jax.data import datasets
from lmc_jax.networks import NORMS, training
from lmc_jax.networks.cell import ALIGNMENTS, TASK, ClassifierCell, orders
from lmc_jax.networks.estimate import expected_cost, planned
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.networks.permutations import leaves
from lmc_jax.paths import barrier
from lmc_jax.results import files, store
from lmc_jax.results.selection import kept_pairs
from lmc_jax.results.summary import made_by
from lmc_jax.statistics import RESAMPLES, mean_interval, named, ratio_interval
from lmc_jax.students.optimizers import OPTIMIZERS
from lmc_jax.sweep import devices
from lmc_jax.sweep.estimate import Plan, Progress
from lmc_jax.sweep.run import OutOfMemory

SAMPLES = ("train", "test")

DATA = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar-10": "CIFAR-10"}

SETTINGS = {
    "widths": Setting(str, "Widths: 15,20,25 or 15:100:5 or 4:256:x7."),
    "data": Setting(str, "Data sets: mnist, fashion-mnist, cifar-10.", "mnist"),
    "data_dir": Setting(str, "Folder of the data sets."),
    "train_images": Setting(int, "First images to train on, 0 for all.", 0),
    "test_images": Setting(int, "First images to test on, 0 for all.", 0),
    "layers": Setting(str, "Layers of weights, the output's included.", "4"),
    "norm": Setting(str, f"Before each relu: {', '.join(NORMS)}.", "none"),
    "align": Setting(
        str, f"Matchings of units: {', '.join(ALIGNMENTS)}.", "weights,activations"
    ),
    "repair": Setting(bool, "Measure permuted paths with REPAIR as well.", False),
    "pairs": Setting(int, "Independent pairs a point.", 10),
    "steps": Setting(int, "Updates of a network.", 10_000),
    "lr": Setting(float, "Learning rate, at the start of its schedule.", 0.05),
    "batch": Setting(int, "Images an update.", 100),
    "optimizer": Setting(str, f"One of {', '.join(OPTIMIZERS)}.", "sgd"),
    "schedule": Setting(
        str, f"Of the learning rate: {', '.join(training.SCHEDULES)}.", "constant"
    ),
    "looks": Setting(int, "Losses and checkpoints during training.", 10),
    "until": Setting(
        float, "Train no further below this NLL on all training images, 0 never.", 0.0
    ),
    "measure_at_looks": Setting(
        str, "Measure paths after these updates as well: 1000,10000.", ""
    ),
    "points": Setting(int, "Positions along a path, ends included.", 11),
    "seed": Setting(int, "Root seed, 0 ... 4294967295.", 0),
    **OUTPUTS,
}


# --- cells ---------------------------------------------------------------------------


def data_name(name: str) -> str:
    """A data set in figures and claims."""
    return DATA.get(name, name)


def cells(setting: Values, architecture: str) -> list[ClassifierCell]:
    """The grid data × layers × widths of the settings, validated, in order of width.

    Whatever can be wrong without the data is looked at before they are downloaded.

    Raises:
      Refusal: for the first thing wrong, missing or not what it should be.
    """
    names, folder = setting["data"].split(","), setting["data_dir"]
    _grid(setting, {name: datasets.blank(name) for name in names}, architecture)
    with refusing():
        for name in names:
            datasets.located(name, folder)
    out = Path(setting["out"])
    with files.or_nothing(out / "cells"), refusing():
        opened(out)  # before a long download
        data = {name: datasets.load(name, folder) for name in names}
        return _grid(setting, data, architecture)


def _grid(
    setting: Values, data: Mapping[str, datasets.Dataset], architecture: str
) -> list[ClassifierCell]:
    asked = setting["align"]
    alignments = words(asked, "align", ALIGNMENTS) if asked else []
    if setting["barrier"] == "midpoint" and setting["points"] % 2 == 0:
        raise Refusal(
            f"--points={setting['points']}: --barrier=midpoint needs an odd number"
        )
    names = ("steps", "lr", "batch", "optimizer", "schedule", "looks", "until")
    marks = setting["measure_at_looks"]
    how = training.Training(
        **{name: setting[name] for name in names},
        measure_at_looks=tuple(integers(marks, "measure_at_looks") if marks else ()),
    )
    depths = integers(setting["layers"], "layers")
    widths = sorted(integers(setting["widths"], "widths"))
    grid = joined(
        [
            ClassifierCell(
                data=name,
                digest=data[name].digest,
                train_images=setting["train_images"] or len(data[name].train_images),
                test_images=setting["test_images"] or len(data[name].test_images),
                architecture=architecture,
                width=width,
                layers=layers,
                training=how,
                norm=setting["norm"],
                alignments=tuple(alignments),
                repaired=setting["repair"],
                points=setting["points"],
                pairs=setting["pairs"],
                seed=setting["seed"],
            )
            for layers in depths
        ]
        for width in widths
        for name in data
    )
    with refusing():
        for cell in grid:
            cell.validate(data[cell.data])
    return grid


def one_curve(architecture: str) -> Callable[[Values], list[ClassifierCell]]:
    """``cells`` of one data set and one number of layers, several refused."""

    def grid(setting: Values) -> list[ClassifierCell]:
        for name in ("data", "layers"):
            if "," in setting[name] or ":" in setting[name]:
                raise Refusal(
                    f"--{name}={setting[name]}: give one; peak_position compares "
                    "several"
                )
        return cells(setting, architecture)

    return grid


# --- work ----------------------------------------------------------------------------


def work(
    grid: Sequence[ClassifierCell], save: Callable, progress: tqdm, setting: Values
) -> None:
    """``compute.Family.work``: cell by cell.

    Raises:
      OutOfMemory: when the networks of a cell do not fit.
    """
    out, data = Path(setting["out"]), _data(grid, setting)
    for cell in grid:
        progress.set_description(f"{cell.data}, {cell.layers} layers of {cell.width}")
        own = data[cell.data]
        with _fitting(cell):
            arrays, weights = checkpoints.computed(cell, own, out, progress.update)
        save(cell, arrays, leaves(weights), {"note": own.note})
        checkpoints.drop(cell, out)


def plan(grid: Sequence[ClassifierCell], setting: Values, progress: Progress) -> Plan:
    """``compute.Family.plan``."""
    return planned(grid, _data(grid, setting), progress)


def _data(
    grid: Sequence[ClassifierCell], setting: Values
) -> dict[str, datasets.Dataset]:
    """The data sets of the cells by name."""
    names = dict.fromkeys(cell.data for cell in grid)
    return {name: datasets.load(name, setting["data_dir"]) for name in names}


@contextlib.contextmanager
def _fitting(cell: ClassifierCell) -> Iterator[None]:
    """Turns what a device says of too little memory into what to do."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not devices.out_of_memory(error):
            raise
        raise OutOfMemory(
            f"{cell.data}, {cell.layers} layers of {cell.width}: {2 * cell.pairs} "
            "networks do not fit into memory: take fewer --pairs, smaller --widths or "
            "larger devices; what is finished is kept"
        ) from error


# --- rows ----------------------------------------------------------------------------


def rows(records: Iterable[store.Record], definition: str) -> list[dict[str, Any]]:
    """Rows of ``summary.csv``: one a (cell, look, path, sample, metric).

    ``barrier_*`` are means over independent pairs with 95% percentile-bootstrap
    intervals, ``normalized_*`` the ratio of the mean to the mean direct barrier,
    ``end_*`` the metric at the ends, all after ``step`` updates. ``kept`` pairs enter:
    those of which neither network diverged; ``done`` of their networks had a training
    NLL below ``until`` by then, found ``done_after`` updates in the mean.
    """
    table = []
    looks_at = ((record, *look) for record in records for look in at_looks(record))
    for record, step, losses in looks_at:
        cell, heights = record.parameters, barriers(losses, definition)
        done = _done(record, step)
        for at, (order, sample, metric) in labels(cell):
            own, direct = heights[:, *at], heights[:, 0, *at[1:]]
            ends = losses[:, at[0], [0, -1], *at[1:]].mean(1)
            ratio = ratio_interval(own, direct, resamples=RESAMPLES)
            table.append(
                {
                    **_columns(cell),
                    **done,
                    "kept": len(losses),
                    "path": order,
                    "sample": sample,
                    "metric": metric,
                    "barrier": definition,
                    **named("barrier", mean_interval(own, resamples=RESAMPLES)),
                    **named("normalized", ratio),
                    **named("end", mean_interval(ends, resamples=RESAMPLES)),
                    "cell": store.fingerprint(cell),
                    "made_by": made_by(record),
                }
            )
    return table


def kept(record: store.Record) -> np.ndarray:
    """Losses ``[kept pairs, orders, T, samples, metrics]``: all finite at both ends."""
    return record.arrays["losses"][kept_pairs(record.arrays)]


def at_looks(record: store.Record) -> list[tuple[int, np.ndarray]]:
    """Losses as of ``kept`` behind the updates after which they are, in order."""
    own, pairs = record.parameters["training"], kept_pairs(record.arrays)
    earlier = own.get("measure_at_looks", [])
    found = [record.arrays["losses_at_looks"][pairs, i] for i in range(len(earlier))]
    steps = [*earlier, own["steps"]]
    return list(zip(steps, [*found, kept(record)], strict=True))


def _done(record: store.Record, step: int) -> dict[str, Any]:
    """How many networks of kept pairs were done by ``step``, and after how long."""
    how = training.Training(**record.parameters["training"])
    after = how.reached(record.arrays["history"])[kept_pairs(record.arrays)]
    after = after[after <= step]
    mean = float(after.mean()) if after.size else float("nan")
    return {"step": step, "done": after.size, "done_after": mean}


def learned(record: store.Record) -> bool:
    """Whether the networks of all kept pairs ended by their training loss."""
    done = _done(record, record.parameters["training"]["steps"])["done"]
    return 0 < done == 2 * len(kept(record))


def barriers(losses: np.ndarray, definition: str) -> np.ndarray:
    """Barriers ``[pairs, orders, samples, metrics]`` of ``kept`` losses."""
    along = np.moveaxis(losses, 2, -1)
    ts = np.arange(along.shape[-1]) / (along.shape[-1] - 1)
    return np.asarray(barrier(jnp.asarray(along), jnp.asarray(ts), definition))


def labels(cell: Mapping[str, Any]) -> Iterator[tuple[tuple[int, int, int], tuple]]:
    """Places in ``[orders, samples, metrics]`` and what they are called."""
    names = (orders(cell), SAMPLES, METRICS)
    for at in np.ndindex(*map(len, names)):
        yield at, tuple(axis[i] for axis, i in zip(names, at, strict=True))


def _columns(cell: Mapping[str, Any]) -> dict[str, Any]:
    own = ("data", "architecture", "layers", "width", "norm", "train_images", "pairs")
    trained = {"until": 0.0, **cell["training"]}
    trained.pop("measure_at_looks", None)  # a row for each
    noise = {"label_noise": cell.get("label_noise", 0.0), "seed": cell["seed"]}
    return {name: cell[name] for name in own} | trained | noise


def select(rows: Sequence[dict], **wanted: Any) -> list[dict]:
    """Rows with these values, in order of width."""
    kept = (r for r in rows if all(r[name] == value for name, value in wanted.items()))
    return sorted(kept, key=lambda row: row["width"])


FAMILY = Family(
    task=TASK,
    settings=SETTINGS,
    processes=False,
    unit="step",
    size=lambda cell: 2 * cell.pairs * cell.training.steps,
    cost=expected_cost,
    plan=plan,
    work=work,
    rows=rows,
    curves=lambda grid: len(
        {(cell.data, cell.layers, path) for cell in grid for path in orders(vars(cell))}
    ),
)
