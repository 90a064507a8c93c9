"""Which statements of the paper hold at which settings that its text leaves out.

The initial scale σ, the input dimension d and the learning rates are missing in the
text that we have, and what is said of trained minima depends on them. At every point
of a map over all three the statements are judged by one rule each; the pictures show
what was measured, and where each statement holds.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments.claims import settings_map as judge
from experiments.claims.settings_map import STATEMENTS
from experiments.lib import beside, curves, maps, plot, students
from experiments.lib.lists import Refusal, joined, multiples, numbers
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from lmc_jax.matching import MATCHINGS
from lmc_jax.statistics import named
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory import stability

OWN = {
    "init_std": Setting(str, "Initial scales σ, and he for √(2/d): 0.01,0.1,he."),
    "shares": Setting(str, "Learning rates in units of η*: 0.1,0.5."),
    "d_over_k": Setting(str, "Input dimensions in units of k: 1,2,10."),
    "m_one": Setting(int, "Student width at k = 1."),
    "source": Setting(str, "Students beside uniform minima.", "gd", ("gd",)),
    "matching": Setting(str, "Of barriers.", "types_opposed", tuple(MATCHINGS)),
    "optimizer": Setting(str, "Of which η* is the limit.", "sgd", ("sgd",)),
}
SHARED = {"m_one": 20, "tol": 1e-7, "lr_times_m": None}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "k": "5",
        "m_over_k": "1.2,1.6,2,2.4,3,8",
        "d_over_k": "1",
        "init_std": "0.01,0.1,0.5",
        "shares": "0.3,0.95",
        "pairs": 10,
        "steps": 40_000,
    },
    "paper": {
        "k": "5,10",
        "m_over_k": "1.2,1.4,1.6,1.8,2,2.2,2.4,2.7,3,4,8",
        "d_over_k": "1,2,10",
        "init_std": "0.001,0.003,0.01,0.03,0.05,0.07,0.1,0.14,0.2,0.3,0.5,1,he",
        "shares": "0.1,0.3,0.6,0.95",
        "pairs": 50,
        "steps": 200_000,
    },
}
POINT = ("k", "d", "σ", "η/η*")
# What is drawn of a point: words, and the ends of its colours, which have a middle
# where uniform minima are (of the slope of the PQI no growth, of the peak 2).
MEASURES = {
    "index": ("dispersion index", 1 / 4, 4),
    "ks": ("KS distance / limit", 1 / 4, 4),
    "pqi": ("PQI ratio", 1 / 4, 4),
    "pqi_trend": ("PQI slope", -0.2, 0.2),
    "ratio": ("barrier ratio", 1 / 10, 10),
    "ratio_trend": ("barrier slope", -1, 1),
    "peak": ("peak at m/k", 1, 4),
    "converged": ("share converged", 0, 1),
}


# --- cells ---------------------------------------------------------------------------


def cells(setting: Values) -> list[Cell]:
    """The uniform minima of each k and d, students at k = 1, then all others.

    Raises:
      Refusal: for settings that a map is made over, given otherwise.
    """
    instead = {"lr": "shares", "lr_times_m": "shares", "d": "d_over_k"}
    for name, other in instead.items():
        if setting[name] is not None:
            raise Refusal(f"--{name}: a map is made over --{other}")
    return joined(own for _, own in groups(setting))


def groups(setting: Values) -> Iterator[tuple[tuple, list[Cell]]]:
    """Cells in order of m by (k, d, σ, η/η*), those of uniform minima by (k, d)."""
    ones = set()  # at k = 1 there is one group for all teachers
    for k, d in _teachers(setting):
        own = setting | {"k": f"{k}", "d": d}
        yield (k, d), (models := students.cells(own | {"source": "uniform"}))
        widths = [cell.m for cell in models]
        if min(widths) <= k or sum(m >= 2 * k for m in widths) < 2:
            raise Refusal("give widths --m_over_k beyond 1, two of them 2 or more")
        for point in _points(d, setting):
            yield (k, d, *point), _trained(k, own, *point)
            if (d, *point) not in ones:
                ones.add((d, *point))
                one = {"m": f"{setting['m_one']}", "m_over_k": None, "matching": ""}
                yield (1, d, *point), _trained(1, own | one, *point)


def _teachers(setting: Values) -> Iterator[tuple[int, int]]:
    for k in students.teachers(setting):
        if k < 2:
            raise Refusal(f"--k={setting['k']}: give teachers of at least 2 neurons")
        yield from ((k, d) for d in multiples(setting["d_over_k"], "d_over_k", k))


def _points(d: int, setting: Values) -> Iterator[tuple[float, float]]:
    """Every (σ, η/η*)."""
    stds = setting["init_std"].replace("he", f"{math.sqrt(2 / d)!r}")
    yield from itertools.product(
        numbers(stds, "init_std"), numbers(setting["shares"], "shares")
    )


def _trained(k: int, setting: Values, std: float, share: float) -> list[Cell]:
    """Students of every width at one point; η* is that of balanced dense minima."""
    limit = float(k * stability.critical_learning_rate(k, k))
    rate = {"lr_times_m": f"{share * limit:.6g}", "init_std": std}
    return students.cells(setting | {"k": f"{k}"} | rate)


# --- rows ----------------------------------------------------------------------------


def rows(measured: Measured) -> list[dict]:
    """A row a point (k, d, σ, η/η*): what was measured, and which statements hold."""
    setting, records = measured.setting, iter(measured.records)
    found = {
        key: list(itertools.islice(records, len(own))) for key, own in groups(setting)
    }
    models: dict[tuple, dict[str, np.ndarray]] = {}
    points = []
    for key, own in found.items():
        k, d, *point = key
        if k == 1:
            continue
        widths = [beside.of_width(record, setting["barrier"]) for record in own]
        if not point:  # uniform minima come first
            models[k, d] = beside.means(widths, len(widths))
            continue
        (one,) = found[1, d, *point]
        row = dict(zip(POINT, key, strict=True))
        row |= beside.described(k, widths, models[k, d])
        row |= beside.at_one(one, judge.CONVERGED)
        points.append(row | {"holds": judge.judged(row)})
    return points


def table(rows: Sequence[dict]) -> list[dict]:
    """One row a point: measures at the widest students, and what holds."""
    return [
        {name: row[name] for name in (*POINT, "pairs", "converged")}
        | {name: shown(row, name) for name in MEASURES if name != "converged"}
        | {"holds": ", ".join(name for name, holds in row["holds"].items() if holds)}
        for row in rows
    ]


def every(rows: Sequence[dict]) -> list[dict]:
    """Rows of settings_map.csv: one a point and width, values with their intervals."""
    found = []
    for row in rows:
        names = (*POINT, "pairs", "converged", "ones", "ks", "ks_limit")
        own = {name: row[name] for name in names}
        own |= {f"holds: {name}": holds for name, holds in row["holds"].items()}
        for i, ratio in enumerate(row.get("m/k", [])):
            one = own | {"m/k": ratio, "largest": row["largest"][i]}
            for name in ("index", "pqi", "ratio"):
                one |= named(name, row[name][:, i])
            for name in ("pqi_trend", "ratio_trend"):
                one |= named(name, row[name])
            found.append(one)
    return found


def shown(row: dict, name: str) -> float:
    """The number that is drawn of a measure; NaN where there is none."""
    if name == "converged":
        return float(row["converged"])
    if name == "ks":
        return float(row["ks"] / row["ks_limit"])
    if row["pairs"] < 2:
        return math.nan
    if name == "peak":
        return float(row["m/k"][np.argmax(row["largest"])])
    value = row[name]
    return float(value[0] if name.endswith("trend") else value[0, -1])


# --- figures -------------------------------------------------------------------------


def draw_measures(rows: Sequence[dict]):
    """A line of maps per measure."""
    from matplotlib.colors import LogNorm, Normalize

    figure, axes = _grid(rows, [words for words, _, _ in MEASURES.values()])
    for line, (name, (_, low, high)) in zip(axes, MEASURES.items(), strict=True):
        norm = LogNorm(low, high) if low > 0 else Normalize(low, high)
        color = "viridis" if name == "converged" else "PuOr_r"
        for panel, own in zip(line, judge.maps(rows).values(), strict=True):
            values = _values(own, [shown(row, name) for row in own])
            drawn = maps.draw(panel, values, norm=norm, cmap=color)
        ends = "neither" if name == "converged" else "both"
        bar = figure.colorbar(drawn, ax=list(line), extend=ends, ticks=[low, high])
        bar.set_ticklabels([f"{end:g}" for end in (low, high)])
        bar.minorticks_off()
    return figure


def draw_statements(rows: Sequence[dict]):
    """A line of maps per statement, the last of how many hold."""
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.patches import Patch

    figure, axes = _grid(rows, [*STATEMENTS, "how many hold"])
    colors = {"does not hold": plot.ORANGE, "holds": plot.BLUE}
    two: Any = {"norm": Normalize(0, 1), "cmap": ListedColormap([*colors.values()])}
    count: Any = {"norm": Normalize(0, len(STATEMENTS)), "cmap": "viridis"}
    for column, own in zip(axes.T, judge.maps(rows).values(), strict=True):
        for panel, name in zip(column, STATEMENTS, strict=False):
            verdicts = [row["holds"][name] for row in own]
            values = [math.nan if one is None else float(one) for one in verdicts]
            maps.draw(panel, _values(own, values), **two)
        held = [float(judge.held(row)) for row in own]
        drawn = maps.draw(column[-1], _values(own, held), **count)
    figure.colorbar(drawn, ax=list(axes[-1]), ticks=[0, len(STATEMENTS)])
    keys = [Patch(color=color, label=word) for word, color in colors.items()]
    keys.append(Patch(facecolor="0.9", label="not judged"))
    figure.legend(handles=keys, loc="outside upper left", ncols=3)
    return figure


def _grid(rows: Sequence[dict], names: Sequence[str]):
    titles = [f"k = {k}, d = {d}" for k, d in judge.maps(rows)]
    return maps.grid(names, titles, "σ", "η/η*")


def _values(rows: Sequence[dict], values: Sequence[float]) -> dict:
    places = [(row["σ"], row["η/η*"]) for row in rows]
    return dict(zip(places, values, strict=True))


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: Values) -> str:
    judged = [row for row in rows if row["pairs"] > 1]
    numbers = curves.sizes(judged) if judged else "no"
    widths = [ratio for row in judged for ratio in row["m/k"]] or [math.nan]
    return (
        f"Maps over the initial scale σ (to the right; σ = √(2/d) is He's) and the "
        f"learning rate in units of η* = 2k/(m μ_k), the largest stable one of dense "
        f"minima (upwards), of widths from {min(widths):.3g}k to {max(widths):.3g}k. "
        f"GD ({setting['precision']}) to loss < {setting['tol']:g} "
        f"({students.CONVENTION}), at most {setting['steps']} steps; barriers "
        f"({setting['barrier']}, {setting['points']} points, {setting['matching']}) of "
        f"students put on the axes, n = {numbers} pairs a width beside "
        f"{setting['pairs']} of uniform minima; k = 1: m = {setting['m_one']}, "
        f"{setting['pairs']} pairs; seed {setting['seed']}. Grey: under "
        f"{judge.CONVERGED:.0%} of the runs of a width converged, or not told apart by "
        "so many pairs. "
    )


def measures_caption(rows: Sequence[dict], setting: Values) -> str:
    return (
        f"{caption(rows, setting)}Dispersion index of type counts, PQI of row norms "
        "and permuted barrier at the largest m, the last two over those of uniform "
        "minima; slopes of the PQI and of the logarithm of the barrier ratio against "
        "log m, the latter from 2k on; KS distance of weights at k = 1 over the one "
        "that 1% of uniform samples exceed; the width of the largest mean barrier. "
        "White: as uniform minima (no growth of the PQI; the limit; 2k); brown is "
        "more, violet less. Intervals: settings_map.csv."
    )


def statements_caption(rows: Sequence[dict], setting: Values) -> str:
    rules = "; ".join(f"{n}: {one.statement.rule}" for n, one in STATEMENTS.items())
    return f"{caption(rows, setting)}Where statements of the paper hold: {rules}."


STUDY = Study(
    name="settings_map",
    paper="all figures of trained minima",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=OWN | students.ORTHONORMAL_ONLY,
    curves=lambda grid: 1,  # it draws maps
    weights=True,  # for the norms at k = 1, and to put students on the axes
    rows=rows,
    table=table,
    tables={"settings_map.csv": every},
    figures=(
        Figure("settings_map", draw_measures, measures_caption, lambda rows: ()),
        Figure(
            "settings_statements", draw_statements, statements_caption, judge.claims
        ),
    ),
)

if __name__ == "__main__":
    STUDY.main()
