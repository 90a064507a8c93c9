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
from experiments.claims.settings_map import STATEMENTS, claims
from experiments.lib import plot, projected, students
from experiments.lib.lists import Refusal, joined, multiples, numbers
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from lmc_jax.results import store
from lmc_jax.results.selection import converged_runs, regular_runs
from lmc_jax.statistics import (
    largest_shares,
    mean_interval,
    named,
    resampled_means,
    slopes,
    statistic_interval,
)
from lmc_jax.sweep.cell import Cell
from lmc_jax.theory import stability, uniform_model

OWN = {
    "init_std": Setting(str, "Initial scales σ, and he for √(2/d): 0.01,0.1,he."),
    "shares": Setting(str, "Learning rates in units of η*: 0.1,0.5."),
    "d_over_k": Setting(str, "Input dimensions in units of k: 1,2,10."),
    "m_one": Setting(int, "Student width at k = 1."),
}
SHARED = {
    "source": "gd",
    "matching": "types_opposed",
    "zero_row": 1e-6,
    "m_one": 20,
    "tol": 1e-7,
    "lr_times_m": None,
}
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
        "init_std": "0.001,0.003,0.01,0.03,0.1,0.2,0.3,0.5,1,he",
        "shares": "0.1,0.3,0.6,0.95",
        "pairs": 20,
        "steps": 200_000,
    },
}
POINT = ("k", "d", "σ", "η/η*")
MEANS = ("pqi", "barrier")  # of which means over a width are compared
# What is drawn of a point: words, and the ends of its colours. The middle is the value
# of uniform minima (of the peak 2), where colours are of ratios or differences.
MEASURES = {
    "index": ("dispersion index", 1 / 4, 4),
    "ks": ("KS distance / limit", 1 / 4, 4),
    "pqi": ("PQI ratio", 1 / 4, 4),
    "pqi_trend": ("PQI slope", -0.2, 0.2),
    "ratio": ("barrier ratio", 1 / 10, 10),
    "ratio_trend": ("its slope", -1, 1),
    "peak": ("peak at m/k", 1, 4),
    "converged": ("converged", 0, 1),
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
    models: dict[tuple, list[dict]] = {}
    table = []
    for key, own in found.items():
        k, d, *point = key
        if k > 1:
            widths = [_of_width(record, setting) for record in own]
            beside = models.setdefault((k, d), widths)  # uniform minima come first
            if point:
                (one,) = found[1, d, *point]
                row = dict(zip(POINT, key, strict=True)) | described(k, widths, beside)
                row |= at_one(one)
                table.append(row | {"holds": judge.judged(row)})
    return table


def _of_width(record: store.Record, setting: Values) -> dict[str, Any]:
    """What the runs and pairs of one width have: arrays, one value each."""
    arrays, m = record.arrays, record.parameters["m"]
    used = regular_runs(arrays)
    (barriers,) = projected.barriers(record, setting["barrier"]).values()
    return {
        "m": m,
        "converged": converged_runs(arrays).ravel(),
        "index": uniform_model.dispersion_index(arrays["counts"][used], m),
        "pqi": arrays["pqi_rows"][used],
        "barrier": barriers,
    }


def described(k: int, widths: Sequence[dict], models: Sequence[dict]) -> dict[str, Any]:
    """Measures ``[3, widths]`` or ``[widths]`` of one point, beside uniform minima.

    A mean or ratio stands before the ends of its interval. Where a width has under two
    pairs there is the share of converged runs alone.
    """
    row = {
        "pairs": min(len(width["barrier"]) for width in widths),
        "converged": float(np.mean([width["converged"].mean() for width in widths])),
    }
    if row["pairs"] < 2:
        return row
    own, model = (
        {name: resampled_means([width[name] for width in among]) for name in MEANS}
        for among in (widths, models)
    )
    m = np.array([width["m"] for width in widths])
    wide = m >= 2 * k
    with np.errstate(divide="ignore", invalid="ignore"):  # few pairs may have none
        ratios = own["barrier"] / model["barrier"]
        steep = slopes(np.log(m[wide]), np.log(ratios[:, wide]))
    indexes = [mean_interval(width["index"], confidence=0.999) for width in widths]
    return row | {
        "m/k": m / k,
        "index": np.array(indexes).T,
        "pqi": np.apply_along_axis(statistic_interval, 0, own["pqi"] / model["pqi"]),
        "pqi_trend": statistic_interval(slopes(np.log(m), own["pqi"])),
        "ratio": np.apply_along_axis(statistic_interval, 0, ratios),
        "ratio_trend": statistic_interval(steep),
        "largest": largest_shares(own["barrier"]),
    }


def at_one(record: store.Record) -> dict[str, float]:
    """KS distance of weights at k = 1 to normalised Exp(1) draws, over its 1% limit."""
    W = students.trained(record)[regular_runs(record.arrays)]
    if len(W) < 2:
        return {"ks": math.nan}
    shares = W[..., 0] / W[..., 0].sum(axis=1, keepdims=True)
    limit = uniform_model.ks_limit(len(W), W.shape[1])
    return {"ks": uniform_model.ks_distance(shares) / limit}


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
        own = {name: row[name] for name in (*POINT, "pairs", "converged", "ks")}
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
    if name in ("converged", "ks"):
        return float(row[name])
    if row["pairs"] < 2:
        return math.nan
    if name == "peak":
        return float(row["m/k"][np.argmax(row["largest"])])
    value = row[name]
    return float(value[0] if name.endswith("trend") else value[0, -1])


# --- figures -------------------------------------------------------------------------


def draw_measures(rows: Sequence[dict]):
    """A line of maps a measure, a column a teacher and dimension."""
    from matplotlib.colors import LogNorm, Normalize

    figure, axes = _grid(rows, [words for words, _, _ in MEASURES.values()])
    for line, (name, (_, low, high)) in zip(axes, MEASURES.items(), strict=True):
        norm = LogNorm(low, high) if low > 0 else Normalize(low, high)
        look = {"norm": norm, "cmap": "viridis" if name == "converged" else "PuOr_r"}
        for panel, own in zip(line, _maps(rows), strict=True):
            drawn = _map(panel, own, [shown(row, name) for row in own], **look)
        ends = "neither" if name == "converged" else "both"
        bar = figure.colorbar(drawn, ax=list(line), extend=ends, ticks=[low, high])
        bar.set_ticklabels([f"{end:g}" for end in (low, high)])
        bar.minorticks_off()
    return figure


def draw_statements(rows: Sequence[dict]):
    """A line of maps a statement, the last of how many hold."""
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.patches import Patch

    figure, axes = _grid(rows, [*STATEMENTS, "how many"])
    colors = {"does not hold": plot.ORANGE, "holds": plot.BLUE}
    for line, name in zip(axes, STATEMENTS, strict=False):
        look = {"norm": Normalize(0, 1), "cmap": ListedColormap([*colors.values()])}
        for panel, own in zip(line, _maps(rows), strict=True):
            _map(panel, own, [_number(row["holds"][name]) for row in own], **look)
    count = {"norm": Normalize(0, len(STATEMENTS)), "cmap": "viridis"}
    for panel, own in zip(axes[-1], _maps(rows), strict=True):
        drawn = _map(panel, own, [judge.held(row) for row in own], **count)
    figure.colorbar(drawn, ax=list(axes[-1]), ticks=[0, len(STATEMENTS)])
    keys = [Patch(color=color, label=word) for word, color in colors.items()]
    keys.append(Patch(facecolor="0.9", label="not known"))
    figure.legend(handles=keys, loc="outside upper left", ncols=3)
    return figure


def _number(holds: bool | None) -> float:
    return math.nan if holds is None else float(holds)


def _maps(rows: Sequence[dict]) -> list[list[dict]]:
    """Rows by teacher and dimension."""
    return list(judge.maps(rows).values())


def _grid(rows: Sequence[dict], names: Sequence[str]):
    """Panels ``[names, maps]`` with their names, teachers and dimensions."""
    maps = judge.maps(rows)
    figure, axes = plot.grid(len(names), len(maps), height=0.72, share=True)
    axes[0, 0].annotate("η/η*", (-0.05, 1.1), xycoords="axes fraction", ha="right")
    for line, name in zip(axes, names, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for panel, below, (k, d) in zip(axes[0], axes[-1], maps, strict=True):
        panel.set_title(f"k = {k}, d = {d}")
        below.set_xlabel("σ")
    return figure, axes


def _map(panel, rows: Sequence[dict], values: Sequence[float], **look: Any):
    """One map: σ to the right, η/η* upwards; grey where there is no value."""
    stds, rates = (sorted({row[name] for row in rows}) for name in ("σ", "η/η*"))
    image = np.full((len(rates), len(stds)), np.nan)
    for row, value in zip(rows, values, strict=True):
        image[rates.index(row["η/η*"]), stds.index(row["σ"])] = value
    panel.set_facecolor("0.9")
    panel.grid(visible=False)
    drawn = panel.imshow(image, origin="lower", aspect="auto", **look)
    panel.set(xticks=range(len(stds)), yticks=range(len(rates)), yticklabels=rates)
    last = panel.get_subplotspec().is_last_row()
    panel.set_xticklabels([f"{std:.2g}" for std in stds] if last else [], rotation=90)
    return drawn


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: Values) -> str:
    pairs = [row["pairs"] for row in rows if row["pairs"] > 1]
    numbers = f"{min(pairs)} to {max(pairs)}" if pairs else "no"
    return (
        f"Maps over the initial scale σ (to the right; σ = √(2/d) is He's) and the "
        f"learning rate in units of η* = 2k/(m μ_k), the largest stable one of dense "
        f"minima (upwards), for widths m/k = {setting['m_over_k'] or setting['m']}. "
        f"GD ({setting['precision']}) to loss < {setting['tol']:g} "
        f"({students.CONVENTION}), at most {setting['steps']} steps; barriers "
        f"({setting['barrier']}, {setting['points']} points, {setting['matching']}) of "
        f"students put on the axes, n = {numbers} pairs a width beside "
        f"{setting['pairs']} of uniform minima, k = 1: m = {setting['m_one']}; seed "
        f"{setting['seed']}. Grey: under {judge.CONVERGED:.0%} of runs converged, or "
        "not told apart by so many pairs. "
    )


def measures_caption(rows: Sequence[dict], setting: Values) -> str:
    return (
        f"{caption(rows, setting)}Dispersion index of type counts, PQI of row norms "
        "and permuted barrier at the largest m, the last two over those of uniform "
        "minima; slopes of the PQI and of the logarithm of the barrier ratio against "
        "log m, the latter from 2k on; KS distance of weights at k = 1 over the one "
        "that 1% of uniform samples exceed; the width of the largest mean barrier. "
        "Intervals: settings_map.csv."
    )


def statements_caption(rows: Sequence[dict], setting: Values) -> str:
    rules = "; ".join(f"{name}: {one.rule}" for name, one in STATEMENTS.items())
    return f"{caption(rows, setting)}Where statements of the paper hold: {rules}."


STUDY = Study(
    name="settings_map",
    paper="all figures of trained minima",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=OWN,
    curves=lambda grid: 1,  # it draws maps
    weights=True,  # for the norms at k = 1, and to put students on the axes
    rows=rows,
    table=table,
    tables={"settings_map.csv": every},
    figures=(
        Figure("settings_map", draw_measures, measures_caption, lambda rows: ()),
        Figure("settings_statements", draw_statements, statements_caption, claims),
    ),
)

if __name__ == "__main__":
    STUDY.main()
