"""SGD's threshold: its cells, its verdicts, and GD from other starts."""

import math

import numpy as np
import oracles
import pytest
from helpers import assert_one_line, command

from experiments import sgd_threshold
from experiments.claims import sgd_threshold as claims
from experiments.lib import restarts
from lmc_jax.theory import stability
from lmc_jax.theory.sgd_stability import sgd_critical_learning_rate

SETTING = {
    name: one.default for name, one in sgd_threshold.STUDY.choices.items()
} | sgd_threshold.SHARED


def test_rates_are_in_units_of_each_threshold():
    asked = {"k": "2,3", "m": "4,6", "d": 5, "batch": "8", "scan": "0.5,1.5"}
    asked |= {"raised": "1.2"}
    grid = sgd_threshold.cells(SETTING | asked | {"pairs": 2, "steps": 10})
    assert len(grid) == 2 * 2 * 2 * 2
    for cell, relative in zip(grid, [0.5, 1.5] * 8, strict=True):
        counts = stability.balanced_counts(cell.m, cell.k)
        batch = cell.source.batch or np.inf
        limit = sgd_critical_learning_rate(counts, 5, batch)
        assert cell.source.lr == pytest.approx(relative * limit, rel=1e-3)
    assert {cell.source.batch for cell in grid} == {0, 8}


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("--lr=0.1", "--lr: give rates in units of the threshold, as --scan"),
        ("--lr_times_m=2", "--lr_times_m: give rates in units"),
        ("--source=uniform", "unknown 'uniform', choose among gd, sgd"),
        ("--k=5 --m=4", "width m=4, teacher width k=5: give m >= k >= 1"),
        ("--k=5 --d=4", "k=5 > d=4"),
        ("--raised=-1", "--raised=-1: '-1' is not a positive number"),
        ("--batch=0", "batch=0: give at least 1"),
    ],
)
def test_bad_settings_are_refused_in_one_line(asked, line, tmp_path):
    out = f"--out={tmp_path}/out"
    assert_one_line(command("sgd_threshold", *asked.split(), out), line)
    assert not (tmp_path / "out").exists()


def row(rate, dense, converged, diverged, sparse=None, error=0.05):
    """40 runs at m = 10, its threshold at ηm = 2; ``sparse`` of those that end."""
    if sparse is None:
        sparse = 1 - dense / converged if converged else math.nan
    shares = {"dense": dense, "converged": converged}
    shares |= {"diverged": diverged, "sparse": sparse}
    ends = {"mean": 0, "low": -error, "high": error}
    return {
        **{"k": 5, "m": 10, "B": 8.0, "lr_times_m": rate, "threshold": 2.0},
        **{"runs": 40, "ended": round(40 * converged)},
        **{f"{s}_{end}": shares[s] + off for s in shares for end, off in ends.items()},
    }


LOST = [row(1.8, 1, 1, 0), row(2.2, 0.4, 0.5, 0.45), row(2.6, 0, 0, 1)]
SPARSE = [row(1.8, 1, 1, 0), row(2.2, 0, 1, 0), row(2.6, 0, 0.8, 0.2)]
SPARSE += [row(3.0, 0, 0, 1)]
# As measured at k = 5, m = 10, B = 256: half are sparse, then most diverge.
BETWEEN = [row(1.9, 1, 1, 0), row(2.1, 0.475, 0.95, 0.05), row(2.3, 0, 0.35, 0.65)]
# As at k = 10, m = 20: zero rows at every rate, or more of them only at the end.
RISEN = [row(1.9, 0.45, 1, 0), row(2.1, 0, 0.8, 0.2), row(2.3, 0, 0, 1)]
UNRISEN = [row(1.9, 0.45, 1, 0), row(2.1, 0.36, 0.8, 0.2), row(2.3, 0, 0, 1)]
ALWAYS = [row(1.8, 0, 1, 0), row(2.2, 0, 1, 0), row(2.6, 0, 0, 1)]
NEARLY = [row(1.8, 0.02, 1, 0), row(2.2, 0, 1, 0, error=0), row(2.6, 0, 0, 1)]
TOGETHER = [row(1.8, 1, 1, 0), row(2.2, 0.16, 0.4, 0.6), row(2.6, 0, 0, 1)]
FEW = [row(1.8, 1, 1, 0), row(2.2, 0, 0.2, 0.4), row(2.6, 0, 0, 1)]
LATE = [row(1.8, 1, 1, 0), row(2.2, 1, 1, 0), row(2.6, 0.9, 1, 0), row(3, 0, 0, 1)]
SLOW = [row(1.8, 1, 1, 0), row(2.2, 0.3, 0.4, 0.1), row(2.6, 0, 0, 0.3)]


@pytest.mark.parametrize(
    ("curve", "dense", "ends", "sparse"),
    [
        (LOST, True, True, False),
        (SPARSE, True, False, True),
        (BETWEEN, True, False, True),
        (RISEN, None, True, True),
        (UNRISEN, None, True, False),
        (ALWAYS, None, False, None),
        (NEARLY, None, False, None),
        (TOGETHER, True, True, None),
        (FEW, True, True, False),
        (LATE, False, False, False),
        (SLOW, True, True, None),
    ],
)
def test_verdicts_on_sgd(curve, dense, ends, sparse):
    first, second, third, *fourth = claims.sgd(curve)
    assert (first.holds, second.holds, third.holds) == (dense, ends, sparse)
    assert [claim.holds for claim in fourth] == [True] * (sparse is False)


def test_places_have_the_intervals_of_the_shares():
    curve = [row(2, 1, 1, 0), row(3, 0.2, 1, 0)]
    expected = 2 + 0.5 / 0.8, 2 + 0.45 / 0.8, 2 + 0.55 / 0.8
    assert claims.halfway(curve, "sparse") == pytest.approx(expected)
    assert claims.halfway(curve, "diverged") == (math.inf,) * 3
    assert claims.halfway([], "sparse") is None


def test_a_share_that_never_falls_is_not_judged():
    assert claims.sgd(LATE[:2])[0].holds is None
    assert claims.crossing(LATE[:2]) is None
    assert claims.crossing(LOST[1:]) is None
    assert claims.crossing(LOST) == pytest.approx((1.8 + 0.4 * 5 / 6, 1.8, 2.2))


def test_gd_is_not_asked_for_the_sentence_on_sgd():
    (only,) = claims.sgd([one | {"B": np.inf} for one in SPARSE])
    assert only.case == "k = 5, m = 10, GD"


@pytest.fixture(scope="module")
def near():
    setting = SETTING | {"hold": 1, "tol": 1e-5}
    return restarts.Setup(k=3, m=6, d=4, runs=4, setting=setting)


@pytest.fixture(scope="module")
def fates(near):
    limit = float(stability.critical_learning_rate(6, 3))
    return near.fates(limit, [1.4 * limit, 1.7 * limit, 2.1 * limit])


def test_only_rows_that_are_exactly_zero_are_kept_at_zero(fates):
    by_start = {start: [] for start in restarts.STARTS}
    for found in fates:
        by_start[found["start"]].append((found["converged"], found["diverged"]))
    # Beyond 2η* no minimum of six neurons is stable: there is no third rate.
    assert by_start.pop("exact") == [(1, 0)] * 2
    assert by_start == dict.fromkeys(by_start, [(0, 1)] * 2)
    assert min(found["aligned"] for found in fates) > 0.99


def test_sparse_starts_are_near_stable_minima(near):
    lr = 1.4 * float(stability.critical_learning_rate(6, 3))
    for W, dead in zip(near._sparse(lr).values(), (0, 1e-6), strict=True):
        norms = np.linalg.norm(W, axis=-1)
        living = (norms > 1e-2).sum(axis=1)
        np.testing.assert_array_equal(living, living[0])
        assert 3 <= living[0] < 6
        assert np.all(norms[:, living[0] :] <= 6 * dead)
        assert np.all((norms[:, living[0] :] > 0) == (dead > 0))
        counts = stability.balanced_counts(living[0], 3)
        assert lr * stability.gauss_newton_sharpness(counts) <= 2
        assert max(oracles.loss(np.asarray(w), 3) for w in W) < 0.01


def test_sgd_too_stays_at_zero_rows_only(near):
    lr = 1.5 * float(sgd_critical_learning_rate([2] * 3, 4, 8))
    found = near.noisy({8: lr})
    assert [row["lr_times_m"] for row in found] == [6 * lr] * 2
    assert [(row["converged"], row["diverged"]) for row in found] == [(1, 0), (0, 1)]
    assert [claim.holds for claim in claims.noisy(found)] == [True]
    assert [claim.holds for claim in claims.noisy(found[::-1])] == [True]
    found[1]["diverged"] = 0.9
    assert [claim.holds for claim in claims.noisy(found)] == [False]


def test_the_first_steps_are_those_of_gd(near):
    path = near.path(0.4)
    W = np.asarray(near._small())[0]
    losses = []
    for _ in range(len(path.losses)):
        losses.append(oracles.loss(W, 3))
        W = W - 0.4 * oracles.gradient(W, 3)
    np.testing.assert_allclose(path.losses[:, 0], losses, rtol=1e-9)
    assert path.edges.shape == path.losses.shape == (1 + restarts.FIRST, 4)


def test_claims_on_gd_follow_from_where_it_ends(near, fates):
    path = near.path(1.7 * float(stability.critical_learning_rate(6, 3)))
    found = claims.gd(fates, [path])
    assert [claim.holds for claim in found] == [True] * 4
    stays = [one | {"diverged": 0.0} for one in fates]
    assert [claim.holds for claim in claims.gd(stays, [path])] == [
        *(True, None, None, True)
    ]
    lost = [one | {"converged": 0.9, "aligned": 0.9} for one in fates]
    assert [claim.holds for claim in claims.gd(lost, [path])[:3:2]] == [False, False]
    losses = path.losses.copy()
    losses[5, 2] = 1e-3 * losses[0, 2]
    near = path._replace(losses=losses)
    assert claims.gd(fates, [near])[3].holds is False


@pytest.mark.slow
def test_students_without_sparser_minima_have_a_threshold_too(tmp_path):
    shape = {"k": [3], "m": [3, 6], "pairs": 2, "steps": 200, "tol": 1e-2, "hold": 1}
    rates = {"batch": 8, "scan": "0.5", "raised": "1.05"}
    result = sgd_threshold.STUDY.run(**shape, **rates, out=tmp_path)
    assert {row["m"] for row in result.table} == {3, 6}
    assert len(result.figures["divergence"].axes) == 2 * 3
    of_minima = [claim.case for claim in result.claims if "sparse minima" in claim.text]
    assert of_minima
    assert not any("m = 3" in case for case in of_minima)
