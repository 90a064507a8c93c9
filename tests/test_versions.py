"""Versions of programs: what one raises is computed again, and nothing else is."""

import pytest
from cases import SWEEP
from helpers import command, files, times

from lmc_jax.networks.cell import ClassifierCell
from lmc_jax.networks.training import Training
from lmc_jax.results import store
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.merge import MergeCell
from lmc_jax.sweep.wide import WideCell
from lmc_jax.versions import VERSIONS, of, outdated


def test_cells_name_the_programs_they_need():
    trained = Cell(2, 3, 2, Descent(lr=0.1), 2, matchings=())
    sampled = Cell(2, 3, 2, Minima(), 2)
    network = ClassifierCell("mnist", "0", 1, 1, "mlp", 1, 2, Training())
    merged = MergeCell(sampled, (2,))
    every = (trained, sampled, network, WideCell(2, 3, 2), merged)
    named = [set(cell.parameters()["versions"]) for cell in every]
    assert named == [
        {"descent", "measures"},
        {"sampling", "matching", "measures"},
        {"training", "alignment", "evaluation"},
        {"leftovers"},
        {"sampling", "matching", "merging"},
    ]
    assert set.union(*named) | {"sharpness"} == VERSIONS.keys()


def test_a_raised_version_is_named_and_a_cell_without_versions_is_of_the_first(
    monkeypatch,
):
    monkeypatch.setitem(VERSIONS, "descent", 1)
    made = of("descent", "measures")
    assert not outdated({"versions": made})
    assert not outdated({"k": 2})
    monkeypatch.setitem(VERSIONS, "descent", 2)
    assert outdated({"versions": made}) == "descent 1, now 2"
    assert outdated({"versions": of("descent")}) == ""
    assert outdated({"versions": of("sampling")}) == ""
    assert outdated({"k": 2}) == "descent 1, now 2"
    monkeypatch.setitem(VERSIONS, "training", 3)
    assert outdated({"k": 2}) == "descent 1, now 2"
    assert outdated({"architecture": "mlp"}) == "training 1, now 3"
    assert outdated({"versions": {"gone": 1}}) == "gone 1, now gone"


def test_raising_one_computes_just_its_cells_again_and_says_so(tmp_path, monkeypatch):
    """Sampled and trained cells in one folder; descent is raised."""
    out = f"--out={tmp_path}"
    few = ("--k=2", "--m=2,3", "--pairs=2", "--matching=", out)
    both = ("--source=gd,uniform", "--steps=20")

    def sweep(*more):
        return command("barrier_vs_width", *few, *more)

    assert sweep(*both).returncode == 0
    before = times(tmp_path)
    monkeypatch.setitem(VERSIONS, "descent", VERSIONS["descent"] + 1)
    status, said, _ = command("tools.verify", tmp_path)
    assert status == 1
    assert said.count("made by descent 1, now 2") == 2
    assert "2 of 4 files are sound" in said
    with pytest.raises(store.Outdated, match="needs the command of its sweep again"):
        store.load(tmp_path)
    # The others are drawn without them, in one line.
    status, _, err = sweep("--source=uniform")
    assert (status, times(tmp_path)) == (0, before)
    (line,) = err.splitlines()
    assert "made by descent 1, now 2; left out of" in line
    assert line.endswith(", and 1 more of older programs")
    table = (tmp_path / "summary.csv").read_text()
    assert len(table.splitlines()) == 1 + 2
    status, said, err = sweep(*both)
    assert status == 0
    assert "2 of 4 cells found" in said
    (line,) = err.splitlines()
    assert "computing it again, and 1 more of older programs" in line
    after = times(tmp_path)
    assert len(before.items() & after.items()) == 2
    assert command("tools.verify", tmp_path).returncode == 0
    assert sweep(*both).stderr == ""


def test_what_made_a_cell_is_shown_and_a_mixture_is_said(tmp_path):
    out = f"--out={tmp_path}"
    assert command("barrier_vs_width", *SWEEP, out).returncode == 0
    record = store.read(files(tmp_path)[0])
    other = record.provenance | {"jax": "0.0.1", "backend": "abacus"}
    store.save(tmp_path, record.parameters, record.arrays, other)
    status, said, _ = command("tools.verify", tmp_path)
    assert status == 0
    assert "\n1 made by JAX 0.0.1 on abacus\n" in said
    assert f"\n3 made by JAX {record.provenance['jax']} on cpu\n" in said
    status, _, err = command("barrier_vs_width", *SWEEP, out)
    assert status == 0
    (line,) = err.splitlines()
    assert "cells of more than one origin" in line
    assert "JAX 0.0.1 on abacus (1)" in line
    assert (tmp_path / "summary.csv").read_text().count("JAX 0.0.1 on abacus") == 1
