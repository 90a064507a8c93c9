"""The rate of the permuted barrier: its fit, its verdicts, a second dimension."""

import json

import numpy as np
import pytest
from helpers import assert_one_line, command

from experiments.claims.barrier_rate import _dimension, fit
from lmc_jax.statistics import mean_interval


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("--source=gd", "the certificate bounds pairs of global minima"),
        ("--k=3 --other_d=3", "give another dimension than d"),
        ("--k=3 --other_d=2", "k=3 > d=2"),
    ],
)
def test_bad_settings_are_refused_in_one_line(setting, reason, tmp_path):
    settings = (*setting.split(), f"--out={tmp_path}/out")
    assert_one_line(command("barrier_rate", *settings), reason)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_verdicts_and_the_second_dimension(tmp_path):
    done = command(
        *("barrier_rate", "--k=2", "--m_over_k=1,2,4,8,12"),
        *("--pairs=30", "--matching=types_index", "--d=5", f"--out={tmp_path}"),
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "barrier_rate.claims.json").read_text())
    claims = {c["text"]: c for c in content["claims"]}
    verdicts = {text: claim["holds"] for text, claim in claims.items()}
    minima = "every point of the set that Lemma 2 describes is a global minimum"
    assert verdicts[minima] is True
    assert verdicts["two global minima whose types match have no barrier"] is True
    assert verdicts["the certificate bounds the loss on every path"] is True
    assumed = "its assumption, equation 10: every type has the same matched share in "
    assert verdicts[f"{assumed}both solutions"] is False
    dimension = claims["the rate does not depend on the input dimension"]
    # d = 5 was asked for, so that the other one is k; widths 2k ... 12k are the decade.
    assert "at d = 5 and 2;" in dimension["measured"]
    assert dimension["measured"].endswith("of 4 widths")
    assert (dimension["n"], dimension["paper"]) == (120, "Section 1")
    lines = [line.split() for line in done.stdout.splitlines()[1:10]]
    assert [line[:3] for line in lines] == [
        *(["2", "5", m] for m in ("2", "4", "8", "16", "24")),
        *(["2", "2", m] for m in ("4", "8", "16", "24")),
    ]


def curve(rng, d, shift):
    """Barriers of shift · m⁻² on average."""
    rows = []
    for m in (10, 20, 40, 100):
        values = shift * m**-2.0 * rng.exponential(size=400)
        ends = zip(("mean", "low", "high"), mean_interval(values), strict=True)
        row = {"k": 2, "d": d, "m": m, "pairs": 400, "values": values}
        rows.append(row | {f"barrier_{end}": value for end, value in ends})
    return rows


@pytest.mark.parametrize(("shift", "holds"), [(1.0, True), (3.0, False)])
def test_dimensions_are_told_apart_by_intervals(shift, holds):
    rng = np.random.default_rng(1)
    assert _dimension("", curve(rng, 2, 1.0), curve(rng, 20, shift)).holds is holds


def test_fit_finds_the_slope_of_a_power_law_and_its_interval():
    rng = np.random.default_rng(1)
    rows = [
        {"m": m, "k": 1, "values": m**-2.0 * rng.exponential(size=4000)}
        for m in (10, 20, 40, 80, 100)
    ]
    slope, low, high = fit(rows)
    assert low < -2 < high
    assert high - low < 0.2
    assert abs(slope + 2) < 0.05
