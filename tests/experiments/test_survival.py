"""Sweeps that are killed, stopped, split, shared, or run out of disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmc_jax.results import store

ROOT = Path(__file__).resolve().parents[2]
SWEEP = ["--k=2", "--m=2:5", "--pairs=4", "--source=uniform", "--matching="]
ARRAY = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4"}
ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
ENTRYPOINT = [sys.executable, "-m", "experiments.barrier_vs_width"]


def start(*arguments, variables=None, entrypoint=ENTRYPOINT):
    # Tests that run in the background of a script ignore Ctrl-C: not their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [*entrypoint, *map(str, arguments)],
            cwd=ROOT,
            # Kills must find something under way.
            env=os.environ
            | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
            | (variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def run(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def files(out):
    return store.cell_files(out) + store.cell_files(out, weights=True)


def arrays(out):
    return {path.name: store.read(path).arrays for path in files(out)}


def same_arrays(one, other):
    for name in one.keys() | other.keys():
        assert one[name].keys() == other[name].keys()
        for array in one[name]:
            assert one[name][array].tobytes() == other[name][array].tobytes()
    return True


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep in one process, on as many devices as cores."""
    out = tmp_path_factory.mktemp("whole")
    assert run(*SWEEP, f"--out={out}")[0] == 0
    return out


# --- stopped --------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["import", "compilation", "sweep"])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_with_their_status_and_say_how_to_go_on(tmp_path, stop, moment):
    settings = ("--k=5", "--m=40", "--pairs=4", "--lr_times_m=0.001,2")
    command = (*settings, f"--out={tmp_path}")
    process = start(*command, variables={"JAX_LOG_COMPILES": "1"})
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


def test_signals_that_are_ignored_stay_ignored():
    """As for a job in the background of a script."""
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            f"trap '' INT; exec {sys.executable} -m experiments.tools.verify /none",
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 2


def test_kills_at_random_moments_tear_and_lose_nothing(tmp_path):
    bench = [sys.executable, "-m", "experiments.bench.kill"]
    status, out, err = run("--kills=2", "--m=2", f"--out={tmp_path}", entrypoint=bench)
    assert status == 0, err
    assert "2 kills" in out
    assert "4 files with the arrays of an uninterrupted sweep, bit for bit" in out


# --- full disks -----------------------------------------------------------------------


FULL = """
import errno, os, sys
from experiments import barrier_vs_width
from lmc_jax.results import files

left = int(sys.argv.pop(1))  # files that the disk has room for
sync = files._sync

def full(path):
    global left
    left -= 1
    if left < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    sync(path)

files._sync = full
barrier_vs_width.STUDY.main()
"""


def test_full_disk_ends_with_one_line_and_a_rerun_completes(tmp_path, whole):
    """Full at a cell, at summary.csv, at either picture, and at the claims."""
    for room in (2, 2, 1, 2, 3):
        before = arrays(tmp_path) if (tmp_path / "cells").exists() else {}
        status, _, err = run(
            *(room, *SWEEP, f"--out={tmp_path}"),
            entrypoint=[sys.executable, "-c", FULL],
        )
        assert status == 1
        assert len(err.splitlines()) == 1
        assert err.startswith("error: cannot write")
        assert "No space left on device" in err
        assert not list(tmp_path.rglob(".*.tmp"))
        after = arrays(tmp_path)
        assert same_arrays(before, {name: after[name] for name in before})
    assert run(*SWEEP, f"--out={tmp_path}")[0] == 0
    assert same_arrays(arrays(tmp_path), arrays(whole))
    assert (tmp_path / "summary.csv").read_bytes() == (
        whole / "summary.csv"
    ).read_bytes()


# --- damage ---------------------------------------------------------------------------


def verify(out):
    return run(out, entrypoint=[sys.executable, "-m", "experiments.tools.verify"])


def test_verify_names_every_bad_file_and_the_sweep_mends_them(tmp_path):
    sweep = (*SWEEP, "--save_weights", f"--out={tmp_path}")
    assert run(*sweep)[0] == 0
    assert verify(tmp_path) == (0, "8 of 8 files are sound\n", "")
    cell, weights = (
        store.cell_files(tmp_path)[0],
        store.cell_files(tmp_path, weights=True)[1],
    )
    cell.write_bytes(cell.read_bytes()[:-1])
    data = bytearray(weights.read_bytes())
    data[100] ^= 1
    weights.write_bytes(data)
    status, out, err = verify(tmp_path)
    assert status == 1
    assert [line.count(".npz") for line in out.splitlines()] == [1, 1, 0]
    assert cell.name in out
    assert weights.name in out
    assert out.endswith("6 of 8 files are sound\n")
    assert len(err.splitlines()) == 1
    status, _, err = run(*sweep)
    assert status == 0
    assert err.count("computing it again") == 2
    assert verify(tmp_path)[0] == 0
    weights.unlink()
    status, out, _ = verify(tmp_path)
    assert status == 1
    assert out.endswith(
        "has lost its weights, which were asked for\n6 of 7 files are sound\n"
    )
    assert run(*sweep)[0] == 0
    assert verify(tmp_path)[0] == 0


@pytest.mark.parametrize("arguments", [(), ("/none",), ("a", "b")])
def test_verify_refuses_what_is_no_sweep(arguments):
    entrypoint = [sys.executable, "-m", "experiments.tools.verify"]
    status, out, err = run(*arguments, entrypoint=entrypoint)
    assert (status, out, len(err.splitlines())) == (2, "", 1)


def test_files_that_are_mixed_up_are_named_and_mended(tmp_path):
    sweep = (*SWEEP, "--save_weights", f"--out={tmp_path}")
    assert run(*sweep)[0] == 0
    before = arrays(tmp_path)
    weights = store.cell_files(tmp_path, weights=True)[0]
    cell = weights.with_name(weights.name.replace(store.WEIGHTS, ".npz"))
    cell.write_bytes(weights.read_bytes())
    status, out, err = verify(tmp_path)
    assert status == 1
    assert "holds weights, not measurements" in out
    assert len(err.splitlines()) == 1
    assert run(*sweep)[0] == 0
    assert same_arrays(before, arrays(tmp_path))


def test_what_cannot_be_printed_ends_without_a_traceback(whole):
    command = f"{sys.executable} -m experiments.tools.verify {whole}"
    for after, status in (("> /dev/full", 1), ("| true; exit ${PIPESTATUS[0]}", 141)):
        script = ["bash", "-c", f"{command} {after}"]
        found, _, err = run(entrypoint=script)
        assert (found, len(err.splitlines())) == (status, int(status == 1))


def test_reproduce_takes_its_entrypoint_with_it(tmp_path):
    out = tmp_path / "reproduced"
    command = [sys.executable, "-m", "experiments.tools.reproduce", "--only=overlap"]
    process = start(f"--out={out}", entrypoint=command)
    wait_for(lambda: (out / "overlap" / "cells").is_dir(), process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    deadline = time.monotonic() + 60
    while "stopped by SIGTERM" not in (out / "overlap.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
