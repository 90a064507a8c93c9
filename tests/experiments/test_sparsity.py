"""Rules of sparsity on made-up curves: what they accept and what they refuse."""

import numpy as np
import pytest

from experiments import sparsity
from experiments.claims.sparsity import _dense, _grows_with_width
from lmc_jax.statistics import named

RNG = np.random.default_rng(0)


def curve(means, rate, spread=0.01, runs=40):
    """Rows of PQI against m = 10, 20, 40, 80 at ηm = ``rate``."""
    rows = []
    for m, mean in zip((10, 20, 40, 80), means, strict=True):
        values = mean + spread * RNG.standard_normal(runs)
        row = {"k": 5, "m": m, "runs": runs, "lr_times_m": rate}
        row |= named("pqi_rows", (values.mean(), values.min(), values.max()))
        rows.append(row | {"values": {"pqi_rows": values}})
    return rows


@pytest.mark.parametrize(
    ("means", "rate", "text", "holds"),
    [
        # The two ends alone would say that it grows.
        ([0.2, 0.6, 0.4, 0.25], 2, "does not grow with m at small", True),
        ([0.5, 0.4, 0.3, 0.2], 2, "does not grow with m at small", True),
        ([0.2, 0.3, 0.4, 0.5], 2, "does not grow with m at small", False),
        ([0.2, 0.3, 0.4, 0.5], 5.5, "does not grow with m at small", False),
        ([0.2, 0.3, 0.4, 0.5], 5.7, "grows with m at large", True),  # η*m is 5.58
        ([0.5, 0.4, 0.3, 0.2], 5.7, "grows with m at large", False),
    ],
)
def test_growth_is_judged_by_the_trend_over_all_widths(means, rate, text, holds):
    claim = _grows_with_width("pqi_rows", "", curve(means, rate))
    assert text in claim.text
    assert claim.holds is holds


def test_growth_needs_two_widths_of_two_runs():
    rows = curve([0.2, 0.3, 0.4, 0.5], 2)
    for row in rows[1:]:
        row["runs"] = 1
    assert _grows_with_width("pqi_rows", "", rows).holds is None


# η* is 0.558 of two neurons a type, 0.548 of (3, 2, 2, 2, 1), 0.493 of (6, 1, 1, 1, 1).
@pytest.mark.parametrize(
    ("counts", "rate", "lost", "stable"),
    [
        ([2, 2, 2, 2, 2], 0.50, 0, 0),  # nothing is lost
        ([2, 2, 2, 1, 2], 0.55, 1, 0),  # it may have been (3, 2, 2, 1, 2)
        ([2, 2, 2, 1, 2], 0.54, 1, 1),  # which is stable at this rate
        ([1, 1, 1, 1, 1], 0.50, 1, 0),  # it may have been (6, 1, 1, 1, 1)
        ([1, 1, 1, 1, 1], 0.49, 1, 1),
    ],
)
def test_lost_rows_are_given_back_where_they_are_least_stable(
    counts, rate, lost, stable
):
    found = sparsity._lost(np.array([counts]), 10, rate)
    assert found == {"lost": lost, "lost_stable": stable}


@pytest.mark.parametrize(("stable", "holds"), [(0, True), (1, False)])
def test_no_run_may_lose_rows_of_a_stable_minimum(stable, holds):
    rows = [{"runs": 40, "lost": 3, "lost_stable": stable}]
    assert _dense("m = 10", 5.58, rows).holds is holds
    assert _dense("m = 10", 5.58, []).holds is None
