"""Statements judged over a map of settings: the rules, what is said, the command."""

import csv

import numpy as np
import pytest
from cases import SETTINGS_MAP
from helpers import command

from experiments.claims import settings_map as judge

WIDTHS = np.array([1.2, 2.0, 3.0, 8.0])


def band(mean, half=0.01):
    """Means ``[3, widths]`` with the ends of their intervals."""
    mean = np.broadcast_to(np.asarray(mean, float), WIDTHS.shape)
    return np.stack([mean, mean - half, mean + half])


PASSING = {
    "k": 5,
    "d": 5,
    "σ": 0.1,
    "η/η*": 0.5,
    "pairs": 20,
    "converged": 1.0,
    "ks": 0.5,
    "m/k": WIDTHS,
    "index": band(1.0),
    "pqi": band(1.1),
    "pqi_trend": np.array([-0.1, -0.2, -0.05]),
    "ratio": band(0.8),
    "largest": np.array([0.0, 0.7, 0.3, 0.0]),
}


def test_point_at_which_every_statement_holds():
    assert judge.judged(PASSING) == dict.fromkeys(judge.STATEMENTS, True)


@pytest.mark.parametrize(
    ("name", "changed", "holds"),
    [
        ("counts", {"index": band([1.0, 1.0, 1.0, 0.7])}, False),
        ("Exp(1)", {"ks": 1.2}, False),
        ("Exp(1)", {"ks": np.nan}, None),
        ("PQI lowest", {"pqi": band([1.1, 1.1, 0.9, 1.1])}, False),
        ("PQI lowest", {"pqi": band(1.0)}, True),  # not above by its interval
        ("PQI flat", {"pqi_trend": np.array([0.02, 0.01, 0.03])}, False),
        ("alike", {"ratio": band([0.8, 0.8, 0.8, 0.4])}, False),
        ("alike", {"ratio": band([0.8, 0.8, 0.8, 2.5])}, False),
        # Few pairs: neither alike nor apart.
        ("alike", {"ratio": band(0.8, half=0.5)}, None),
        ("below", {"ratio": band([0.8, 0.8, 0.8, 1.0])}, False),
        ("below", {"ratio": band([1.5, 1.5, 1.5, 0.9])}, True),
        ("peak", {"largest": np.array([0.96, 0.04, 0.0, 0.0])}, False),
        ("peak", {"largest": np.array([0.0, 0.04, 0.0, 0.96])}, False),
        ("peak", {"largest": np.array([0.5, 0.5, 0.0, 0.0])}, None),
    ],
)
def test_rule_refuses_what_its_statement_does_not_say(name, changed, holds):
    found = judge.judged(PASSING | changed)
    assert found[name] is holds
    others = {other for other in found if found[other] is not True} - {name}
    assert others <= ({"below", "alike"} if "ratio" in changed else set())


@pytest.mark.parametrize(
    "short",
    [{"pairs": 1}, {"converged": 0.8}, {"ratio": band([1.0, 1.0, 1.0, np.inf])}],
)
def test_nothing_is_judged_where_runs_did_not_converge(short):
    assert set(judge.judged(PASSING | short).values()) == {None}


def mapped(**holds):
    """Rows of a map of two learning rates and four scales, judged as given."""
    rows = []
    for share, found in holds.items():
        for std, held in zip((0.01, 0.1, 0.3, 1.0), found, strict=True):
            verdicts = dict.fromkeys(judge.STATEMENTS, False) | {"peak": held}
            point = {"σ": std, "η/η*": {"slow": 0.1, "fast": 0.9}[share]}
            rows.append(PASSING | point | {"holds": verdicts})
    return rows


def test_statement_says_over_which_scales_it_holds():
    rows = mapped(slow=[False] * 4, fast=[True, True, False, True])
    claims = {claim.text: claim for claim in judge.claims(rows)}
    peak = claims[judge.STATEMENTS["peak"].statement.text]
    assert peak.holds
    assert peak.measured == (
        "at 3 of 8 points: η = 0.1 η*: no σ; η = 0.9 η*: σ in [0.01, 0.1], σ = 1"
    )
    assert claims[judge.STATEMENTS["counts"].statement.text].holds is False


def test_statement_of_which_no_point_could_be_judged_is_not_tested():
    rows = mapped(slow=[None] * 4)
    peak = {claim.text: claim for claim in judge.claims(rows)}[
        judge.STATEMENTS["peak"].statement.text
    ]
    assert peak.holds is None
    assert peak.n == 0


def test_statements_that_never_hold_together_are_named():
    one, other = mapped(slow=[True, False, False, False])[:2]
    other["holds"] = other["holds"] | {"counts": True}
    together = judge.claims([one, other])[-1]
    assert together.holds is False
    assert "at most 1 of 7" in together.measured
    assert "counts and peak" in together.measured


def test_command_writes_every_point_and_width(tmp_path):
    ran = command("settings_map", *SETTINGS_MAP.split(), f"--out={tmp_path}")
    assert (ran.returncode, ran.stderr) == (0, "")
    with open(tmp_path / "settings_map.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3  # scales, widths
    assert {float(row["σ"]) for row in rows} == {0.1, 1.0}  # √(2/d) at d = 2
    assert all(float(row["pqi_mean"]) > 0 for row in rows)
