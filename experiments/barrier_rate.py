"""How fast the permuted barrier of uniform minima vanishes: like C(k)/m².

The paper's Theorem 6 says O(m^-1/2). Paths are made by the leftovers of Algorithm 1
alone, so that widths of 10^7 are in reach. Whole students of small width show what
holds of all.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.claims import whole_minima
from experiments.claims.barrier_rate import WIDE, claims, decades, fit
from experiments.lib import curves, plot, students, wide
from experiments.lib.claims import Claim
from experiments.lib.lists import Refusal, numbers
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import columns, interval
from experiments.lib.whole import Whole, checked
from lmc_jax import theory
from lmc_jax.matching import ALGORITHM_1, MATCHINGS, Matching
from lmc_jax.results import store
from lmc_jax.sweep.wide import WideCell

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"k": "2,5", "pairs": 100, "most_work": 500_000, "whole": "4"},
    "paper": {"k": "2,5,20", "pairs": 1000, "most_work": 20_000_000, "whole": "4,16"},
}
SHARED = {
    "m": "30,100,300,1000,3000,10000,30000,100000,300000,1000000,10000000",
    "whole_pairs": 200,
}
COLUMNS = "k m matching pairs barrier barrier·m² certificate violations"
WHOLE_WORK = 2000  # most k m of whole students
ROOM = 30  # of the upper panels, above the certificate
SIDE = 1.3  # from a matching to the next one, on the axis of widths


def cells(setting: Values) -> list[WideCell]:
    """Those of ``wide``.

    Raises:
      Refusal: for whole students that cannot be, too.
    """
    for name, values in (
        ("whole", numbers(setting["whole"], "whole")),
        ("whole_pairs", [setting["whole_pairs"]]),
    ):
        if min(values) < 1:
            raise Refusal(f"--{name}={setting[name]}: give at least 1")
    return wide.cells(setting)


class Rows(NamedTuple):
    """Rows of the permuted paths, and whole students."""

    own: list[dict]
    whole: list[Whole]

    @property
    def groups(self) -> dict[tuple, list[dict]]:
        """Curves by teacher width and matching."""
        return curves.group(self.own, "k", "matching")


def rows(measured: Measured) -> Rows:
    setting = measured.setting
    own = [
        row
        for record in measured.records
        for row in described(record, setting["barrier"])
    ]
    shapes = [
        (k, round(ratio * k))
        for k in dict.fromkeys(row["k"] for row in own)
        for ratio in numbers(setting["whole"], "whole")
        if k * k * ratio <= WHOLE_WORK
    ]
    drawn = setting["whole_pairs"], setting["seed"]
    return Rows(own, [checked(k, m, *drawn) for k, m in shapes])


def described(record: store.Record, definition: str) -> list[dict]:
    """The summary's rows of a cell, with what they were made of.

    ``values`` are the pairs' estimates. ``certificate`` is the mean of the largest
    certificate at the inner points of the path, ``middle`` that at t = ½. A violation
    is a pair with a loss above its certificate at the same t, by more than rounding.
    ``unmatched`` are the mean and the mean square over types and solutions of the
    share of a type's neurons that finds no partner, ``[pairs, 2]``.
    """
    values = wide.estimates(record, definition)
    middle = float(wide.certificates(record).mean())
    counts, bounds = record.arrays["counts"], record.arrays["certificate"]
    shares = 1 - counts.min(axis=1, keepdims=True) / counts  # [pairs, 2, k]
    over = record.arrays["losses"] > bounds[:, None] + whole_minima.ROUNDING
    return [
        row
        | {
            "values": values[:, column],
            "barrier·m²": row["barrier_mean"] * row["m"] ** 2,
            "certificate": float(bounds[:, 1:-1].max(axis=1).mean()),
            "middle": middle,
            "violations": int(over[:, column].any(axis=1).sum()),
            "unmatched": np.stack([shares, shares**2], 3).mean(axis=(1, 2)),
        }
        for column, row in enumerate(wide.rows([record], definition))
    ]


# --- figure --------------------------------------------------------------------------


def draw(rows: Rows):
    """One column per teacher: barrier · m² with its limits, below it local slopes."""
    groups = rows.groups
    teachers = sorted({k for k, _ in groups})
    figure, axes = plot.grid(2, len(teachers), height=2.4)
    for (upper, lower), k in zip(axes.T, teachers, strict=True):
        upper.set(xscale="log", yscale="log", title=f"k = {k}")
        lower.set(xscale="log", xlabel="student width m")
        mine = {name: curve for (own, name), curve in groups.items() if own == k}
        for name, curve in mine.items():
            _scaled(upper, curve, MATCHINGS[name])
            _slopes(lower, curve, MATCHINGS[name])
        _certified(upper, lower, next(iter(mine.values())))
        lower.axhline(-2, color=plot.BLACK, linewidth=0.9)
    axes[0, 0].set_ylabel("permuted barrier × m²")
    axes[1, 0].set_ylabel("slope of log barrier against log m")
    plot.legend(figure, axes)
    return figure


def _scaled(axes, curve: Sequence[dict], matching: Matching) -> None:
    """Barriers times m², the fitted law and its limit; at k = 2 the closed form."""
    widths, k = np.array([row["m"] for row in curve], float), curve[0]["k"]
    scaled = np.array(curves.columns(curve, "barrier")) * widths**2.0
    plot.points(axes, widths, *scaled, **curves.style(matching, "none"))
    if (found := fit(curve)) is not None:
        inside = widths[widths >= found.first]
        own = {"color": matching.color}
        axes.plot(inside, _form(found.law, inside, k), **own, label="fitted law")
        axes.axhline(found.law.limit, linewidth=0.7, **own)
    if k == 2:
        limit = theory.two_neuron_limit(matching.name.removeprefix("types_"))
        axes.axhline(limit, color=plot.BLACK, linestyle=":", label="C(2), closed form")


def _form(law: theory.Law, widths: np.ndarray, k: int) -> np.ndarray:
    """What a law says of barrier m²."""
    return law.limit * (1 - law.correction * np.sqrt(k / widths))


def _slopes(axes, curve: Sequence[dict], matching: Matching) -> None:
    if not (found := decades(curve)):
        return
    beside = SIDE ** (ALGORITHM_1.index(matching.name) - 1)
    middle = [decade.middle * beside for decade in found]
    ends = np.array([decade.slope for decade in found]).T
    plot.points(axes, middle, *ends, **curves.style(matching, "none", label=None))
    if (law := fit(curve)) is not None:
        widths = np.geomspace(law.first, curve[-1]["m"], 50)
        axes.plot(widths, law.law.slope(widths, curve[0]["k"]), color=matching.color)


def _certified(upper, lower, curve: Sequence[dict]) -> None:
    """The certificate, its law, and the bound of Theorem 6 under its assumption."""
    k, widths = curve[0]["k"], np.array([row["m"] for row in curve])
    bounds = np.array([row["middle"] for row in curve]) * widths**2.0
    upper.plot(widths, bounds, "x", color=plot.GREY, label="certificate at t = ½")
    law, label = theory.certificate_law(k), "its law, without a free parameter"
    fine = np.geomspace(30 * k, max(widths[-1], 40 * k), 80)
    upper.plot(fine, _form(law, fine, k), color=plot.GREY, label=label)
    lower.plot(fine, law.slope(fine, k), color=plot.GREY)
    assumed = theory.certificate_rate(widths, k) * widths**2.0
    label = "certificate under Theorem 6's assumption"
    upper.plot(widths, assumed, color=plot.BLACK, linestyle="-.", label=label)
    half = assumed[0] * (widths / widths[0]) ** 1.5
    label = "rate m^-1/2 of Theorem 6"
    upper.plot(widths, half, color=plot.BLACK, linestyle="--", label=label)
    upper.set_ylim(top=ROOM * bounds.max())


# --- words ---------------------------------------------------------------------------


def caption(rows: Rows, setting: Values) -> str:
    found = "; ".join(
        f"k = {k}, {MATCHINGS[name].label}: C = {interval(fitted.limit, '.4g')}, a = "
        f"{interval(fitted.correction, '.4g')}"
        for (k, name), curve in rows.groups.items()
        if (fitted := fit(curve)) is not None
    )
    return (
        f"Barrier ({setting['barrier']}, {setting['points']} points) times m², "
        f"{students.CONVENTION}. Uniform minima aligned by Algorithm 1, of which the "
        f"leftovers alone are drawn. Means over n = {curves.sizes(rows.own)} "
        "independent pairs, less what type counts explain, whose mean is known; 95% "
        f"bootstrap intervals. Seed {setting['seed']}. Coloured lines: C (1 - a "
        f"√(k/m)), fitted to these means at widths of at least {WIDE} k, and below the "
        f"slopes of this fit: {found or 'too few widths'}. Grey: the certificate and "
        "its parameter-free law; black: the certificate when, as Theorem 6 assumes, "
        "the matched share of every type is the overlap, O(1/m), and a line of the "
        "theorem's rate m^-1/2; both rise beyond the panels. Below: slopes over a "
        "decade of widths, at its middle, matchings side by side."
    )


def judged(rows: Rows) -> list[Claim]:
    return [*whole_minima.claims(rows.whole), *claims(rows.groups)]


STUDY = Study(
    name="barrier_rate",
    paper="Theorem 6",
    shared=SHARED,
    presets=PRESETS,
    cells=cells,
    rows=rows,
    table=lambda rows: columns(rows.own, COLUMNS),
    figures=(Figure("barrier_rate", draw, caption, judged),),
    own={
        "whole": Setting(str, "Widths of whole students, in units of k."),
        "whole_pairs": Setting(int, "Pairs of whole students a width."),
    },
    family=wide.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()
