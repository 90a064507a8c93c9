"""The rate of the barrier: slopes, its law, verdicts, and whole students beside it."""

import json

import numpy as np
import oracles
import pytest
from helpers import assert_one_line, command

from experiments.barrier_rate import STUDY, Rows, described, draw
from experiments.claims.barrier_rate import claims, decades, fit
from experiments.claims.whole_minima import claims as whole_claims
from experiments.lib import wide
from experiments.lib.whole import checked
from lmc_jax import theory
from lmc_jax.results import store


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("--k=3 --m=2,30", "m=2 < k=3"),
        ("--m=30 --k=2 --most_work=20", "the least is k=2, m=30, where k m is 60"),
        ("--k=1 --m=100,1000 --pairs=5", "k=1, m=100: without barrier"),
        ("--k=5 --m=5 --pairs=5", "k=5, m=5: without barrier, give m > k > 1"),
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


SETTING = {name: one.default for name, one in STUDY.choices.items()} | {
    **{"m": None, "m_over_k": "200000:500000:x2", "pairs": 3},
    **{"k": "2,5", "most_work": 4_000_000},
}


def test_what_is_left_out_is_said_in_one_line(capsys):
    """Widths in units of k have no limit of whole students."""
    grid = wide.cells(SETTING)
    assert [(cell.k, cell.m) for cell in grid] == [(2, 400_000), (2, 1_000_000)]
    assert capsys.readouterr().err == (
        "--most_work=4000000 leaves out 2 cells, from k=5, m=1000000, where k m is "
        "5000000, on\n"
    )
    wide.cells(SETTING | {"k": "2"})
    assert capsys.readouterr().err == ""


def test_estimates_have_the_mean_of_what_they_stand_for():
    """Values that go with the counts alone: all are the mean over every pair of them.

    Of the barriers by order, and of the certificate in the middle.
    """
    m, k, points, share = 7, 3, 11, np.array([[1e-3, 2e-3], [3e-3, 1e-3], [0, 4e-3]])
    vectors, chances = oracles.count_vectors(m, k)
    every = np.stack(np.broadcast_arrays(vectors[:, None], vectors), axis=2)
    squares = np.diff(every, axis=2).squeeze(2) ** 2.0
    forms = (squares**2).sum(-1), squares.sum(-1) ** 2 - (squares**2).sum(-1)
    means = share @ [chances @ form @ chances for form in forms]
    counts = every.reshape(-1, 2, k)
    height = np.stack(forms, axis=-1).reshape(-1, 2) @ share.T
    path = 1 - np.abs(np.linspace(-1, 1, points))
    arrays = {"counts": counts, "losses": height[..., None] * path}
    arrays["certificate"] = 5 * height[:, :1] * (2 - path)
    cell = {"k": k, "m": m, "pairs": len(counts), "seed": 0, "points": points}
    record = store.Record(cell, arrays, {}, None)
    found = wide.estimates(record, "lerp")
    np.testing.assert_allclose(found, np.broadcast_to(means, found.shape), rtol=1e-9)
    for row, mean in zip(described(record, "lerp"), means, strict=True):
        assert row["barrier_mean"] == pytest.approx(mean, rel=1e-9)
        assert row["middle"] == pytest.approx(5 * means[0], rel=1e-9)
        for (one, other), moments in zip(counts, row["unmatched"], strict=True):
            left = [max(n - o, 0) / n for n, o in zip(one, other, strict=True)]
            left += [max(o - n, 0) / o for n, o in zip(one, other, strict=True)]
            expected = np.mean(left), np.mean(np.square(left))
            np.testing.assert_allclose(moments, expected, atol=1e-15)


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
    dimension = "the rate of uniform minima does not depend on the input dimension"
    assert verdicts[dimension] is True
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
        row = {"k": k, "m": m, "matching": "types_index", "pairs": pairs}
        row |= {"unmatched": np.tile([0.2, 0.1], (pairs, 1))}
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


def of_multinomial(m, pairs):
    """Unmatched shares of uniform minima of very many neurons."""
    counts = np.random.default_rng(2).multinomial(m, [0.2] * 5, size=(pairs, 2))
    shares = 1 - counts.min(axis=1, keepdims=True) / counts
    return np.stack([shares, shares**2], 3).mean(axis=(1, 2))


@pytest.mark.parametrize(
    ("moments", "spread", "holds"),
    [
        (np.tile([0.2, 0.04], (50, 1)), 0, True),
        (of_multinomial(10**8, 3000), (np.pi - 1) ** 0.5, False),
        (np.tile([[0.2, 0.04], [0.2, 0.0412]], (6, 1)), 0.122, None),
        (np.zeros((50, 2)), np.nan, None),
    ],
)
def test_theorem_6_assumes_that_shares_do_not_spread(moments, spread, holds):
    rows = [row | {"unmatched": moments} for row in curve(5, -2, 30)]
    found = claims({(5, "types_index"): rows})[1]
    assert "same matched share" in found.text
    assert found.holds is holds
    value = float(found.measured.split("over mean ")[1].split()[0])
    assert value == pytest.approx(spread, abs=0.02, nan_ok=True)


@pytest.mark.parametrize(("share", "holds"), [(1.0, True), (1.1, False)])
def test_the_closed_form_is_told_from_others(share, holds):
    law = theory.Law(share * theory.two_neuron_limit("index"), 1.7)
    found = claims({(2, "types_index"): curve(2, -2, 6000, law)})
    assert found[-1].text.startswith("for k = 2 barrier m² tends to the closed form")
    assert found[-1].holds is holds


def test_no_slope_is_beyond_the_panel():
    rows = curve(20, -0.9, pairs=20)
    for row in rows:
        mean = row["values"].mean()
        row |= {f"barrier_{end}": mean for end in ("mean", "low", "high")}
        row["middle"] = row["certificate"]
    figure = draw(Rows(rows, []))
    low, high = figure.axes[1].get_ylim()
    for decade in decades(rows):
        assert low < decade.slope[1]
        assert decade.slope[2] < high


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
