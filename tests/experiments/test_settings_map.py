"""Statements judged over a map of settings: the rules, what is said, the command."""

import csv

import numpy as np
import pytest
import scipy
from cases import SETTINGS_MAP
from helpers import command

from experiments import settings_map
from experiments.claims import settings_map as judge
from experiments.lib import beside
from experiments.settings_map import STUDY
from lmc_jax.results import store
from lmc_jax.students import descent
from lmc_jax.theory import stability

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
    "ones": 30,
    "converged": 1.0,
    "ks": 0.02,
    "ks_limit": 0.04,
    "m/k": WIDTHS,
    "index": band(1.0),
    "pqi": band(1.1),
    "pqi_trend": np.array([-0.1, -0.2, -0.05]),
    "ratio": band(0.8),
    "ratio_trend": np.array([0.1, 0.0, 0.2]),
    "largest": np.array([0.0, 0.7, 0.3, 0.0]),
}


def test_point_at_which_every_statement_holds():
    assert judge.judged(PASSING) == dict.fromkeys(judge.STATEMENTS, True)


WIDE = {"index": band(1.0, 0.6), "pqi": band(1.1, 0.5), "ratio": band(0.8, 0.5)}


@pytest.mark.parametrize(
    ("name", "changed", "holds"),
    [
        ("counts", {"index": band([1.0, 1.0, 1.0, 0.6])}, False),
        ("counts", WIDE, None),
        ("Exp(1)", {"ks": 0.05}, False),
        ("Exp(1)", {"ks": 0.05, "ks_limit": 0.1}, None),
        ("Exp(1)", {"ks": np.nan, "ks_limit": np.nan}, None),
        ("PQI lowest", {"pqi": band([1.1, 1.1, 0.9, 1.1])}, False),
        ("PQI lowest", {"pqi": band([1.1, 1.1, 1.0, 1.1])}, None),
        ("PQI lowest", WIDE, None),
        ("PQI flat", {"pqi_trend": np.array([0.05, 0.02, 0.08])}, False),
        ("PQI flat", {"pqi_trend": np.array([0.05, -0.2, 0.3])}, None),
        ("alike", {"ratio": band([0.8, 0.8, 0.8, 0.4])}, False),
        ("alike", {"ratio": band([0.8, 0.8, 0.8, 2.5])}, False),
        ("alike", WIDE, None),
        ("below", {"ratio": band([0.8, 0.8, 0.8, 1.2])}, False),
        ("below", {"ratio": band([0.8, 0.8, 0.8, 1.0])}, None),
        ("below", {"ratio": band([1.5, 1.5, 1.5, 0.9])}, True),
        ("below", {"m/k": WIDTHS / 2}, None),  # to 4k only
        ("peak", {"largest": np.array([0.96, 0.04, 0.0, 0.0])}, False),
        ("peak", {"largest": np.array([0.0, 0.04, 0.0, 0.96])}, False),
        ("peak", {"largest": np.array([0.5, 0.5, 0.0, 0.0])}, None),
        ("peak", {"m/k": WIDTHS / 2}, None),
    ],
)
def test_rule_refuses_what_its_statement_does_not_say(name, changed, holds):
    assert judge.judged(PASSING | changed)[name] is holds


@pytest.mark.parametrize(
    "short",
    [{"pairs": 1}, {"converged": 0.8}, {"ratio": band([1.0, 1.0, 1.0, np.inf])}],
)
def test_only_k_1_is_judged_where_runs_did_not_converge(short):
    found = judge.judged(PASSING | short)
    assert found.pop("Exp(1)") is True
    assert set(found.values()) == {None}


# --- what is measured -----------------------------------------------------------------


def test_measures_of_a_point_against_numpy():
    rng = np.random.default_rng(0)

    def width(m, pqi, barrier, pairs=400):
        return {
            "m": m,
            "converged": np.ones(2 * pairs, bool),
            "index": rng.normal(0.9, 0.1, 2 * pairs),
            "pqi": pqi * rng.normal(1, 0.05, 2 * pairs),
            "barrier": barrier * rng.normal(1, 0.05, pairs),
        }

    widths = [width(*one) for one in ((6, 0.1, 1), (10, 0.2, 4), (40, 0.4, 1))]
    models = [width(*one) for one in ((6, 0.1, 2), (10, 0.1, 2), (40, 0.1, 2))]
    widths[1]["converged"][:80] = False
    row = beside.described(5, widths, beside.means(models, 3))
    m = np.array([6, 10, 40])
    assert (row["pairs"], row["converged"]) == (400, 0.9)
    assert row["m/k"].tolist() == [1.2, 2, 8]
    np.testing.assert_allclose(row["index"][0], 0.9, atol=0.02)
    np.testing.assert_allclose(row["pqi"][0], [1, 2, 4], rtol=0.02)
    np.testing.assert_allclose(row["ratio"][0], [0.5, 2, 0.5], rtol=0.02)
    trend = np.polyfit(np.log(m), [0.1, 0.2, 0.4], 1)[0]
    np.testing.assert_allclose(row["pqi_trend"][0], trend, rtol=0.02)
    # From 2k on: from twice to half of uniform minima, from m = 10 to 40.
    steep = np.log(0.5 / 2) / np.log(4)
    np.testing.assert_allclose(row["ratio_trend"][0], steep, rtol=0.03)
    assert row["largest"].tolist() == [0, 1, 0]
    for name in ("index", "pqi", "ratio"):
        assert np.all((row[name][1] < row[name][0]) & (row[name][0] < row[name][2]))


@pytest.mark.parametrize(("converged", "judged"), [(1.0, True), (0.8, False)])
def test_weights_at_one_neuron_of_a_teacher_are_held_against_the_simplex(
    converged, judged, monkeypatch
):
    shares = np.random.default_rng(1).dirichlet(np.ones(6), size=200)
    W = np.zeros((100, 2, 6, 3))
    W[..., 0] = shares.reshape(100, 2, 6)
    monkeypatch.setattr(beside.students, "trained", lambda record: W)
    status = np.full((100, 2), descent.CONVERGED)
    status[: round(100 * (1 - converged))] = descent.EXHAUSTED
    arrays = {"status": status, "zero_rows": np.zeros((100, 2))}
    row = beside.at_one(store.Record({}, arrays, {}), 0.9)
    assert row["ones"] == round(100 * converged)
    assert (row["ks"] < row["ks_limit"]) is judged
    if judged:
        marginal = scipy.stats.beta(1, 5)
        exact = scipy.stats.ks_1samp(shares.ravel(), marginal.cdf).statistic
        assert row["ks"] == pytest.approx(exact)


def test_points_have_the_asked_scale_dimension_and_share_of_the_limit():
    setting = {name: one.default for name, one in STUDY.choices.items()}
    setting |= STUDY.shared | STUDY.presets["quick"]
    setting |= {"init_std": "0.01,he", "d_over_k": "1,2", "shares": "0.3,0.9"}
    found = dict(settings_map.groups(setting))
    for (k, d, *point), cells in found.items():
        assert {(cell.k, cell.d) for cell in cells} == {(k, d)}
        if not point:
            assert {cell.source.name for cell in cells} == {"uniform"}
            continue
        std, share = point
        for cell in cells:
            # η λ_max = 2 · share at the minimum with equally many neurons of each type.
            sharpness = stability.balanced_sharpness(k) * cell.m / k
            assert cell.source.lr * sharpness == pytest.approx(2 * share, rel=1e-5)
            assert cell.source.init_std == std
    assert {key[2] for key in found if key[:2] == (5, 10) and len(key) > 2} == {
        0.01,
        np.sqrt(2 / 10),
    }


def test_maps_show_each_value_at_its_scale_and_rate():
    rows = [
        PASSING | {"σ": std, "η/η*": share, "ks": std * share, "ks_limit": 1.0}
        for std in (0.3, 0.1)
        for share in (0.2, 0.9)
    ]
    rows = [row | {"holds": judge.judged(row)} for row in rows]
    figure = settings_map.draw_measures(rows)
    panel = figure.axes[list(settings_map.MEASURES).index("ks")]
    (image,) = panel.get_images()
    expected = [[0.02, 0.06], [0.09, 0.27]]  # σ to the right, η/η* upwards
    np.testing.assert_allclose(image.get_array(), expected)
    assert [text.get_text() for text in panel.get_yticklabels()] == ["0.2", "0.9"]
    held = settings_map.draw_statements(rows).axes[0].get_images()[0]
    assert held.get_array().tolist() == [[1, 1], [1, 1]]


# --- what is said ---------------------------------------------------------------------


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


@pytest.mark.slow
def test_command_writes_every_point_and_width(tmp_path):
    ran = command("settings_map", *SETTINGS_MAP.split(), f"--out={tmp_path}")
    assert (ran.returncode, ran.stderr) == (0, "")
    with open(tmp_path / "settings_map.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3  # scales, widths
    assert {float(row["σ"]) for row in rows} == {0.1, 1.0}  # √(2/d) at d = 2
    assert all(float(row["pqi_mean"]) > 0 for row in rows)
