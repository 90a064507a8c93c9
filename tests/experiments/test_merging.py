"""Means of many students and their centres: settings, predictions, verdicts."""

import numpy as np
import pytest
from helpers import assert_one_line, command

from experiments.claims import merging, star
from lmc_jax import theory


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("--k=3 --m=2,30", "m=2 < k=3"),
        ("--n=1,4", "--n=1,4 --groups=12: give groups of at least 2"),
        ("--k=3 --wide=0.5", "m=2 < k=3"),
        ("--wide=abc", "abc"),
        ("--groups=0", "--groups=0: give groups of at least 2, and at least 1 of them"),
        ("--n=abc", "--n=abc"),
        ("--lr_times_m=1,2", "--lr_times_m=1,2: give one"),
        ("--source=uniform --steps=9", "--steps=9: is for gd and sgd"),
        ("--pairs=4", "pairs"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, reason, tmp_path):
    out = tmp_path / "out"
    ran = command("merging", *settings.split(), f"--out={out}")
    assert_one_line(ran, reason)
    assert not out.exists()


def row(values, way="first", source="uniform", k=5, m=40, n=32, **more):
    """A row of the study, of the losses of its groups."""
    values = np.array(values, float)
    low, high = (
        values.mean() + np.array([-1, 1]) * 2 * values.std() / len(values) ** 0.5
    )
    shared = {"cell": f"{source} {k} {m}", "source": source, "k": k, "m": m, "n": n}
    ends = {"merged_mean": values.mean(), "merged_low": low, "merged_high": high}
    own = {"way": way, "groups": len(values), "values": values, **ends}
    expected = theory.merged_certificate(n, m, k)
    bound = np.full(len(values), expected) * (1 + np.linspace(-0.1, 0.1, len(values)))
    certified = {"certificate": bound, "expected": expected, "violations": 0}
    predicted = {"predicted": float(theory.unaligned(m, k).at(n))}
    counts = {"centre_count": len(values), "alike_count": 0}
    return shared | own | certified | predicted | counts | more


def around(mean, groups=60):
    return mean * (1 + np.linspace(-0.2, 0.2, groups))


def verdicts(rows, judge=merging.claims):
    return {(claim.text, claim.case): claim.holds for claim in judge(rows)}


@pytest.fixture(autouse=True)
def limits_are_cheap(monkeypatch):
    """Those of k = 5 are sampled."""
    monkeypatch.setattr(merging, "SAMPLED", 2)
    merging.limit.cache_clear()
    yield
    merging.limit.cache_clear()


def test_what_follows_the_predictions_holds():
    """Losses m² that tend to their limit with the width and saturate in n."""
    rows = []
    for k in (2, 5):
        for m in (16 * k, 64 * k, 256 * k):
            for n in (8, 16, 32):
                loss = merging.limit(32, k) * (1 - 1.4 * (k / m) ** 0.5) / m**2
                loss *= 1 - 1 / n
                ways = {"first": 1, "cycles": 0.5}
                rows += [
                    row(around(loss * f), w, k=k, m=m, n=n) for w, f in ways.items()
                ]
                far = theory.unaligned(m, k).at(n)
                rows.append(row(around(far), "direct", k=k, m=m, n=n))
                trained = around(0.3 * loss)
                rows.append(row(trained, source="gd", k=k, m=m, n=n))
    found = verdicts(rows)
    assert len({text for text, _ in found}) == 8
    assert all(holds in (True, None) for holds in found.values())
    told = {text for (text, _), holds in found.items() if holds}
    assert len(told) >= 7


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        (merging.UNALIGNED, [row(around(0.5), "direct")]),
        (merging.BOUNDED, [row(around(1e-3), violations=1)]),
        (merging.EXPECTED, [row(around(1e-3), expected=0.1)]),
        (merging.RATE, [row(around(1e-3 / m), m=m) for m in (40, 160)]),
        (
            merging.SATURATES,
            [row(around(1e-5 * n**2), n=n) for n in (8, 16, 32)],
        ),
        (
            merging.LIMIT,
            [row(around(1 / m**2), k=2, m=m) for m in (32, 64, 128)],
        ),
        (merging.LOWER, [row(around(1e-3)), row(around(2e-3), "cycles")]),
        (merging.TRAINED, [row(around(1e-3)), row(around(2e-3), source="gd")]),
    ],
)
def test_what_does_not_follow_them_fails(statement, rows):
    missing = {"first", "cycles"} - {one["way"] for one in rows}  # each cell has them
    found = verdicts(rows + [one | {"way": way} for way in missing for one in rows])
    assert False in [
        holds for (text, _), holds in found.items() if text == statement.text
    ]


def test_centres_are_judged_by_their_probabilities():
    chance = star.probability(2, 10, 2)
    right = round(200 * chance)
    one = row(np.ones(200), "direct", k=2, m=10, n=2, centre_count=right)
    alike = round(200 * float(theory.equal_counts(2, 10, 2)))
    one["alike_count"] = alike
    for changes, holds in (
        ({}, {star.CENTRE: True, star.STRONG: True}),
        ({"centre_count": right - 40}, {star.CENTRE: False, star.STRONG: True}),
        ({"alike_count": alike + 40}, {star.CENTRE: True, star.STRONG: False}),
    ):
        found = verdicts([one | changes], star.claims)
        for statement, expected in holds.items():
            assert found[statement.text, "k = 2"] is expected


def test_probabilities_of_centres_go_over_into_those_of_independent_types():
    wide = 400
    assert star.terms(wide, 3) > star.MOST_TERMS > star.terms(20, 2)
    assert star.probability(2, wide, 3) == theory.centre_law(2, wide, 3)
    assert star.probability(2, 20, 2) == theory.centre_probability(2, 20, 2)


def test_trained_centres_are_judged_by_their_barriers():
    ends = {
        f"{name}_{end}": value
        for name, value in (
            ("reach", 1e-8),
            ("sought_loss", 1e-6),
            ("sought_reach", 1e-6),
        )
        for end in ("mean", "low", "high")
    }
    one = row(around(1e-3), source="gd", tol=1e-7, sought=16, **ends)
    for changes, text, holds in (
        ({}, star.REACHED.text, True),
        ({"reach_high": 2e-7}, star.REACHED.text, False),
        ({}, star.SOUGHT.text, True),
        ({"sought_reach_high": 2e-4}, star.SOUGHT.text, False),
        ({}, star.ALWAYS.text, True),
        ({"centre_count": 59}, star.ALWAYS.text, False),
    ):
        assert verdicts([one | changes], star.claims)[text, "GD"] is holds
