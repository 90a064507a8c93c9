"""How fast the permuted barrier of uniform minima vanishes, with a certified bound.

The paper's Theorem 6 says O(m^-1/2). Whatever pairs neurons of equal type leaves
unmatched masses ρ, ρ', and the loss on the path is at most ½ ρ(t)ᵀ K ρ(t).
"""

import dataclasses
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from experiments.claims.barrier_rate import ROUNDING, claims, fit, last_decade
from experiments.lib import curves, plot, students
from experiments.lib.claims import Claim
from experiments.lib.lists import Refusal, refusing
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import with_interval
from lmc_jax import theory
from lmc_jax.matching import PATHS
from lmc_jax.results import store, summary
from lmc_jax.sweep.cell import Cell, Minima

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"k": "2,5", "m_over_k": "1,2,3,4,6,8,12,16,24,32,48,64", "pairs": 200},
    "paper": {"k": "2,5,20", "m_over_k": "1,2:128:x14", "pairs": 300},
}
SHARED = {
    "source": "uniform",
    "matching": "types_index,types_opposed",
}
SLOPES = (-0.5, -1.0, -2.0)


class Rows(NamedTuple):
    """Rows of the permuted paths: of the grid, and of the other dimension."""

    own: list[dict]
    others: list[dict]

    @property
    def groups(self) -> dict[tuple, list[dict]]:
        """Curves by teacher width and matching."""
        return curves.group(self.own, "k", "matching")


def cells(setting: Values) -> list[Cell]:
    grid = students.cells(setting)
    students.require(grid, Minima, "the certificate bounds pairs of global minima")
    return [*grid, *in_other_dimension(grid, setting)]


def rows(measured: Measured) -> Rows:
    setting = measured.setting
    own = len(students.cells(setting))
    every = [described(record, setting["barrier"]) for record in measured.records]
    return Rows(*(list(chain(*part)) for part in (every[:own], every[own:])))


def table(rows: Rows) -> list[dict]:
    return [_shown(row) for row in (*rows.own, *rows.others)]


def slopes(rows: Rows) -> dict[tuple, tuple[float, float, float]]:
    """Slopes of the last decade with their intervals, where there are enough widths."""
    found = {key: fit(last_decade(curve)) for key, curve in rows.groups.items()}
    return {key: slope for key, slope in found.items() if slope is not None}


def in_other_dimension(grid: Sequence[Cell], setting: Values) -> list[Cell]:
    """The last decade of the smallest teacher once more, in another dimension.

    Raises:
      Refusal: for one that is too small, or no other.
    """
    k = min(cell.k for cell in grid)
    own = [cell for cell in grid if cell.k == k]
    d = setting["other_d"]
    if d is None:
        d = 10 * k if own[0].d == k else k
    if d == own[0].d:
        raise Refusal(f"--other_d={d}: give another dimension than d")
    widest = max(cell.m for cell in own)
    least = max((c.m for c in own if 10 * c.m <= widest), default=0)
    cells = [dataclasses.replace(c, d=d) for c in own if c.m >= max(least, k + 1)]
    with refusing():
        for cell in cells:
            cell.validate()
    return cells


def described(record: store.Record, definition: str) -> list[dict]:
    """Summary rows of the permuted paths, with their certificates and violations.

    ``bound`` is the largest certificate at the inner points of the path: above the
    barrier of every pair. A violation is a pair with a loss above its certificate at
    the same t, by more than rounding (1e-12). ``ends`` is the largest loss of a
    student; ``alike`` says which pairs have equally many neurons of each type.
    """
    losses = record.arrays["losses"]  # [n, 1 + matchings, points]
    bounds = record.arrays["certificate"]
    found = summary.barriers(record, definition)
    rows = summary.rows([record], definition)
    counts = record.arrays["counts"]  # [n, 2, k]
    for column, row in enumerate(rows):
        inner = bounds[:, column, 1:-1].max(axis=1)
        over = (losses[:, column] > bounds[:, column] + ROUNDING).any(axis=1)
        row |= {
            "values": found[:, column],
            "bound_mean": float(inner.mean()),
            "violations": int(over.sum()),
            "ends": float(losses[:, 0, [0, -1]].max()),
            "alike": (counts[:, 0] == counts[:, 1]).all(axis=1),
        }
    return [row for row in rows if not PATHS[row["matching"]].baseline]


def _shown(row: dict) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("k", "d", "m", "matching", "pairs")},
        "barrier": with_interval(row, "barrier"),
        "certificate": row["bound_mean"],
        "violations": row["violations"],
    }


def draw(rows: Rows):
    """A panel a teacher: means, certificates and slopes through the peak, log axes."""
    groups, fits = rows.groups, slopes(rows)
    teachers = sorted({k for k, _ in groups})
    figure, axes = plot.grid(1, len(teachers), height=2.8, share=True)
    for panel, k in zip(axes[0], teachers, strict=True):
        mine = {matching: curve for (j, matching), curve in groups.items() if j == k}
        for matching, curve in mine.items():
            color = PATHS[matching].color
            kept = [row for row in curve if row["m"] > k]
            widths = [row["m"] for row in kept]
            plot.points(
                panel,
                widths,
                *curves.columns(kept, "barrier"),
                color=color,
                marker=PATHS[matching].marker,
                label=PATHS[matching].label,
            )
            bounds = [row["bound_mean"] for row in kept]
            label = f"certificate, {PATHS[matching].label}"
            panel.plot(widths, bounds, "--", color=color, label=label)
        curve = next(iter(mine.values()))
        _guides(panel, curve)
        _predictions(panel, [row["m"] for row in curve if row["m"] > k], k)
        shown = ", ".join(
            f"{fits[k, name][0]:.2f}" for name in mine if (k, name) in fits
        )
        plot.log_axis(panel)
        panel.set(xlabel="student width m", yscale="log")
        panel.set_title(f"k = {k}" + (f", slopes {shown}" if shown else ""))
    axes[0, 0].set_ylabel("permuted barrier, certificate")
    plot.legend(figure, axes)
    return figure


def _guides(panel, curve: Sequence[dict]) -> None:
    """Slopes -½, -1, -2 from the peak of a curve to its last width."""
    peak = max(curve, key=lambda row: row["barrier_mean"])
    widths = np.array([peak["m"], curve[-1]["m"]], float)
    for slope, style in zip(SLOPES, (":", "-.", (0, (6, 2))), strict=True):
        panel.plot(
            widths,
            peak["barrier_mean"] * (widths / widths[0]) ** slope,
            color="0.5",
            linestyle=style,
            linewidth=0.9,
            label=f"slope {slope:g}",
        )


def _predictions(panel, widths: Sequence[int], k: int) -> None:
    """The certificate expected of Algorithm 1, and under Theorem 6's assumption."""
    if not widths or k == 1:
        return
    forms = {
        "expected certificate at t = ½, exact": theory.expected_certificate(widths, k),
        "the same under Theorem 6's assumption": theory.certificate_rate(widths, k),
    }
    for style, (label, values) in zip(("-", ":"), forms.items(), strict=True):
        panel.plot(widths, values, color=plot.BLACK, linestyle=style, label=label)


def caption(rows: Rows, setting: Values) -> str:
    found = "; ".join(
        f"k = {k}, {PATHS[matching].label}: {slope:.2f} [{low:.2f}, {high:.2f}]"
        for (k, matching), (slope, low, high) in slopes(rows).items()
    )
    return (
        f"{students.convention(setting, curves.sizes(rows.own))} Uniform minima. "
        "Certificate: mean of the largest bound at the inner points of the path; in "
        "black its exact expectation at t = ½, and its value when, as Theorem 6 "
        "assumes, the matched share of every type is the overlap: O(1/m), below the "
        "theorem's m^-1/2. Slopes over the widths of the last decade, bootstrap over "
        f"pairs: {found}. The last decade of the smallest teacher once more in another "
        "input dimension, in the table and the verdicts."
    )


def judged(rows: Rows) -> list[Claim]:
    return claims(rows.groups, curves.group(rows.others, "k", "matching"))


STUDY = Study(
    name="barrier_rate",
    paper="Theorem 6",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    rows=rows,
    table=table,
    figures=(Figure("barrier_rate", draw, caption, judged),),
    own={
        "other_d": Setting(
            int, "A second input dimension. Default: k, or 10 k where d is k."
        )
    },
)

if __name__ == "__main__":
    STUDY.main()
