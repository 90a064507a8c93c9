"""--estimate: says what a study would take, and leaves nothing behind."""

import re

import numpy as np
import pytest
from cases import CLASSIFIERS, SWEEP
from helpers import assert_one_line, command

from experiments.lib.estimate import WAIT, makespan
from experiments.lib.shards import dealt
from lmc_jax.sweep.estimate import Plan


def test_estimate_counts_what_is_missing_and_stores_nothing(tmp_path, whole):
    asked = ("barrier_vs_width", *SWEEP, "--estimate", f"--out={tmp_path}/none")
    status, out, err = command(*asked)
    assert (status, err) == (0, f"{WAIT}\n")
    lines = dict(line.split(": ") for line in out.splitlines()[1:])
    assert out.startswith("0 of 4 cells found")
    assert (lines["runs"], lines["programs to compile"]) == ("32", "3")
    assert re.fullmatch(r"\d+ MiB", lines["memory"])
    for count in "2", "8", "64":
        assert f"time of {count} shards like this" in lines
    assert not list(tmp_path.iterdir())
    found = command(*asked[:-1], f"--out={whole}")
    assert found == (0, f"4 of 4 cells found in {whole}\n", "")


@pytest.mark.slow
def test_estimate_of_networks_stores_nothing(tmp_path, data):
    settings = (*CLASSIFIERS.split(), "--data=easy", "--widths=2", "--estimate")
    settings += ("--until=1", "--measure_at_looks=2")
    out = f"--out={tmp_path}/none"
    ran = command("mnist_mlp", *settings, out, environ={"LMC_JAX_DATA": str(data)})
    assert (ran.returncode, ran.stderr) == (0, f"{WAIT}\n")
    assert "0 of 1 cells found" in ran.stdout
    assert "time here: " in ran.stdout
    assert not list(tmp_path.iterdir())


def test_estimate_is_refused_in_one_of_several_processes(tmp_path):
    several = ("--num_processes=2", f"--out={tmp_path}")
    ran = command("barrier_vs_width", *SWEEP, "--estimate", *several)
    assert_one_line(ran, "--estimate is for one process")


@pytest.mark.parametrize("shards", [1, 2, 8])
def test_shards_take_as_long_as_the_one_with_most_to_do(shards):
    cells = np.random.default_rng(0).lognormal(size=20).tolist()
    missing = np.arange(20) % 3 > 0
    plan = Plan(0, 0, 0, lambda own: 1 + sum(own))  # one second to compile
    of_cell = dealt(cells, shards)
    loads = np.bincount(of_cell, np.where(missing, cells, 0))
    found = makespan(plan, cells, missing, of_cell)
    assert found == pytest.approx(1 + loads.max())
