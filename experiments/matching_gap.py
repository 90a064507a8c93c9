"""How far each matching is from the best permutation, and what bounds that one.

Up to m = 9 against the optimum over all m! permutations, beyond against swap descent
on the barrier with restarts; a proved lower bound and the certificate beside them.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.claims.matching_gap import claims, optimal, statistics, with_interval
from experiments.lib import common, curves, plot, projected
from experiments.lib.matchers import EVERY, REFERENCES, RESTARTS, look, matcher
from lmc_jax import matching, paths
from lmc_jax.matching import PATHS
from lmc_jax.matching.exhaustive import WIDEST
from lmc_jax.results import files, store
from lmc_jax.sweep.cell import Cell, Minima
from lmc_jax.sweep.run import measure

common.define_output("matching_gap")
common.define_cells()
SHARED = {"k": "2,3,5", "source": "gd,uniform", "matching": ",".join(PATHS)}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": SHARED | {"m": "6,8,16", "pairs": 40},
    "paper": SHARED | {"m": "5,6,7,8,9,12,16,24,32,48,64", "pairs": 200},
}


def main() -> None:
    setting = common.settings(PRESETS)
    names = common.words(setting["matching"], "matching", [*PATHS])
    grid = common.cells(setting | {"matching": ""})
    if any(cell.m < cell.k for cell in grid):
        raise common.Refusal("global minima exist for m >= k only: give larger --m")
    if setting["pairs"] < 2:
        raise common.Refusal(f"--pairs={setting['pairs']}: give at least 2 to compare")
    common.FLAGS["save_weights"].value = True
    rows: list[dict] = []
    kept: list[tuple[str, int]] = []
    for record in common.computed(grid, setting):
        found = compared(record, names)
        rows += found
        of = record.parameters
        cell = f"k = {of['k']}, m = {of['m']}, {of['source']['name']}"
        kept.append((cell, found[0]["pairs"] if found else 0))
    if not rows:
        raise common.Refusal("no cell has two pairs to compare: give more --steps")
    print(common.table([line(row) for row in rows]))
    out = common.FLAGS.out
    csv, _ = common.write_summary(out)
    table = csv.with_name("matching_gap.csv")
    files.write_csv(table, [flat(row) for row in rows])
    text = caption(rows, setting, kept)
    common.finish("matching_gap", draw(rows), text, claims(rows), csv, table)


# --- one cell ------------------------------------------------------------------------


def compared(record: store.Record, names: Sequence[str]) -> list[dict]:
    """A row a matching, the reference last; none for a cell of less than 2 pairs."""
    given = record.parameters
    k, m, points, pairs = (given[name] for name in ("k", "m", "points", "pairs"))
    students = projected.minima_of(record)
    if len(students) < 2:
        return []
    # One shape a cell: a trained cell that lost pairs compiles nothing anew.
    filled = students[np.minimum(np.arange(pairs), len(students) - 1)]
    cell = Cell(k, m, k, Minima(), pairs, matchings=(), points=points)
    reference = "exhaustive" if m <= WIDEST else "refine_barrier"
    chosen = {
        name: matcher(name, k, common.FLAGS.barrier, points)
        for name in (*names, reference)
    }
    with ThreadPoolExecutor() as pool:  # compiles side by side; timed one by one
        list(pool.map(lambda match: match(filled), chosen.values()))
    runs = {name: timed(match, filled) for name, match in chosen.items()}
    count = len(students)
    heights = {
        name: barriers(cell, students, perm[:count])
        for name, (perm, _, _) in runs.items()
    }
    lower = matching.lower_bound(
        students, k, definition=common.FLAGS.barrier, points=points
    )
    opposed, _ = matching.match_types(filled, k)
    upper, excess = certified(cell, students, opposed[:count])
    return [
        {
            "k": k,
            "m": m,
            "source": given["source"]["name"],
            "lr_times_m": given["source"].get("lr", np.nan) * m,
            "matching": name,
            "objective": info.objective,
            "reference": reference,
            "pairs": count,
            "heights": heights[name],
            "best": heights[reference],
            "lower": lower,
            "upper": upper,
            "certificate_excess": float(excess.max()),
            "milliseconds": milliseconds,
            "rounds": float(info.rounds[:count].mean()),
        }
        for name, (_, info, milliseconds) in runs.items()
    ]


def timed(match: Callable, students: np.ndarray) -> tuple[np.ndarray, Any, float]:
    """``(perm, info, milliseconds a pair)`` of a matching that is compiled."""
    begin = time.perf_counter()
    perm, info = match(students)
    return perm, info, 1000 * (time.perf_counter() - begin) / len(students)


def measured(cell: Cell, students: np.ndarray, perms: np.ndarray) -> dict:
    """Measures of the aligned pairs, one way for all matchings."""
    second = np.take_along_axis(students[:, 1], perms[..., None], axis=1)
    return measure(cell, np.stack([students[:, 0], second], axis=1))


def barriers(cell: Cell, students: np.ndarray, perms: np.ndarray) -> np.ndarray:
    """Barriers ``[n]`` of pairs ``[n, 2, m, k]``."""
    losses = jnp.asarray(measured(cell, students, perms)["losses"][:, 0])
    ts = paths.times(cell.points)
    return np.asarray(paths.barrier(losses, ts, common.FLAGS.barrier))


def certified(cell: Cell, students: np.ndarray, perms: np.ndarray):
    """Largest certificate inside the path, and largest excess of a loss over it."""
    found = measured(cell, students, perms)
    allowed, losses = (found[name][:, 0, 1:-1] for name in ("certificate", "losses"))
    return allowed.max(axis=1), (losses - allowed).max(axis=1)


# --- table and figure ----------------------------------------------------------------


def line(row: dict) -> dict:
    shown = statistics(row)
    return {
        **{name: row[name] for name in ("k", "source", "m", "pairs", "matching")},
        "objective": row["objective"],
        "barrier": with_interval(shown["barrier"]),
        "ratio": with_interval(shown["ratio"]),
        "to": row["reference"],
        "optimal": f"{optimal(row):.0%}",
        "gap": with_interval(shown["gap"]),
        "ms": f"{row['milliseconds']:.2g}",
    }


def flat(row: dict) -> dict:
    """A row of matching_gap.csv."""
    arrays = ("heights", "best", "lower", "upper")
    kept = {name: value for name, value in row.items() if name not in arrays}
    for name, values in statistics(row).items():
        kept |= dict(
            zip(
                (f"{name}_{end}" for end in ("mean", "low", "high")),
                values,
                strict=True,
            )
        )
    return kept | {"optimal": optimal(row), "upper_mean": float(row["upper"].mean())}


def draw(rows: Sequence[dict]):
    """A column a teacher; ratios to the best permutation a row a source, then times."""
    teachers = sorted({row["k"] for row in rows})
    sources = list(dict.fromkeys(row["source"] for row in rows))
    figure, axes = plot.grid(len(sources) + 1, len(teachers), size=(3.2, 2.6))
    for column, k in enumerate(teachers):
        for panel, source in zip(axes[:-1, column], sources, strict=True):
            kept = [r for r in rows if (r["k"], r["source"]) == (k, source)]
            _ratios(panel, kept)
            panel.set_title(f"k = {k}, {source}")
            panel.set_ylabel("barrier / best permutation's")
        kept = [r for r in rows if (r["k"], r["source"]) == (k, sources[-1])]
        _times(axes[-1, column], kept)
    plot.legend(figure, axes[0, 0])
    return figure


def _ratios(axes, rows: Sequence[dict]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    groups = curves.group(rows, "matching")
    for name, known in PATHS.items():
        # Baselines are beyond the axis, and in the table.
        if (name,) in groups and not known.baseline:
            _curve(axes, groups[name,], "ratio", look(name))
    bound = {"color": plot.BLACK, "linestyle": "--", "label": "lower bound, proved"}
    reference = [row for row in rows if row["matching"] == row["reference"]]
    _curve(axes, sorted(reference, key=lambda row: row["m"]), "lower", bound)
    plot.mark(axes, WIDEST + 0.5, f"m = {WIDEST}: all m! permutations tried")
    _widths(axes, rows)
    axes.set(yscale="log", xlabel="student width m")
    axes.set_ylim(0.6, max(4, axes.get_ylim()[1]))
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(0.5, 1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _curve(axes, curve: Sequence[dict], value: str, style: dict) -> None:
    found = [statistics(row)[value] for row in curve]
    mean, low, high = zip(*found, strict=True)
    plot.points(axes, [row["m"] for row in curve], mean, low, high, **style)


def _times(axes, rows: Sequence[dict]) -> None:
    groups = curves.group(rows, "matching")
    for name in EVERY:
        if (name,) in groups:
            curve = groups[name,]
            style = look(name) if name in REFERENCES else look(name) | {"label": None}
            axes.plot(
                [row["m"] for row in curve],
                [row["milliseconds"] for row in curve],
                **style,
            )
    axes.legend()
    _widths(axes, rows)
    axes.set(yscale="log", xlabel="student width m", ylabel="milliseconds a pair")


def _widths(axes, rows: Sequence[dict]) -> None:
    """A logarithmic axis of m with the widths that were measured."""
    plot.log_axis(axes)
    axes.set_xticks(sorted({row["m"] for row in rows}))


# --- words ---------------------------------------------------------------------------


def caption(
    rows: Sequence[dict], setting: dict, kept: Sequence[tuple[str, int]]
) -> str:
    return (
        f"{common.convention(setting, curves.sizes(rows))} Ratios of means to the best "
        f"of all m! permutations up to m = {WIDEST}, beyond to swap descent on the "
        f"barrier from Algorithm 1 and {RESTARTS} random permutations. Refined by "
        "swaps: descent on the midpoint from Algorithm 1 (opposed). No permutation "
        "lies below the lower bound. Trained students (d = "
        f"{setting['d'] or 'k'}, from N(0, {setting['init_std']}²) to loss < "
        f"{setting['tol']:g}) are put on their axes. {_left_out(kept, setting)} The "
        "direct path is in the table only. Bottom: time a pair in a batch, compilation "
        "not counted. Learning rates and scales are ours, the paper's are lost."
    )


def _left_out(kept: Sequence[tuple[str, int]], setting: dict) -> str:
    """How many pairs of each cell ``projected.minima_of`` left out; of some all."""
    some = [
        f"{setting['pairs'] - pairs} ({cell})"
        for cell, pairs in kept
        if 0 < pairs < setting["pairs"]
    ]
    hidden = [cell for cell, pairs in kept if not pairs]
    without = f" Not shown, with less than two others: {'; '.join(hidden)}."
    return (
        "Left out everywhere are pairs with a run that has zero rows, misses a type or "
        f"did not converge: {', '.join(some) or 'none'} of {setting['pairs']} each."
        f"{without if hidden else ''}"
    )


if __name__ == "__main__":
    common.run(main)
