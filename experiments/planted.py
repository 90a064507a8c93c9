"""Planted permutations: shuffle a student, add noise, and see who finds the shuffle.

Recovery is the share of neurons matched with their own copy (a copy's equal counts as
its own), for Gaussian students, uniform minima and trained students.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.lib import common, curves, matchers, plot
from lmc_jax import environment
from lmc_jax.matching import PATHS
from lmc_jax.matching.exhaustive import WIDEST
from lmc_jax.results import files, store
from lmc_jax.statistics import mean_interval
from lmc_jax.students import two_layer
from lmc_jax.sweep.students import run_keys

common.define_output("planted")
common.define_cells()
flags.DEFINE_string("noise", None, "Sizes of the noise relative to the weights: 0.1,1.")
flags.DEFINE_integer("refine_to", None, "Largest width at which swaps are tried.")
LOUDEST = 1e100  # beyond it matchings refuse the weights
SOURCES = ("gaussian", "uniform", "gd")
NAMES = (*PATHS, "exhaustive")
SHARED = {"source": ",".join(SOURCES), "matching": ",".join(NAMES), "k": "5", "d": 10}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": SHARED
    | {"m": "8,16,32", "pairs": 10, "noise": "0.01,0.1,0.3,1", "refine_to": 32},
    "paper": SHARED
    | {"m": "8,32,128,512", "pairs": 50, "noise": "0.003,0.01,0.03,0.1,0.3,1"}
    | {"refine_to": 128, "tol": 1e-7},
}


def main() -> None:
    setting = common.settings(PRESETS)
    names = common.words(setting["matching"], "matching", NAMES)
    sources = common.words(setting["source"], "source", SOURCES)
    noises = [0.0, *common.numbers(setting["noise"], "noise")]
    if max(noises) > LOUDEST:
        raise common.Refusal(f"--noise={setting['noise']}: give at most {LOUDEST:g}")
    stored = [name for name in sources if name != "gaussian"]
    # Gaussian students take shape and keys of a cell only; trained ones have any width.
    asked = setting | {"source": ",".join(stored or ["gd"]), "matching": ""}
    grid = common.cells(asked)
    widths = {cell.m for cell in grid}
    if not any(_tried(name, m, setting) for name in names for m in widths):
        raise common.Refusal(
            f"--matching={setting['matching']}: none is tried at these widths; give "
            f"--m up to {WIDEST} for exhaustive, up to --refine_to for refine"
        )
    common.FLAGS["save_weights"].value = True
    records = common.computed(grid if stored else [], setting)
    students = {
        (cell.source.name, cell.k, cell.m): _stored(record)
        for cell, record in zip(grid if stored else [], records, strict=True)
    }
    for cell in grid if "gaussian" in sources else []:
        students["gaussian", cell.k, cell.m] = _gaussian(cell)
    rows = [
        {"source": source, "k": k, "m": m} | row
        for (source, k, m), W in students.items()
        for row in rates(W, k, setting, names, noises)
    ]
    print(common.table([line(row) for row in rows]))
    csv, _ = common.write_summary(common.FLAGS.out)
    table = csv.with_name("planted.csv")
    files.write_csv(table, rows)
    figure, text = draw(rows, sources), caption(setting)
    common.finish("planted", figure, text, claims(rows), csv, table)


# --- students ------------------------------------------------------------------------


def _gaussian(cell) -> np.ndarray:
    """Students ``[pairs, m, d]`` of N(0, 1) entries, from the keys of the cell."""
    keys = run_keys(
        environment.root_key(cell.seed), cell.k, cell.m, cell.d, pairs=cell.pairs
    )
    draw = functools.partial(two_layer.init, m=cell.m, d=cell.d, std=1.0)
    return np.asarray(jax.vmap(draw)(keys[:, 0]))


def _stored(record: store.Record) -> np.ndarray:
    path = store.cell_path(common.FLAGS.out, record.parameters)
    stored = store.read_weights(path)
    assert stored is not None
    return stored.arrays["W"][:, 0]


def rates(W, k, setting, names, noises) -> list[dict]:
    rng = np.random.default_rng(setting["seed"])
    rows = []
    for noise in noises:
        pairs = planted(rng, W.astype(np.float64), noise)
        for name in names:
            if not _tried(name, W.shape[1], setting):
                continue
            match = matchers.matcher(name, k, common.FLAGS.barrier, setting["points"])
            perm, info = match(pairs.students)
            shares = recovery(W, pairs.order, perm)
            mean, low, high = mean_interval(shares)
            rows.append(
                {"noise": noise, "matching": name, "objective": info.objective}
                | {"pairs": len(W), "recovery_mean": mean, "recovery_low": low}
                | {"recovery_high": high, "whole": float(np.mean(shares == 1))}
            )
    return rows


def _tried(name: str, m: int, setting: dict) -> bool:
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


def line(row: dict) -> dict:
    names = ("source", "k", "m", "noise", "matching", "objective", "pairs")
    shown = {name: row[name] for name in names}
    interval = common.with_interval(row, "recovery")
    return shown | {"recovered": interval, "whole": f"{row['whole']:.0%}"}


def draw(rows: Sequence[dict], sources: Sequence[str]):
    """A column a width, a row a source: recovery against noise."""
    widths = sorted({row["m"] for row in rows})
    figure, axes = plot.grid(len(sources), len(widths), size=(2.9, 2.3))
    for panels, source in zip(axes, sources, strict=True):
        for panel, m in zip(panels, widths, strict=True):
            kept = [r for r in rows if (r["source"], r["m"]) == (source, m)]
            for name in NAMES:
                curve = [row for row in kept if row["matching"] == name]
                if curve:
                    _curve(panel, curve, matchers.look(name))
            panel.set(ylim=(-0.03, 1.05), xlabel="noise / weights", ylabel="recovered")
            panel.set_title(f"{source}, m = {m}")
    most = max(axes.ravel(), key=lambda panel: len(panel.lines))
    plot.legend(figure, most)
    return figure


def _curve(axes, curve: Sequence[dict], look: dict) -> None:
    columns = curves.columns(curve, "recovery")
    plot.points(axes, [row["noise"] for row in curve], *columns, **look)
    least = min((row["noise"] for row in curve if row["noise"]), default=1)
    axes.set_xscale("symlog", linthresh=least)


# --- words ---------------------------------------------------------------------------


def caption(setting: dict) -> str:
    return (
        "Share of neurons matched with their own copy, a student against its shuffle "
        "with N(0, (noise · s)²) on every weight, s the root mean square weight. Means "
        f"over n = {setting['pairs']} independent students, 95% bootstrap intervals. k "
        f"= {setting['k']}, d = {setting['d']}; convention {common.CONVENTION}. "
        "The direct path moves nothing, and finds 1/m of the neurons by chance. "
        "Refined by swaps and all permutations look for the least barrier, which need "
        "not be the shuffle: minima have many permutations without barrier."
    )


def claims(rows: Sequence[dict]) -> list[dict]:
    judged = []
    for name in [name for name in NAMES if not matchers.EVERY[name].baseline]:
        exact = [r for r in rows if r["matching"] == name and r["noise"] == 0]
        if not exact:
            continue
        worst = min(exact, key=lambda row: row["recovery_mean"])
        judged.append(
            {
                "paper": "",
                "text": (
                    "without noise every planted permutation is recovered, up to "
                    "equal neurons"
                ),
                "case": matchers.EVERY[name].label,
                "measured": f"least share {worst['recovery_mean']:.3g}, at m = "
                f"{worst['m']}, {worst['source']}",
                "rule": "the share is 1 for every student, width and source",
                "n": sum(row["pairs"] for row in exact),
                "holds": bool(worst["recovery_mean"] == 1),
            }
        )
    return judged


if __name__ == "__main__":
    common.run(main)
