"""The comparisons of matchings, on tiny settings: files, verdicts, refusals."""

import csv
import json

import numpy as np
import pytest
from cases import GAP, PLANTED
from helpers import assert_one_line, command

from experiments.claims.matching_gap import near
from experiments.lib.claims import Claim
from experiments.lib.matchings import columns
from lmc_jax.matching import PATHS


def entrypoint(name, out, settings):
    return command(name, *settings.split(), f"--out={out}")


def content(out, name):
    with (out / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    claims = json.loads((out / f"{name}.claims.json").read_text())
    for claim in claims["claims"]:
        assert Claim(**claim).text
    assert "L = ½E[(f-f*)²], x ~ N(0, I)" in claims["caption"]
    for kind in ("png", "pdf"):
        assert (out / f"{name}.{kind}").stat().st_size > 5000
    return rows, claims["claims"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "cells", "refined"),
    [
        # Where the best is known, nothing is judged.
        ("--source=uniform --m=4", 1, None),
        ("--source=gd,uniform --m=4,10", 4, True),
    ],
)
def test_every_matching_is_compared_and_bounded(tmp_path, settings, cells, refined):
    given = GAP if "gd" in settings else GAP.replace("--steps=4000 --tol=1e-4 ", "")
    done = entrypoint("matching_gap", tmp_path, f"{given} {settings}")
    assert (done.returncode, done.stderr) == (0, "")
    rows, claims = content(tmp_path, "matching_gap")
    assert len(rows) == cells * (len(PATHS) + 1)  # and the reference
    for row in rows:
        best = "exhaustive" if row["m"] == "4" else "refine_barrier"
        assert row["reference"] == best
        if row["matching"] == best:
            assert row["optimal"] == "1.0"
            assert row["ratio_mean"] in ("1.0", "")
        assert float(row["milliseconds"]) > 0
        if row["ratio_mean"] and best == "exhaustive":
            assert float(row["ratio_mean"]) >= 1 - 1e-9
            assert float(row["lower_mean"]) <= 1 + 1e-9
    objectives = {row["matching"]: row["objective"] for row in rows}
    assert all(objectives.values())
    assert {objectives["direct"], objectives["weights"]} == {"weight distance"}
    # Nothing below the optimum, nothing below the bound, the certificate above.
    assert [claim["holds"] for claim in claims[:3]] == [True, refined, True]
    with (tmp_path / "summary.csv").open() as file:
        assert {row["matching"] for row in csv.DictReader(file)} == {"direct"}


@pytest.mark.slow
def test_planted_permutations_are_found_without_noise(tmp_path):
    done = entrypoint("planted", tmp_path, PLANTED)
    assert (done.returncode, done.stderr) == (0, "")
    rows, claims = content(tmp_path, "planted")
    assert len(rows) == 2 * 3 * 5  # sources, noises, matchings
    for row in rows:
        if row["noise"] == "0.0" and row["matching"] not in ("refine", "exhaustive"):
            assert row["recovery_mean"] == row["whole"] == "1.0"
    by_name = {claim["case"]: claim["holds"] for claim in claims}
    held = [name for name, holds in by_name.items() if holds]
    assert sum("matching" in name or "Algorithm 1" in name for name in held) == 3
    noisy = [float(r["recovery_mean"]) for r in rows if r["noise"] == "3.0"]
    assert np.mean(noisy) < 0.9


def test_cells_that_vanish_are_named_and_nothing_is_judged_by_them(tmp_path):
    settings = "--k=1 --m=2 --pairs=2 --steps=1 --points=3 --matching=types_index"
    done = entrypoint("matching_gap", tmp_path, settings)
    assert (done.returncode, done.stderr) == (0, "")
    _, judged = content(tmp_path, "matching_gap")
    claims = json.loads((tmp_path / "matching_gap.claims.json").read_text())
    hidden = "Not shown, with less than two others: k = 1, m = 2, GD."
    assert hidden in claims["caption"]
    assert False not in [claim["holds"] for claim in judged]


def test_ratios_without_interval_are_not_judged():
    rows = [
        {"matching": "weights", "reference": "exhaustive", "pairs": 2, "k": 1, "m": 2}
        | {"source": "uniform", **columns(heights, heights, np.zeros(2))}
        for heights in (np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    ]
    assert near("weights", rows[:1]) == []
    [claim] = near("weights", rows)
    assert claim.holds
    assert claim.n == 2


def test_gaussian_students_may_be_narrower_than_the_teacher(tmp_path):
    settings = "--k=4 --d=4 --m=3 --pairs=2 --source=gaussian --matching=weights"
    done = entrypoint("planted", tmp_path, settings)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "flag", "said"),
    [
        ("matching_gap", "--matching=hungarian", "'hungarian'"),
        ("matching_gap", "--source=gd --m=1", "m >= k"),
        ("matching_gap", "--pairs=1", "give at least 2"),
        ("planted", "--noise=0", "is not a positive number"),
        ("planted", "--m=10 --matching=exhaustive", "up to 9 for exhaustive"),
        ("planted", "--source=sgd", "'sgd'"),
        ("planted", "--k=2,3", "--k=2,3: give one"),
        ("planted", "--lr_times_m=1,2", "--lr_times_m=1,2: give one"),
    ],
)
def test_bad_input_is_one_clear_line(name, flag, said, tmp_path):
    assert_one_line(entrypoint(name, tmp_path / "out", flag), said)
    assert not (tmp_path / "out").exists()
