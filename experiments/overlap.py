"""Overlap of two uniform minima against m/k, with Theorem 5 and its exact form.

The paper's Figure 1. Sampled points, the exact expectation, the paper's central-limit
form, and the limit k → ∞; the paper's place of the minimum, 2k, and the exact one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.claims.overlap import claims
from experiments.lib import curves, plot, students
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns
from lmc_jax import theory

# No path but the direct one, three points on it: overlaps need the type counts only.
SHARED = {"source": "uniform", "matching": "", "points": 3, "k": "2,5,10,20,50,100"}
PRESETS: dict[str, dict[str, Any]] = {
    # Ratios that share padded widths: most of a quick run is compiling.
    "quick": {"m_over_k": "1.3,1.6,2,2.3,2.5,3.2,6.4", "pairs": 100},
    "paper": {
        "m_over_k": "1.2,1.4,1.6,1.8,2,2.2,2.4,2.6,2.8,3,3.5,4,4.5,5,6,7,8",
        "pairs": 1000,
    },
}


def rows(measured: Measured) -> list[dict]:
    """Rows of summary.csv, each with the exact expectation and Theorem 5's form."""
    forms = {"exact": theory.expected_overlap, "clt": theory.expected_overlap_clt}
    return [
        row
        | {
            name: float(form(row["m"], row["k"])) if row["m"] >= row["k"] else math.nan
            for name, form in forms.items()
        }
        for row in measured.cells
    ]


# --- figure --------------------------------------------------------------------------


def draw(rows: Sequence[dict]):
    """One panel per teacher."""
    teachers = curves.group(rows, "k")
    figure, axes = plot.panels(len(teachers), share=True)
    for panel, ((k,), points) in zip(axes.flat, teachers.items(), strict=False):
        _forms(panel, k, max([8 * k, *(row["m"] for row in points)]))
        for (source, rate), curve in curves.group(points, "source", "rate").items():
            label = f"sampled, {curves.NAMES[source]}" + (f", η = {rate}" * bool(rate))
            marker = "o" if source == "uniform" else "s"
            style = {"color": curves.COLORS[source], "marker": marker, "label": label}
            curves.points(panel, curve, "overlap", "m/k", linestyle="none", **style)
        plot.mark(panel, theory.CLT_MINIMUM_RATIO, "m = 2k, the paper's minimum")
        exact = theory.LIMIT_MINIMUM_RATIO
        plot.mark(panel, exact, "m = 2.292k, exact for k → ∞", "--")
        plot.log_axis(panel)
        panel.set(xlabel="m/k", ylim=(0.69, 1.02), title=_title(k))
    for line in axes:
        line[0].set_ylabel("overlap / m")
    plot.legend(figure, axes)
    return figure


def _forms(axes, k: int, widest: int) -> None:
    """The expected overlap: in both limits, and exactly at whole widths."""
    ratio = np.geomspace(1, widest / k, 200)
    widths = np.unique(np.geomspace(k, widest, 80).astype(int))
    limit = theory.expected_overlap_limit(ratio)
    clt = theory.expected_overlap_clt(ratio * k, k)
    exact = theory.expected_overlap(widths, k)
    black = {"color": plot.BLACK}
    axes.plot(ratio, limit, color=plot.GREY, linestyle=":", label="exact, k → ∞")
    axes.plot(ratio, clt, **black, linestyle="--", label="central limit (Theorem 5)")
    axes.plot(widths / k, exact, **black, label="exact")


def _title(k: int) -> str:
    """Where the exact expectation is least; of two equal widths both."""
    if k == 1:
        return "k = 1"
    least = theory.overlap_minimum(k)
    one, next_one = theory.expected_overlap(np.array([least, least + 1]), k)
    both = f" and {least + 1}" * bool(np.isclose(one, next_one, rtol=1e-12))
    return f"k = {k}, least at m = {least}{both}"


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: Values) -> str:
    return (
        f"Overlap Σ min(nⱼ, n'ⱼ)/m (Definition 4) against m/k. n = "
        f"{curves.sizes(rows)} independent pairs a point, 95% bootstrap intervals; "
        f"sources: {setting['source']}, seed {setting['seed']}. Uniform minima follow "
        "Assumption 3; overlaps depend on type counts alone, not on the loss "
        f"({students.CONVENTION}). Curves have no free parameter. The teacher widths "
        f"and the number of pairs {students.LOST}."
    )


STUDY = Study(
    name="overlap",
    paper="Figure 1",
    shared=SHARED,
    presets=PRESETS,
    rows=rows,
    table=lambda rows: columns(rows, "source rate k m pairs overlap exact clt"),
    figures=(Figure("overlap", draw, caption, claims),),
)

if __name__ == "__main__":
    STUDY.main()
