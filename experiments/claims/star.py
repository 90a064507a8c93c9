"""One centre for n minima, judged by types; and reached from trained ones.

Rows are those of ``experiments.merging``.
"""

import math
from collections.abc import Callable, Sequence

import scipy  # its parts load when first used

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, highest
from experiments.lib.table import at, with_interval
from lmc_jax import theory

SIZES = (2, 3, 4)  # numbers of minima that are drawn and judged
MOST_TERMS = 20_000  # of an exact probability
LEVEL = 0.01  # of all tests of a statement together
COMPATIBLE = (
    "binomial tests of the groups with a probability strictly between 0 and 1, at "
    f"{LEVEL:.0%} for all of them together"
)
CENTRE = Statement(
    "without permutation n uniform minima have a centre with its exact probability",
    f"{COMPATIBLE}; where the exact sum has more than {MOST_TERMS} terms, that of "
    "independent types stands for it",
)
STRONG = Statement(
    "n uniform minima have equal type counts with the exact probability",
    COMPATIBLE,
)
ALWAYS = Statement(
    "aligned to one of them, n minima always have a centre, of zero neurons but for k",
    "every group has one",
)
REACHED = Statement(
    "trained minima reach the centre of their types without barrier",
    "the largest excess in the middle of the n paths of a group: the interval of its "
    "mean lies below the loss at which training ends, at every k, m and n",
)
SOUGHT = Statement(
    "descent from the mean finds a centre of trained minima aligned to one",
    "on the loss of the centre and in the middle of its paths: the intervals of both "
    "the loss and the largest excess of a group lie below a tenth of the loss of the "
    "mean, at every k and m, for the largest n",
)


def claims(rows: Sequence[dict]) -> list[Claim]:
    rows = [row for row in rows if row["groups"] and row["k"] > 1]
    uniform = [
        row
        for row in rows
        if (row["source"], row["way"]) == ("uniform", "direct") and row["n"] in SIZES
    ]
    judged = []
    for (k,), own in curves.group(uniform, "k").items():
        judged.append(_compatible(CENTRE, k, own, "centre", probability))
        judged.append(
            _compatible(
                STRONG,
                k,
                own,
                "alike",
                lambda n, m, k: float(theory.equal_counts(n, m, k)),
            )
        )
    first = [row for row in rows if row["way"] == "first"]
    for (source,), own in curves.group(first, "source").items():
        name, n = curves.NAMES[source], sum(row["groups"] for row in own)
        without = n - sum(row["centre_count"] for row in own)
        measured = f"{without} of {n} groups have none"
        judged.append(ALWAYS.judged(name, measured, n, without == 0))
        if source != "uniform":
            judged += [_reached(name, own), _sought(name, own)]
    return judged


def _reached(name: str, rows: Sequence[dict]) -> Claim:
    worst = highest(rows, "reach")
    holds = all(row["reach_high"] < row["tol"] for row in rows)
    measured = f"the largest is {at(worst, 'reach', 'k', 'm', 'n')}"
    return REACHED.judged(name, measured, sum(row["groups"] for row in rows), holds)


def _sought(name: str, rows: Sequence[dict]) -> Claim:
    groups = curves.group(rows, "k", "m").values()
    largest = [max(group, key=lambda row: row["n"]) for group in groups]
    parts = ("sought_loss", "sought_reach")
    shares = [
        max(row[f"{part}_high"] for part in parts) / row["merged_mean"]
        for row in largest
    ]
    where = largest[shares.index(max(shares))]
    measured = (
        f"furthest from it: loss {at(where, 'sought_loss', 'k', 'm', 'n')}, excess "
        f"{with_interval(where, 'sought_reach')}, the mean's loss "
        f"{with_interval(where, 'merged')}"
    )
    n = sum(row["sought"] for row in largest)
    return SOUGHT.judged(name, measured, n, max(shares) < 0.1)


def terms(m: int, k: int) -> int:
    """How many terms the exact probability of a centre has, at most."""
    return math.comb(m, k)


def probability(n: int, m: int, k: int) -> float:
    """Of a centre without permutation: exact where that is cheap."""
    if terms(m, k) <= MOST_TERMS:
        return theory.centre_probability(n, m, k)
    return float(theory.centre_law(n, m, k))


def _compatible(
    statement: Statement,
    k: int,
    rows: Sequence[dict],
    name: str,
    chance: Callable[[int, int, int], float],
) -> Claim:
    tests = []
    for row in rows:
        expected = chance(row["n"], row["m"], k)
        if 0 < expected < 1:
            count = row[f"{name}_count"]
            test = scipy.stats.binomtest(count, row["groups"], expected)
            tests.append((float(test.pvalue), row, expected))
    if not tests:
        return statement.judged(f"k = {k}", "nothing to test", 0, None)
    p, row, expected = min(tests, key=lambda test: test[0])
    measured = (
        f"{len(tests)} tests, the least p is {p:.2g}: {row[f'{name}_count']} of "
        f"{row['groups']} groups at n = {row['n']}, m = {row['m']}, expected "
        f"{expected:.3g}"
    )
    n = sum(row["groups"] for _, row, _ in tests)
    return statement.judged(f"k = {k}", measured, n, p > LEVEL / len(tests))
