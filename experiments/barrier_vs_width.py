"""Barrier against student width m: direct and permuted, trained and uniform minima.

The paper's Figures 2 and 10-13, and with --normalize Figure 3. The permuted barrier
rises from zero at m = k, peaks, and falls to zero as m grows.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import common, curves
from lmc_jax import figures, theory

NORMALIZE = flags.DEFINE_bool(
    "normalize", False, "Draw the ratio permuted/direct (Figure 3)."
)

common.define_output("barrier_vs_width")
common.define_cells()
# The paper's algorithm, and the one that is best by matching_gap.
SHARED = {"matching": "types_index,refine"}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": SHARED | {"k": "5", "m": "5,6,8,10,12,16,20,24,32,48,64,100", "pairs": 60},
    "paper": SHARED
    | {
        "k": "3,5,10,20",
        "m_over_k": "1:20:x24",
        "source": "gd,sgd,uniform",
        "pairs": 200,
        "lr_times_m": "0.5,2,4",
    },
}
# Figure 3 shows uniform minima only: the paper saves the cost of training. No refined
# matching either: swap descent takes long at the widths of large k.
UNIFORM = {"source": "uniform", "matching": "types_index,types_opposed"}
NORMALIZED: dict[str, dict[str, Any]] = {
    "quick": UNIFORM | {"k": "5,10,20", "m_over_k": "1:8:x10", "pairs": 100},
    "paper": UNIFORM | {"k": "5,10,20,50", "m_over_k": "1:16:x24", "pairs": 400},
}


def main() -> None:
    setting = common.settings(NORMALIZED if NORMALIZE.value else PRESETS)
    if NORMALIZE.value and not setting["matching"]:
        raise common.Refusal("--normalize needs a permuted barrier: give a --matching")
    grid = common.cells(setting)
    common.computed(grid, setting)
    csv, table = common.write_summary(common.FLAGS.out)
    rows = common.of_grid(table, grid)
    for row in rows:
        row["rate"] = curves.rate(row, setting)
    print(common.table(points(rows)))
    name = "barrier_panels" if has_panels(rows) else "barrier_vs_width"
    name = "normalized_barrier" if NORMALIZE.value else name
    draw = draw_normalized if NORMALIZE.value else draw_barriers
    judged = normalized_claims(rows) if NORMALIZE.value else []
    judged += claims(rows)
    common.finish(name, draw(rows), caption(rows, setting), judged, csv)


def points(rows: Sequence[dict]) -> list[dict]:
    """One row a point for the terminal, a column a matching."""
    groups = curves.group(rows, "k", "source", "rate", "m")
    return [
        {"k": k, "source": source, "rate": rate_shown, "m": m}
        | {"pairs": group[0]["pairs"], "converged": group[0]["converged_fraction"]}
        | {row["matching"]: common.with_interval(row, "barrier") for row in group}
        for (k, source, rate_shown, m), group in groups.items()
    ]


def has_panels(rows: Sequence[dict]) -> bool:
    """Whether there are several learning rates, a panel each, as in Figures 10-13."""
    return len({row["rate"] for row in rows if row["rate"]}) > 1


# --- figures -------------------------------------------------------------------------


def draw_barriers(rows: Sequence[dict]):
    """A row a teacher: a column a learning rate, or one rate on log and linear axes."""
    teachers = sorted({row["k"] for row in rows})
    rates = list(dict.fromkeys(row["rate"] for row in rows if row["rate"])) or [""]
    single = len(rates) == 1
    figure, axes = figures.grid(len(teachers), 2 if single else len(rates))
    for line, k in zip(axes, teachers, strict=True):
        for panel, shown in zip(line, rates, strict=False):
            kept = [r for r in rows if r["k"] == k and r["rate"] in ("", shown)]
            title = f"k = {k}" + (f", η = {shown}" if shown else "")
            _panel(panel, kept, k, title, log=True)
            if single:
                permuted = [row for row in kept if row["matching"] != "direct"]
                _panel(line[1], permuted, k, f"{title}, permuted", log=False)
    figures.legend(figure, axes[0, 0])
    return figure


def _panel(axes, rows: Sequence[dict], k: int, title: str, *, log: bool) -> None:
    for curve in curves.group(rows, "source", "matching").values():
        # Barriers at m = k are zero up to rounding: they have no place on a log axis.
        kept = [row for row in curve if row["barrier_mean"] > 1e-9 or not log]
        if kept:
            curves.draw(axes, kept)
    _mark_minima(axes, k)
    figures.log_axis(axes)
    axes.set(xlabel="student width m", ylabel="barrier", title=title)
    if log:
        axes.set_yscale("log")


def _mark_minima(axes, k: int) -> None:
    """Where the overlap is least: the paper's 2k and the exact width."""
    figures.mark(axes, 2 * k, "2k, the paper's peak")
    if k > 1:
        figures.mark(axes, theory.overlap_minimum(k), "least overlap, exact", "--")


def draw_normalized(rows: Sequence[dict]):
    """Permuted/direct against m/k, a curve a teacher.

    A row of panels a source and learning rate, a column a matching.
    """
    permuted = [row for row in rows if row["matching"] != "direct"]
    panels = curves.group(permuted, "source", "rate", "matching")
    matchings = len({matching for *_, matching in panels})
    figure, axes = figures.grid(-(-len(panels) // matchings), matchings)
    for panel, ((source, rate_shown, matching), group) in zip(
        axes.flat, panels.items(), strict=True
    ):
        for i, ((k,), curve) in enumerate(curves.group(group, "k").items()):
            figures.points(
                panel,
                [row["m"] / k for row in curve],
                *curves.columns(curve, "normalized"),
                color=figures.CYCLE[i % len(figures.CYCLE)],
                marker=figures.MARKERS[i % len(figures.MARKERS)],
                label=f"k = {k}",
            )
        figures.mark(panel, 2, "2, the paper's peak")
        figures.mark(panel, theory.LIMIT_MINIMUM_RATIO, "2.292, least overlap", "--")
        figures.log_axis(panel)
        panel.set(xlabel="m/k", ylabel="permuted / direct barrier")
        shown = f"{source}, η = {rate_shown}" if rate_shown else source
        panel.set_title(f"{shown}, {curves.LABELS[matching]}", fontsize=9)
    figures.legend(figure, axes[0, 0])
    return figure


# --- words ---------------------------------------------------------------------------


def caption(rows: Sequence[dict], setting: dict) -> str:
    text = common.convention(setting, curves.sizes(rows))
    if NORMALIZE.value:
        text += " Ratio of the mean barriers, resampled pair by pair."
    text += " Least overlap: where uniform minima overlap least."
    text += "".join(f" {sentence}" for sentence in departures(rows))
    trained = [row for row in rows if row["rate"]]
    if trained:
        text += (
            f" Trained from N(0, {setting['init_std']}²) entries to loss < "
            f"{setting['tol']:g} or {setting['steps']} steps ({setting['optimizer']}, "
            f"{setting['precision']}); at least "
            f"{min(row['converged_fraction'] for row in trained):.1%} of the runs of a "
            "point got there, all pairs without divergence are shown. The initial "
            "scale and the learning rates are ours, the paper's are lost. The loss "
            "that is left adds to small barriers."
        )
    return text


def departures(rows: Sequence[dict]) -> list[str]:
    """By how much trained students differ from uniform minima: last width, and peak.

    Of many curves only the ranges.
    """
    said, last, there, places = [], [], [], []
    groups = curves.group(rows, "k", "source", "rate", "matching")
    for (k, source, rate_shown, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        if source in ("gd", "sgd") and matching != "direct" and reference:
            shared = {row["m"] for row in reference} & {row["m"] for row in curve}
            ours, theirs = (
                [row for row in c if row["m"] in shared] for c in (curve, reference)
            )
            if not shared or not theirs[-1]["barrier_mean"] > 0:
                continue
            last.append(ours[-1]["barrier_mean"] / theirs[-1]["barrier_mean"])
            top, other = _highest(ours), _highest(theirs)
            [beside] = [row for row in theirs if row["m"] == top["m"]]
            there.append(top["barrier_mean"] / (beside["barrier_mean"] or float("nan")))
            places.append([row["m"] / k for row in (top, other)])
            said.append(
                f"{source}/uniform at k = {k}, η = {rate_shown}, "
                f"{curves.LABELS[matching]}: {last[-1]:.2g} at m = {ours[-1]['m']}, "
                f"{there[-1]:.2g} at its peak, m = {top['m']}; uniform minima peak at "
                f"m = {other['m']}."
            )
    if len(said) > 8:
        peaks, model = zip(*places, strict=True)
        return [
            "Permuted barriers of trained students over those of uniform minima, "
            f"{len(said)} curves: {min(last):.2g} to {max(last):.2g} at the largest m, "
            f"{min(there):.2g} to {max(there):.2g} at their peaks, m/k = "
            f"{min(peaks):.3g} to {max(peaks):.3g}; uniform minima peak at m/k = "
            f"{min(model):.3g} to {max(model):.3g}."
        ]
    return said


def _highest(curve: Sequence[dict]) -> dict:
    """The peak. At m = k global minima have none, and runs that got stuck may."""
    wide = [row for row in curve if row["m"] > row["k"]] or curve
    return max(wide, key=lambda row: row["barrier_mean"])


def normalized_claims(rows: Sequence[dict]) -> list[dict]:
    """The paper's statements about Figure 3, the smallest k against the largest."""
    judged = []
    groups = curves.group(rows, "source", "rate", "matching")
    for (source, rate_shown, matching), group in groups.items():
        teachers = curves.group(group, "k")
        if matching == "direct" or len(teachers) < 2:
            continue
        label = f"{source} {rate_shown}".rstrip() + f", {curves.LABELS[matching]}"
        # Widths are whole: the largest m/k of one teacher may be near another's only.
        common_ratio = min(
            curve[-1]["m"] / curve[-1]["k"] for curve in teachers.values()
        )
        first, last = (
            [r for r in teachers[end] if r["m"] <= 1.05 * common_ratio * r["k"]]
            for end in (min(teachers), max(teachers))
        )
        if min(c[-1]["m"] / c[-1]["k"] for c in (first, last)) < 0.9 * common_ratio:
            continue
        judged += [_benefit_grows(label, first, last), _sharpens(label, first, last)]
    return judged


def _benefit_grows(label: str, first: Sequence[dict], last: Sequence[dict]) -> dict:
    small, large = first[-1], last[-1]
    return {
        "paper": "Figure 3",
        "claim": f"at large m permutation helps more the larger k ({label})",
        "measured": f"permuted/direct {common.with_interval(large, 'normalized')} at "
        f"k = {large['k']}, m = {large['m']} against "
        f"{common.with_interval(small, 'normalized')} at k = {small['k']}, m = "
        f"{small['m']}",
        "rule": "at the largest m/k of both, within 10%, the interval of the largest k "
        "lies below that of the smallest k",
        "n": large["pairs"],
        "holds": bool(large["normalized_high"] < small["normalized_low"]),
    }


def _sharpens(label: str, first: Sequence[dict], last: Sequence[dict]) -> dict:
    """The fall from the peak to the last width, from the worst ends of intervals."""

    def fall(curve, peak_end, last_end):
        peak = max(curve, key=lambda row: row["normalized_mean"])
        bottom = curve[-1][f"normalized_{last_end}"]
        return peak[f"normalized_{peak_end}"] / bottom if bottom > 0 else float("nan")

    falls = [
        (curve[0]["k"], fall(curve, "mean", "mean"), fall(curve, *ends))
        for curve, ends in ((last, ("low", "high")), (first, ("high", "low")))
    ]
    (k, large, least), (j, small, most) = falls
    return {
        "paper": "Figure 3",
        "claim": f"the peak of permuted/direct is sharper the larger k ({label})",
        "measured": f"from the peak to the largest m it falls by a factor {large:.3g} "
        f"(at least {least:.3g}) at k = {k} and {small:.3g} (at most {most:.3g}) at "
        f"k = {j}",
        "rule": "the least factor of the largest k, from the ends of both intervals, "
        "exceeds the largest factor of the smallest k",
        "n": last[-1]["pairs"],
        "holds": bool(least > most) if least == least and most == most else None,
    }


def claims(rows: Sequence[dict]) -> list[dict]:
    """The paper's statements about Figure 2, judged curve by curve."""
    judged = []
    for key, curve in curves.group(rows, "k", "source", "rate", "matching").items():
        k, source, rate_shown, matching = key
        wide = [row for row in curve if row["m"] > k]
        if matching == "direct" or not wide:
            continue
        label = (
            f"k = {k}, {source} {rate_shown}".rstrip() + f", {curves.LABELS[matching]}"
        )
        judged += [_lowered(label, wide), *_peaked(label, wide, k)]
    judged += _against_uniform(rows)
    paper = "Figures 10-13" if has_panels(rows) else "Figure 2"
    return [{"paper": paper} | claim for claim in judged]


_LOWER = "permutation lowers the barrier several times over"
_PEAK = "the permuted barrier is largest near m = 2k to 3k"
_PEAK_SEEN = "the permuted barrier is largest at some k < m <= 3k, and then falls"
_FALL = "beyond its peak the permuted barrier falls towards 0"


def _not_run(claim: str) -> dict:
    measured, rule = (
        "no barrier to judge",
        "needs two pairs, barriers above 0 and widths up to 5k",
    )
    shared = {"claim": claim, "n": 0, "holds": None}
    return shared | {"measured": measured, "rule": rule}


def _lowered(label: str, wide: Sequence[dict]) -> dict:
    wide = [row for row in wide if row["normalized_high"] == row["normalized_high"]]
    if not wide:
        return _not_run(f"{_LOWER} ({label})")
    worst = max(wide, key=lambda row: row["normalized_mean"])
    return {
        "claim": f"{_LOWER} ({label})",
        "measured": "permuted/direct at most "
        f"{common.with_interval(worst, 'normalized')}, at m = {worst['m']}",
        "rule": "at every m > k the interval of permuted/direct lies below 1/3",
        "n": worst["pairs"],
        "holds": bool(max(row["normalized_high"] for row in wide) < 1 / 3),
    }


def _peaked(label: str, curve: Sequence[dict], k: int) -> list[dict]:
    """Where the peak is, as the paper says and as is seen, and the fall after it."""
    peak, last = _highest(curve), curve[-1]
    names = (_PEAK, _PEAK_SEEN, _FALL)
    there, seen, fall = (_not_run(f"{name} ({label})") for name in names)
    seen |= {"paper": "", "corrects": _PEAK}
    if not peak["barrier_low"] > 1e-9 or last["m"] < 5 * k:
        return [there, seen, fall]
    near = [row for row in curve if 2 * k <= row["m"] <= 3 * k]
    reached = any(row["barrier_high"] >= peak["barrier_low"] for row in near)
    fallen = last["barrier_mean"] / peak["barrier_mean"]
    shared = {
        "measured": f"peak {common.with_interval(peak, 'barrier')} at m = {peak['m']} "
        f"= {peak['m'] / k:.3g}k; at m = {last['m']} it is {fallen:.2g} of that",
        "n": peak["pairs"],
    }
    there |= shared | {
        "rule": "some width in 2k ... 3k has an interval that meets the interval of "
        "the largest mean beyond m = k",
        "holds": bool(reached) if near else None,
    }
    seen |= shared | {
        "rule": "the largest mean beyond m = k is at m <= 3k, and the interval at the "
        "largest m, at least 5k, lies below its interval; it fails where the interval "
        "of a largest mean at m > 3k lies above all those at m <= 3k; not judged where "
        "intervals meet",
        "holds": _inside(curve, k),
    }
    fall |= shared | {
        "rule": "the mean at the largest m is under a quarter of the largest; judged "
        "from m = 8k on",
        "holds": bool(fallen < 0.25) if last["m"] >= 8 * k else None,
    }
    return [there, seen, fall]


def _inside(curve: Sequence[dict], k: int) -> bool | None:
    """Whether the peak is at m <= 3k; None where intervals do not tell."""
    peak, last = _highest(curve), curve[-1]
    if peak["m"] <= 3 * k:
        return True if last["barrier_high"] < peak["barrier_low"] else None
    others = [row["barrier_high"] for row in curve if row["m"] <= 3 * k]
    return False if peak["barrier_low"] > max(others, default=0) else None


def _against_uniform(rows: Sequence[dict]) -> list[dict]:
    """Curves of trained minima beside that of uniform ones."""
    judged = []
    groups = curves.group(rows, "k", "source", "rate", "matching")
    for (k, source, rate_shown, matching), curve in groups.items():
        reference = groups.get((k, "uniform", "", matching))
        if source not in ("gd", "sgd") or matching == "direct" or not reference:
            continue
        label = f"k = {k}, {rate_shown}, {curves.LABELS[matching]}"
        judged.append(_below(source, label, curve[-1], reference[-1]))
        judged.append(_alike(source, label, curve, reference))
    return judged


def _below(source: str, label: str, ours: dict, uniform: dict) -> dict:
    gap = uniform["barrier_low"] - ours["barrier_high"]  # NaN without intervals
    return {
        "claim": f"at large m the permuted barrier of {source} lies below that of "
        f"uniform minima ({label})",
        "measured": f"at m = {ours['m']}: {common.with_interval(ours, 'barrier')} "
        f"against {common.with_interval(uniform, 'barrier')}",
        "rule": "at the largest m the intervals do not meet, and it is lower",
        "n": ours["pairs"],
        "holds": bool(gap > 0) if gap == gap else None,
    }


def _alike(source: str, label: str, curve: Sequence, reference: Sequence) -> dict:
    beside = {row["m"]: row for row in reference if row["barrier_low"] > 1e-9}
    both = [(row, beside[row["m"]]) for row in curve if row["m"] in beside]
    both = [(row, model) for row, model in both if row["barrier_low"] > 1e-9]
    ratios = {row["m"]: row["barrier_mean"] / m["barrier_mean"] for row, m in both}
    shown = ", ".join(f"{ratio:.2g} at m = {m}" for m, ratio in ratios.items())
    apart = [
        row["m"]
        for row, model in both
        if row["barrier_low"] > 2 * model["barrier_high"]
        or row["barrier_high"] < model["barrier_low"] / 2
    ]
    return {
        "claim": f"the permuted barriers of {source} and of uniform minima are very "
        f"similar ({label})",
        "measured": f"ratio of means {shown or 'not defined'}",
        "rule": "at no width is either more than twice the other by its whole interval",
        "n": min((row["pairs"] for row, _ in both), default=0),
        "holds": not apart if both else None,
    }


if __name__ == "__main__":
    common.run(main)
