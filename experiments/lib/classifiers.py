"""What the experiments on classifiers share: flags, data, cells in a store, rows."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.lib import common, machine
from experiments.lib.compute import all_here, lacking, opened
from lmc_jax import environment
from lmc_jax.data import datasets
from lmc_jax.networks import NORMS, training
from lmc_jax.networks.cell import ALIGNMENTS, Cell, orders, run
from lmc_jax.networks.evaluation import METRICS
from lmc_jax.paths import BARRIERS, barrier
from lmc_jax.results import store
from lmc_jax.statistics import mean_interval, ratio_interval
from lmc_jax.students.optimizers import OPTIMIZERS
from lmc_jax.sweep import devices
from lmc_jax.sweep.run import OutOfMemory

FLAGS = flags.FLAGS
SAMPLES = ("train", "test")
RESAMPLES = 2000  # of the bootstrap

DEFAULTS: dict[str, Any] = {
    "data": "mnist",
    "train_images": 0,
    "test_images": 0,
    "layers": "4",
    "norm": "none",
    "align": "weights,activations",
    "repair": False,
    "pairs": 10,
    "steps": 10_000,
    "lr": 0.05,
    "batch": 100,
    "optimizer": "sgd",
    "schedule": "constant",
    "looks": 10,
    "points": 11,
    "seed": 0,
}


def define_cells() -> None:
    """Flags of the cells. Those left out take the preset's value."""
    machine.define()
    flags.DEFINE_string("widths", None, "Widths: 15,20,25 or 15:100:5 or 4:256:x7.")
    flags.DEFINE_string("data", None, "Data sets: mnist, fashion-mnist, cifar-10.")
    flags.DEFINE_string("data_dir", None, "Folder of the data sets.")
    flags.DEFINE_integer("train_images", None, "First images to train on, 0 for all.")
    flags.DEFINE_integer("test_images", None, "First images to test on, 0 for all.")
    flags.DEFINE_string("layers", None, "Layers of weights, the output's included.")
    flags.DEFINE_string("norm", None, f"Before each relu: {', '.join(NORMS)}.")
    flags.DEFINE_string("align", None, f"By {', '.join(ALIGNMENTS)}.")
    flags.DEFINE_bool("repair", None, "Measure permuted paths with REPAIR as well.")
    flags.DEFINE_integer("pairs", None, "Independent pairs a point.")
    flags.DEFINE_integer("steps", None, "Updates of a network.")
    flags.DEFINE_float("lr", None, "Learning rate, at the start of its schedule.")
    flags.DEFINE_integer("batch", None, "Images an update.")
    flags.DEFINE_string("optimizer", None, f"One of {', '.join(OPTIMIZERS)}.")
    known = ", ".join(training.SCHEDULES)
    flags.DEFINE_string("schedule", None, f"Of the learning rate: {known}.")
    flags.DEFINE_integer("looks", None, "Losses and checkpoints during training.")
    flags.DEFINE_integer("points", None, "Positions along a path, ends included.")
    flags.DEFINE_integer("seed", None, "Root seed, 0 ... 4294967295.")
    flags.DEFINE_enum("barrier", "lerp", list(BARRIERS), "Definition of the barrier.")
    flags.DEFINE_bool("save_weights", False, "Store the trained networks as well.")


def settings(presets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The chosen preset over ``DEFAULTS``, and the flags given over both."""
    chosen = {**DEFAULTS, **presets[FLAGS.preset]}
    given = {name: FLAGS[name].value for name in chosen}
    return chosen | {name: value for name, value in given.items() if value is not None}


def load(
    setting: Mapping[str, Any], architecture: str
) -> tuple[list[Cell], dict[str, datasets.Dataset]]:
    """The grid of the settings and its data sets by name, downloads shown.

    Whatever can be wrong without the data is looked at before they are.

    Raises:
      Refusal: for the first thing wrong, missing or not what it should be.
    """
    names = setting["data"].split(",")
    cells(setting, {name: datasets.blank(name) for name in names}, architecture)
    if machine.shard().of == 1 and machine.launched():
        raise common.Refusal(
            "the launcher started several processes, and networks are trained by one "
            "each: give --num_shards and each its --shard_index, or start one"
        )
    with common.refusing():
        for name in names:
            datasets.located(name, FLAGS.data_dir)
    machine.prepare()
    opened(Path(FLAGS.out))
    with common.refusing():
        data = {name: datasets.load(name, FLAGS.data_dir) for name in names}
    return cells(setting, data, architecture), data


def cells(
    setting: Mapping[str, Any], data: Mapping[str, datasets.Dataset], architecture: str
) -> list[Cell]:
    """The grid data × layers × widths of the settings, validated.

    Raises:
      Refusal: for the first thing wrong, in one line.
    """
    asked = setting["align"]
    alignments = common.words(asked, "align", ALIGNMENTS) if asked else []
    if FLAGS.barrier == "midpoint" and setting["points"] % 2 == 0:
        raise common.Refusal(
            f"--points={setting['points']}: --barrier=midpoint needs an odd number"
        )
    names = ("steps", "lr", "batch", "optimizer", "schedule", "looks")
    depths = common.integers(setting["layers"], "layers")
    widths = common.integers(setting["widths"], "widths")
    if min(widths) < 1:
        raise common.Refusal(f"--widths={setting['widths']}: give widths of at least 1")
    if len(data) * len(depths) * len(widths) > common.MOST_CELLS:
        raise common.Refusal(f"give lists of at most {common.MOST_CELLS} cells in all")
    grid = [
        Cell(
            data=name,
            digest=data[name].digest,
            train_images=setting["train_images"] or len(data[name].train_images),
            test_images=setting["test_images"] or len(data[name].test_images),
            architecture=architecture,
            width=width,
            layers=layers,
            training=training.Training(**{name: setting[name] for name in names}),
            norm=setting["norm"],
            alignments=tuple(alignments),
            repaired=setting["repair"],
            points=setting["points"],
            pairs=setting["pairs"],
            seed=setting["seed"],
        )
        for name in data
        for layers in depths
        for width in widths
    ]
    with common.refusing():
        for cell in grid:
            cell.validate(data[cell.data])
    return grid


def one_curve(setting: Mapping[str, Any], architecture: str) -> Sequence[store.Record]:
    """Computed cells of one data set and one number of layers, in order of width.

    Raises:
      Refusal: for bad input, several data sets or several numbers of layers.
    """
    for name in ("data", "layers"):
        if "," in setting[name] or ":" in setting[name]:
            raise common.Refusal(
                f"--{name}={setting[name]}: give one; peak_position compares several"
            )
    grid, data = load(setting, architecture)
    grid.sort(key=lambda cell: cell.width)
    return computed(grid, data, setting)


# --- into the store ------------------------------------------------------------------


def computed(
    grid: Sequence[Cell],
    data: Mapping[str, datasets.Dataset],
    setting: Mapping[str, Any],
) -> Sequence[store.Record]:
    """Records of the cells, in order: read where stored, computed where missing.

    Training leaves a checkpoint at every look, in OUT/unfinished, and goes on from it.

    Raises:
      Refusal: when --out cannot be used.
      UnsoundJax: when this JAX build fails the self-check.
      OutOfMemory: when the networks of a cell do not fit.
      Done: in a shard that is not the last to end.
    """
    shard, out = machine.shard(), Path(FLAGS.out)
    unfinished = opened(out / "unfinished")
    cells = list(dict.fromkeys(grid))
    mine = cells[shard.number :: shard.of]
    missing = [mine[i] for i in np.flatnonzero(lacking(out, mine))]
    if missing:
        origin = environment.provenance() | {
            "self_check": environment.self_check(),
            "flags": {name: str(value) for name, value in setting.items()}
            | {name: str(FLAGS[name].value) for name in ("preset", "out", "barrier")},
        }
    updates = sum(2 * cell.pairs * cell.training.steps for cell in missing)
    silent = not sys.stderr.isatty()
    with machine.profiled(), tqdm(total=updates, unit="step", disable=silent) as bar:
        for cell in missing:
            bar.set_description(f"{cell.data}, {cell.layers} layers of {cell.width}")
            own = origin | {"note": data[cell.data].note}
            _compute(cell, data[cell.data], out, unfinished, own, bar)
    if shard.of > 1:
        all_here(shard, lacking(out, cells))
    return store.Records(out, [cell.parameters() for cell in grid])


def _compute(cell, data, out: Path, unfinished: Path, origin, bar) -> None:
    """Trains and measures a cell into the store, by way of checkpoints."""
    parameters = cell.parameters()
    checkpoint = store.cell_path(unfinished, parameters)
    fits, record = None, None
    try:
        record = store.find(unfinished, parameters)
    except store.CorruptCell as error:
        print(f"warning: {error}; training from the start", file=sys.stderr)
    if record is not None:
        network = cell.network(data.train_images.shape[1:])
        fits = training.unpack(network, cell.training, record.arrays)
        bar.update(2 * cell.pairs * fits.step)

    def keep(fits: training.Fits) -> None:
        store.save(unfinished, parameters, training.pack(fits), origin)

    try:
        arrays, weights = run(cell, data, fits=fits, keep=keep, progress=bar.update)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not devices.out_of_memory(error):
            raise
        raise OutOfMemory(
            f"{cell.data}, {cell.layers} layers of {cell.width}: {2 * cell.pairs} "
            "networks do not fit into memory: take fewer --pairs, smaller --widths or "
            "larger devices; what is finished is kept"
        ) from error
    kept = training.leaves(weights) if FLAGS.save_weights else None
    store.save(out, parameters, arrays, origin, kept)
    checkpoint.unlink(missing_ok=True)


# --- rows ----------------------------------------------------------------------------


def rows(records: Sequence[store.Record], definition: str) -> list[dict[str, Any]]:
    """Rows of ``summary.csv``: one a (cell, path, sample, metric).

    ``barrier_*`` are means over independent pairs with 95% percentile-bootstrap
    intervals, ``normalized_*`` the ratio of the mean to the mean direct barrier,
    ``end_*`` the metric at the ends. ``kept`` pairs enter: those of which neither
    network diverged.
    """
    table = []
    for record in records:
        cell, losses = record.parameters, kept(record)
        found = barriers(losses, definition)
        for at, (order, sample, metric) in labels(cell):
            own, direct = found[(slice(None), *at)], found[(slice(None), 0, *at[1:])]
            ends = losses[(slice(None), at[0], [0, -1], *at[1:])].mean(1)
            table.append(
                {
                    **_columns(cell),
                    "kept": len(losses),
                    "path": order,
                    "sample": sample,
                    "metric": metric,
                    "barrier": definition,
                    **_interval("barrier", mean_interval(own, resamples=RESAMPLES)),
                    **_interval(
                        "normalized", ratio_interval(own, direct, resamples=RESAMPLES)
                    ),
                    **_interval("end", mean_interval(ends, resamples=RESAMPLES)),
                    "cell": store.fingerprint(cell),
                }
            )
    return table


def kept(record: store.Record) -> np.ndarray:
    """Losses ``[kept pairs, orders, T, samples, metrics]``: all finite at both ends."""
    losses = record.arrays["losses"]
    return losses[np.isfinite(losses[:, :, [0, -1]]).all((1, 2, 3, 4))]


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
    return (
        {name: cell[name] for name in own} | cell["training"] | {"seed": cell["seed"]}
    )


def _interval(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    return dict(
        zip((f"{name}_mean", f"{name}_low", f"{name}_high"), values, strict=True)
    )


def select(rows: Sequence[dict], **wanted: Any) -> list[dict]:
    """Rows with these values, in order of width."""
    kept = (r for r in rows if all(r[name] == value for name, value in wanted.items()))
    return sorted(kept, key=lambda row: row["width"])
