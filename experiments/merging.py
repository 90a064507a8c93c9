"""The mean of n students: not aligned, aligned to one of them, aligned by cycles.

Beyond the paper, which joins pairs. What was predicted before the first run, for
uniform minima (``lmc_jax.theory``):

- not aligned, the loss tends as n → ∞ to a constant that does not depend on the width,
  like limit - c/n + c'/n^(3/2), without a free parameter;
- aligned to one of them it falls like m⁻² for every n, below a certificate whose
  expectation is exact; it saturates in n, with a gap of the order of 1/n. The constant
  is that of a limit m ≫ k, at k = 2 in closed form, where it does not matter to which
  they are aligned;
- trained minima, whose type counts vary less, merge at a lower loss.

A second figure asks whether one minimum, a centre, is joined to all n without barrier.
Predicted: without permutation this takes about kⁿ log k neurons, with the exact
probability of ``theory.star``; after permutation it is always so, with zero neurons;
and straight paths without barrier between all n need equal type counts, ever rarer with
width.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.claims import merging as claims
from experiments.claims import star
from experiments.lib import curves, merges, plot, students
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns, means
from lmc_jax import theory
from lmc_jax.results import store
from lmc_jax.sweep.merge import WAYS, MergeCell

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "k": "2,5",
        "m_over_k": "2,4,8",
        "wide": "",
        "n": "2,3,4,8,16",
        "groups": 12,
    },
    "paper": {
        "k": "2,5",
        "m_over_k": "2,4,8,16",
        "wide": "32,64,128",
        "n": "2,3,4,8,16,32",
        "groups": 40,
    },
}
SHARED = {
    "source": "uniform,gd",
    "tol": 1e-7,
    "barrier": "midpoint",  # of two students: the excess of the loss of their mean
}
COLUMNS = "source k m n way groups merged predicted centre alike"
LABELS = {
    "direct": "not aligned",
    "first": "aligned to one",
    "cycles": "aligned by cycles",
}
MARKERS = {"uniform": "o", "gd": "s", "sgd": "D"}
MOST_TERMS = 20_000  # of an exact probability that is drawn


def cells(setting: Values) -> list[MergeCell]:
    """Those of ``merges``, and of uniform minima at more widths.

    Raises:
      Refusal: for the first thing wrong, in one line.
    """
    grid = merges.cells(setting)
    if setting["wide"]:
        uniform = {"source": "uniform", "m": None, "m_over_k": setting["wide"]}
        grid += merges.cells(setting | uniform)
    return grid


def rows(measured: Measured) -> list[dict]:
    """Rows of the summary with predictions, bounds, and what is said of centres.

    values: of the groups. predicted: for uniform minima not aligned, the expansion in
    n. expected, certificate, violations: of those aligned to one, the exact mean of the
    certificate, its values, and the groups above it by more than rounding.
    """
    by_cell = {store.fingerprint(one.parameters): one for one in measured.records}
    return [_row(row, by_cell[row["cell"]]) for row in measured.table]


def _row(row: dict, record: store.Record) -> dict:
    k, m, n, column = row["k"], row["m"], row["n"], WAYS.index(row["way"])
    arrays = {
        name.split("/")[1]: array
        for name, array in record.arrays.items()
        if name.startswith(f"{n}/")
    }
    values = arrays["excess"][:, column]
    found = row | {"values": values, "predicted": math.nan, "violations": 0}
    if row["source"] == "uniform" and row["way"] == "direct":
        found["predicted"] = float(theory.unaligned(m, k).at(n))
    if row["source"] == "uniform" and row["way"] == "first":
        bounds = arrays["certificate"]
        over = values > bounds + claims.ROUNDING
        found |= {"certificate": bounds, "violations": int(over.sum())}
        found |= {"expected": theory.merged_certificate(n, m, k)}
    shares = {"centre": arrays["centre"][:, column], "alike": arrays["alike"]}
    found |= means({name: share.astype(float) for name, share in shares.items()})
    found |= {f"{name}_count": int(share.sum()) for name, share in shares.items()}
    if row["source"] in students.TRAINED:
        loss, reach = arrays["sought"].T
        found |= means({"reach": arrays["reach"]})
        found |= means({"sought_loss": loss, "sought_reach": reach})
        found |= {"tol": record.parameters["source"]["tol"], "sought": len(loss)}
    settled = arrays["settled"]
    return found | {"settled": float(settled.mean()) if len(settled) else math.nan}


# --- figure --------------------------------------------------------------------------


def draw(rows: Sequence[dict]):
    """A row per teacher: against n, not aligned and aligned; times m² against m."""
    teachers = sorted({row["k"] for row in rows})
    figure, axes = plot.grid(len(teachers), 3, height=2.3)
    looks = plot.ordered(sorted({row["m"] / row["k"] for row in rows}))
    for panels, k in zip(axes, teachers, strict=True):
        own = [row for row in rows if row["k"] == k]
        for (source, m), curve in curves.group(own, "source", "m").items():
            _against_n(panels, curve, source, looks[m / k]["color"])
        for m in sorted({row["m"] for row in own}):
            most, color = max(row["n"] for row in own), looks[m / k]["color"]
            _unaligned(panels[0], k, m, most, color)
        _against_m(panels[2], k, own)
        panels[0].set(ylabel=f"k = {k}\nloss of the mean", yscale="log")
        panels[1].set(yscale="log")
        panels[2].set(xlabel="student width m", ylabel="loss × m²", yscale="log")
        plot.log_axis(panels[2])
        for panel in panels[:2]:
            plot.log_axis(panel)
            panel.set(xlabel="students n")
    for panel, title in zip(
        axes[0], (LABELS["direct"], LABELS["first"], "aligned, × m²"), strict=True
    ):
        panel.set_title(title)
    plot.legend(figure, axes)
    return figure


def _against_n(panels, curve: Sequence[dict], source: str, color: Any) -> None:
    """One width: not aligned in the first panel, aligned in the second."""
    ratio = f"m = {curve[0]['m'] / curve[0]['k']:g} k"
    shown: list[tuple[str, Any, str, str | None]] = [
        ("direct", panels[0], "none", None),
        ("first", panels[1], "-", ratio if source == "uniform" else None),
        ("cycles", panels[1], ":", None),
    ]
    for way, panel, linestyle, label in shown:
        own = sorted(_of_way(curve, way), key=lambda row: row["n"])
        own = [row for row in own if row["groups"] and row["merged_mean"] > curves.NONE]
        if own:
            style = {"color": color, "linestyle": linestyle, "label": label}
            style |= {"marker": MARKERS[source], "markerfacecolor": "none"}
            curves.points(panel, own, "merged", "n", **style)


def _unaligned(axes, k: int, m: int, most: int, color: Any) -> None:
    """The expansion in n, and the limit of every width."""
    form = theory.unaligned(m, k)
    n = np.geomspace(4, max(most, 8), 50)
    label = "predicted, without a free parameter"
    axes.plot(n, form.at(n), color=color, linewidth=0.9, label=label)
    axes.axhline(form.limit, color=plot.BLACK, linestyle="--", label="n → ∞")


def _against_m(axes, k: int, rows: Sequence[dict]) -> None:
    """Loss times m² of the least and the largest n, and what is known of it."""
    sizes = sorted({row["n"] for row in rows})
    for n, shade in zip((sizes[0], sizes[-1]), (plot.WINE, plot.TEAL), strict=True):
        for (source,), curve in curves.group(
            [row for row in _of_way(rows, "first") if row["n"] == n], "source"
        ).items():
            kept = [_scaled(row) for row in curve if row["groups"]]
            label = f"{curves.NAMES[source]}, n = {n}"
            style = {"color": shade, "marker": MARKERS[source], "label": label}
            if kept:
                style["markerfacecolor"] = "none"
                curves.points(axes, kept, "scaled", **style)
        widths = np.unique([row["m"] for row in rows])
        bound = [theory.merged_certificate(n, int(m), k) * m**2 for m in widths]
        label = "expected certificate, exact"
        axes.plot(
            widths, bound, color=shade, linewidth=0.9, linestyle="--", label=label
        )
        if k > 1:
            limit = claims.limit(n, k)
            axes.axhline(limit, color=shade, linestyle=":", label="limit m ≫ k")


def _scaled(row: dict) -> dict:
    ends = ("mean", "low", "high")
    return row | {f"scaled_{e}": row[f"merged_{e}"] * row["m"] ** 2 for e in ends}


def _of_way(rows: Sequence[dict], way: str) -> list[dict]:
    return [row for row in rows if row["way"] == way]


# --- centres -------------------------------------------------------------------------


def draw_star(rows: Sequence[dict]):
    """Share of groups with a centre without permutation, and with equal type counts."""
    teachers = sorted({row["k"] for row in rows})
    figure, axes = plot.grid(2, len(teachers), height=2.2, share="row")
    own = [row for row in _of_way(rows, "direct") if row["groups"]]
    looks = plot.ordered([n for n in star.SIZES if any(r["n"] == n for r in own)])
    for (upper, lower), k in zip(axes.T, teachers, strict=True):
        groups = curves.group([row for row in own if row["k"] == k], "n", "source")
        for (n, source), curve in groups.items():
            if n not in looks:
                continue
            style = looks[n] | {"marker": MARKERS[source], "linestyle": "none"}
            style |= {"markerfacecolor": "none"}
            label = f"{curves.NAMES[source]}, n = {n}"
            curves.points(upper, curve, "centre", **style, label=label)
            curves.points(lower, curve, "alike", **style, label=label)
        widest = max(row["m"] for row in own if row["k"] == k)
        for n, look in looks.items():
            _predicted(upper, lower, n, k, widest, look["color"])
        for panel in (upper, lower):
            plot.log_axis(panel)
        upper.set(title=f"k = {k}")
        lower.set(xlabel="student width m")
    axes[0, 0].set_ylabel("share with a centre,\nnot aligned")
    axes[1, 0].set_ylabel("share with equal\ntype counts")
    plot.legend(figure, axes)
    return figure


def _predicted(upper, lower, n: int, k: int, widest: int, color: Any) -> None:
    """Both probabilities of uniform minima: exact, or of independent types."""
    widths = np.unique(np.geomspace(k, widest, 40).astype(int))
    cheap = widths[[star.terms(m, k) <= MOST_TERMS for m in widths.tolist()]]
    exact = [theory.centre_probability(n, int(m), k) for m in cheap]
    upper.plot(cheap, exact, color=color, label="exact")
    law = theory.centre_law(n, widths, k)
    upper.plot(widths, law, color=color, linestyle=":", label="independent types")
    lower.plot(widths, theory.equal_counts(n, widths, k), color=color, label="exact")


# --- words ---------------------------------------------------------------------------


def _settings(rows: Sequence[dict], setting: Values) -> str:
    sources = setting["source"].split(",")
    trained = [name for name in sources if name in students.TRAINED]
    used = sum(row["used"] for row in rows) / sum(row["students"] for row in rows)
    said = (
        f" {students.trained_by(setting)}, until the loss is below {setting['tol']:g}"
    )
    said += f"; {used:.1%} of all students converged, the others are left out."
    rates = f" Learning rates η = {setting['lr_times_m']}/m." * bool(trained)
    return (
        f" d = {setting['d'] or 'k'}, seed {setting['seed']}."
        + said * bool(trained)
        + rates * (setting["lr_times_m"] is not None)
    )


def caption(rows: Sequence[dict], setting: Values) -> str:
    settled = min((r["settled"] for r in rows if r["groups"]), default=math.nan)
    return (
        f"Loss of the mean of n students less their mean loss, {students.CONVENTION}. "
        f"Means over {curves.sizes(rows, 'groups')} independent groups (all students "
        "are used for every n), 95% bootstrap intervals over groups. Alignment by "
        "Algorithm 1, leftovers opposed: to the first student of a group (lines), or "
        "each in turn to the mean of the others until nothing changes (dotted; at "
        f"least {settled:.0%} of the groups of a point settled). Circles: uniform "
        "minima; squares: GD. "
        "Predictions are for uniform minima; the limit m ≫ k is in closed form for "
        f"k = 2, else the mean of {claims.SAMPLED} samples of it."
        + _settings(rows, setting)
    )


def star_caption(rows: Sequence[dict], setting: Values) -> str:
    return (
        "Above: share of the groups of n minima that have a centre, a minimum joined "
        "to all n by straight paths without barrier, with rows as they are. Below: "
        "share with equally many neurons of each type, for which alone permutations "
        "join all pairs without barrier. Barriers are those of the loss "
        f"{students.CONVENTION}; both are statements about types. Means over "
        f"{curves.sizes(rows, 'groups')} independent groups, 95% bootstrap intervals. "
        "Lines: uniform minima, exact, and with independent types."
        + _settings(rows, setting)
    )


STUDY = Study(
    name="merging",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    own={"wide": Setting(str, "Widths of uniform minima alone, in units of k.")},
    rows=rows,
    table=lambda rows: columns(rows, COLUMNS),
    figures=(
        Figure("merging", draw, caption, claims.claims),
        Figure("star", draw_star, star_caption, star.claims),
    ),
    family=merges.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()
