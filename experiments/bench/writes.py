"""An I/O error, a full disk and a kill at every call that writes, one after the other.

    python -m experiments.bench.writes --out=DIR

A sweep of students and one of networks are computed once and stored again and again.
Each time one call to open, write, sync, rename, remove or make a folder fails; then the
same sweep is run once more. Counted is what was lost on the way.
"""

import contextlib
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.bench import timing
from experiments.lib import classifiers, compute, students
from experiments.lib.lists import Refusal
from lmc_jax import environment
from lmc_jax.data.datasets import Dataset
from lmc_jax.networks import cell as networks
from lmc_jax.networks.training import Training
from lmc_jax.results import files, store
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import sweep

OUT = flags.DEFINE_string("out", None, "Folder to write into.", required=True)
flags.register_validator("out", bool, "give a folder")
LOST = ("finished cells lost", "torn files", "reruns that differ")
FAULTS = ("I/O error", "full disk", "kill")
Sweep = Callable[[Path], None]  # stores itself in a folder


class Killed(BaseException):
    """The process is no more: nothing may catch it."""


class Disk:
    """Counts calls that write, and fails from one of them on.

    fault: "I/O error" of that call alone; "full disk" for all from there on that need
    room; "kill" where nothing later reaches the disk. Half of what the call would have
    written does.
    """

    def __init__(self, fault: str = "", at: int = 0):
        self.fault, self.at, self.calls = fault, at, 0

    @property
    def dead(self) -> bool:
        return self.fault == "kill" and self.calls > self.at

    def call(self, needs_room: bool = True) -> None:
        number, self.calls = self.calls, self.calls + 1
        if self.fault == "I/O error" and number == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.fault == "full disk" and number >= self.at and needs_room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.dead:
            raise Killed

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, the calls of this process go through this disk."""
        plain = io.open

        def opened(file, mode="r", buffering=-1, *text, **options):
            # Of an opener: the probe of a folder, a file without a name.
            if options or isinstance(file, int) or not set(mode) & set("wxa+"):
                return plain(file, mode, buffering, *text, **options)
            self.call()
            raw = Raw(self, file, mode)
            kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
            return kind(raw) if "b" in mode else io.TextIOWrapper(kind(raw), *text)

        def through(call: Callable, needs_room: bool = True) -> Callable:
            def checked(*arguments, **options):
                self.call(needs_room)
                return call(*arguments, **options)

            return checked

        with (
            mock.patch.object(io, "open", opened),
            mock.patch.object(os, "mkdir", through(os.mkdir)),
            # Not done: it takes most of the time, and nothing here sees it.
            mock.patch.object(os, "fsync", through(lambda descriptor: None)),
            mock.patch.object(os, "replace", through(os.replace, False)),
            mock.patch.object(os, "unlink", through(os.unlink, False)),
        ):
            yield


class Raw(io.FileIO):
    """A file whose writes go through a ``Disk``."""

    def __init__(self, disk: Disk, file: Any, mode: str):
        super().__init__(file, mode.replace("b", ""))
        self.disk = disk

    def write(self, data: Any) -> int:
        if self.disk.dead:
            return len(data)  # what a dead process had left to write
        try:
            self.disk.call()
        except BaseException:
            super().write(bytes(data)[: len(data) // 2])
            raise
        return super().write(data)


# --- the two sweeps -------------------------------------------------------------------


def of_students() -> Sweep:
    """Trained and sampled students, with their weights."""
    sources = Descent(lr=0.5, steps=40, check_every=20), Minima()
    cells = [Cell(2, 3, 2, source, 2, matchings=()) for source in sources]
    done: list[tuple] = []
    sweep(cells, lambda *cell: done.append(cell), weights=True)

    def work(grid, save, progress, setting):
        for cell, arrays, W in done:
            if cell in grid:
                save(cell, arrays, {"W": W}, {})

    return _stored(students.FAMILY._replace(work=work), cells)


def of_networks() -> Sweep:
    """Networks with checkpoints of their training."""
    images = np.random.default_rng(0).integers(256, size=(30, 4, 4, 1), dtype=np.uint8)
    labels = np.arange(30, dtype=np.int32) % 10
    parts = (images[:20], labels[:20], images[20:], labels[20:])
    data = Dataset("noise", *parts, digest="")
    shape = ("noise", "", 20, 10, "mlp", 2, 2, Training(steps=4, batch=10, looks=2))
    cell = networks.ClassifierCell(*shape, points=3, pairs=2)
    states: list[Any] = []
    found = networks.compute(cell, data, keep=states.append)

    def again(cell, data, *, state, keep, progress):
        for later in states:
            if state is None or later.step > state.step:
                keep(later)
        return found

    run = _stored(classifiers.FAMILY, [cell])

    def trained(out: Path) -> None:
        with (
            mock.patch.object(classifiers, "compute", again),
            mock.patch.object(classifiers.datasets, "load", return_value=data),
        ):
            run(out)

    return trained


def _stored(family: compute.Family, cells: list[Any]) -> Sweep:
    def run(out: Path) -> None:
        setting = {"out": str(out), "save_weights": True, "data_dir": None}
        compute.computed(family, cells, setting, {})
        compute.write_summary(out, family, "lerp")
        files.write_atomic(out / "caption.txt", b"what a picture shows")

    return run


SWEEPS = {"students": of_students, "networks": of_networks}


# --- one fault after the other --------------------------------------------------------


def main() -> None:
    root, rows = Path(OUT.value), []
    origin = environment.provenance()
    with mock.patch.object(environment, "provenance", return_value=origin):
        for name, prepare in SWEEPS.items():
            rows += [{"sweep": name} | row for row in injected(prepare, root)]
    timing.show(rows)
    if any(row[name] for row in rows for name in LOST):
        raise store.StoreError("cells were lost or torn")


def injected(prepare: Callable[[], Sweep], root: Path) -> Iterator[dict[str, Any]]:
    """A row a fault: how many calls failed, and what was lost."""
    run = prepare()
    root.mkdir(parents=True, exist_ok=True)
    whole, out = Disk(), root / "sweep"
    shutil.rmtree(out, ignore_errors=True)
    attempt(run, out, whole)
    expected = content(out)
    for fault in FAULTS:
        row: dict[str, Any] = {"fault": fault, "calls": whole.calls}
        row |= dict.fromkeys(("ended with a line", *LOST, "temporary files left"), 0)
        for at in tqdm(range(whole.calls), disable=not sys.stderr.isatty()):
            shutil.rmtree(out, ignore_errors=True)
            said, finished = attempt(run, out, Disk(fault, at))
            row["ended with a line"] += bool(said)
            row["finished cells lost"] += altered(finished)
            row["torn files"] += torn(out)
            row["temporary files left"] += len(list(out.rglob(f"*{files.TEMPORARY}")))
            again, _ = attempt(run, out, Disk())
            equal = not again and content(out) == expected
            row["reruns that differ"] += not equal or altered(finished)
        yield row
    shutil.rmtree(out)


def altered(finished: dict[Path, bytes]) -> int:
    """How many finished cells are not there as they were."""
    return sum(
        not path.exists() or path.read_bytes() != data
        for path, data in finished.items()
    )


def attempt(run: Sweep, out: Path, disk: Disk) -> tuple[str, dict[Path, bytes]]:
    """One run: the line that it ended with, and the cells that it had finished."""
    finished: dict[Path, bytes] = {}
    save = store.save

    def saved(*arguments: Any) -> Path:
        path = save(*arguments)
        if path.parent == (out / "cells"):
            finished[path] = path.read_bytes()
        return path

    said = ""
    quiet = io.StringIO()
    with (
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        mock.patch.object(store, "save", saved),
    ):
        try:
            with disk.watched():
                run(out)
        except Killed:
            pass
        except (store.StoreError, Refusal) as error:
            said = str(error)
    return said, finished


def torn(out: Path) -> int:
    """Stored files that are not what was written."""
    bad = 0
    for folder in (out, out / "unfinished"):
        for path in store.cell_files(folder) + store.cell_files(folder, weights=True):
            try:
                store.read(path)
            except store.StoreError:
                bad += 1
    return bad


def content(out: Path) -> dict[str, bytes]:
    """All files of a sweep but those of dead writers; no checkpoints."""
    found = (path for path in [*out.glob("*"), *out.glob("cells/*")] if path.is_file())
    kept = (path for path in found if not path.name.endswith(files.TEMPORARY))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


if __name__ == "__main__":
    timing.run(main)
