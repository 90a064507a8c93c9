"""Sweeps split over shards that do not talk."""

import signal
import sys
import time

import pytest
from cases import SWEEP
from helpers import arrays, command, files, run, same_arrays, start

ARRAY = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4"}


def assert_same_sweep(out, whole):
    assert same_arrays(arrays(out), arrays(whole))
    table = (out / "summary.csv").read_bytes()
    assert table == (whole / "summary.csv").read_bytes()


def test_shards_in_any_order_make_the_sweep_of_one_process(tmp_path, whole):
    for done, task in enumerate((3, 1, 4, 2), 1):
        environ = {"SLURM_ARRAY_TASK_ID": str(task), **ARRAY}
        sweep = ("barrier_vs_width", *SWEEP, f"--out={tmp_path}")
        status, out, err = command(*sweep, environ=environ)
        assert (status, err) == (0, "")
        assert len(files(tmp_path)) == done
        if done < 4:
            assert f"shard {task - 1} of 4 is done; {4 - done} of 4 cells" in out
            assert not (tmp_path / "summary.csv").exists()
    assert "summary.csv" in out
    assert_same_sweep(tmp_path, whole)


@pytest.mark.slow
def test_four_shards_one_killed_and_restarted_make_the_table_of_one_process(
    tmp_path, whole
):
    out = f"--out={tmp_path}"
    shards = [
        start(*SWEEP, out, variables={"SLURM_ARRAY_TASK_ID": str(i + 1), **ARRAY})
        for i in range(4)
    ]
    time.sleep(1.5)
    shards[2].kill()
    for shard in shards:
        shard.communicate(timeout=300)
    assert [shard.returncode for shard in shards] == [0, 0, -signal.SIGKILL, 0]
    assert not (tmp_path / "summary.csv").exists()
    assert len(files(tmp_path)) < len(files(whole))
    restarted = ("--num_shards=4", "--shard_index=2")
    status, stdout, err = run(*SWEEP, out, *restarted)
    assert (status, err) == (0, "")
    assert "summary.csv" in stdout
    assert_same_sweep(tmp_path, whole)


@pytest.mark.slow
def test_shards_submitted_as_jobs_make_the_whole_sweep(tmp_path, whole):
    submit = [sys.executable, "-m", "experiments.tools.slurm", "barrier_vs_width"]
    status, out, err = run(
        *("--cluster=local", "--shards=2", f"--logs={tmp_path}/logs", "--"),
        *(*SWEEP, f"--out={tmp_path}/out"),
        entrypoint=submit,
    )
    assert status == 0, err
    assert out.startswith("jobs:")
    table = (tmp_path / "out" / "summary.csv").read_bytes()
    assert table == (whole / "summary.csv").read_bytes()
