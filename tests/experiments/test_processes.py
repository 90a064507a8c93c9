"""Sweeps that several processes compute together."""

import signal
import socket
import sys
import time

import pytest
from cases import SWEEP
from helpers import (
    BARRIER_VS_WIDTH,
    COLD,
    arrays,
    files,
    run,
    same_arrays,
    start,
    wait_for,
)

from lmc_jax.results import store

ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def together(
    *arguments, each=((), ()), entrypoint=BARRIER_VS_WIDTH, variables=ONE_DEVICE
):
    """Two processes of one device each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    shared = (f"--coordinator_address={address}", "--num_processes=2")
    return [
        start(
            *(*arguments, *own, *shared, f"--process_id={i}"),
            variables=variables,
            entrypoint=entrypoint,
        )
        for i, own in enumerate(each)
    ]


def ended(processes):
    ends = [process.communicate(timeout=300) for process in processes]
    return [process.returncode for process in processes], ends


def batches(out):
    return {tuple(r.provenance["batch_per_device"]) for r in store.read_each(out)}


def test_two_processes_make_the_files_of_one(tmp_path, whole):
    statuses, ends = ended(together(*SWEEP, f"--out={tmp_path}"))
    assert statuses == [0, 0], ends
    assert same_arrays(arrays(tmp_path), arrays(whole))
    table = (tmp_path / "summary.csv").read_bytes()
    assert table == (whole / "summary.csv").read_bytes()


@pytest.mark.slow
def test_two_processes_that_are_a_shard_finish_the_cells_of_the_other(tmp_path, whole):
    shard = ("--num_shards=2", "--shard_index=1", "--finish")
    statuses, ends = ended(together(*SWEEP, *shard, f"--out={tmp_path}"))
    assert statuses == [0, 0], ends
    assert same_arrays(arrays(tmp_path), arrays(whole))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "stop"), [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGTERM)]
)
def test_lost_process_ends_the_other_and_a_restart_completes(tmp_path, victim, stop):
    out = f"--out={tmp_path}"
    sweep = ("--k=2", "--m=2,3", "--pairs=150", "--steps=4000", "--tol=1e-9", out)
    processes = together(*sweep, variables=ONE_DEVICE | COLD)
    wait_for(lambda: files(tmp_path), processes[victim])
    before = arrays(tmp_path)
    processes[victim].send_signal(stop)
    began = time.monotonic()
    statuses, ends = ended(processes)
    assert time.monotonic() - began < 60
    if stop is signal.SIGTERM:
        assert statuses[victim] == 128 + stop
        said = ends[victim][1].splitlines()[-1]
        assert "stopped by SIGTERM, finished cells are kept; to go on start all" in said
    else:
        assert statuses[victim] == -stop
    assert statuses[1 - victim] == 1
    errors = [line for line in ends[1 - victim][1].splitlines() if "error: " in line]
    assert errors, ends[1 - victim][1][-1500:]
    assert "another process was lost" in errors[0]
    assert "start all processes again" in errors[0]
    if (victim, stop) != (1, signal.SIGKILL):
        return  # a restart is the same whoever was lost, and how
    statuses, ends = ended(together(*sweep))
    assert statuses == [0, 0], ends
    alone = tmp_path / "alone"
    assert run(*sweep, f"--out={alone}", variables=TWO_DEVICES)[0] == 0
    after = arrays(tmp_path)
    assert same_arrays(before, {name: after[name] for name in before})
    assert same_arrays(after, arrays(alone))
    table = (tmp_path / "summary.csv").read_bytes()
    assert table == (alone / "summary.csv").read_bytes()


def test_processes_with_other_settings_are_refused(tmp_path):
    sweep = (*SWEEP, f"--out={tmp_path}")
    statuses, ends = ended(together(*sweep, each=(["--seed=1"], ["--seed=2"])))
    assert statuses == [2, 2]
    for _, err in ends:
        assert "error: the processes have different settings" in err
    assert not files(tmp_path)


# The entrypoint, with little memory on the devices of the second process.
SMALL = """
import runpy, sys
import jax
from lmc_jax.sweep import programs

measurer = programs.measurer

def small(*settings):
    program = measurer(*settings)

    def run(students, *rest):
        if len(students) > 8 and "--process_id=1" in sys.argv:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return program(students, *rest)

    run.lower = program.lower
    return run

programs.measurer = small
runpy.run_module("experiments.barrier_vs_width", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
def test_batch_too_large_for_one_process_is_halved_in_all(tmp_path):
    sweep = (*SWEEP, "--pairs=16")
    out, alone = tmp_path / "together", tmp_path / "alone"
    entrypoint = [sys.executable, "-c", SMALL]
    statuses, ends = ended(together(*sweep, f"--out={out}", entrypoint=entrypoint))
    assert statuses == [0, 0], ends
    said = [err.count("does not fit into memory") for _, err in ends]
    assert said == [1, 0]
    assert run(*sweep, f"--out={alone}", variables=TWO_DEVICES)[0] == 0
    assert same_arrays(arrays(out), arrays(alone))
    assert (batches(out), batches(alone)) == ({(4, 4)}, {(8, 8)})
