"""Where SGD and GD leave dense minima, what they do beyond, judged by a sweep.

Rows are those of ``sgd_threshold``.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from experiments.lib import curves
from experiments.lib.claims import Claim, below
from experiments.lib.restarts import SPARSE, STARTS, Path
from experiments.lib.table import with_interval

ENOUGH = 0.5  # of the runs


def batches(rows: Sequence[dict]) -> dict[float, list[dict]]:
    """Rows by batch in rising order, GD last, each in order of the rate."""
    sizes = sorted({row["B"] for row in rows})
    ordered = sorted(rows, key=lambda row: row["lr_times_m"])
    return {size: [row for row in ordered if row["B"] == size] for size in sizes}


def crossing(
    curve: Sequence[dict], share: str = "dense"
) -> tuple[float, float, float] | None:
    """Where a share of the runs first falls through one half.

    The rate ηm below, the place between by interpolation, the rate above; None where
    it does not, or is below one half at the lowest rate.
    """
    rates = [row["lr_times_m"] for row in curve]
    shares = [row[f"{share}_mean"] for row in curve]
    if shares[0] < ENOUGH:
        return None
    for low, high, one, other in zip(
        rates[:-1], rates[1:], shares[:-1], shares[1:], strict=True
    ):
        if one >= ENOUGH > other:
            part = (one - ENOUGH) / (one - other)
            return low, low + part * (high - low), high
    return None


def sgd(rows: Sequence[dict]) -> list[Claim]:
    """Claims on the threshold per k, m and batch; on sparsity, for SGD."""
    judged = []
    for (k, m), found in curves.group(rows, "k", "m").items():
        for batch, curve in batches(found).items():
            name = "GD" if batch == np.inf else f"SGD, B = {batch:g}"
            case = f"k = {k}, m = {m}, {name}"
            judged.append(_threshold(case, curve, "dense", DENSE))
            if batch < np.inf:
                judged.append(_threshold(case, curve, "converged", ANY))
                judged += _sparse(case, curve)
    return judged


DENSE = (
    "runs end at minima without zero rows up to the learning rate η*(B) at which these "
    "lose mean-square stability"
)
ANY = "SGD ends at minima, of whatever kind, up to η*(B) and not beyond"


def _threshold(case: str, curve: Sequence[dict], share: str, text: str) -> Claim:
    predicted, found = curve[0]["threshold"], crossing(curve, share)
    first = curve[0][f"{share}_mean"]
    measured = (
        f"the share is {first:.0%} at the lowest rate and does not cross one half"
    )
    holds = None
    if found is not None:
        low, place, high = found
        holds = bool(abs(place - predicted) <= high - low)
        measured = (
            f"it falls through one half at ηm = {place:.3g}, between {low:.4g} and "
            f"{high:.4g}; predicted {predicted:.4g}"
        )
    return Claim(
        text=text,
        case=case,
        measured=measured,
        rule="the share of such runs falls through one half (interpolated) within one "
        "step of the grid of rates of η*(B)m; not judged where it is below one half at "
        "the lowest rate, or above at the highest",
        n=sum(row["runs"] for row in curve),
        holds=holds,
    )


SENTENCE = "at large learning rates SGD finds sparser solutions, with zero neurons"


def _sparse(case: str, curve: Sequence[dict]) -> list[Claim]:
    """The paper's sentence; where it fails, what happens instead."""
    above = [row for row in curve if row["lr_times_m"] > row["threshold"]]
    if not above:
        return []
    found = [
        row
        for row in above
        if row["converged_mean"] - row["dense_mean"] >= ENOUGH
        and below(curve[0], row, "zero_fraction")
    ]
    most = max(row["converged_mean"] - row["dense_mean"] for row in above)
    shown = f"at most {most:.0%} of the runs at one rate end at minima with zero rows"
    judged = Claim(
        paper="Section 5",
        text=SENTENCE,
        case=case,
        measured="; ".join([shown, *map(_shown, [curve[0], *above[:3]])]),
        rule="at some rate above η*(B) at least half of the runs end at minima with a "
        "zero row, and the interval of the zero fraction lies above that at the lowest "
        "rate",
        n=sum(row["runs"] for row in above),
        holds=bool(found),
    )
    if judged.holds:
        return [judged]
    lost = any(row["diverged_mean"] >= ENOUGH for row in above)
    instead = dataclasses.replace(
        judged,
        paper="",
        text="above η*(B) SGD diverges before it becomes sparser",
        rule="the paper's sentence does not hold, and at some rate above η*(B) at "
        "least half of the runs diverge",
        holds=lost or None,
        corrects=SENTENCE,
    )
    return [judged, instead]


def _shown(row: dict) -> str:
    zeros = f", zero fraction {with_interval(row, 'zero_fraction')}"
    return (
        f"ηm = {row['lr_times_m']:.3g}: {row['converged_mean']:.0%} at minima, "
        f"{row['diverged_mean']:.0%} diverged{zeros if row['ended'] else ''}"
    )


def gd(fates: Sequence[dict], paths: Sequence[Path]) -> list[Claim]:
    """Why GD diverges at rates at which sparse minima are stable."""
    judged = []
    groups = curves.group(fates, "k", "m")
    for path, ((k, m), found) in zip(paths, groups.items(), strict=True):
        case = f"k = {k}, m = {m}"
        judged += [_kept(case, found), _same(case, found), _ray(case, found)]
        judged.append(_early(f"{case}, ηm = {path.lr * m:.3g}", path, m))
    return judged


def noisy(rows: Sequence[dict]) -> list[Claim]:
    """That it is the same with SGD: what it lacks above η*(B) is not a minimum."""
    judged = []
    for (k, m), found in curves.group(rows, "k", "m").items():
        exact, touched = (_from(found, start) for start in SPARSE)
        kept = min(row["converged"] for row in exact)
        lost = min(row["diverged"] for row in touched)
        sizes = ", ".join(f"{row['B']:g}" for row in exact)
        judged.append(
            Claim(
                text="SGD stays at sparse minima stable in mean square if their zero "
                "rows are exactly 0, and diverges if these are moved by 1e-6",
                case=f"k = {k}, m = {m}, B = {sizes}",
                measured="halfway between η*(B) of dense minima and that of the "
                f"sparsest, at least {kept:.0%} of the runs from near these end at a "
                f"minimum, and at least {lost:.0%} diverge",
                rule="all runs do, with every B",
                n=sum(row["runs"] for row in found),
                holds=bool(kept == lost == 1),
            )
        )
    return judged


def _from(rows: Sequence[dict], start: str) -> list[dict]:
    return [row for row in rows if row["start"] == start]


def _kept(case: str, rows: Sequence[dict]) -> Claim:
    exact = _from(rows, "exact")
    rates = [row["lr_times_m"] for row in exact]
    least = min(row["converged"] for row in exact)
    return Claim(
        text="GD stays at the sparse minima that linear stability allows, if their "
        "zero rows are exactly 0",
        case=case,
        measured=f"at {len(exact)} rates from ηm = {min(rates):.4g} to "
        f"{max(rates):.4g} at least {least:.0%} of the runs that start near them end "
        f"at a minimum; the sparsest is stable up to {exact[0]['sparsest']:.4g}",
        rule="all runs at all rates do",
        n=sum(row["runs"] for row in exact),
        holds=bool(least == 1),
    )


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
    everywhere = len(first) == len(others)
    spread = max(first.values(), default=0) - min(first.values(), default=0)
    return Claim(
        text="GD diverges from one learning rate on, from small weights, from dense "
        "minima and from stable sparse minima whose zero rows are moved by 1e-6 alike",
        case=case,
        measured=f"most runs diverge from ηm = {', '.join(shown) or 'none'}",
        rule="the first rates at which more than half of the runs diverge are at most "
        "one step of the grid apart; not judged unless there is one from every start",
        n=sum(row["runs"] for row in rows if row["start"] in others),
        holds=spread <= 1 if everywhere else None,
    )


def _ray(case: str, rows: Sequence[dict]) -> Claim:
    lost = [row for row in rows if row["diverged"]]
    aligned = min((row["aligned"] for row in lost), default=math.nan)
    return Claim(
        text="GD diverges with all neurons on one ray, where λ_max = m/2",
        case=case,
        measured=f"|Σ wᵢ| / Σ |wᵢ| is at least {aligned:.6f} in the last weights of "
        "diverged runs",
        rule="it is above 0.99 in every diverged run; on a ray it is 1, all gates are "
        "equal, and a step multiplies Σ wᵢ by 1 - ηm/2, far from the teacher",
        n=round(sum(row["diverged"] * row["runs"] for row in lost)),
        holds=bool(aligned > 0.99) if lost else None,
    )


def _early(case: str, path: Path, m: int) -> Claim:
    start, least = path.losses[0], path.losses.min(axis=0)
    collapsed = path.edges > 0.99 * path.lr * m / 2
    settled = len(path.edges) - np.argmin(collapsed[::-1], axis=0)
    lost = collapsed[-1]
    return Claim(
        text="from small weights GD that diverges is lost in its first steps, far from "
        "every minimum",
        case=case,
        measured=f"{lost.sum()} of {lost.size} runs have λ_max within 1% of m/2 to the "
        f"end of {len(path.edges) - 1} steps, from step "
        f"{np.median(settled[lost]) if lost.any() else math.nan:g} on in the median; "
        f"the least loss is {(least / start).min():.2g} times a run's first",
        rule="every run does, and none had less than a hundredth of its first loss",
        n=lost.size,
        holds=bool(lost.all() and (least > start / 100).all()),
    )
