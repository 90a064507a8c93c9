"""Sweeps split over shards that do not talk."""

import signal
import sys
import time

from test_survival import ARRAY, SWEEP, arrays, files, run, same_arrays, start
from test_survival import whole as whole


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
    assert (tmp_path / "summary.csv").read_bytes() == (
        whole / "summary.csv"
    ).read_bytes()
    assert same_arrays(arrays(tmp_path), arrays(whole))


def test_shard_that_is_not_the_last_says_what_is_missing(tmp_path):
    sweep = (*SWEEP, f"--out={tmp_path}")
    status, out, err = run(*sweep, "--num_shards=2", "--shard_index=0")
    assert (status, err) == (0, "")
    assert out.startswith("shard 0 of 2 is done; 2 of 4 cells are missing in")
    assert not (tmp_path / "summary.csv").exists()
    # Another shard's cells are not touched, and the last one draws.
    assert len(files(tmp_path)) == 2
    status, out, _ = run(*sweep, "--num_shards=2", "--shard_index=1")
    assert status == 0
    assert "summary.csv" in out


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
