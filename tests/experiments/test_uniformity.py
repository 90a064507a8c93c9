"""Tests of the uniform model, and the entrypoints uniformity and why_gd_differs."""

import csv
import json
import re

import numpy as np
import pytest
from helpers import assert_one_line, command

from experiments import why_gd_differs
from experiments.claims import finer_paths
from experiments.claims.why_gd_differs import falls
from experiments.lib import students as sweeps
from experiments.lib.claims import Claim
from lmc_jax.results import store
from lmc_jax.results.selection import regular_runs
from lmc_jax.students import descent, minima
from lmc_jax.theory import stability, uniform_model

TINY = ("--steps=3000", "--lr_times_m=3", "--check_every=500", "--tol=1e-4")


# --- statistics ----------------------------------------------------------------------


def test_dispersion_index_by_hand():
    counts = np.array([[2, 2], [1, 3]])
    assert uniform_model.dispersion_index(counts, 4).tolist() == [0, 2]


def test_chi_square_against_its_definition_and_on_known_chances():
    # 8, 12 and 10 of 30: statistic (4 + 4 + 0) / 10, and p = exp(-0.4) at 2 degrees.
    p = uniform_model.equal_chances(np.array([8, 12, 10]))
    assert p == pytest.approx(np.exp(-0.4), rel=1e-12)
    assert uniform_model.equal_chances(np.array([400, 50, 50])) < 1e-10
    assert np.isnan(uniform_model.equal_chances(np.zeros(3, int)))


def test_ks_distance_of_uniform_points_stays_below_its_limit_and_of_equal_ones_not():
    rng = np.random.default_rng(1)
    limit = uniform_model.ks_limit(200, 10)
    assert uniform_model.ks_distance(rng.dirichlet(np.ones(10), size=200)) < limit
    assert uniform_model.ks_distance(rng.dirichlet(np.full(10, 3.0), size=200)) > limit
    assert uniform_model.ks_distance(np.full((1, 10), 0.1)) == pytest.approx(
        max(0.9**9, 1 - 0.9**9)
    )


def test_ks_interval_holds_its_distance_and_is_nan_without_runs():
    shares = np.random.default_rng(2).dirichlet(np.full(10, 3.0), size=50)
    distance, low, high = uniform_model.ks_interval(shares)
    assert distance == uniform_model.ks_distance(shares)
    assert low < distance < high
    assert np.isnan(uniform_model.ks_interval(shares[:0])).all()


def test_regular_runs_are_those_that_converged_without_zero_rows():
    status = np.array([[descent.CONVERGED] * 2, [descent.EXHAUSTED, descent.CONVERGED]])
    zero = np.array([[0, 1], [0, 0]])
    found = regular_runs({"status": status, "zero_rows": zero})
    assert found.tolist() == [[True, False], [False, True]]
    assert regular_runs({"zero_rows": zero}).sum() == 3


# --- resampling ----------------------------------------------------------------------

K, M = 4, 11


@pytest.fixture
def students():
    """Global minima ``[6, 2, M, K + 1]``, with a little weight off their axes."""
    rng = np.random.default_rng(3)
    kinds = uniform_model.uniform_kinds(rng, 12, M, K).reshape(6, 2, M)
    W = uniform_model.minimum(kinds, rng.exponential(size=kinds.shape) + 0.1, K)
    W = np.concatenate([W, np.zeros_like(W[..., :1])], axis=-1)
    return W + rng.normal(scale=1e-6, size=W.shape)


def test_parts_put_together_again_are_the_students(students):
    kinds, sizes = uniform_model.parts(students, K)
    again = uniform_model.minimum(kinds, sizes, K)
    np.testing.assert_allclose(again, students[..., :K], atol=2e-5)
    np.testing.assert_allclose(
        kinds, np.asarray(minima.types(students, K)), err_msg="types"
    )
    for run, own in zip(sizes.reshape(-1, M), kinds.reshape(-1, M), strict=True):
        for kind in range(K):
            assert run[own == kind].mean() == pytest.approx(1)


@pytest.mark.parametrize("norms", ["trained", "uniform"])
@pytest.mark.parametrize("counts", ["trained", "uniform"])
def test_resampled_students_are_minima_with_the_counts_asked_for(
    students, counts, norms
):
    kinds, sizes = uniform_model.parts(students, K)
    rng = np.random.default_rng(4)
    drawn = uniform_model.resampled(rng, kinds, sizes, K, counts=counts, norms=norms)
    assert drawn.shape == (6, 2, M, K)
    np.testing.assert_allclose(drawn.sum(axis=-2), 1, rtol=1e-12)
    assert ((drawn > 0).sum(axis=-1) == 1).all()
    same = (np.argmax(drawn, axis=-1) == kinds).all()
    assert same == (counts == "trained")


def test_resampled_norms_come_from_the_pool_or_from_the_model():
    rng = np.random.default_rng(5)
    kinds = np.tile(np.repeat(np.arange(2), 10), (2000, 1))
    even = np.ones(kinds.shape)
    flat = uniform_model.resampled(
        rng, kinds, even, 2, counts="trained", norms="trained"
    )
    np.testing.assert_allclose(flat.max(axis=-1), 0.1)
    model = uniform_model.resampled(
        rng, kinds, even, 2, counts="trained", norms="uniform"
    )
    shares = model[:, :10, 0]
    assert uniform_model.ks_distance(shares) < uniform_model.ks_limit(2000, 10)


def test_exchanged_norms_stay_together_and_go_to_types_of_their_number(students):
    kinds, sizes = uniform_model.parts(students, K)
    drawn = uniform_model.exchanged(np.random.default_rng(7), kinds, sizes, K)
    again, norms = uniform_model.parts(drawn, K)
    assert (again == kinds).all()
    np.testing.assert_allclose(drawn.sum(axis=-2), 1, rtol=1e-12)

    def groups(sizes):
        found = []
        for run, own in zip(sizes.reshape(-1, M), kinds.reshape(-1, M), strict=True):
            found += [tuple(np.sort(run[own == kind]).round(9)) for kind in range(K)]
        return found

    before, after = groups(sizes), groups(norms)
    assert sorted(before) == sorted(after)  # every type's norms, once each
    assert before != after


def test_uniform_types_have_multinomial_counts_in_random_order():
    kinds = uniform_model.uniform_kinds(np.random.default_rng(6), 20_000, M, K)
    counts = (kinds[..., None] == np.arange(K)).sum(axis=1)
    assert counts.min() == 1
    index = uniform_model.dispersion_index(counts, M)
    assert abs(index.mean() - 1) < 4 * index.std() / np.sqrt(len(index))
    first = uniform_model.equal_chances(np.bincount(kinds[:, 0], minlength=K))
    assert first > 1e-3


# --- entrypoints ---------------------------------------------------------------------


def check(name, out, *arguments):
    """Runs an entrypoint; returns its claims and what it printed."""
    done = command(name, f"--out={out}", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads((out / f"{name}.claims.json").read_text())
    for claim in content["claims"]:
        assert Claim(**claim).holds in (True, False, None)
    assert sweeps.LOST in content["caption"]
    assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return content, done.stdout


def test_uniformity_measures_types_norms_and_dispersion(tmp_path):
    tiny = ("--k=2", "--m_over_k=3", "--m_one=6", "--pairs=10", "--type_pairs=10")
    content, table = check("uniformity", tmp_path, *TINY, *tiny, "--init_std=0.1")
    claims = {claim["text"]: claim for claim in content["claims"]}
    types = claims["every type is equally likely to be the doubled one"]
    often = json.loads(types["measured"].split(" of ")[0])
    assert sum(often) == types["n"] == 20
    assert types["holds"] is bool(uniform_model.equal_chances(np.array(often)) > 0.01)
    assert "uniform model" in content["claims"][-1]["case"]
    assert content["claims"][-1]["n"] == 20
    cells = [record.parameters for record in store.load(tmp_path)]
    one, model = (cell for cell in cells if cell["k"] == 1)
    if model["source"]["name"] == "gd":
        one, model = model, one
    assert model["source"]["name"] == "uniform"
    share = 3 / 6 / stability.critical_learning_rate(6, 2)
    at_one = one["source"]["lr"] / stability.critical_learning_rate(6, 1)
    assert at_one == pytest.approx(share, rel=1e-5)
    assert "KS distance, k = 1" in table
    limit, sampled = (c for c in claims.values() if c["paper"] == "Lemma 8")
    if limit["n"]:
        limit, sampled = sampled, limit
    assert "tends to Exp(1)" in limit["text"]
    assert limit["holds"] is True
    # Twenty runs are too few to tell.
    assert (sampled["paper"], sampled["holds"], sampled["n"]) == ("Lemma 8", None, 20)


@pytest.mark.slow
def test_why_gd_differs_splits_the_difference(tmp_path):
    tiny = ("--k=2", "--m=6", "--pairs=6", "--init_std=0.1", "--repeats=2")
    content, table = check("why_gd_differs", tmp_path, *TINY, *tiny)
    claims = {claim["text"].split(" the ")[0]: claim for claim in content["claims"]}
    measured = claims["trained minima have"]["measured"]
    total, *factors = (
        float(part.split("×")[1].split()[0]) for part in measured.split("]")[:5]
    )
    assert np.prod(factors) == pytest.approx(total, rel=0.03)
    header, row = (line.split() for line in table.splitlines()[:2])
    assert header[:2] == ["k", "m"]
    assert row[:2] == ["2", "6"]
    split = (tmp_path / "why_gd_differs.csv").read_text().splitlines()
    (kept,) = csv.DictReader(split)
    names = ("by counts", "by norms", "within types", "between types")
    product = np.prod([float(kept[f"{name} mean"]) for name in names])
    assert product == pytest.approx(float(kept["total mean"]))
    ratio = float(kept["uniform/uniform mean"]) / float(kept["projected mean"])
    assert ratio == pytest.approx(product)
    steps = [c for c in content["claims"] if c["text"].startswith("steps of 1/10 ")]
    assert len(steps) == 4  # trained and uniform, direct and permuted
    assert all("steps of 1/100: " in claim["measured"] for claim in steps)


@pytest.mark.parametrize(("exponent", "holds"), [(-2.0, True), (-3.0, False)])
def test_the_rate_of_trained_minima_is_that_of_uniform_ones_and_of_the_factors(
    exponent, holds
):
    """Barriers m^exponent against m^-2: all of the difference is made by counts."""
    rng = np.random.default_rng(0)
    rows = []
    for m in (10, 20, 40, 80):
        found = rng.gamma(9, 1 / 9, size=(6, 100)) * m**-2.0
        found[[0, 1, 2, 3]] *= m ** (exponent + 2)  # those with trained counts
        row = {"k": 5, "m": m, "η m": 2.0, "σ": 0.01, "pairs": 100, "index": 1.0}
        row["unprojected"] = 1.9 * found[0].mean()
        rows.append(row | why_gd_differs.effects(found))
    assert [claim.case for claim in falls(rows)] == [
        "k = 5, m = 20 to 40, η = 2/m, σ = 0.01",
        "k = 5, m = 40 to 80, η = 2/m, σ = 0.01",
    ]
    assert [claim.holds for claim in falls(rows)] == [holds, holds]
    late = [*rows[:3], rows[3] | {"unprojected": 1.1 * rows[3]["unprojected"]}]
    assert [claim.holds for claim in falls(late)] == [holds, None]
    claim = falls(rows)[1]
    shown = re.findall(r"(-?[0-9.]+) \[", claim.measured)
    own, model, *factors = map(float, shown)
    assert own == pytest.approx(exponent, abs=0.3)
    assert sum(factors) == pytest.approx(model - own, abs=0.03)
    assert factors[0] == pytest.approx(-2 - exponent, abs=0.3)
    assert not falls(rows[:3])  # of them two have 4k neurons


def test_factors_without_an_interval_are_not_judged():
    """Of three pairs two have no barrier as trained: some resamples have none."""
    found = np.ones((6, 3))
    found[0, 1:] = 0
    row = {"k": 5, "m": 10, "η m": 2.0, "σ": 0.01, "pairs": 3, "index": 1.0}
    row |= {"spread": 1.0, "zero rows": 1.0, "threshold": 1e-6, "unprojected": 1.0}
    row |= {"barriers": {"projected": [1.0], "uniform/uniform": [1.0]}}
    with np.errstate(divide="ignore", invalid="ignore"):
        row |= why_gd_differs.effects(found)
    assert [claim.holds for claim in why_gd_differs.claims([row])] == [None, None]


@pytest.mark.parametrize(
    ("place", "holds"), [(0.5, True), (0.55, True), (0.501, False)]
)
def test_steps_are_judged_by_what_they_miss_of_a_barrier(place, holds):
    """A parabola misses at most 1%; a spike between two positions is missed."""
    t = np.arange(101) / 100
    parabola = np.clip(1 - 4 * (t - place) ** 2, 0, None)
    spike = np.where(np.arange(101) == 55, 1.0, 0.0)
    losses = np.tile(parabola if holds else spike, (3, 1))
    claim = finer_paths.judge("", losses, "lerp")
    assert claim.holds is holds
    missed = float(claim.measured.split()[-3].rstrip("%"))
    assert missed < 1.01 if holds else missed == 100


def test_settings_without_meaning_are_refused_in_one_line(tmp_path):
    assert_one_line(command("uniformity", f"--out={tmp_path}", "--m=5"))
