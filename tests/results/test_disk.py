"""The folder of a store: unusable, full, cut short, written by several at once."""

import errno
import os
import random
import re
import signal
import stat
import time

import numpy as np
import pytest
from cases import ARRAYS, PARAMETERS, PROVENANCE
from helpers import found, store_alone, temporary_files

from lmc_jax.results import files, store


@pytest.mark.parametrize("name", ["file", "file/below", "null\0byte", "long" * 99])
def test_unusable_directories(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(store.StoreError, match="as the output directory") as caught:
        store.open_store(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "file").read_text() == "mine"
    if not name.startswith("file"):
        with pytest.raises(store.StoreError, match="as the output directory"):
            store.open_store(tmp_path / "new" / "below" / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing is left


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store.tempfile, "TemporaryFile", refuse)
    with pytest.raises(store.StoreError, match="Read-only file system"):
        store.open_store(tmp_path / "out")


def test_only_old_temporary_files_are_removed(out):
    young = out / "cells" / ".a.npz.1.lmc_jax.tmp"
    old = [out / "cells" / ".b.npz.2.lmc_jax.tmp", out / ".c.csv.3.lmc_jax.tmp"]
    future = out / "cells" / ".d.npz.4.lmc_jax.tmp"  # by a clock that was wrong
    mine = out / ".mine.tmp"
    for path in (young, mine, future, *old):
        path.touch()
    for path in (mine, *old):
        os.utime(path, (0, time.time() - 2 * files.DAY))
    os.utime(future, (0, time.time() + 400 * files.DAY))
    store.open_store(out)
    assert set(temporary_files(out)) == {young, mine}
    assert store.cell_files(out) == []


@pytest.mark.parametrize("step", ["fsync", "open"])  # of the file, the directory
def test_a_full_disk_leaves_what_was(out, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    before = path.read_bytes()
    monkeypatch.setattr(store.os, step, full)
    for parameters in (PARAMETERS, {"m": 9}):
        with pytest.raises(store.StoreError, match=r"cannot write.*No space left") as e:
            store.save(out, parameters, ARRAYS, PROVENANCE, {"W": np.ones(3)})
        assert len(str(e.value).splitlines()) == 1
    monkeypatch.undo()
    assert not temporary_files(out)
    assert path.read_bytes() == before
    store.save(out, {"m": 9}, ARRAYS, PROVENANCE)
    assert len(store.load(out)) == 2


@pytest.mark.parametrize(("code", "fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_directories_that_cannot_be_synced_are_forgiven(
    out, monkeypatch, code, fatal
):
    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(store.os, "fsync", fsync)
    if fatal:
        with pytest.raises(store.StoreError, match="Input/output error"):
            store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    else:
        store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    assert len(store.load(out)) == 1


def test_a_write_cut_short_by_the_system(out):
    code = """
import resource
store.save(sys.argv[1], {"m": 1}, {"x": np.zeros(10)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.save(sys.argv[1], {"m": 2}, {"x": np.zeros(10_000)}, {})
except store.StoreError as error:
    print(error)
"""
    child = store_alone(code, out)
    message, _ = child.communicate()
    assert re.fullmatch(r"cannot write '.*': File too large\n", message)
    assert child.returncode == 0
    assert not temporary_files(out)
    assert [record.parameters for record in store.load(out)] == [{"m": 1}]


WRITER = """
shift = int(sys.argv[2])
for i in range(10_000):
    m = (i + shift) % 40
    array = np.full(50_000, m)
    path = store.save(sys.argv[1], {"m": m}, {"x": array}, {"by": shift}, {"W": array})
    print(path, flush=True)
"""


def test_kill_at_any_moment_loses_no_finished_cell(out):
    choose = random.Random(2)
    for shift in range(0, 40, 16):
        child = store_alone(WRITER, out, shift)
        finished = [child.stdout.readline().strip()]
        time.sleep(choose.uniform(0, 0.15))
        os.kill(child.pid, signal.SIGKILL)
        rest = child.communicate()[0].split("\n")
        finished += [line for line in rest[:-1] if line]
        for path in finished:
            m = store.read(path).parameters["m"]
            assert (found(store.read_weights(path)).arrays["W"] == m).all()
        assert {str(path) for path in store.cell_files(out)} >= set(finished)
        for record in store.read_each(out):
            assert (record.arrays["x"] == record.parameters["m"]).all()


def test_a_second_writer_in_the_middle_of_the_first(out, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        monkeypatch.setattr(store.os, "fsync", real)
        store.save(out, PARAMETERS, ARRAYS, {"by": "second"})
        real(descriptor)

    monkeypatch.setattr(store.os, "fsync", fsync)
    store.save(out, PARAMETERS, ARRAYS, {"by": "first"})
    assert found(store.find(out, PARAMETERS)).provenance == {"by": "first"}
    assert not temporary_files(out)
