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
    own = [row for row in measured.table if row["matching"] == "direct"]
    return [row | expected(row["m"], row["k"]) for row in own]


def expected(m: int, k: int) -> dict[str, float]:
    theories = {
        "exact": theory.expected_overlap,
        "clt": theory.expected_overlap_clt,
    }
    return {
        name: float(form(m, k)) if m >= k else math.nan
        for name, form in theories.items()
    }


def table(rows: Sequence[dict]) -> list[dict]:
    sampled = "{overlap_mean:.4f} [{overlap_low:.4f}, {overlap_high:.4f}]"
    trained = ("rate",) if any(row["rate"] for row in rows) else ()
    return [
        {name: row[name] for name in ("source", *trained, "k", "m")}
        | {"m/k": row["m"] / row["k"], "pairs": row["pairs"]}
        | {"overlap": sampled.format(**row)}
        | {name: f"{row[name]:.4f}" for name in ("exact", "clt")}
        for row in rows
    ]


# --- figure --------------------------------------------------------------------------


def draw(rows: Sequence[dict]):
    """A panel a teacher."""
    teachers = curves.group(rows, "k")
    columns = min(3, len(teachers))
    shape = (-(-len(teachers) // columns), columns)
    figure, axes = plot.grid(*shape, share=True)
    panels = axes.flat
    for panel, ((k,), points) in zip(panels, teachers.items(), strict=False):
        _panel(panel, k, points)
    for panel in axes.flat[len(teachers) :]:
        panel.set_visible(False)
    for line in axes:
        line[0].set_ylabel("overlap / m")
    plot.legend(figure, axes)
    return figure


def _panel(axes, k: int, points: Sequence[dict]) -> None:
    widest = max([8 * k, *(row["m"] for row in points)])
    widths = np.unique(np.geomspace(k, widest, 80).astype(int))
    ratio = np.geomspace(1, widest / k, 200)
    forms = {
        "exact, k → ∞": (ratio, theory.expected_overlap_limit(ratio), ":", "0.5"),
        "central limit (Theorem 5)": (
            *(ratio, theory.expected_overlap_clt(ratio * k, k), "--", plot.BLACK),
        ),
        "exact": (widths / k, theory.expected_overlap(widths, k), "-", plot.BLACK),
    }
    for label, (x, y, linestyle, color) in forms.items():
        axes.plot(x, y, color=color, linestyle=linestyle, label=label)
    for (source, rate), curve in curves.group(points, "source", "rate").items():
        plot.points(
            axes,
            [row["m"] / k for row in curve],
            *curves.columns(curve, "overlap"),
            color=curves.COLORS[source],
            marker="o" if source == "uniform" else "s",
            linestyle="none",
            label=f"sampled, {curves.NAMES[source]}"
            + (f", η = {rate}" if rate else ""),
        )
    plot.mark(axes, theory.CLT_MINIMUM_RATIO, "m = 2k, the paper's minimum")
    plot.mark(axes, theory.LIMIT_MINIMUM_RATIO, "m = 2.292k, exact for k → ∞", "--")
    plot.log_axis(axes)
    title = f"k = {k}"
    if k > 1:
        least = theory.overlap_minimum(k)
        values = theory.expected_overlap(np.array([least, least + 1]), k)
        title += f", least at m = {least}"
        if np.isclose(values[0], values[1], rtol=1e-12):
            title += f" and {least + 1}"
    axes.set(xlabel="m/k", ylim=(0.69, 1.02), title=title)


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
    table=table,
    figures=(Figure("overlap", draw, caption, claims),),
)

if __name__ == "__main__":
    STUDY.main()
