"""Sweeps split over shards that do not talk."""

import signal
import sys
import time

import numpy as np
import pytest
from cases import SWEEP
from helpers import arrays, command, files, run, same_arrays, start

from experiments.lib.shards import Shard, dealt, part, ranked

ARRAY = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4"}


# --- dealing --------------------------------------------------------------------------

COSTS = np.tile(np.random.default_rng(0).lognormal(0, 2, 20), 5)


@pytest.mark.parametrize("shards", [1, 4, 7, 20, 300])
def test_cells_are_dealt_evenly_by_cost(shards):
    of_cell = dealt(COSTS, shards)
    loads = np.bincount(of_cell, COSTS, shards)
    # Graham's bound of this rule is 4/3 of the optimum, which is at least this.
    least = max(COSTS.sum() / shards, COSTS.max())
    assert loads.max() < 4 / 3 * least * 1.01  # costs are rounded to three digits


def test_machines_that_round_otherwise_deal_alike():
    other = np.nextafter(COSTS, np.where(np.arange(100) // 20 % 2, 0, np.inf))
    assert (other != COSTS).all()
    assert (dealt(other, 7) == dealt(COSTS, 7)).all()
    assert (ranked(other) == ranked(COSTS)).all()


def worked(alive, finish):
    """How often each cell is computed by shards of which some never start."""
    of_cell, times = dealt(COSTS, 4), np.zeros(100, int)
    resting = set()
    while resting < alive:
        resting = set()
        for number in sorted(alive):  # each looks at what those before have done
            missing = times == 0
            shard = Shard(number, 4)
            todo = part(missing, of_cell == number, shard, finish=finish)
            times[todo] += 1
            if not todo.size:
                resting.add(number)
    return times, of_cell


def test_shards_compute_their_own_cells_once():
    times, _ = worked({0, 1, 2, 3}, finish=False)
    assert (times == 1).all()


def test_shards_that_finish_do_the_work_of_one_that_is_gone():
    times, of_cell = worked({0, 1, 3}, finish=False)
    assert (times == (of_cell != 2)).all()
    times, _ = worked({0, 1, 3}, finish=True)
    assert (times == 1).all()


def test_shards_that_help_at_the_same_time_take_other_cells():
    missing, none = np.arange(100) >= 60, np.zeros(100, bool)
    parts = [part(missing, none, Shard(i, 4), finish=True) for i in range(4)]
    taken = np.concatenate(parts)
    assert len(set(taken)) == len(taken) == 4 * (40 // 16)
    assert missing[taken].all()


# --- commands -------------------------------------------------------------------------


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


def test_a_shard_that_finishes_makes_the_sweep_alone(tmp_path, whole):
    sweep = ("barrier_vs_width", *SWEEP, f"--out={tmp_path}", "--num_shards=3")
    ran = command(*sweep, "--shard_index=1", "--finish")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "summary.csv" in ran.stdout
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
