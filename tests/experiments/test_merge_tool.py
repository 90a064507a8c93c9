"""Trained networks of a sweep merged: losses that the sweep has measured itself."""

import csv

import pytest
from cases import CLASSIFIERS
from helpers import assert_one_line, command

from lmc_jax.results import store

FEW = (*CLASSIFIERS.split(), "--data=easy", "--layers=2", "--widths=4")


def run(name, data, *arguments):
    return command(name, *arguments, environ={"LMC_JAX_DATA": str(data)})


@pytest.mark.slow
def test_two_networks_merge_to_the_middle_of_their_path(data, tmp_path):
    asked = (*FEW, "--align=weights", "--save_weights", f"--out={tmp_path}")
    assert run("mnist_mlp", data, *asked).returncode == 0
    ran = run("tools.merge", data, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "reference_nll" in ran.stdout
    with (tmp_path / "merge.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sets = [(row["merged"], row["n"]) for row in rows]
    assert sets == [("2", "2"), ("3", "1"), ("4", "1")]
    (cell,) = store.cell_files(tmp_path)
    losses = store.read(cell).arrays["losses"]  # [pairs, orders, 3, samples, metrics]
    losses = losses[..., 1, :]
    for i, metric in enumerate(("nll", "error")):
        for column, expected in (
            ("single", losses[:, 0, [0, 2], i]),
            ("direct", losses[:, 0, 1, i]),
            ("reference", losses[:, 1, 1, i]),
            ("cycles", losses[:, 1, 1, i]),
        ):
            found = float(rows[0][f"{column}_{metric}_mean"])
            assert found == pytest.approx(expected.mean(), rel=1e-6)
        every = float(rows[2][f"single_{metric}_mean"])
        assert every == pytest.approx(losses[:, 0, [0, 2], i].mean(), rel=1e-6)
    assert rows[2]["gain_low"] == ""  # one set has no interval


def test_a_folder_without_networks_is_refused(data, tmp_path):
    ran = run("tools.merge", data, tmp_path)
    assert_one_line(ran, "holds no trained networks: sweep with --save_weights")
