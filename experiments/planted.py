"""Planted permutations: shuffle a student, add noise, and see who finds the shuffle.

Recovery is the share of neurons matched with their own copy (a copy's equal counts as
its own), for Gaussian students, uniform minima and trained students.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.lib import curves, matchings, plot
from experiments.lib import students as sweeps
from experiments.lib.claims import Claim, Statement, lowest
from experiments.lib.lists import Refusal, numbers, words
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns
from lmc_jax import environment
from lmc_jax.matching import ALGORITHM_1, PATHS
from lmc_jax.matching.exhaustive import WIDEST
from lmc_jax.results.selection import kept_pairs
from lmc_jax.statistics import mean_interval, named
from lmc_jax.students import two_layer
from lmc_jax.sweep.cell import Cell
from lmc_jax.sweep.pairs import run_keys

OWN = {
    "noise": Setting(str, "Sizes of the noise relative to the weights: 0.1,1."),
    "refine_to": Setting(int, "Largest width at which swaps are tried."),
}
SOURCES = ("gaussian", "uniform", "gd")
NAMES = (*PATHS, "exhaustive")
SHARED = {"source": ",".join(SOURCES), "matching": ",".join(NAMES), "k": "5", "d": 10}
COLUMNS = "source k m noise matching objective pairs recovery whole"
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"m": "8,16,32", "pairs": 10, "noise": "0.01,0.1,0.3,1", "refine_to": 32},
    "paper": {
        "m": "8,32,128,512",
        "pairs": 50,
        "noise": "0.003,0.01,0.03,0.1,0.3,1",
        "refine_to": 128,
        "tol": 1e-7,
    },
}


def cells(setting: Values) -> list[Cell]:
    """Those of trained and of sampled students; Gaussian ones need none."""
    names = words(setting["matching"], "matching", NAMES)
    for name in ("k", "lr_times_m", "lr"):  # students are told apart by source and m
        if "," in str(setting[name]) or ":" in str(setting[name]):
            raise Refusal(f"--{name}={setting[name]}: give one")
    sources = words(setting["source"], "source", SOURCES)
    numbers(setting["noise"], "noise")
    grid = _grid(setting, sources)
    if not any(_tried(name, cell.m, setting) for name in names for cell in grid):
        raise Refusal(
            f"--matching={setting['matching']}: none is tried at these widths; give "
            f"--m up to {WIDEST} for exhaustive, up to --refine_to for refine"
        )
    return [] if sources == ["gaussian"] else grid


def _grid(setting: Values, sources: Sequence[str]) -> list[Cell]:
    """Cells of the sources without "gaussian"; of it alone those of "gd".

    Gaussian students take shape and keys of a cell only; trained ones have any width.
    """
    kept = [name for name in sources if name != "gaussian"] or ["gd"]
    return sweeps.cells(setting | {"source": ",".join(kept), "matching": ""})


def rows(measured: Measured) -> list[dict]:
    setting, grid, records, _ = measured
    sources = setting["source"].split(",")
    students = {
        (cell.source.name, cell.m): sweeps.trained(record)[kept_pairs(record.arrays), 0]
        for cell, record in zip(grid, records, strict=True)
    }
    for (source, m), W in students.items():
        if not len(W):
            raise Refusal(
                f"All runs of {source}, m = {m} diverged: give smaller learning rates"
            )
    if "gaussian" in sources:
        for cell in _grid(setting, sources):
            students["gaussian", cell.m] = gaussian(cell)
    k = int(setting["k"])
    return [
        {"source": source, "k": k, "m": m} | row
        for (source, m), W in students.items()
        for row in rates(W, k, setting)
    ]


# --- students ------------------------------------------------------------------------


def gaussian(cell: Cell) -> np.ndarray:
    """Students ``[pairs, m, d]`` of N(0, 1) entries, from the keys of the cell."""
    keys = run_keys(
        environment.root_key(cell.seed), cell.k, cell.m, cell.d, pairs=cell.pairs
    )
    draw = functools.partial(two_layer.init, m=cell.m, d=cell.d, std=1.0)
    return np.asarray(jax.vmap(draw)(keys[:, 0]), np.float64)


def rates(W: np.ndarray, k: int, setting: Values) -> list[dict]:
    """Recovery of students ``[n, m, d]``, one row per noise and matching."""
    rng = np.random.default_rng(setting["seed"])
    found = []
    for noise in [0.0, *numbers(setting["noise"], "noise")]:
        pairs = planted(rng, W, noise)
        for name in setting["matching"].split(","):
            if not _tried(name, W.shape[1], setting):
                continue
            match = matchings.matcher(name, k, setting["barrier"], setting["points"])
            perm, info = match(pairs.students)
            shares = recovery(W, pairs.order, perm)
            found.append(
                {"noise": noise, "matching": name, "objective": info.objective}
                | {"pairs": len(W), **named("recovery", mean_interval(shares))}
                | {"whole": float(np.mean(shares == 1))}
            )
    return found


def _tried(name: str, m: int, setting: Values) -> bool:
    """Whether a matching is tried at a width."""
    most = {"exhaustive": WIDEST, "refine": setting["refine_to"]}
    return m <= most.get(name, m)


# --- planting ------------------------------------------------------------------------


class Planted(NamedTuple):
    """students ``[n, 2, m, d]``; order ``[n, m]``: row i of the second is a noisy copy
    of row ``order[i]`` of the first."""

    students: np.ndarray
    order: np.ndarray


def planted(rng: np.random.Generator, W: np.ndarray, noise: float) -> Planted:
    """Students ``[n, m, d]`` beside their shuffles with N(0, (noise · s)²) on every
    weight, s the root mean square of the weights of the student."""
    order = np.argsort(rng.random(W.shape[:2]), axis=1)
    second = np.take_along_axis(W, order[..., None], axis=1)
    scale = np.sqrt(np.mean(np.square(W), axis=(1, 2), keepdims=True))
    second = second + noise * scale * rng.normal(size=W.shape)
    return Planted(np.stack([W, second], axis=1), order)


def recovery(W: np.ndarray, order: np.ndarray, perm: np.ndarray) -> np.ndarray:
    """Share ``[n]`` of the neurons matched with a copy of themselves or their equal."""
    found = np.take_along_axis(order, perm, axis=1)  # the original of each partner
    originals = np.take_along_axis(W, found[..., None], axis=1)
    return np.mean((originals == W).all(axis=-1), axis=1)


# --- table and figure ----------------------------------------------------------------


def draw(rows: Sequence[dict]):
    """One column per width, one row per source: recovery against noise.

    Noises are evenly spaced; matchings stand side by side at each.
    """
    widths, noises = (sorted({row[name] for row in rows}) for name in ("m", "noise"))
    in_order = sorted(rows, key=lambda row: row["noise"])
    groups = curves.group(in_order, "source", "m", "matching")
    names = _shown(rows)
    sources = [name for name in SOURCES if any(name == key[0] for key in groups)]
    figure, axes = plot.grid(len(sources), len(widths), height=1.7, share=True)
    for panels, source in zip(axes, sources, strict=True):
        for panel, m in zip(panels, widths, strict=True):
            for i, name in enumerate(names):
                shift = 0.7 * ((i + 0.5) / len(names) - 0.5)
                curve = [
                    row | {"place": noises.index(row["noise"]) + shift}
                    for row in groups.get((source, m, name), [])
                ]
                if curve:
                    curves.points(panel, curve, "recovery", "place", **_style(name))
            panel.set_xticks(range(len(noises)), [f"{noise:g}" for noise in noises])
            panel.tick_params("x", rotation=90)
            panel.set_ylim(-0.03, 1.05)
        panels[0].set_ylabel(f"{curves.NAMES[source]}\nshare recovered")
    for panel, m in zip(axes[0], widths, strict=True):
        panel.set_title(f"m = {m}")
    for panel in axes[-1]:
        panel.set_xlabel("noise / rms weight")
    plot.legend(figure, axes)
    return figure


def _shown(rows: Sequence[dict]) -> list[str]:
    """The matchings that are drawn: of Algorithm 1, whose pairings agree, the first."""
    names = [name for name in NAMES if any(name == row["matching"] for row in rows)]
    pairings = [name for name in names if name in ALGORITHM_1]
    return [name for name in names if name not in pairings[1:]]


def _style(name: str) -> dict[str, Any]:
    own = {"label": "Algorithm 1"} if name in ALGORITHM_1 else {}
    return matchings.STYLES[name] | own


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: Values) -> str:
    said = (
        "Share of neurons matched with their own copy, a student against its shuffle "
        "with N(0, (noise · s)²) on every weight, s the root mean square weight. Means "
        f"over n = {curves.sizes(rows)} independent students, 95% bootstrap intervals. "
        f"k = {setting['k']}, d = {setting['d']}; convention {sweeps.CONVENTION}. "
        "The direct path finds 1/m of the neurons by chance. Refined by swaps and all "
        "permutations look for the least barrier, which need not be the shuffle: "
        "minima have many permutations without barrier. Matchings stand side by side "
        "at each noise."
    )
    pairings = [row for row in rows if row["matching"] in ALGORITHM_1]
    groups = curves.group(pairings, "source", "m", "noise").values()
    shares = [[row["recovery_mean"] for row in group] for group in groups]
    if apart := max((max(own) - min(own) for own in shares), default=0):
        said += f" The pairings of Algorithm 1 differ by at most {apart:.2g} at a point"
        said += f": {PATHS[_shown(pairings)[0]].label} is drawn for all."
    return said


RECOVERED = Statement(
    "without noise every planted permutation is recovered, up to equal neurons",
    "the share is 1 for every student, width and source",
)


def claims(rows: Sequence[dict]) -> list[Claim]:
    exact = curves.group([row for row in rows if row["noise"] == 0], "matching")
    judged = []
    for name in NAMES:
        if (name,) in exact and not matchings.EVERY[name].baseline:
            worst = lowest(exact[name,], "recovery")
            measured = (
                f"least share {worst['recovery_mean']:.3g}, at m = {worst['m']}, "
                f"{worst['source']}"
            )
            n = sum(row["pairs"] for row in exact[name,])
            case, holds = matchings.EVERY[name].label, worst["recovery_mean"] == 1
            judged.append(RECOVERED.judged(case, measured, n, holds))
    return judged


STUDY = Study(
    name="planted",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own=OWN | sweeps.ORTHONORMAL_ONLY,
    weights=True,
    rows=rows,
    table=lambda rows: columns(rows, COLUMNS),
    tables={"planted.csv": lambda rows: rows},
    figures=(Figure("planted", draw, caption, claims),),
)

if __name__ == "__main__":
    STUDY.main()
