"""What the paper and linear stability say about sparse minima, judged by a sweep.

Rows are those of ``sparsity.described``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, below, within
from experiments.lib.table import at, interval, with_interval
from lmc_jax.statistics import resampled_means, slopes, statistic_interval
from lmc_jax.theory import stability

MEASURES = {
    "pqi_flat": "PQI, flattened",
    "pqi_rows": "PQI, row norms",
    "zero_fraction": "zero-row fraction",
}
NEAR = 0.01  # of students whose masses add up to k
FLAT = 0.01  # a slope of a PQI: 0.02 in a width eight times as large
CHARACTERISED = Statement(
    "there are no global minima but those of Lemma 2: every neuron on a teacher's "
    "axis, every axis taken, masses that add up to 1",
    f"every converged run is within {NEAR} of one (Euclidean distance of the weights) "
    "and has a neuron of every type",
    "Lemma 2",
)
# Of these three the text names a measure.
UNIFORM_LOWEST = Statement(
    "uniform minima have the lowest {}",
    "at every (m, η) the uniform interval does not lie above GD's",
    "Figure 5",
)
GROWS_WITH_RATE = Statement(
    "{} grows with the learning rate",
    "at the largest width, of two converged runs at two rates, the intervals of the "
    "largest and the smallest rate do not meet, and the largest is higher",
    "Figure 5",
)
GROWS_WITH_WIDTH = Statement(
    "{} learning rates",
    f"it grows if its slope against log m over all widths is above {FLAT} by its "
    "interval, and does not if it is below; not judged else; large rates are those "
    "above η*",
    "Figure 5",
)
SHARP = Statement(
    "zero rows appear at a threshold of the learning rate, and the PQI rises with them",
    "ordered by rate, the points with fewer than half a zero row all come before those "
    "with more, each by its interval, at most one point between; the PQI of row norms "
    "is higher at the largest rate above than at the last below, without meeting "
    "intervals",
    "Figure 6",
)
DENSE = Statement(
    "below its own threshold no minimum has zero rows",
    "of the converged runs with zero rows none has η λ_max <= 2 once those are given "
    "back to the type that has most: no run lost a row of a minimum that was stable, "
    "whatever its types were",
)
AS_MANY = Statement(
    "above the threshold the zero rows are as many as linear stability asks for",
    "at every rate above it the interval meets [predicted, predicted + 1/m]",
)
STABLE = Statement(
    "every minimum that GD reaches, its dying rows taken as zero, has η λ_max <= 2",
    "of all runs with a final loss below the tolerance, held or not, none above 2 + "
    "1e-6 with rows up to the stated norm taken as zero",
)


def dense(row: dict) -> bool:
    """Fewer than half a zero row a student, by the whole interval."""
    return bool(row["zero_fraction_high"] < 1 / (2 * row["m"]))


def sparse(row: dict) -> bool:
    """More than half a zero row a student, by the whole interval."""
    return bool(row["zero_fraction_low"] > 1 / (2 * row["m"]))


def rate_threshold(m: int, k: int) -> float:
    """η* m, above which dense minima are unstable."""
    return float(stability.critical_learning_rate(m, k)) * m


def does_not_grow(slope: Iterable[float]) -> bool | None:
    """Whether a PQI does not grow with log m, by its slope; None if unsure."""
    return within(slope, -np.inf, FLAT)


def dense_limit(k: int) -> float:
    """η* m where k divides m."""
    return rate_threshold(k, k)


def width_claims(groups: Mapping[str, Sequence[dict]]) -> list[Claim]:
    """Figure 5: uniform minima are the least sparse, sparsity grows with η.

    Takes curves against m by learning rate, and those of uniform minima.
    """
    every = [row for curve in groups.values() for row in curve]
    judged = [_characterised(every), _stable("all widths", every)]
    groups = {label: _finished(curve) for label, curve in groups.items()}
    uniform = groups.pop(curves.NAMES["uniform"], [])
    trained = [row for curve in groups.values() for row in curve]
    for name in ("pqi_flat", "pqi_rows"):
        judged.append(_uniform_lowest(name, uniform, trained))
        judged.append(_grows_with_rate(name, trained))
        judged += [_grows_with_width(name, label, c) for label, c in groups.items()]
    return judged


def _of(statement: Statement, measure: str) -> Statement:
    return statement._replace(text=statement.text.format(measure))


def _finished(curve: Sequence[dict]) -> list[dict]:
    return [row for row in curve if row["runs"]]


def _runs(rows: Sequence[dict]) -> int:
    return sum(row["runs"] for row in rows)


def _characterised(rows: Sequence[dict]) -> Claim:
    """Lemma 2: that trained students end where it says, in d > k dimensions too."""
    ended = [row for row in rows if row["source"] != "uniform" and row["runs"]]
    furthest = max((row["distance"] for row in ended), default=math.nan)
    incomplete = sum(row["incomplete"] for row in ended)
    measured = (
        f"converged runs end within {furthest:.1e} of one; {incomplete} lack a type"
    )
    holds = furthest <= NEAR and not incomplete if ended else None
    return CHARACTERISED.judged("", measured, _runs(ended), holds)


def _uniform_lowest(name: str, uniform: Sequence[dict], rows: Sequence[dict]) -> Claim:
    low = {row["m"]: row[f"{name}_low"] for row in uniform}
    beside = [row for row in rows if row["m"] in low]
    lower = sum(low[row["m"]] <= row[f"{name}_high"] for row in beside)
    measured = (
        f"at {lower} of {len(beside)} (m, η) the uniform value is not above the "
        "trained one's"
    )
    n = min((row["runs"] for row in uniform), default=0)
    holds = lower == len(beside) if beside else None
    return _of(UNIFORM_LOWEST, MEASURES[name]).judged("", measured, n, holds, "point")


def _grows_with_rate(name: str, rows: Sequence[dict]) -> Claim:
    widest = max((row["m"] for row in rows), default=0)
    ends = [
        r for r in rows if r["m"] == widest and r[f"{name}_low"] == r[f"{name}_low"]
    ]
    ends.sort(key=lambda row: row["lr_times_m"])
    measured, n, holds = "fewer than two rates converged at the largest width", 0, None
    if len(ends) > 1:
        slow, fast = ends[0], ends[-1]
        shown = " against ".join(
            f"{with_interval(row, name)} at η = {row['lr_times_m']:.3g}/m"
            for row in (fast, slow)
        )
        measured, n = f"m = {widest}: {shown}", fast["runs"]
        holds = below(slow, fast, name)
    return _of(GROWS_WITH_RATE, MEASURES[name]).judged("", measured, n, holds)


def _grows_with_width(name: str, case: str, curve: Sequence[dict]) -> Claim:
    kept = [row for row in curve if row["runs"] > 1]
    large = bool(kept) and kept[0]["lr_times_m"] > dense_limit(kept[0]["k"])
    grows = "grows with m at large" if large else "does not grow with m at small"
    measured, n, holds = "too few widths converged", 0, None
    if len(kept) > 1:
        logs = np.log([row["m"] for row in kept])
        means = resampled_means([row["values"][name] for row in kept])
        slope = statistic_interval(slopes(logs, means))
        measured = (
            f"slope against log m {interval(slope, '.2g')} over {len(kept)} widths, "
            f"from {at(kept[0], name)} to {at(kept[-1], name)}"
        )
        n, flat = min(row["runs"] for row in kept), does_not_grow(slope)
        holds = flat if flat is None else flat != large
    statement = _of(GROWS_WITH_WIDTH, f"{MEASURES[name]} {grows}")
    return statement.judged(case, measured, n, holds, "point")


def rate_claims(rows: Sequence[dict]) -> list[Claim]:
    """Figure 6: a sharp threshold where linear stability puts it."""
    judged = []
    for m in sorted({row["m"] for row in rows}):
        case, every = f"m = {m}", [row for row in rows if row["m"] == m]
        curve = sorted(_finished(every), key=lambda row: row["lr_times_m"])
        if curve:
            limit = rate_threshold(m, curve[0]["k"])
            slow, fast = (
                [row for row in curve if sign * row["lr_times_m"] > sign * limit]
                for sign in (-1, 1)
            )
            judged += [_sharp(case, curve), _dense(case, limit, slow)]
            judged.append(_as_many(case, limit, m, fast))
        judged.append(_stable(case, every))
    return judged


def _sharp(case: str, curve: Sequence[dict]) -> Claim:
    """The paper's threshold: none below, some at every rate above, PQI higher there."""
    before, after = ([r for r in curve if kind(r)] for kind in (dense, sparse))
    measured, holds = "no rate on one side of it", None
    if before and after:
        last, first, most = before[-1], after[0], after[-1]
        ordered = last["lr_times_m"] < first["lr_times_m"]
        between = len(curve) - len(before) - len(after)
        holds = bool(ordered and between <= 1 and below(last, most, "pqi_rows"))
        measured = (
            f"zero fraction {with_interval(last, 'zero_fraction')} at ηm = "
            f"{last['lr_times_m']:.4g}, the last with fewer than half a zero row, "
            f"{with_interval(first, 'zero_fraction')} at {first['lr_times_m']:.4g}, "
            f"the first with more, {between} rates between; PQI of row norms "
            f"{with_interval(last, 'pqi_rows')} below, "
            f"{with_interval(most, 'pqi_rows')} at ηm = {most['lr_times_m']:.4g}"
        )
    return SHARP.judged(case, measured, _runs(curve), holds)


def _dense(case: str, limit: float, slow: Sequence[dict]) -> Claim:
    sparse_runs, stable = (sum(row[n] for row in slow) for n in ("lost", "lost_stable"))
    measured = (
        f"at {len(slow)} rates below η*m = {limit:.4g} of minima with equal counts "
        f"{sparse_runs} runs have zero rows, {stable} of them from minima that were "
        "stable whatever their counts"
    )
    return DENSE.judged(case, measured, _runs(slow), stable == 0 if slow else None)


def _as_many(case: str, limit: float, m: int, fast: Sequence[dict]) -> Claim:
    near = [
        row["zero_fraction_high"] >= row["predicted"] - 1e-9
        and row["zero_fraction_low"] <= row["predicted"] + 1 / m + 1e-9
        for row in fast
    ]
    gaps = [row["zero_fraction_mean"] - row["predicted"] for row in fast]
    measured = (
        f"{sum(near)} of {len(near)} rates above η*m = {limit:.4g} within one neuron "
        "above the least stable zero fraction; the largest excess is "
        f"{max(gaps, default=math.nan):.3g}"
    )
    return AS_MANY.judged(case, measured, _runs(fast), all(near) if fast else None)


def _stable(case: str, curve: Sequence[dict]) -> Claim:
    judged = [row for row in curve if row["judged"]]
    counts = ("judged", "unstable", "unstable_raw")
    runs, broken, raw = (sum(row[name] for row in judged) for name in counts)
    measured = "no run reached the tolerance"
    if runs:
        edge, cut, as_is = (
            max(row[name] for row in judged)
            for name in ("edge", "edge_cut", "edge_raw")
        )
        finer = zip(*(row["unstable_finer"] for row in judged), strict=True)
        measured = (
            f"a fraction {broken / runs:.3g} ({broken} of {runs}) violates it; the "
            f"largest η λ_max is {edge:.5f} from types, {cut:.5f} from Hessian-vector "
            f"products there; at the weights as they are, dying rows not yet zero, "
            f"{raw} of {runs} are above 2, up to {as_is:.4g}; rows up to 1e-4 and 1e-5 "
            f"taken as zero: {' and '.join(str(sum(count)) for count in finer)}"
        )
    return STABLE.judged(case, measured, runs, broken == 0 if runs else None)
