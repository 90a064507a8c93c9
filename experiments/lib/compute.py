"""The cells of a grid: read where stored, computed where missing.

Written once for two-layer students and for classifiers: a ``Family`` says what they
have of their own.
"""

import collections
import errno
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from experiments.lib import machine, shards
from experiments.lib.lists import Refusal
from experiments.lib.settings import Setting, Values
from experiments.lib.shards import Shard
from lmc_jax import environment
from lmc_jax.results import files, store
from lmc_jax.sweep import devices
from lmc_jax.sweep.estimate import Plan, Progress


class Family(NamedTuple):
    """What the cells of a kind of network have in common.

    A cell is one point of a grid: hashable, and all that determines its numbers, which
    ``parameters()`` gives as plain JSON types.

    task: the parameter of this name in their cells, empty without. settings: what a
    user may choose of the cells. processes: whether several processes can compute a
    batch together. unit, size: what progress counts, and how many a cell has. cost:
    what a cell is expected to cost, in any unit, the same on every machine. plan:
    ``plan(cells, setting, progress)`` measures what they will take here. work:
    ``work(cells, save, progress, setting)`` computes cells, and calls ``save(cell,
    arrays, weights, notes)`` with each. rows: records and a barrier's definition to the
    rows of summary.csv. curves: a grid to how many curves against width it gives.
    named: a row and the settings to further columns of the row. used_by: the sources,
    by name, that a setting is for, where it is not for all.
    """

    task: str
    settings: Mapping[str, Setting]
    processes: bool
    unit: str
    size: Callable[[Any], int]
    cost: Callable[[Any], float]
    plan: Callable[[Sequence[Any], Values, Progress], Plan]
    work: Callable[..., None]
    rows: Callable[[Iterable[store.Record], str], list[dict[str, Any]]]
    curves: Callable[[Sequence[Any]], int]
    named: Callable[[Mapping[str, Any], Values], dict[str, Any]] = lambda *_: {}
    used_by: Mapping[str, Sequence[str]] = MappingProxyType({})


class Done(Exception):
    """There is nothing left to do here, and perhaps a line to say so."""


def computed(
    family: Family, grid: Sequence[Any], setting: Values, place: Values
) -> store.Records:
    """Records of the cells, in order: read where stored, computed where missing.

    Raises:
      Refusal: when the output folder or the machine cannot be used as asked.
      UnsoundJax: when this JAX build fails the self-check.
      Done: in a process or shard that has nothing to draw.
    """
    shard = machine.shard(place)
    if family.processes:
        machine.join(place)
    cells = list(dict.fromkeys(grid))
    out, weights = Path(setting["out"]), setting["save_weights"]
    with devices.together():
        missing = np.ones(len(cells), bool)
        if devices.is_first_process():
            opened(out)
            missing = lacking(out, cells, weights)
        missing = machine.agreed(cells, missing)
        if missing.any() and not missing.all() and devices.is_first_process():
            print(f"{len(cells) - missing.sum()} of {len(cells)} cells found in {out}")
        finish = place.get("finish", False)
        parts = _parts(family, cells, missing, shard, setting, finish=finish)
        _compute(family, parts, setting)
        devices.leave()
    if not devices.is_first_process():
        raise Done
    if shard.of > 1 and (left := int(lacking(out, cells, weights).sum())):
        raise Done(
            f"shard {shard.number} of {shard.of} is done; {left} of {len(cells)} cells "
            f"are missing in {out}: the last shard to finish makes the figure"
        )
    return store.Records(out, [cell.parameters() for cell in grid])


def _parts(
    family: Family,
    cells: list[Any],
    missing: np.ndarray,
    shard: Shard,
    setting: Values,
    *,
    finish: bool,
) -> Iterator[list[Any]]:
    """The cells that this shard is to compute, in parts, by what is still missing."""
    if shard.of == 1:
        if missing.any():
            yield [cells[i] for i in np.flatnonzero(missing)]
        return
    costs = [family.cost(cell) for cell in cells]
    order = shards.ranked(costs)
    own = (shards.dealt(costs, shard.of) == shard.number)[order]
    cells, missing = [cells[i] for i in order], missing[order]
    while (part := shards.part(missing, own, shard, finish=finish)).size:
        yield [cells[i] for i in part]
        missing[part] = False
        if finish:
            missing = _still(missing, cells, setting)


def _still(missing: np.ndarray, cells: list[Any], setting: Values) -> np.ndarray:
    """Which of the missing cells are missing now, by the first process's reading."""
    if devices.is_first_process():
        at = np.flatnonzero(missing)
        out, weights = Path(setting["out"]), setting["save_weights"]
        missing[at] = lacking(out, [cells[i] for i in at], weights)
    return devices.from_first_process(missing).copy()  # to be written to


def _compute(family: Family, parts: Iterable[Sequence[Any]], setting: Values) -> None:
    origin = dict[str, Any]()

    def save(cell, arrays, weights, notes):
        if devices.is_first_process():
            kept = weights if setting["save_weights"] else None
            store.save(setting["out"], cell.parameters(), arrays, origin | notes, kept)

    silent = not (devices.is_first_process() and sys.stderr.isatty())
    for cells in parts:
        if not origin:
            flags = {name: str(value) for name, value in setting.items()}
            check = {"self_check": environment.self_check(), "flags": flags}
            origin |= environment.provenance() | check
        total = sum(map(family.size, cells))
        with tqdm(total=total, unit=family.unit, disable=silent) as progress:
            family.work(cells, save, progress, setting)


def opened(out: Path) -> Path:
    """``store.open_store``, where a full disk alone is no fault of the flag.

    Raises:
      Refusal: when OUT cannot be used.
    """
    if (summary := out / "summary.csv").is_dir():  # it is written last
        raise Refusal(f"{str(summary)!r} is a folder: move it away")
    try:
        return store.open_store(out)
    except store.StoreError as error:
        reason = getattr(error.__cause__, "errno", None)
        if reason in (errno.ENOSPC, errno.EDQUOT):  # no fault of the flag
            raise
        raise Refusal(str(error)) from error


def lacking(out: Path, cells: Sequence[Any], weights: bool) -> np.ndarray:
    """Which cells are not stored with all that is asked for, bool ``[cells]``."""
    missing = np.zeros(len(cells), bool)
    bad: list[store.CorruptCell] = []
    for i, cell in enumerate(cells):
        try:
            missing[i] = not store.stored(out, cell.parameters(), weights=weights)
        except store.CorruptCell as error:
            bad.append(error)
            missing[i] = True
    _warn(bad, "computing it again")
    return missing


def found(out: Path, parameters: Values, then: str) -> store.Record | None:
    """``store.find``; a damaged file is none, and a warning says what then."""
    try:
        return store.find(out, parameters)
    except store.CorruptCell as error:
        _warn([error], then)
        return None


def _warn(bad: Sequence[store.CorruptCell], then: str) -> None:
    """A line for each bad cell, and one for all of older programs."""
    old = [error for error in bad if isinstance(error, store.Outdated)]
    lines = [f"{error}; {then}" for error in bad if error not in old]
    if old:
        more = f", and {len(old) - 1} more of older programs"
        lines.append(f"{old[0]}; {then}" + more * (len(old) > 1))
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


def write_summary(
    out: Path, family: Family, definition: str
) -> tuple[Path, list[dict[str, Any]]]:
    """Rebuilds OUT/summary.csv from every readable cell in OUT; also gives its rows."""
    path = out / "summary.csv"
    bad: list[store.CorruptCell] = []
    with files.alone(out):  # or a sweep that ends just now would be left out
        good = store.read_each(out, on_corrupt=bad.append)
        own = (r for r in good if r.parameters.get("task", "") == family.task)
        rows = family.rows(own, definition)
        files.write_csv(path, rows)
    _warn(bad, f"left out of {path}")
    return path, rows


def of_grid(
    rows: Sequence[dict[str, Any]], grid: Sequence[Any]
) -> list[dict[str, Any]]:
    """The rows of the summary that are of these cells; a line where machines differ.

    Raises:
      StoreError: when a cell has none.
    """
    wanted = {store.fingerprint(cell.parameters()) for cell in grid}
    kept = [row for row in rows if row["cell"] in wanted]
    if lost := wanted - {row["cell"] for row in kept}:
        raise store.StoreError(
            f"{len(lost)} of {len(wanted)} cells were lost or damaged just now: run "
            "the command again"
        )
    made = collections.Counter({row["cell"]: row["made_by"] for row in kept}.values())
    if len(made) > 1:
        counted = ", ".join(f"{name} ({count})" for name, count in made.items())
        line = f"cells of more than one origin, equal to rounding only: {counted}"
        print(f"warning: {line}", file=sys.stderr)
    return kept
