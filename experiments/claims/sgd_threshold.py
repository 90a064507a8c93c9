"""Where SGD and GD leave dense minima, what they do beyond, judged by a sweep.

Rows are those of ``sgd_threshold``.
"""

import math
from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, Interval, Statement
from experiments.lib.restarts import SPARSE, STARTS, Path
from experiments.lib.table import interval

ENOUGH = 0.5  # of the runs
FEWEST = 10  # runs at minima that a share of them takes
FALLS = (
    "the share of such runs falls through one half (interpolated) within one step of "
    "the grid of rates of η*(B)m; not judged where it is below one half at the lowest "
    "rate, or above at the highest"
)
DENSE = Statement(
    "runs end at minima without zero rows up to the learning rate η*(B) at which these "
    "lose mean-square stability",
    FALLS,
)
ANY = Statement(
    "SGD ends at minima, of whatever kind, up to η*(B) and not beyond", FALLS
)
ORDER = (
    "two rates are compared, each where a share is halfway from that at the lowest "
    "rate to 1: that of runs that diverge, and that with zero rows of runs that end at "
    f"minima (rates at which fewer than {FEWEST} end are left out); places by "
    "interpolation, their intervals from those of the shares; not judged where they "
    "meet, or where a share may be halfway at the lowest rate already; inf: at no rate"
)
SPARSER = Statement(
    "at large learning rates SGD finds sparser solutions, with zero neurons",
    f"it does so before it diverges: {ORDER}",
    "Section 5",
)
DIVERGES = Statement(
    "as the learning rate rises SGD diverges before it becomes sparser",
    ORDER,
)
SGD_STAYS = Statement(
    "SGD stays at sparse minima stable in mean square if their zero rows are exactly "
    "0, and diverges if these are moved by 1e-6",
    "all runs do, with every B",
)
GD_STAYS = Statement(
    "GD stays at the sparse minima that linear stability allows, if their zero rows "
    "are exactly 0",
    "all runs at all rates do",
)
SAME = Statement(
    "GD diverges from one learning rate on, from small weights, from dense minima and "
    "from stable sparse minima whose zero rows are moved by 1e-6 alike",
    "the first rates at which more than half of the runs diverge are at most one step "
    "of the grid apart; not judged unless there is one from every start",
)
RAY = Statement(
    "GD diverges with all neurons on one ray, where λ_max = m/2",
    "it is above 0.99 in every diverged run; on a ray it is 1, all gates are equal, "
    "and a step multiplies Σ wᵢ by 1 - ηm/2, far from the teacher",
)
EARLY = Statement(
    "from small weights GD that diverges is lost in its first steps, far from every "
    "minimum",
    "every run does, and none had less than a hundredth of its first loss",
)


def batches(rows: Sequence[dict]) -> dict[float, list[dict]]:
    """Rows by batch in rising order, GD last, each in order of the rate."""
    sizes = sorted({row["B"] for row in rows})
    ordered = sorted(rows, key=lambda row: row["lr_times_m"])
    return {size: [row for row in ordered if row["B"] == size] for size in sizes}


def crossing(curve: Sequence[dict], share: str = "dense") -> Interval | None:
    """Where a share of the runs first falls through one half.

    The place by interpolation, the rates ηm below and above; None where it does not
    fall, or is below one half at the lowest rate.
    """
    shares = [row[f"{share}_mean"] for row in curve]
    lost = next((i for i, one in enumerate(shares) if one < ENOUGH), 0)
    if not lost:
        return None
    low, high = (curve[i]["lr_times_m"] for i in (lost - 1, lost))
    part = (shares[lost - 1] - ENOUGH) / (shares[lost - 1] - shares[lost])
    return low + part * (high - low), low, high


def halfway(curve: Sequence[dict], share: str) -> Interval | None:
    """The rate ηm at which a share is halfway from that at the lowest rate to 1.

    By interpolation, and its interval in the same way from those of the share;
    infinite where it stays below. None without rates, or where the interval at the
    lowest reaches so far.
    """
    middle = (1 + curve[0][f"{share}_mean"]) / 2 if curve else 0
    if not curve or curve[0][f"{share}_high"] >= middle:
        return None
    rates = [row["lr_times_m"] for row in curve]
    value, low, high = (
        _reached(rates, [row[f"{share}_{end}"] for row in curve], middle)
        for end in ("mean", "high", "low")
    )
    return value, low, high


def _reached(rates: Sequence[float], shares: Sequence[float], level: float) -> float:
    first = next((i for i, share in enumerate(shares) if share >= level), None)
    if first is None:
        return math.inf
    step = slice(first - 1, first + 1)
    return float(np.interp(level, shares[step], rates[step]))


def _runs(rows: Sequence[dict]) -> int:
    return sum(row["runs"] for row in rows)


# --- GD and SGD from small weights ---------------------------------------------------


def sgd(rows: Sequence[dict]) -> list[Claim]:
    """Claims on the threshold per k, m and batch; on sparsity, for SGD."""
    judged = []
    for (k, m), found in curves.group(rows, "k", "m").items():
        for batch, curve in batches(found).items():
            name = "GD" if batch == np.inf else f"SGD, B = {batch:g}"
            case = f"k = {k}, m = {m}, {name}"
            judged.append(_threshold(DENSE, case, curve, "dense"))
            if batch < np.inf:
                judged.append(_threshold(ANY, case, curve, "converged"))
                judged += _sparse(case, curve)
    return judged


def _threshold(
    statement: Statement, case: str, curve: Sequence[dict], share: str
) -> Claim:
    measured, holds = (
        f"the share is {curve[0][f'{share}_mean']:.0%} at the lowest rate and does not "
        "cross one half",
        None,
    )
    if (found := crossing(curve, share)) is not None:
        (place, low, high), predicted = found, curve[0]["threshold"]
        holds = abs(place - predicted) <= high - low
        measured = (
            f"it falls through one half at ηm = {place:.3g}, between {low:.4g} and "
            f"{high:.4g}; predicted {predicted:.4g}"
        )
    return statement.judged(case, measured, _runs(curve), holds)


def _sparse(case: str, curve: Sequence[dict]) -> list[Claim]:
    """Which comes first; where the paper's sentence fails, what happens instead."""
    many = [row for row in curve if row["ended"] >= FEWEST]
    sparse, lost = halfway(many, "sparse"), halfway(curve, "diverged")
    first = None
    if sparse and lost and (sparse[2] < lost[1] or lost[2] < sparse[1]):
        first = sparse < lost
    zeros, gone = (f"{curve[0][f'{s}_mean']:.0%}" for s in ("sparse", "diverged"))
    measured = (
        f"of the runs at minima {zeros} have zero rows at the lowest rate, halfway to "
        f"all {_at(sparse)}; {gone} of the runs diverge there, halfway {_at(lost)}"
    )
    judged = [SPARSER.judged(case, measured, _runs(curve), first)]
    if first is False:
        judged.append(DIVERGES.judged(case, measured, _runs(curve), True))
    return judged


def _at(place: Interval | None) -> str:
    untold = "at a rate that these runs do not tell"
    return untold if place is None else f"at ηm = {interval(place)}"


# --- from other starts ---------------------------------------------------------------


def noisy(rows: Sequence[dict]) -> list[Claim]:
    """That it is the same with SGD: what it lacks above η*(B) is not a minimum."""
    judged = []
    for (k, m), found in curves.group(rows, "k", "m").items():
        exact, touched = (_from(found, start) for start in SPARSE)
        kept = min(row["converged"] for row in exact)
        lost = min(row["diverged"] for row in touched)
        sizes = ", ".join(f"{row['B']:g}" for row in exact)
        case = f"k = {k}, m = {m}, B = {sizes}"
        measured = (
            "halfway between η*(B) of dense minima and that of the sparsest, at least "
            f"{kept:.0%} of the runs from near these end at a minimum, and at least "
            f"{lost:.0%} diverge"
        )
        judged.append(SGD_STAYS.judged(case, measured, _runs(found), kept == lost == 1))
    return judged


def _from(rows: Sequence[dict], start: str) -> list[dict]:
    return [row for row in rows if row["start"] == start]


def gd(fates: Sequence[dict], paths: Sequence[Path]) -> list[Claim]:
    """Why GD diverges at rates at which sparse minima are stable."""
    judged = []
    groups = curves.group(fates, "k", "m")
    for path in paths:
        case = f"k = {path.k}, m = {path.m}"
        if found := groups.get((path.k, path.m)):
            judged += [_kept(case, found), _same(case, found), _ray(case, found)]
        judged.append(_early(f"{case}, ηm = {path.lr * path.m:.3g}", path))
    return judged


def _kept(case: str, rows: Sequence[dict]) -> Claim:
    exact = _from(rows, "exact")
    rates = [row["lr_times_m"] for row in exact]
    least = min(row["converged"] for row in exact)
    measured = (
        f"at {len(exact)} rates from ηm = {min(rates):.4g} to {max(rates):.4g} at "
        f"least {least:.0%} of the runs that start near them end at a minimum; the "
        f"sparsest is stable up to {exact[0]['sparsest']:.4g}"
    )
    return GD_STAYS.judged(case, measured, _runs(exact), least == 1)


def _same(case: str, rows: Sequence[dict]) -> Claim:
    """Whatever the start, unless zero rows are exactly 0."""
    others = [start for start in STARTS if start != "exact"]
    grid = [row["lr_times_m"] for row in _from(rows, others[0])]
    first = {}
    for start in others:
        lost = [row["diverged"] > ENOUGH for row in _from(rows, start)]
        if any(lost):
            first[start] = lost.index(True)
    shown = [f"{grid[i]:.4g} ({STARTS[start]})" for start, i in first.items()]
    measured = f"most runs diverge from ηm = {', '.join(shown) or 'none'}"
    n = sum(row["runs"] for row in rows if row["start"] in others)
    together = max(first.values(), default=0) - min(first.values(), default=0) <= 1
    holds = together if len(first) == len(others) else None
    return SAME.judged(case, measured, n, holds)


def _ray(case: str, rows: Sequence[dict]) -> Claim:
    lost = [row for row in rows if row["diverged"]]
    aligned = min((row["aligned"] for row in lost), default=math.nan)
    measured = (
        f"|Σ wᵢ| / Σ |wᵢ| is at least {aligned:.6f} in the last weights of diverged "
        "runs"
    )
    n = round(sum(row["diverged"] * row["runs"] for row in lost))
    return RAY.judged(case, measured, n, aligned > 0.99 if lost else None)


def _early(case: str, path: Path) -> Claim:
    start, least = path.losses[0], path.losses.min(axis=0)
    collapsed = path.edges > 0.99 * path.lr * path.m / 2
    settled = len(path.edges) - np.argmin(collapsed[::-1], axis=0)
    lost = collapsed[-1]
    since = np.median(settled[lost]) if lost.any() else math.nan
    measured = (
        f"{lost.sum()} of {lost.size} runs have λ_max within 1% of m/2 to the end of "
        f"{len(path.edges) - 1} steps, from step {since:g} on in the median; the least "
        f"loss is {(least / start).min():.2g} times a run's first"
    )
    holds = lost.all() and (least > start / 100).all()
    return EARLY.judged(case, measured, lost.size, holds)
