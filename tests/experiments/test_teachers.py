"""Teachers that are not orthonormal: the setting, the study, its verdicts."""

import json

import numpy as np
import pytest
from cases import SWEEP, TEACHERS
from helpers import assert_one_line, command, times

from experiments.claims import teachers as judge
from experiments.lib.claims import Claim
from experiments.teachers import Rows
from lmc_jax.results import store
from lmc_jax.statistics import named

UNIFORM = {"k": 5, "source": "uniform", "rate": "", "pairs": 40}


def caption(out, name):
    return (out / f"{name}.caption.txt").read_text().replace("\n", " ")


def test_a_sweep_of_another_teacher_says_so_in_its_cells_table_and_caption(tmp_path):
    asked = (*SWEEP, "--teacher=norms:1,3", f"--out={tmp_path}")
    ran = command("barrier_vs_width", *asked)
    assert (ran.returncode, ran.stderr) == (0, "")
    for record in store.load(tmp_path):
        assert record.parameters["teacher"] == "norms:1,3"
        assert np.abs(record.arrays["losses"][..., [0, -1]]).max() < 1e-14
    assert "orthonormal" not in (tmp_path / "summary.csv").read_text()
    assert "seed 0, teacher norms:1,3." in caption(tmp_path, "barrier_vs_width")


def test_an_orthonormal_teacher_is_not_mentioned(whole):
    assert all("teacher" not in r.parameters for r in store.load(whole))
    assert "teacher" not in caption(whole, "barrier_vs_width")


@pytest.mark.parametrize(
    "name",
    [
        *("matching_gap", "planted", "settings_map", "sgd_threshold", "sparsity"),
        *("teachers", "uniformity", "why_gd_differs"),
    ],
)
def test_studies_whose_predictions_are_of_the_papers_teacher_refuse_others(name):
    assert_one_line(command(name, "--teacher=random"), "--teacher", "<orthonormal>")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--k=2,3", "--k=2,3: give one teacher width"),
        ("--k=1", "--k=1: give one teacher width of at least 2"),
        ("--rho=1", "teacher='equiangular:1' of k=5 neurons: give"),
        ("--rho=x", "--rho=x"),
        ("--lr=0.1", "give one learning rate"),
        ("--lr_times_m=1,2", "give one learning rate"),
        ("--m=3,5", "give widths --m beyond k = 5"),
        ("--fixed_m=4", "--fixed_m of at least it"),
    ],
)
def test_what_a_figure_against_the_cosine_cannot_show_is_refused(given, said):
    assert_one_line(command("teachers", given), said)


@pytest.mark.slow
def test_the_study_leaves_a_figure_and_claims_and_computes_nothing_twice(tmp_path):
    asked = ("teachers", *TEACHERS.split(), f"--out={tmp_path}")
    first = command(*asked)
    assert (first.returncode, first.stderr) == (0, "")
    names = {record.parameters.get("teacher") for record in store.load(tmp_path)}
    assert names == {None, "equiangular:0.5"}
    assert (tmp_path / "teachers.png").stat().st_size > 5000
    said = caption(tmp_path, "teachers")
    assert "η*m predicted: 4.4" in said
    written = json.loads((tmp_path / "teachers.claims.json").read_text())["claims"]
    assert all(Claim(**claim).holds in (True, False, None) for claim in written)
    assert not any(claim["paper"] for claim in written)
    before = times(tmp_path)
    assert command(*asked) == first
    assert times(tmp_path) == before


def peak(rho, ratios, shares, relative=(1, 1, 1), predicted=1.0):
    place = {"ratios": np.array(ratios), "shares": np.array(shares)}
    own = UNIFORM | {"rho": rho, "predicted": predicted} | place
    return own | named("peak", (2, 2, 2)) | named("relative", relative)


def verdicts(rows):
    return {claim.text: claim.holds for claim in judge.claims(rows)}


@pytest.mark.parametrize(
    ("ratios", "shares", "holds"),
    [
        ([1.2, 2, 5], [0.02, 0.98, 0], True),
        ([1.2, 2, 5], [0.98, 0.02, 0], False),
        ([1.2, 2, 5], [0.5, 0.5, 0], None),
        ([1.2, 2, 4], [0, 1, 0], None),  # widths end too soon
    ],
)
def test_the_place_of_a_peak_is_judged_by_its_resamples(ratios, shares, holds):
    found = verdicts(Rows([], [peak(0, ratios, shares)], []))
    assert found == {judge.PLACE.text.format("uniform minima"): holds}


@pytest.mark.parametrize(
    ("relative", "holds"),
    [
        ((0.3, 0.25, 0.35), True),
        ((0.3, 0.1, 0.35), None),
        ((0.8, 0.6, 1), False),
        ((0.1, 0.05, 0.15), False),
    ],
)
def test_the_height_of_a_peak_is_judged_by_its_interval(relative, holds):
    row = peak(0.5, [1.2, 2, 5], [0, 1, 0], relative, 0.3)
    found = verdicts(Rows([], [row], []))
    assert found[judge.HEIGHT.text.format("uniform minima")] is holds


def scan(share, zeros, runs=20):
    bound = max(0, 1 - 1 / share)
    row = {"rho": 0.5, "m": 10, "share": share, "runs": runs, "bound": bound}
    return row | named("zero_fraction", zeros)


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ((0, 0, 0), (0.1, 0.1, 0.1), (True, True)),
        ((0.1, 0, 0.2), (0.1, 0.1, 0.1), (False, True)),
        ((0, 0, 0), (0.05, 0.04, 0.06), (True, False)),
    ],
)
def test_sparsity_is_judged_on_both_sides_of_the_threshold(below, above, expected):
    found = verdicts(Rows([], [], [scan(0.9, below), scan(1.1, above)]))
    assert (found[judge.DENSE.text], found[judge.SPARSE.text]) == expected


def test_sides_without_converged_runs_are_not_judged():
    rows = Rows([], [], [scan(0.9, (0, 0, 0)), scan(1.1, (np.nan,) * 3, runs=0)])
    found = verdicts(rows)
    assert (found[judge.DENSE.text], found[judge.SPARSE.text]) == (True, None)
