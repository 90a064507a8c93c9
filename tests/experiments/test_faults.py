"""An I/O error, a full disk and a kill at every call that writes, one after the other.

A sweep of students and one of networks are computed once and stored again and again.
Each time one call to open, write, sync, rename, remove or make a folder fails; then the
same sweep is run once more. Counted is what was lost on the way.
"""

import contextlib
import errno
import io
import os
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from experiments.lib import checkpoints, classifiers, compute, students
from experiments.lib.lists import Refusal
from experiments.lib.table import table
from lmc_jax import environment
from lmc_jax.data.datasets import Dataset
from lmc_jax.networks import cell as networks
from lmc_jax.networks.training import Training
from lmc_jax.results import files, store
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import sweep

pytestmark = pytest.mark.slow

FAULTS = ("I/O error", "full disk", "kill")


class Killed(BaseException):
    """The process is no more: nothing may catch it."""


class Disk:
    """Counts calls that write, and fails from one of them on.

    fault: "I/O error" of that call alone; "full disk" for all from there on that need
    room; "kill" where nothing later reaches the disk. Half of what the call would have
    written does.
    """

    def __init__(self, fault="", at=0):
        self.fault, self.at, self.calls = fault, at, 0

    @property
    def dead(self):
        return self.fault == "kill" and self.calls > self.at

    def call(self, needs_room=True):
        number, self.calls = self.calls, self.calls + 1
        if self.fault == "I/O error" and number == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.fault == "full disk" and number >= self.at and needs_room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.dead:
            raise Killed

    @contextlib.contextmanager
    def watched(self):
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

        def through(call, needs_room=True):
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

    def __init__(self, disk, file, mode):
        super().__init__(file, mode.replace("b", ""))
        self.disk = disk

    def write(self, data):
        if self.disk.dead:
            return len(data)  # what a dead process had left to write
        try:
            self.disk.call()
        except BaseException:
            super().write(bytes(data)[: len(data) // 2])
            raise
        return super().write(data)


# --- the two sweeps, as functions that store them in a folder -------------------------


def of_students():
    """Trained and sampled students, with their weights."""
    sources = Descent(lr=0.5, steps=40, check_every=20), Minima()
    cells = [Cell(2, 3, 2, source, 2, matchings=()) for source in sources]
    done = []
    sweep(cells, lambda *cell: done.append(cell), weights=True)

    def work(grid, save, progress, setting):
        for cell, arrays, W in done:
            if cell in grid:
                save(cell, arrays, {"W": W}, {})

    family = students.FAMILY._replace(work=work)
    return lambda out: run_to_the_end(family, cells, out)


def of_networks():
    """Networks with checkpoints of their training."""
    images = np.random.default_rng(0).integers(256, size=(30, 4, 4, 1), dtype=np.uint8)
    labels = np.arange(30, dtype=np.int32) % 10
    parts = (images[:20], labels[:20], images[20:], labels[20:])
    data = Dataset("noise", *parts, digest="")
    shape = ("noise", "", 20, 10, "mlp", 2, 2, Training(steps=4, batch=10, looks=2))
    cell = networks.ClassifierCell(*shape, points=3, pairs=2)
    states = []
    found = networks.compute(cell, data, keep=states.append)

    def again(cell, data, *, state, keep, progress):
        for later in states:
            if state is None or later.step > state.step:
                keep(later)
        return found

    def trained(out):
        with (
            mock.patch.object(checkpoints, "compute", again),
            mock.patch.object(classifiers.datasets, "load", return_value=data),
        ):
            run_to_the_end(classifiers.FAMILY, [cell], out)

    return trained


def run_to_the_end(family, cells, out):
    setting = {"out": str(out), "save_weights": True, "data_dir": None}
    compute.computed(family, cells, setting, {})
    compute.write_summary(out, family, "lerp")
    files.write_atomic(out / "caption.txt", b"what a picture shows")


# --- one fault after the other --------------------------------------------------------


def injected(run, out, faults=FAULTS):
    """A row a fault: how many calls failed, and what was lost."""
    whole = Disk()
    attempt(run, out, whole)
    expected = content(out)
    for fault in faults:
        row = {"fault": fault, "calls": whole.calls, "ended with a line": 0, "lost": 0}
        row |= {"torn": 0, "reruns that differ": 0, "temporary files": 0}
        for at in range(whole.calls):
            shutil.rmtree(out, ignore_errors=True)
            said, finished = attempt(run, out, Disk(fault, at))
            row["ended with a line"] += bool(said)
            row["lost"] += altered(finished)
            row["torn"] += torn(out)
            row["temporary files"] += len(list(out.rglob(f"*{files.TEMPORARY}")))
            again, _ = attempt(run, out, Disk())
            equal = not again and content(out) == expected
            row["reruns that differ"] += not equal or altered(finished)
        yield row


def attempt(run, out, disk):
    """One run: the line that it ended with, and the cells that it had finished."""
    finished = {}
    save = store.save

    def saved(*arguments):
        path = save(*arguments)
        if path.parent == (out / "cells"):
            finished[path] = path.read_bytes()
        return path

    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        mock.patch.object(store, "save", saved),
        disk.watched(),
    ):
        try:
            run(out)
        except Killed:
            pass
        except (store.StoreError, Refusal) as error:
            return str(error), finished
    return "", finished


def altered(finished):
    """How many finished cells are not there as they were."""
    return sum(
        not path.exists() or path.read_bytes() != data
        for path, data in finished.items()
    )


def torn(out):
    """Stored files that are not what was written."""
    bad = 0
    for folder in (out, out / "unfinished"):
        for path in store.cell_files(folder) + store.cell_files(folder, weights=True):
            try:
                store.read(path)
            except store.StoreError:
                bad += 1
    return bad


def content(out):
    """All files of a sweep but those of dead writers; no checkpoints."""
    found = (path for path in [*out.glob("*"), *out.glob("cells/*")] if path.is_file())
    kept = (path for path in found if not path.name.endswith(files.TEMPORARY))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


@pytest.fixture(autouse=True)
def same_origin(monkeypatch):
    origin = environment.provenance()
    monkeypatch.setattr(environment, "provenance", lambda: origin)


@pytest.mark.parametrize("prepare", [of_students, of_networks])
def test_no_call_that_fails_loses_or_tears_a_cell(prepare, tmp_path, capsys):
    rows = list(injected(prepare(), tmp_path / "sweep"))
    with capsys.disabled():
        print(f"\n{prepare.__doc__}\n{table(rows)}")
    for row in rows:
        assert row["calls"] > 40
        assert (row["lost"], row["torn"], row["reruns that differ"]) == (0, 0, 0)
        killed = row["fault"] == "kill"
        assert (row["ended with a line"] == 0) == killed
        assert (row["temporary files"] > 0) == killed


def test_cells_that_are_written_in_place_would_be_torn(tmp_path, monkeypatch):
    """Or the test above would prove nothing."""

    @contextlib.contextmanager
    def in_place(path):
        try:
            yield Path(path)
        except OSError as error:
            raise files.StoreError(str(error)) from error

    monkeypatch.setattr(files, "replacing", in_place)
    (row,) = injected(of_students(), tmp_path / "sweep", ["kill"])
    assert row["torn"]
