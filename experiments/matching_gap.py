"""How far each matching is from the best permutation, and what bounds that one.

Up to m = 9 against the optimum over all m! permutations, beyond against swap descent
on the barrier with restarts; a proved lower bound and the certificate beside them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.claims.matching_gap import claims
from experiments.lib import curves, plot, students
from experiments.lib.lists import Refusal, words
from experiments.lib.matchings import EVERY, RESTARTS, STYLES, compared
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns
from lmc_jax.matching import PATHS
from lmc_jax.matching.exhaustive import WIDEST
from lmc_jax.sweep.cell import Cell

SHARED = {"k": "2,3,5", "source": "gd,uniform", "matching": ",".join(PATHS)}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"m": "6,8,16", "pairs": 40},
    "paper": {"m": "5,6,7,8,9,12,16,24,32,48,64", "pairs": 200},
}
COLUMNS = (
    "k source m pairs matching objective barrier ratio reference optimal gap "
    "milliseconds"
)


class Compared(NamedTuple):
    """One row per cell and matching; all cells in words, with the pairs compared."""

    rows: list[dict]
    cells: list[tuple[str, int]]


def cells(setting: Values) -> list[Cell]:
    words(setting["matching"], "matching", PATHS)
    grid = students.cells(setting | {"matching": ""})
    if any(cell.m < cell.k for cell in grid):
        raise Refusal("global minima exist for m >= k only: give larger --m")
    if setting["pairs"] < 2:
        raise Refusal(f"--pairs={setting['pairs']}: give at least 2 to compare")
    return grid


def rows(measured: Measured) -> Compared:
    found = Compared([], [])
    for cell, record in zip(measured.grid, measured.records, strict=True):
        of_cell = compared(record, measured.setting)
        label = f"k = {cell.k}, m = {cell.m}, {curves.NAMES[cell.source.name]}"
        found.rows.extend(of_cell)
        found.cells.append((label, of_cell[0]["pairs"] if of_cell else 0))
    if not found.rows:
        raise Refusal("No cell has two pairs to compare: give more --steps")
    return found


# --- table and figure ----------------------------------------------------------------


def flat(found: Compared) -> list[dict]:
    """The rows of matching_gap.csv."""
    arrays = ("heights", "best", "lower")
    return [
        {name: value for name, value in row.items() if name not in arrays}
        for row in found.rows
    ]


def draw(found: Compared):
    """One column per teacher; ratios to the best, one row per source, then times."""
    teachers = sorted({row["k"] for row in found.rows})
    sources = list(dict.fromkeys(row["source"] for row in found.rows))
    figure, axes = plot.grid(len(sources) + 1, len(teachers), height=2.1, share="row")
    for column, k in enumerate(teachers):
        for panel, source in zip(axes[:-1, column], sources, strict=True):
            kept = [r for r in found.rows if (r["k"], r["source"]) == (k, source)]
            _ratios(panel, kept)
            panel.set_title(f"k = {k}, {curves.NAMES[source]}")
        kept = [r for r in found.rows if (r["k"], r["source"]) == (k, sources[-1])]
        _times(axes[-1, column], kept)
    for line in axes[:-1]:
        line[0].set_ylabel("barrier / best found")
        line[0].set_ylim(bottom=0.6)
    axes[-1, 0].set_ylabel("milliseconds per pair")
    plot.legend(figure, axes)
    return figure


def _ratios(axes, rows: Sequence[dict]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    groups = curves.group(rows, "matching")
    for name, known in PATHS.items():
        # Baselines are beyond the axis, and in the table.
        if (name,) in groups and not known.baseline:
            curves.points(axes, groups[name,], "ratio", **STYLES[name])
    bound = {"color": plot.BLACK, "linestyle": "--", "label": "lower bound, proved"}
    reference = [row for row in rows if row["matching"] == row["reference"]]
    reference.sort(key=lambda row: row["m"])
    curves.points(axes, reference, "lower", **bound)
    plot.mark(axes, WIDEST + 0.5, f"to m = {WIDEST} all m! permutations tried")
    _widths(axes, rows)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(0.5, 1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _times(axes, rows: Sequence[dict]) -> None:
    groups = curves.group(rows, "matching")
    for name in EVERY:
        if curve := groups.get((name,)):
            spent = [row["milliseconds"] for row in curve]
            axes.plot([row["m"] for row in curve], spent, **STYLES[name])
    _widths(axes, rows)


def _widths(axes, rows: Sequence[dict]) -> None:
    """Logarithmic axes, that of m with the widths that were measured."""
    plot.log_axis(axes)
    axes.set_xticks(sorted({row["m"] for row in rows}))
    axes.set(yscale="log", xlabel="student width m")


# --- words ---------------------------------------------------------------------------


def caption(found: Compared, setting: Values) -> str:
    return (
        f"{students.convention(setting, curves.sizes(found.rows))} Ratios of means to "
        f"the best of all m! permutations up to m = {WIDEST}, beyond to swap descent "
        f"on the barrier from Algorithm 1 and {RESTARTS} random permutations. Refined "
        "by swaps: descent on the midpoint from Algorithm 1 (opposed). No permutation "
        "lies below the lower bound. Trained students (d = "
        f"{setting['d'] or 'k'}, from N(0, {setting['init_std']}²) to loss < "
        f"{setting['tol']:g}) are put on their axes. "
        f"{_left_out(found.cells, setting['pairs'])} The ratio of the direct path is "
        "in the table only. Bottom: time a pair in a batch, compilation not counted. "
        f"Learning rates and scales {students.LOST}."
    )


def _left_out(kept: Sequence[tuple[str, int]], asked: int) -> str:
    """How many pairs of each cell ``projected.minima_of`` left out; of some all."""
    some = [f"{asked - pairs} ({cell})" for cell, pairs in kept if 0 < pairs < asked]
    hidden = [cell for cell, pairs in kept if not pairs]
    without = f" Not shown, with less than two others: {'; '.join(hidden)}."
    return (
        "Left out everywhere are pairs with a run that has zero rows, misses a type or "
        f"did not converge: {', '.join(some) or 'none'} of {asked} each."
        f"{without * bool(hidden)}"
    )


STUDY = Study(
    name="matching_gap",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=students.ORTHONORMAL_ONLY,
    weights=True,
    rows=rows,
    table=lambda found: columns(found.rows, COLUMNS),
    tables={"matching_gap.csv": flat},
    figures=(Figure("matching_gap", draw, caption, lambda found: claims(found.rows)),),
)

if __name__ == "__main__":
    STUDY.main()
