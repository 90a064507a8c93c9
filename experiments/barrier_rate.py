"""How fast the permuted barrier of uniform minima vanishes, with a certified bound.

The paper's Theorem 6 says O(m^-1/2). Whatever pairs neurons of equal type leaves
unmatched masses ρ, ρ', and the loss on the path is at most ½ ρ(t)ᵀ K ρ(t).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import common, curves
from lmc_jax import figures, store, summary, theory

common.define_output("barrier_rate")
common.define_cells()
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"k": "2,5", "m_over_k": "1,2,3,4,6,8,12,16,24,32,48,64", "pairs": 200},
    "paper": {"k": "2,5,20", "m_over_k": "1,2:128:x14", "pairs": 300},
}
SHARED = {"source": "uniform", "matching": "types_index,types_opposed"}
SLOPES = (-0.5, -1.0, -2.0)
RESAMPLES = 2000
ROUNDING = 1e-12  # a barrier below it is none


def main() -> None:
    presets = {name: SHARED | preset for name, preset in PRESETS.items()}
    setting = common.settings(presets)
    grid = common.cells(setting)
    common.require(grid, "minima", "the certificate bounds pairs of global minima")
    records = common.computed(grid, setting)
    rows = [row for record in records for row in described(record)]
    groups = curves.group(rows, "k", "matching")
    found = {key: fit(last_decade(curve)) for key, curve in groups.items()}
    fits = {key: slope for key, slope in found.items() if slope is not None}
    print(common.table([_shown(row) for row in rows]))
    csv, _ = common.write_summary(common.FLAGS.out)
    text = caption(rows, fits, setting)
    judged = [certified(rows)]
    for (k, matching), (slope, low, high) in fits.items():
        label = f"k = {k}, {curves.LABELS[matching]}"
        judged += rates(label, slope, low, high, groups[k, matching])
    common.finish("barrier_rate", draw(groups, fits), text, judged, csv)


def described(record: store.Record) -> list[dict]:
    """Summary rows of the permuted paths, with their certificates and violations.

    ``bound`` is the largest certificate at the inner points of the path: above the
    barrier of every pair. A violation is a pair with a loss above its certificate at
    the same t, by more than rounding (1e-12).
    """
    losses = record.arrays["losses"]  # [n, 1 + matchings, points]
    bounds = record.arrays["certificate"]
    found = summary.barriers(record, common.FLAGS.barrier)
    rows = summary.rows([record], common.FLAGS.barrier)
    for column, row in enumerate(rows):
        inner = bounds[:, column, 1:-1].max(axis=1)
        over = (losses[:, column] > bounds[:, column] + ROUNDING).any(axis=1)
        row |= {
            "values": found[:, column],
            "bound_mean": float(inner.mean()),
            "violations": int(over.sum()),
        }
    return rows[1:]


def last_decade(curve: Sequence[dict]) -> list[dict]:
    """Widths m >= max(m)/10 with a barrier; at m = k there is none."""
    wide = [row for row in curve if 10 * row["m"] >= curve[-1]["m"]]
    return [row for row in wide if row["m"] > row["k"] and row["values"].any()]


def fit(last: Sequence[dict]) -> tuple[float, float, float] | None:
    """Log-log slope of the mean barrier against m, and its interval.

    Least squares through the means; 95% percentile bootstrap that resamples the pairs
    of every width. None for fewer than three widths or ten pairs.
    """
    if len(last) < 3 or min(len(row["values"]) for row in last) < 10:
        return None
    rng = np.random.default_rng(0)
    means = []
    for row in last:
        values = row["values"]
        drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
        means.append(np.append(values.mean(), drawn.mean(axis=1)))
    logs = np.log([row["m"] for row in last])
    slopes = np.polyfit(logs, np.log(means), 1)[0]  # the first without resampling
    low, high = np.quantile(slopes[1:], [0.025, 0.975])
    return float(slopes[0]), float(low), float(high)


def _shown(row: dict) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("k", "m", "matching", "pairs")},
        "barrier": common.with_interval(row, "barrier"),
        "certificate": row["bound_mean"],
        "violations": row["violations"],
    }


def draw(groups: dict[tuple, list[dict]], fits: dict):
    """A panel a teacher: means, certificates and slopes through the peak, log axes."""
    teachers = sorted({k for k, _ in groups})
    figure, axes = figures.grid(1, len(teachers))
    for panel, k in zip(axes[0], teachers, strict=True):
        mine = {matching: curve for (j, matching), curve in groups.items() if j == k}
        for i, (matching, curve) in enumerate(mine.items()):
            color = figures.CYCLE[i % len(figures.CYCLE)]
            kept = [row for row in curve if row["m"] > k]
            widths = [row["m"] for row in kept]
            figures.points(
                panel,
                widths,
                *curves.columns(kept, "barrier"),
                color=color,
                marker=curves.MARKERS[matching],
                label=curves.LABELS[matching],
            )
            bounds = [row["bound_mean"] for row in kept]
            label = f"certificate, {matching}"
            panel.plot(widths, bounds, "--", color=color, label=label)
        curve = next(iter(mine.values()))
        _guides(panel, curve)
        _predictions(panel, [row["m"] for row in curve if row["m"] > k], k)
        shown = ", ".join(
            f"{fits[k, name][0]:.2f}" for name in mine if (k, name) in fits
        )
        figures.log_axis(panel)
        panel.set(xlabel="student width m", yscale="log")
        panel.set_ylabel("permuted barrier, certificate")
        panel.set_title(f"k = {k}, slopes {shown}")
    figures.legend(figure, axes[0, 0])
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
        panel.plot(widths, values, color=figures.BLACK, linestyle=style, label=label)


def caption(rows: Sequence[dict], fits: dict, setting: dict) -> str:
    slopes = "; ".join(
        f"k = {k}, {curves.LABELS[matching]}: {slope:.2f} [{low:.2f}, {high:.2f}]"
        for (k, matching), (slope, low, high) in fits.items()
    )
    return (
        f"{common.convention(setting, curves.sizes(rows))} Uniform minima. Certificate:"
        " mean of the largest bound at the inner points of the path; in black "
        "its exact expectation at t = ½, and its value when, as Theorem 6 assumes, the "
        "matched share of every type is the overlap: O(1/m), below the theorem's "
        "m^-1/2. Slopes over the widths of the last decade, bootstrap over pairs: "
        f"{slopes}."
    )


def certified(rows: Sequence[dict]) -> dict:
    first = rows[0]["matching"]
    pairs = sum(row["pairs"] for row in rows if row["matching"] == first)
    broken = sum(row["violations"] for row in rows)
    ratios = [
        r["bound_mean"] / r["barrier_mean"]
        for r in rows
        if r["barrier_mean"] > ROUNDING
    ]
    return {
        "paper": "",
        "claim": "the certificate bounds the loss on every path (uniform minima)",
        "measured": f"{broken} violations in {pairs} pairs, every matching; its mean "
        f"is {min(ratios):.3g} to {max(ratios):.3g} times the barrier"
        if ratios
        else "no barrier above rounding, so nothing to bound",
        "rule": "no loss above the certificate at the same t by more than 1e-12",
        "n": pairs,
        "holds": broken == 0 if ratios or broken else None,
    }


def rates(
    label: str, slope: float, low: float, high: float, curve: Sequence[dict]
) -> list[dict]:
    """Theorem 6 and the sharper rates, judged by the slope's interval."""
    first = last_decade(curve)[0]["m"]
    measured = (
        f"slope {slope:.3f} [{low:.3f}, {high:.3f}] over m = {first} ... "
        f"{curve[-1]['m']}"
    )
    shared = {"measured": measured, "n": curve[-1]["pairs"]}
    judged = [
        {
            "paper": "Theorem 6",
            "claim": f"Theorem 6: the barrier vanishes at least like m^-1/2 ({label})",
            "rule": "the slope's interval lies at or below -1/2",
            "holds": bool(high <= -0.5),
        }
    ]
    judged += [
        {
            "paper": "",
            "claim": f"the barrier vanishes like m^{exponent:g} ({label})",
            "rule": f"the slope's interval contains {exponent:g}",
            "holds": bool(low <= exponent <= high),
        }
        for exponent in SLOPES
    ]
    return [claim | shared for claim in judged]


if __name__ == "__main__":
    common.run(main)
