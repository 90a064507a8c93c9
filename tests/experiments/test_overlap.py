"""The overlap entrypoint on tiny settings: its files, its verdicts, its reruns."""

import csv
import json

import pytest
from helpers import command

from experiments.claims.overlap import expected, seen
from experiments.lib.claims import Claim
from lmc_jax import theory
from lmc_jax.results import store
from lmc_jax.statistics import named

CLT = "sampled overlaps of uniform minima agree with the central-limit form"
TINY = ("--k=5", "--m_over_k=1.2:3:0.2,6.4", "--pairs=40")


def overlap(out, *arguments):
    ran = command("overlap", f"--out={out}", *arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("overlap")
    return out, overlap(out, *TINY)


def test_the_points_have_the_widths_of_their_ratios_and_their_theory(run):
    out, done = run
    with (out / "summary.csv").open() as file:
        widths = {(int(row["k"]), int(row["m"])) for row in csv.DictReader(file)}
    assert widths == {(5, m) for m in [*range(6, 16), 32]}
    lines = [row.split() for row in done.stdout.splitlines()]
    line = next(line for line in lines if line[1:3] == ["5", "8"])
    assert line[-2] == f"{theory.expected_overlap(8, 5):.3g}"
    assert line[-1] == f"{theory.expected_overlap_clt(8, 5):.3g}"


def test_paths_that_overlaps_do_not_need_are_left_out(run):
    cell = store.load(run[0])[0]
    assert cell.parameters["matchings"] == []
    assert cell.arrays["losses"].shape == (40, 1, 3)


def test_claims_carry_computed_verdicts(run):
    claims = json.loads((run[0] / "overlap.claims.json").read_text())
    assert "n = 40 independent pairs" in claims["caption"]
    for claim in claims["claims"]:
        assert Claim(**claim).holds in (True, False, None)
    found = {
        f"{claim['text']} ({claim['case']})".removesuffix(" ()"): claim["holds"]
        for claim in claims["claims"]
    }
    assert found.pop(CLT) in (True, False)  # ten points do not tell it from the exact
    value, seen = "0.7179", "the sampled overlap proportion"
    assert found == {
        "sampled overlaps of uniform minima agree with the exact expectation": True,
        f"{seen} first decreases and then increases (k = 5)": True,
        f"{seen} is least at m approximately 2k (k = 5)": True,
        "the overlap proportion first decreases and then increases (k = 5)": True,
        "the overlap proportion tends to 1 as m → ∞ (k = 5)": True,
        "the expected overlap is least at m = 2k (k = 5)": False,
        "the expected overlap is least at a width next to 2.292k (k = 5)": True,
        "as k → ∞ the central-limit form is least at m = 2k, with value 1 - 1/(2√π) = "
        + value: True,
        "as k → ∞ the overlap proportion is least at m = 2k, with value 1 - 1/(2√π) = "
        + value: False,
        "as k → ∞ the overlap proportion is least at m = 2.292k, with value "
        "0.735": True,
    }
    corrected = {c["corrects"] for c in claims["claims"] if c["corrects"]}
    assert corrected < {claim["text"] for claim in claims["claims"]}
    assert len(corrected) == 3
    least = next(c for c in claims["claims"] if c["text"].endswith("least at m = 2k"))
    assert "m = 11 = 2.2k" in least["measured"]
    assert "m = 2292" in claims["claims"][-1]["measured"]


@pytest.mark.parametrize("k", [2, 3, 5, 20, 100])
def test_theorem_5_for_other_teachers(k):
    assert [claim.holds for claim in expected(k)] == [True, True, k == 2, True]


@pytest.mark.parametrize(
    ("means", "holds"),
    [
        ([0.9, 0.8, 0.9], True),
        ([0.9, 0.89, 0.9], None),  # the intervals meet
        ([0.8, 0.85, 0.9], False),
        ([0.8, 0.805, 0.9], None),
        ([0.8, 0.9], None),
    ],
)
def test_a_fall_and_a_rise_are_judged_where_intervals_tell(means, holds):
    curve = [
        {"m": 6 + i, "pairs": 9} | named("overlap", (mean, mean - 0.01, mean + 0.01))
        for i, mean in enumerate(means)
    ]
    assert seen(5, curve)[0].holds is holds


def test_coverage_of_few_points_is_not_judged(run, nothing_is_swept):
    out, _ = run
    few = overlap(out, "--k=5", "--m=7,8", "--pairs=40")
    claims = json.loads((out / "overlap.claims.json").read_text())["claims"]
    assert [claim["holds"] for claim in claims[:2]] == [None, None]
    assert "2 of 2 intervals" in claims[1]["measured"]
    # And what is seen of three widths or more.
    assert few.stdout.count("not tested") == 4
    assert claims[0]["text"] == CLT
