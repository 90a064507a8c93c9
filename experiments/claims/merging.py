"""The mean of n students, judged: predictions for uniform minima, and trained ones.

Rows are those of ``experiments.merging``.
"""

import functools
from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, below
from experiments.lib.table import at, interval
from lmc_jax import theory
from lmc_jax.statistics import resampled_means, statistic_interval
from lmc_jax.theory.merging_limit import aligned_constants

ROUNDING = 1e-12  # of a loss: two ways to compute it may differ by less
NEAR = 0.05  # relative: what an expansion in many students leaves out
FEWEST = 16  # students, from which on it is judged
WIDE = 8  # in units of k: widths of a rate
SLOPE = 0.15
SAMPLED = 300  # groups of the limit m ≫ k
MANY = 30  # groups, from which on a mean is about normal
FURTHEST = 4
UNALIGNED = Statement(
    "not aligned, the loss of the mean of n uniform minima is limit - c/n + c'/n^(3/2)",
    f"at the largest n, at least {FEWEST}, the prediction is in the interval or within "
    f"{NEAR:.0%} of the mean",
)
BOUNDED = Statement(
    "the certificate bounds the loss of the mean of minima aligned to one of them",
    "no group of any n has a loss above it by more than 1e-12",
)
EXPECTED = Statement(
    "the certificate has its exact expectation",
    f"at no point of at least {MANY} groups its mean is more than {FURTHEST} standard "
    "errors away; m > k",
)
RATE = Statement(
    "aligned to one of them the loss of the mean falls with m as fast as its exact "
    "certificate, like m^-2",
    f"the slope between the two largest widths, at least {WIDE} k, at the largest n: "
    f"its interval meets that of the certificate ± {SLOPE}",
)
SATURATES = Statement(
    "aligned to one of them the loss of the mean saturates in n, with a gap like 1/n",
    "the last doubling of n raises it by less than the one before: the interval of the "
    "ratio of both rises lies below 1; it fails where it lies above",
)
LIMIT = Statement(
    "aligned to one of them loss m² at the largest n tends to its limit m ≫ k",
    "C (1 - a √(k/m)) fitted to at least 3 widths of at least 16 k has C within 10% "
    "of it, or an interval that contains it",
)
LOWER = Statement(
    "cycles over all lower the loss of the mean of more than two",
    "the intervals do not meet, at the largest n",
)
TRAINED = Statement(
    "trained minima, aligned to one, have a lower loss of the mean than uniform ones",
    "the intervals do not meet, at the same m and the largest n",
)


def claims(rows: Sequence[dict]) -> list[Claim]:
    rows = [row for row in rows if row["groups"]]
    uniform = [
        row for row in rows if row["source"] == "uniform" and row["m"] > row["k"]
    ]
    first = [row for row in uniform if row["way"] == "first" and row["k"] > 1]
    judged = [_unaligned(row) for row in _largest(uniform, "direct") if row["k"] > 1]
    if first:
        judged += [_bounded(first), _expected(first)]
    for (k,), own in curves.group(first, "k").items():
        most = max(row["n"] for row in own)
        curve = [row for row in own if row["n"] == most]
        judged += _rate(k, curve) + [
            _saturates(k, m, points) for (m,), points in curves.group(own, "m").items()
        ]
        judged.append(_limit(k, curve))
    return judged + _cycles(uniform) + _trained(rows)


@functools.cache
def limit(n: int, k: int) -> float:
    """Loss m² for m ≫ k, n aligned to one: sampled from its limit; at k = 2 closed,
    exactly for two and to the order of 1/n for more."""
    if k > 2:
        rng = np.random.default_rng([0, n, k])
        return float(aligned_constants(rng, n, k, SAMPLED).mean())
    if n == 2:
        return theory.two_neuron_limit("opposed")
    return float(theory.two_neuron_merging().at(n))


def _largest(rows: Sequence[dict], way: str) -> list[dict]:
    """Rows of a way at the largest n of their cell."""
    own = [row for row in rows if row["way"] == way]
    groups = curves.group(own, "cell").values()
    return [max(group, key=lambda row: row["n"]) for group in groups]


def _case(row: dict, *names: str) -> str:
    return ", ".join(f"{name} = {row[name]}" for name in names)


def _unaligned(row: dict) -> Claim:
    predicted, mean = row["predicted"], row["merged_mean"]
    inside = row["merged_low"] <= predicted <= row["merged_high"]
    holds = inside or abs(predicted / mean - 1) <= NEAR
    measured = (
        f"{at(row, 'merged', 'n')}; predicted {predicted:.4g}, limit "
        f"{theory.unaligned(row['m'], row['k']).limit:.4g}"
    )
    verdict = holds if row["n"] >= FEWEST else None
    return UNALIGNED.judged(_case(row, "k", "m"), measured, row["groups"], verdict)


def _bounded(rows: Sequence[dict]) -> Claim:
    broken = sum(row["violations"] for row in rows)
    ratios = [row["certificate"].mean() / row["merged_mean"] for row in rows]
    measured = (
        f"{broken} violations; its mean is {min(ratios):.3g} to {max(ratios):.3g} "
        "times the loss"
    )
    n = sum(row["groups"] for row in rows)
    return BOUNDED.judged("uniform minima", measured, n, broken == 0)


def _expected(rows: Sequence[dict]) -> Claim:
    rows = [row for row in rows if row["groups"] >= MANY]
    away = []
    for row in rows:
        values = row["certificate"]
        error = values.std() / len(values) ** 0.5
        away.append(abs(values.mean() - row["expected"]) / error)
    measured = (
        f"{len(rows)} points, the furthest mean is {max(away, default=0):.2g} standard "
        "errors away"
    )
    n = sum(row["groups"] for row in rows)
    return EXPECTED.judged(
        "uniform minima", measured, n, max(away) <= FURTHEST if away else None
    )


def _rate(k: int, curve: Sequence[dict]) -> list[Claim]:
    wide = [row for row in curve if row["m"] >= WIDE * k]
    if len(wide) < 2:
        return []
    *_, one, other = wide
    drawn = resampled_means([one["values"], other["values"]])
    step = np.log(other["m"] / one["m"])
    found = statistic_interval(np.log(drawn[:, 1] / drawn[:, 0]) / step)
    bound = float(np.log(other["expected"] / one["expected"]) / step)
    measured = (
        f"slope {interval(found, '.2f')} from m = {one['m']} to {other['m']}, the "
        f"certificate's {bound:.2f}"
    )
    holds = found[1] <= bound + SLOPE and found[2] >= bound - SLOPE
    case = f"k = {k}, n = {one['n']}"
    return [RATE.judged(case, measured, other["groups"], holds)]


def _saturates(k: int, m: int, rows: Sequence[dict]) -> Claim:
    by_size = {row["n"]: row for row in rows}
    case, most = f"k = {k}, m = {m}", max(by_size)
    sizes = [most // 4, most // 2, most]
    if not all(n in by_size for n in sizes):
        return SATURATES.judged(case, "too few n", 0, None)
    drawn = resampled_means([by_size[n]["values"] for n in sizes])
    rises = np.diff(drawn, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = statistic_interval(rises[:, 1] / rises[:, 0])
    means = ", ".join(f"{value:.3g}" for value in drawn[0])
    measured = (
        f"{means} at n = {', '.join(map(str, sizes))}: the rises have the ratio "
        f"{interval(ratio, '.2f')}"
    )
    holds = True if ratio[2] < 1 else False if ratio[1] > 1 else None
    return SATURATES.judged(case, measured, by_size[most]["groups"], holds)


def _limit(k: int, curve: Sequence[dict]) -> Claim:
    kept = [row for row in curve if row["m"] >= 16 * k]
    case = f"k = {k}, n = {curve[0]['n']}"
    if len(kept) < 3:
        return LIMIT.judged(case, "too few widths", 0, None)
    widths = np.array([row["m"] for row in kept], float)
    drawn = resampled_means([row["values"] for row in kept]) * widths**2
    small = np.sqrt(k / widths)
    design = np.stack([np.ones_like(small), -small], axis=1)
    limits = np.linalg.lstsq(design, drawn.T)[0][0]
    found, expected = statistic_interval(limits), limit(curve[0]["n"], k)
    measured = f"C = {interval(found, '.4g')}, the limit is {expected:.4g}"
    holds = found[1] <= expected <= found[2] or abs(found[0] / expected - 1) <= 0.1
    return LIMIT.judged(case, measured, kept[-1]["groups"], holds)


def _cycles(rows: Sequence[dict]) -> list[Claim]:
    judged = []
    pairs = zip(_largest(rows, "first"), _largest(rows, "cycles"), strict=True)
    for first, cycles in pairs:
        if first["k"] == 1 or first["n"] == 2:
            continue
        shown = [at(row, "merged", "n") for row in (cycles, first)]
        case, measured = _case(first, "k", "m"), f"{shown[0]}, to one {shown[1]}"
        judged.append(
            LOWER.judged(case, measured, first["groups"], _lower(cycles, first))
        )
    return judged


def _lower(row: dict, other: dict) -> bool | None:
    """Whether the loss of a row is lower; None where intervals meet."""
    if below(row, other, "merged"):
        return True
    return False if below(other, row, "merged") else None


def _trained(rows: Sequence[dict]) -> list[Claim]:
    judged = []
    largest = _largest(rows, "first")
    models = {
        (row["k"], row["m"]): row for row in largest if row["source"] == "uniform"
    }
    for row in largest:
        model = models.get((row["k"], row["m"]))
        if row["source"] == "uniform" or model is None or not row["m"] > row["k"] > 1:
            continue
        case = f"{curves.NAMES[row['source']]}, {_case(row, 'k', 'm', 'n')}"
        measured = f"{at(row, 'merged', 'n')}, uniform {at(model, 'merged', 'n')}"
        judged.append(TRAINED.judged(case, measured, row["groups"], _lower(row, model)))
    return judged
