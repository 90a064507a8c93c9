"""Sweeps that are killed, stopped, split, shared, or run out of disk."""

import errno
import os
import signal
import sys
import threading
import time

import jax
import pytest
from cases import SWEEP
from helpers import (
    COLD,
    arrays,
    assert_one_line,
    command,
    run,
    same_arrays,
    start,
    times,
    wait_for,
)

from experiments.lib import compute, machine, students
from lmc_jax.results import files, store

# --- stopped --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "moment"),
    [
        (signal.SIGINT, "compilation"),
        (signal.SIGTERM, "sweep"),
        pytest.param(signal.SIGTERM, "import", marks=pytest.mark.slow),
    ],
)
def test_signals_end_with_their_status_and_say_how_to_go_on(tmp_path, stop, moment):
    settings = ("--k=5", "--m=40", "--pairs=4", "--lr_times_m=0.001,2")
    variables = COLD | {"JAX_LOG_COMPILES": "1"}
    process = start(*settings, f"--out={tmp_path}", variables=variables)
    if moment == "import":
        time.sleep(0.2)
    else:
        seen = {"compilation": "jit(descend)", "sweep": "Finished XLA compilation of "}
        for line in process.stderr:
            if seen[moment] in line and "descend" in line:
                break
    began = time.monotonic()
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + stop
    assert time.monotonic() - began < 5  # at once, not at the end of a compilation
    assert "Traceback" not in err
    (last,) = (line for line in err.splitlines() if line.startswith("stopped by"))
    assert last.startswith(f"stopped by {stop.name}, finished cells are kept")
    assert f"python -m experiments.barrier_vs_width {' '.join(settings)}" in last


WRITER = """
import sys, time
from experiments.lib import signals

signals.watch()  # before there are other threads
from lmc_jax.results import files

with files.replacing(sys.argv[1]) as temporary, temporary.open("w") as file:
    file.write("begun ")
    print("writing", flush=True)
    time.sleep(0.5)
    file.write("done")
time.sleep(60)
"""


def test_signals_wait_for_a_file_that_is_being_written(tmp_path):
    path = tmp_path / "file"
    process = start(path, entrypoint=(sys.executable, "-c", WRITER))
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGHUP)  # of a terminal that was closed
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    assert path.read_text() == "begun done"
    assert list(tmp_path.iterdir()) == [path]


def test_signals_that_are_ignored_stay_ignored():
    """As for a job in the background of a script."""
    verify = f"{sys.executable} -m experiments.tools.verify /none"
    process = start(entrypoint=("sh", "-c", f"trap '' INT; exec {verify}"))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 2


# --- several sweeps of one folder -----------------------------------------------------


def test_a_sweep_that_ends_while_another_writes_the_summary_is_in_it(tmp_path, whole):
    out = store.open_store(tmp_path)
    one, other = map(store.read, store.cell_files(whole)[:2])
    store.save(out, one.parameters, one.arrays, {})
    meanwhile = threading.Thread(
        target=compute.write_summary, args=(out, students.FAMILY, "lerp")
    )

    def slowly(records, definition):
        rows = students.FAMILY.rows(records, definition)
        store.save(out, other.parameters, other.arrays, {})
        meanwhile.start()
        meanwhile.join(0.5)  # it writes now, if nothing holds it
        return rows

    compute.write_summary(out, students.FAMILY._replace(rows=slowly), "lerp")
    meanwhile.join()
    assert len((out / "summary.csv").read_text().splitlines()) == 1 + 2


# --- full disks -----------------------------------------------------------------------


def sweep(out, *arguments):
    return command("barrier_vs_width", *SWEEP, f"--out={out}", *arguments)


@pytest.mark.parametrize("room", [2, 5, 8])
def test_full_disk_ends_with_one_line_and_a_rerun_completes(
    tmp_path, whole, room, monkeypatch
):
    """Full at a cell, at a picture, at caption and claims."""
    left = room  # files that the disk has room for
    sync = files._sync

    def full(path):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(files, "_sync", full)
    said = ("cannot write", "No space left on device")
    assert_one_line(sweep(tmp_path), *said, status=1)
    assert not list(tmp_path.rglob(".*.tmp"))
    before = times(tmp_path)
    assert len(before) == min(room, 4)
    monkeypatch.undo()
    assert sweep(tmp_path).returncode == 0
    assert before.items() <= times(tmp_path).items()
    assert same_arrays(arrays(tmp_path), arrays(whole))
    table = (tmp_path / "summary.csv").read_bytes()
    assert table == (whole / "summary.csv").read_bytes()


# --- damage ---------------------------------------------------------------------------


def test_verify_names_every_bad_file_and_the_sweep_mends_them(tmp_path):
    assert sweep(tmp_path, "--save_weights").returncode == 0
    before = arrays(tmp_path)
    made = f"8 made by JAX {jax.__version__} on {jax.default_backend()}"
    said = f"8 of 8 files are sound\n{made}\n"
    assert command("tools.verify", tmp_path) == (0, said, "")
    cells = store.cell_files(tmp_path)
    weights = store.cell_files(tmp_path, weights=True)
    cells[0].write_bytes(cells[0].read_bytes()[:-1])
    data = bytearray(weights[1].read_bytes())
    data[100] ^= 1
    weights[1].write_bytes(data)
    cells[2].write_bytes(weights[2].read_bytes())  # mixed up
    status, out, err = command("tools.verify", tmp_path)
    assert status == 1
    assert [line.count(".npz") for line in out.splitlines()] == [1, 1, 1, 0, 0]
    for path in (cells[0], weights[1], cells[2]):
        assert path.name in out
    assert "holds weights, not measurements" in out
    assert "\n5 of 8 files are sound\n5 made by" in out
    assert len(err.splitlines()) == 1
    status, _, err = sweep(tmp_path, "--save_weights")
    assert status == 0
    assert err.count("computing it again") == 3
    assert command("tools.verify", tmp_path).returncode == 0
    assert same_arrays(before, arrays(tmp_path))
    weights[1].unlink()
    status, out, _ = command("tools.verify", tmp_path)
    assert status == 1
    assert "has lost its weights, which were asked for\n6 of 7 files are sound" in out
    assert sweep(tmp_path, "--save_weights").returncode == 0
    assert command("tools.verify", tmp_path).returncode == 0


@pytest.mark.parametrize("arguments", [(), ("/none",), ("a", "b")])
def test_verify_refuses_what_is_no_sweep(arguments):
    assert_one_line(command("tools.verify", *arguments))


UNREAD = "| true; exit ${PIPESTATUS[0]}"


@pytest.mark.parametrize(
    ("after", "status"),
    [
        ("> /dev/full", 1),
        (UNREAD, 141),
        pytest.param(f"--help {UNREAD}", 141, marks=pytest.mark.slow),
        pytest.param("--help > /dev/full", 1, marks=pytest.mark.slow),
        pytest.param(">&-", 0, marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_printed_ends_without_a_traceback(whole, after, status):
    verify = f"{sys.executable} -m experiments.tools.verify"
    script = ["bash", "-c", f"{verify} {whole} {after}"]
    found, _, err = run(entrypoint=script)
    assert (found, len(err.splitlines())) == (status, int(status == 1))


@pytest.mark.slow
def test_what_was_compiled_is_found_again_in_silence_and_gives_the_same_bits(
    tmp_path, whole
):
    """With the variables that ``experiments.lib.machine`` names."""
    variables = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    for name in ("TF_CPP_MIN_LOG_LEVEL", *variables):
        assert f"{name}=" in machine.__doc__
    variables["TF_CPP_MIN_LOG_LEVEL"] = "3"
    variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    for name in ("first", "second"):
        out = tmp_path / name
        ran = run(*SWEEP, f"--out={out}", variables=variables)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert same_arrays(arrays(out), arrays(whole))
    assert list((tmp_path / "compiled").iterdir())


def test_too_little_address_space_is_a_line():
    script = ["bash", "-c", f"ulimit -v 2097151; {sys.executable} -m experiments"]
    said = "2097151 KiB of address space, and JAX needs 2097152:"
    assert_one_line(run(entrypoint=script), said, status=1)


@pytest.mark.slow
def test_reproduce_takes_its_entrypoint_with_it(tmp_path):
    out = tmp_path / "reproduced"
    reproduce = (sys.executable, "-m", "experiments.tools.reproduce", "--only=overlap")
    process = start(f"--out={out}", entrypoint=reproduce)
    wait_for(lambda: (out / "overlap" / "cells").is_dir(), process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    deadline = time.monotonic() + 60
    while "stopped by SIGTERM" not in (out / "overlap.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
