"""Overlap of two uniform minima against m/k, with Theorem 5 and its exact form.

The paper's Figure 1. Sampled points, the exact expectation, the paper's central-limit
form, and the limit k → ∞; the paper's place of the minimum, 2k, and the exact one.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy  # its parts load when first used

from experiments.lib import curves, plot, students
from experiments.lib.claims import Claim
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import with_interval
from lmc_jax import theory
from lmc_jax.results import store
from lmc_jax.results.selection import kept_pairs
from lmc_jax.statistics import mean_interval, named

# No path but the direct one, three points on it: overlaps need the type counts only.
CHEAP = {"source": "uniform", "matching": "", "points": 3}
PRESETS: dict[str, dict[str, Any]] = {
    # Ratios that share padded widths: most of a quick run is compiling.
    "quick": {
        **CHEAP,
        "k": "2,5,10,20,50,100",
        "m_over_k": "1.3,1.6,2,2.3,2.5,3.2,6.4",
        "pairs": 100,
    },
    "paper": {
        **CHEAP,
        "k": "2,5,10,20,50,100",
        "m_over_k": "1.2,1.4,1.6,1.8,2,2.2,2.4,2.6,2.8,3,3.5,4,4.5,5,6,7,8",
        "pairs": 1000,
    },
}
LEVEL = 0.01  # of the test of the intervals' coverage
FEWEST = 10  # points that this test takes


def rows(measured: Measured) -> list[dict]:
    return [described(record) for record in measured.records]


def described(record: store.Record) -> dict:
    """One point: the mean overlap proportion with its interval, and the theory's.

    Of the pairs that did not diverge.
    """
    cell, kept = record.parameters, kept_pairs(record.arrays)
    k, m = cell["k"], cell["m"]
    theories = (theory.expected_overlap, theory.expected_overlap_clt)
    exact, clt = (float(form(m, k)) if m >= k else math.nan for form in theories)
    return {
        **{"k": k, "m": m, "source": cell["source"]["name"], "pairs": int(kept.sum())},
        **named("overlap", mean_interval(record.arrays["overlap"][kept] / m)),
        **{"exact": exact, "clt": clt},
    }


def table(rows: Sequence[dict]) -> list[dict]:
    return [shown(row) for row in rows]


def shown(row: dict) -> dict:
    """A point as a line of the terminal."""
    kept = {name: row[name] for name in ("source", "k", "m")}
    kept["m/k"] = row["m"] / row["k"]
    sampled = "{overlap_mean:.4f} [{overlap_low:.4f}, {overlap_high:.4f}]"
    kept |= {"pairs": row["pairs"], "overlap": sampled.format(**row)}
    return kept | {name: f"{row[name]:.4f}" for name in ("exact", "clt")}


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
    for (source,), curve in curves.group(points, "source").items():
        plot.points(
            axes,
            [row["m"] / k for row in curve],
            *curves.columns(curve, "overlap"),
            color=curves.COLORS[source],
            marker="o" if source == "uniform" else "s",
            linestyle="none",
            label=f"sampled, {curves.NAMES[source]}",
        )
    plot.mark(axes, theory.CLT_MINIMUM_RATIO, "m = 2k, the paper's minimum")
    plot.mark(axes, theory.LIMIT_MINIMUM_RATIO, "m = 2.292k, exact for k → ∞", "--")
    plot.log_axis(axes)
    title = f"k = {k}"
    if k > 1:
        title += f", exact minimum at m = {theory.overlap_minimum(k)}"
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


def claims(rows: Sequence[dict]) -> list[Claim]:
    uniform = [row for row in rows if row["source"] == "uniform"]
    # At m = k, and for k = 1, every pair overlaps fully: nothing to test.
    tested = [row for row in uniform if row["m"] > row["k"] > 1]
    agree = "sampled overlaps of uniform minima agree with"
    clt, exact = f"{agree} the central-limit form", f"{agree} the exact expectation"
    judged: list[dict] = [
        {"text": clt} | _covered(tested, "clt"),
        {"paper": "", "text": exact, "corrects": clt} | _covered(tested, "exact"),
    ]
    for (k,), curve in curves.group(tested, "k").items():
        judged += _seen(k, curve)
    for k in dict.fromkeys(row["k"] for row in rows if row["k"] > 1):
        judged += [_falls_and_rises(k), _tends_to_one(k), *_least(k)]
    judged += _limit()
    return [Claim(**({"paper": "Theorem 5"} | fields)) for fields in judged]


def coverage(rows: Sequence[dict], value: str) -> tuple[int, float]:
    """How many intervals hold the predicted value, and the p-value of 95% coverage."""
    hits = sum(row["overlap_low"] <= row[value] <= row["overlap_high"] for row in rows)
    return hits, float(scipy.stats.binomtest(hits, len(rows), 0.95).pvalue)


def _covered(rows: Sequence[dict], value: str) -> dict:
    enough = len(rows) >= FEWEST
    hits, p = coverage(rows, value) if rows else (0, math.nan)
    gaps = [abs(row["overlap_mean"] - row[value]) for row in rows]
    return {
        "measured": f"{hits} of {len(rows)} intervals of 95% hold it (p = {p:.2g}); "
        f"largest gap {max(gaps, default=math.nan):.2g}",
        "rule": "the number of intervals that hold the value is compatible with 95%: "
        f"two-sided binomial test at {LEVEL:.0%}, of at least {FEWEST} points",
        "n": sum(row["pairs"] for row in rows),
        "holds": bool(p > LEVEL) if enough else None,
    }


def _seen(k: int, curve: Sequence[dict]) -> list[dict]:
    """What the paper sees in Figure 1, judged by the sampled points alone."""
    least = min(curve, key=lambda row: row["overlap_mean"])
    ends, at_paper = (curve[0], curve[-1]), [r for r in curve if r["m"] == 2 * k]
    shown = {row["m"]: row for row in (*ends, least, *at_paper)}
    shared = {
        "paper": "Figure 1",
        "measured": ", ".join(
            f"{with_interval(row, 'overlap')} at m = {m}"
            for m, row in sorted(shown.items())
        ),
        "n": least["pairs"],
    }
    others = [row for row in curve if row is not least]
    apart = [least["overlap_high"] < row["overlap_low"] for row in others]
    turns: bool | None = None
    if len(curve) > 2 and any(least is end for end in ends):
        turns = False if all(apart) else None
    elif len(curve) > 2:
        turns = True if apart[0] and apart[-1] else None
    return [
        shared
        | {
            "text": (
                "the sampled overlap proportion first decreases and then increases"
            ),
            "case": f"k = {k}",
            "rule": "the interval of the least mean lies below those of the smallest "
            "and of the largest m; it fails where the least mean is one of the two, "
            "with an interval below all others; not judged where intervals meet, or "
            "of fewer than three widths",
            "holds": turns,
        },
        shared
        | {
            "text": "the sampled overlap proportion is least at m approximately 2k",
            "case": f"k = {k}",
            "rule": "the interval at m = 2k meets that of the least mean; at least "
            "three widths",
            "holds": bool(at_paper[0]["overlap_low"] <= least["overlap_high"])
            if at_paper and len(curve) > 2
            else None,
        },
    ]


def _falls_and_rises(k: int) -> dict:
    widths = np.arange(k, 8 * k + 1)
    steps = np.diff(theory.expected_overlap(widths, k))
    turn = theory.overlap_minimum(k) - k  # steps before it lead to the minimum
    wrong = int(np.sum(steps[:turn] > 1e-12) + np.sum(steps[turn:] < -1e-12))
    return {
        "text": "the overlap proportion first decreases and then increases",
        "case": f"k = {k}",
        "measured": f"the exact expectation goes from 1 at m = {k} to "
        f"{theory.expected_overlap(k + turn, k):.4f} at m = {k + turn} and "
        f"{theory.expected_overlap(8 * k, k):.4f} at m = {8 * k}; {wrong} of "
        f"{len(steps)} steps of one neuron go the other way",
        "rule": "no step of the exact expectation, computed without sampling, goes up "
        "before its least value or down after it, by more than 1e-12, up to m = 8k",
        "n": 0,
        "holds": wrong == 0,
    }


def _tends_to_one(k: int) -> dict:
    ratios = (10, 100, 1000)
    gaps = 1 - theory.expected_overlap([ratio * k for ratio in ratios], k)
    falls = gaps[:-1] / gaps[1:]
    return {
        "text": "the overlap proportion tends to 1 as m → ∞",
        "case": f"k = {k}",
        "measured": "1 less the exact expectation is "
        + ", ".join(f"{g:.3g} at m = {r}k" for g, r in zip(gaps, ratios, strict=True))
        + f": it falls by factors {falls[0]:.3f} and {falls[1]:.3f}",
        "rule": "from m = 100k to 1000k it falls by √10 = 3.162 within 5%, as m^-1/2 "
        "does; computed without sampling",
        "n": 0,
        "holds": bool(abs(falls[1] / math.sqrt(10) - 1) < 0.05),
    }


def _least(k: int) -> list[dict]:
    least = theory.overlap_minimum(k)
    value, at_paper = theory.expected_overlap([least, 2 * k], k)
    exact = theory.LIMIT_MINIMUM_RATIO * k
    text = "the expected overlap is least at"
    shared = {
        "measured": f"the exact expectation is least at m = {least} = {least / k:.3g}k:"
        f" {value:.4f}, against {at_paper:.4f} at m = 2k",
        "n": 0,
    }
    rule = "the smallest width at which the exact expectation, computed without "
    return [
        shared
        | {
            "text": f"{text} m = 2k",
            "case": f"k = {k}",
            "rule": f"{rule}sampling, is least equals 2k",
            "holds": least == 2 * k,
        },
        shared
        | {
            "text": f"{text} a width next to 2.292k",
            "case": f"k = {k}",
            "paper": "",
            "corrects": f"{text} m = 2k",
            "rule": f"{rule}sampling, is least is one of the two next to 2.2922k, "
            "where its limit k → ∞ is",
            "holds": abs(least - exact) < 1,
        },
    ]


def _limit() -> list[dict]:
    """Theorem 5 as k → ∞, place and value: by its own form, exactly, corrected."""
    paper, k = 1 - 1 / (2 * math.sqrt(math.pi)), 1000
    own, own_value = _lowest(
        lambda ratio: theory.expected_overlap_clt(ratio * 1e9, 10**9)
    )
    place, value = _lowest(theory.expected_overlap_limit)
    least = theory.overlap_minimum(k)
    finite = float(theory.expected_overlap(least, k))
    text = "as k → ∞ the overlap proportion is least at"
    said = f"{text} m = 2k, with value 1 - 1/(2√π) = {paper:.4f}"
    shared = "place and value, computed without sampling, within 0.001 of "
    return [
        {
            "paper": "Appendix A.1",
            "text": (
                "as k → ∞ the central-limit form is least at m = 2k, with "
                f"value 1 - 1/(2√π) = {paper:.4f}"
            ),
            "measured": f"least at m = {own:.3f}k, with value {own_value:.4f}",
            "rule": f"{shared}the paper's",
            "n": 0,
            "holds": abs(own - 2) < 1e-3 and abs(own_value - paper) < 1e-3,
        },
        {
            "text": said,
            "measured": "the exact limit of the expectation is least at m = "
            f"{place:.3f}k, with value {value:.4f}",
            "rule": f"{shared}the paper's",
            "n": 0,
            "holds": abs(place - 2) < 1e-3 and abs(value - paper) < 1e-3,
        },
        {
            "text": f"{text} m = 2.292k, with value 0.735",
            "paper": "",
            "corrects": said,
            "measured": f"the exact expectation at k = {k} is least at m = {least}, "
            f"with value {finite:.4f}",
            "rule": f"{shared}the limit's: m/k = {place:.4f}, {value:.4f}",
            "n": 0,
            "holds": abs(least / k - place) <= 1e-3 and abs(finite - value) <= 1e-3,
        },
    ]


def _lowest(form: Callable) -> tuple[float, float]:
    """Where, in units of k, and how low a form of the overlap is least."""
    found = scipy.optimize.minimize_scalar(form, bounds=(1.1, 8), method="bounded")
    return float(found.x), float(found.fun)


STUDY = Study(
    name="overlap",
    paper="Figure 1",
    presets=PRESETS,
    rows=rows,
    table=table,
    figures=(Figure("overlap", draw, caption, claims),),
)

if __name__ == "__main__":
    STUDY.main()
