"""Predictions for teachers of a common cosine, judged by the rows of ``teachers``.

They were stated before anything was measured, in the docstring of the figure.
"""

import dataclasses
from typing import Any

from experiments.claims import double_descent
from experiments.claims.barrier_vs_width import peaks_near
from experiments.lib import curves
from experiments.lib.claims import Claim, Statement, within
from experiments.lib.table import interval, with_interval

FACTOR = 1.5
PLACE = Statement(
    "2k survives: the permuted barrier of {} peaks near m = 2k whatever the common "
    "cosine of the teacher",
    "at least 95% of bootstrap resamples have their largest mean, of the widths beyond "
    "k, at 2k within a factor of 1.5; fails where at most 5% do; judged where the "
    "widths go to 5k",
)
HEIGHT = Statement(
    "the height of the peak of {} goes with the loss of one mixed pair, θ - sin θ",
    "the interval of height(ρ)/height(0) over (θ - sin θ)/(π/2 - 1) is within "
    f"1/{FACTOR} and {FACTOR}; fails where it is outside as a whole, and is not judged "
    "else",
)
DENSE = Statement(
    "below η*(ρ) no minimum has zero rows",
    "at every rate below η* fewer than half a zero row a student, by the interval of "
    "the converged runs",
)
SPARSE = Statement(
    "above η*(ρ) at least 1 - η*/η of the neurons are zero",
    "at every rate above η* the interval of the converged runs ends above the bound",
)


def claims(rows: Any) -> list[Claim]:
    """Every prediction at every ρ."""
    judged = []
    for row in rows.peaks:
        judged += _peak(row)
    for (rho,), scan in curves.group(rows.scan, "rho").items():
        judged += _sparsity(rho, [row for row in scan if row["runs"] > 1])
    trained = [row for row in rows.widths if row["source"] == "gd"]
    for (rho,), own in curves.group(trained, "rho").items():
        for claim in double_descent.claims(own):
            case = f"ρ = {rho:g}, {claim.case}"
            judged.append(dataclasses.replace(claim, case=case, paper=""))
    return judged


def _peak(row: dict) -> list[Claim]:
    """Place and height, the latter beside ρ = 0."""
    case = f"k = {row['k']}, ρ = {row['rho']:g}"
    name = curves.NAMES[row["source"]]
    wide = row["ratios"][-1] >= 5
    holds = peaks_near(row["ratios"], row["shares"]) if wide else None
    place = PLACE._replace(text=PLACE.text.format(name))
    found = [
        place.judged(case, f"m/k = {with_interval(row, 'peak')}", row["pairs"], holds)
    ]
    if row["rho"]:
        ends = ("mean", "low", "high")
        ratio = tuple(row[f"relative_{end}"] / row["predicted"] for end in ends)
        measured = (
            f"{with_interval(row, 'relative')} against {row['predicted']:.3g}, a ratio "
            f"of {interval(ratio)}"
        )
        height = HEIGHT._replace(text=HEIGHT.text.format(name))
        verdict = within(ratio, 1 / FACTOR, FACTOR)
        found.append(height.judged(case, measured, row["pairs"], verdict))
    return found


def _sparsity(rho: float, scan: list[dict]) -> list[Claim]:
    """On both sides of the threshold; not tested where no two runs converged."""
    found = []
    for statement, side in (
        (DENSE, [row for row in scan if row["share"] < 1]),
        (SPARSE, [row for row in scan if row["share"] > 1]),
    ):
        holds, shown, n = None, "too few converged runs", 0
        if side:
            n = min(row["runs"] for row in side)
            shown = "; ".join(
                f"{with_interval(row, 'zero_fraction')} at {row['share']:.3g} η*, "
                f"bound {row['bound']:.3g}"
                for row in side
            )
            holds = all(
                row["zero_fraction_high"] < 1 / (2 * row["m"])
                if statement is DENSE
                else row["zero_fraction_high"] >= row["bound"]
                for row in side
            )
        case = f"ρ = {rho:g}, m = {scan[0]['m']}" if scan else f"ρ = {rho:g}"
        found.append(statement.judged(case, shown, n, holds))
    return found
