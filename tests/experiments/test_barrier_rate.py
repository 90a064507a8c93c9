"""The rate of the barrier: slopes, its law, verdicts, and whole students beside it."""

import json

import numpy as np
import pytest
from helpers import assert_one_line, command

from experiments.claims.barrier_rate import claims, decades, fit
from experiments.claims.whole_minima import claims as whole_claims
from experiments.lib.whole import checked
from lmc_jax import theory


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("--k=3 --m=2,30", "m=2 < k=3"),
        ("--m=30 --most_work=20", "--most_work=20 leaves no width: give more"),
        ("--points=4", "points=4: give an odd number"),
        ("--whole=abc", "--whole=abc"),
        ("--whole=0.5,4", "--whole=0.5,4: give at least 1"),
        ("--whole_pairs=0", "--whole_pairs=0: give at least 1"),
        ("--save_weights", "save_weights"),
    ],
)
def test_bad_settings_are_refused_in_one_line(setting, reason, tmp_path):
    settings = (*setting.split(), f"--out={tmp_path}/out")
    assert_one_line(command("barrier_rate", *settings), reason)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_verdicts_of_a_small_sweep(tmp_path):
    done = command(
        *("barrier_rate", "--k=2", "--m=8,20,200,2000", "--pairs=300"),
        *("--whole_pairs=60", f"--out={tmp_path}"),
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "barrier_rate.claims.json").read_text())
    found = {c["text"]: c for c in content["claims"]}
    verdicts = {text: claim["holds"] for text, claim in found.items()}
    minima = "every point of the set that Lemma 2 describes is a global minimum"
    assert verdicts[minima] is True
    assert verdicts["two global minima whose types match have no barrier"] is True
    assert verdicts["the losses on a path are those of its unmatched pairs"] is True
    assert verdicts["the rate does not depend on the input dimension"] is True
    assert verdicts["the certificate bounds the loss on every path"] is True
    assert verdicts["the barrier vanishes at least like m^-1/2"] is True
    assumed = "its assumption, equation 10: every type has the same matched share in "
    assert verdicts[f"{assumed}both solutions"] is False
    closed = "for k = 2 barrier m² tends to the closed form of C"
    assert verdicts[closed] is None  # of the fitted law there are too few widths
    lines = [line.split() for line in done.stdout.splitlines()[1:13]]
    shown = [line[:3] for line in lines[::3]]
    assert shown == [["2", m, "types_index"] for m in ("8", "20", "200", "2000")]


def curve(k, exponent, pairs=2000, law=None):
    """Rows whose barriers are m^exponent on average, or a law's."""
    rng = np.random.default_rng(1)
    rows = []
    for m in (1000, 3000, 10_000, 30_000, 100_000, 1_000_000):
        mean = float(m) ** exponent
        if law is not None:
            mean *= law.limit * (1 - law.correction * np.sqrt(k / m))
        values = mean * rng.gamma(9, 1 / 9, size=pairs)
        row = {"k": k, "m": m, "matching": "types_index", "pairs": pairs, "alike": 0}
        row |= {"values": values, "plain_mean": values.mean(), "violations": 0}
        rows.append(row | {"certificate": 3 * mean})
    return rows


def test_slopes_over_decades_have_the_intervals_of_their_means():
    found = decades(curve(2, -1.5))
    assert [one.first for one in found] == [1000, 3000, 10_000, 100_000]
    for one in found:
        value, low, high = one.slope
        assert low < -1.5 < high
        assert low < value < high
        # Two means, each with an error of 1/3/sqrt(2000).
        assert high - low == pytest.approx(2 * 1.96 * 0.00745 * 2**0.5 / 2.303, rel=0.2)


def test_the_law_is_found_again_with_its_interval():
    law = theory.Law(0.7, 1.6)
    found = fit(curve(2, -2, law=law))
    for (value, low, high), true in zip(found[1:], law, strict=True):
        assert low < true < high
        assert low < value < high
    assert found.limit[2] - found.limit[1] < 0.03 * 0.7
    assert fit(curve(3000, -2)) is None  # too narrow, but for two widths


@pytest.mark.parametrize(
    ("exponent", "pairs", "holds"),
    [(-2, 2000, True), (-1.8, 2000, False), (-2.2, 2000, False), (-1.95, 20, None)],
)
def test_the_rate_is_judged_by_its_interval(exponent, pairs, holds):
    found = claims({(5, "types_index"): curve(5, exponent, pairs)})
    by_text = {claim.text: claim for claim in found}
    assert by_text["the barrier vanishes like m^-2"].holds is holds
    assert by_text["the barrier vanishes at least like m^-1/2"].holds is True
    slow = claims({(5, "types_index"): curve(5, -0.4)})
    assert "m^-1/2" in slow[2].text
    assert slow[2].holds is False


@pytest.mark.parametrize(("share", "holds"), [(1.0, True), (1.1, False)])
def test_the_closed_form_is_told_from_others(share, holds):
    law = theory.Law(share * theory.barrier_limit("index"), 1.7)
    found = claims({(2, "types_index"): curve(2, -2, 6000, law)})
    assert found[-1].text.startswith("for k = 2 barrier m² tends to the closed form")
    assert found[-1].holds is holds


@pytest.mark.slow
def test_whole_students_show_what_holds_of_all():
    one = checked(2, 6, 40, 0)
    judged = whole_claims([one])
    assert [claim.holds for claim in judged] == [True] * 5
    assert judged[1].n > 10  # paths between minima with equal counts
    broken = one._replace(ends=1e-9, unmatched=1e-9, dimension=np.nan)
    assert [claim.holds for claim in whole_claims([broken])][:4] == [
        *(False, True, False, False)
    ]
