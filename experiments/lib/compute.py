"""The cells of a grid: read where stored, computed where missing."""

import errno
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.lib import machine
from experiments.lib.lists import Refusal
from lmc_jax import environment
from lmc_jax.results import store
from lmc_jax.sweep import devices
from lmc_jax.sweep.batches import batch_shape
from lmc_jax.sweep.cell import Cell
from lmc_jax.sweep.run import sweep

FLAGS = flags.FLAGS
OUTPUTS = ("preset", "out", "barrier", "save_weights")  # flags that are no settings


class Done(Exception):
    """There is nothing left to do here, and perhaps a line to say so."""


def computed(grid: Sequence[Cell], setting: Mapping[str, Any]) -> store.Records:
    """Records of the cells, in order: read where stored, computed where missing.

    Raises:
      Refusal: when --out or the machine cannot be used as asked.
      UnsoundJax: when this JAX build fails the self-check.
      Done: in a process or shard that has nothing to draw.
    """
    shard = machine.shard()
    machine.prepare()
    machine.join()
    cells = list(dict.fromkeys(grid))
    out = Path(FLAGS.out)
    with devices.together():
        missing = np.ones(len(cells), bool)
        if devices.first():
            opened(out)
            missing = lacking(out, cells)
        missing = machine.agreed(cells, missing)
        mine = np.arange(len(cells)) % shard.of == shard.number
        if todo := [cells[i] for i in np.flatnonzero(missing & mine)]:
            _compute(todo, out, setting)
        devices.leave()
    if not devices.first():
        raise Done
    if shard.of > 1:
        all_here(shard, lacking(out, cells))
    return store.Records(out, [cell.parameters() for cell in grid])


def opened(out: Path) -> Path:
    """``store.open_store``, where only a full disk is no fault of the flag.

    Raises:
      Refusal: when OUT cannot be used.
    """
    try:
        return store.open_store(out)
    except store.StoreError as error:
        reason = getattr(error.__cause__, "errno", None)
        if reason in (errno.ENOSPC, errno.EDQUOT):  # no fault of the flag
            raise
        raise Refusal(str(error)) from error


def all_here(shard: machine.Shard, missing: np.ndarray) -> None:
    """Raises ``Done`` in a shard after which cells are still missing."""
    if left := int(missing.sum()):
        raise Done(
            f"shard {shard.number} of {shard.of} is done; {left} of {len(missing)} "
            f"cells are missing in {FLAGS.out}: the shard that ends last draws"
        )


def lacking(out: Path, cells: Sequence[Any]) -> np.ndarray:
    """Which cells are not stored with all that is asked for, bool ``[cells]``."""
    missing = np.zeros(len(cells), bool)
    for i, cell in enumerate(cells):
        parameters = cell.parameters()
        try:
            weights = FLAGS.save_weights
            missing[i] = not store.stored(out, parameters, weights=weights)
        except store.CorruptCell as error:
            print(f"warning: {error}; computing it again", file=sys.stderr)
            missing[i] = True
    return missing


def _compute(cells: list[Cell], out: Path, setting: Mapping[str, Any]) -> None:
    origin = environment.provenance() | {
        "self_check": environment.self_check(),
        "flags": {name: str(value) for name, value in setting.items()}
        | {name: str(FLAGS[name].value) for name in OUTPUTS},
    }
    halvings = FLAGS.halvings

    def halved(now: int) -> None:
        nonlocal halvings
        if halvings == FLAGS.halvings and devices.first():
            line = "warning: a batch does not fit into memory; going on with halves"
            tqdm.write(line, file=sys.stderr)
        halvings = now

    def save(cell, arrays, weights):
        if devices.first():
            kept = {"W": weights} if weights is not None else None
            batch = {"batch_per_device": list(batch_shape(cell, halvings))}
            store.save(out, cell.parameters(), arrays, origin | batch, kept)

    pairs = sum(cell.pairs for cell in cells)
    silent = not (devices.first() and sys.stderr.isatty())
    with machine.profiled(), tqdm(total=pairs, unit="pair", disable=silent) as bar:
        sweep(
            cells,
            save,
            progress=bar.update,
            weights=FLAGS.save_weights,
            halvings=halvings,
            halved=halved,
        )
