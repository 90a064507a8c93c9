"""Whether the barrier peaks where networks begin to fit their training images.

For students of a teacher of k neurons the permuted barrier peaks near m = 2k, and
minima of zero loss begin at m = k: both widths are set by the task. Here the task is
made harder by more training images, and by shuffling the labels of a share of them;
the width of the peak is set beside the least width at which the mean training error is
below 1%. Label noise is at the middle one of the sizes. Beyond the paper, which leaves
open what places the peak of networks on data.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.claims import networks
from experiments.lib import classifiers, curves, peaks, plot, widths
from experiments.lib.claims import Claim, Interval, Statement, within
from experiments.lib.lists import Refusal, integers, numbers, refusing
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Measured, Study
from experiments.lib.table import interval, with_interval
from lmc_jax.data import datasets
from lmc_jax.networks.cell import ClassifierCell
from lmc_jax.statistics import statistic_interval

OWN = {
    "train_images": Setting(str, "First images to train on: 1000,3000,10000."),
    "label_noise": Setting(str, "Shares of labels to shuffle, beside none: 0.1,0.5."),
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "widths": "2,4,8,16,32",
        "train_images": "200,1000",
        "label_noise": "0.3",
        "layers": "2",
        "align": "weights",
        "test_images": 500,
        "pairs": 3,
        "batch": 50,
        "steps": 1_000,
        "looks": 1,
        "until": 0.02,
    },
    "paper": {
        "widths": "3,4,6,8,11,15,20,25,32,40,50,64,80,100,128",
        "train_images": "1000,3000,10000,30000,60000",
        "label_noise": "0.1,0.2,0.3,0.4,0.5",
        "steps": 200_000,
        "looks": 40,
        "until": 1e-3,
    },
}
FEWEST_SETS, LEAST_SPAN = 3, 2  # of a verdict
BELOW = f"{widths.FITS:.0%}"


class Rows(NamedTuple):
    """The cells, and ``widths.places`` of every training set, path and sample."""

    cells: peaks.Cells
    places: list[dict[str, Any]]


def cells(setting: Values) -> list[ClassifierCell]:
    """All sizes without label noise, then the middle one with each share of it."""
    if not setting["align"]:
        raise Refusal("--align=: give one, the peak is that of permuted paths")
    sizes = sorted(integers(setting["train_images"], "train_images"))
    shares = sorted(numbers(setting["label_noise"], "label_noise"))
    sets = [(size, 0.0) for size in sizes]
    sets += [(sizes[(len(sizes) - 1) // 2], share) for share in shares]
    curve = classifiers.one_curve("mlp")(setting | {"train_images": sizes[-1]})
    grid = [
        dataclasses.replace(cell, train_images=size, label_noise=share)
        for size, share in sets
        for cell in curve
    ]
    with refusing():
        for cell in grid:
            cell.validate(datasets.blank(cell.data))
    return grid


def rows(measured: Measured) -> Rows:
    every, definition = peaks.rows(measured), measured.setting["barrier"]
    places = [
        widths.places(records, definition, path, sample)
        for records in widths.by_curve(every.records)
        for path in peaks.permuted(every.table)
        for sample in reversed(classifiers.SAMPLES)
    ]
    return Rows(every, places)


def table(rows: Rows) -> list[dict]:
    """A row a training set: where networks fit, and the peak of the test NLL."""
    shown: dict[tuple, dict] = {}
    for place in rows.places:
        if place["sample"] == "test":
            names = ("train_images", "label_noise", "pairs")
            first = {name: place[name] for name in names} | {"fit": fit(place)}
            row = shown.setdefault(tuple(first.values()), first)
            row[f"peak, {place['path']}"] = with_interval(place, "peak")
    return list(shown.values())


def fit(place: dict[str, Any]) -> str:
    return with_interval(place, "fit") if np.isfinite(place["fit_mean"]) else "none"


# --- figure --------------------------------------------------------------------------


def draw(rows: Rows):
    """Both widths against the number of images, and against noise; one by the other."""
    figure, axes = plot.grid(1, 3, share=True)
    own = [drawn(place) for place in rows.places if place["sample"] == "test"]
    noisy = {place["train_images"] for place in own if place["label_noise"]}
    panels = {
        "thousands": [place for place in own if not place["label_noise"]],
        "label_noise": [place for place in own if place["train_images"] in noisy],
        "fit_mean": own,
    }
    hollow = {"markerfacecolor": "none", "linestyle": ":", "markersize": 6}
    fits = hollow | {"color": plot.BLACK, "label": f"training error below {BELOW}"}
    for panel, (x, shown) in zip(axes[0], panels.items(), strict=True):
        for path in peaks.permuted(rows.cells.table):
            curve = [place for place in shown if place["path"] == path]
            line = {"linestyle": "none" if x == "fit_mean" else "-"}
            curves.points(panel, curve, "peak", x, **curves.NETWORKS[path] | line)
        if x != "fit_mean":
            curves.points(panel, curve, "fit", x, marker="*", **fits)
        plot.log_axis(panel, "y")
    plot.log_axis(axes[0, 0])
    if found := [place["fit_mean"] for place in own if place["fit_mean"] > 0]:
        ends = [min(found), max(found)]
        axes[0, 2].plot(ends, ends, color=plot.GREY, label="equal widths")
        plot.log_axis(axes[0, 2])
    axes[0, 0].set(xlabel="training images, thousands", ylabel="width")
    axes[0, 1].set(xlabel="share of labels shuffled")
    axes[0, 2].set(xlabel=f"width of training error below {BELOW}")
    plot.legend(figure, axes)
    return figure


def drawn(place: dict[str, Any]) -> dict[str, Any]:
    """A place with its images in thousands, and NaN where no width fits."""
    fit = place["fit_mean"] if np.isfinite(place["fit_mean"]) else np.nan
    return place | {"thousands": place["train_images"] / 1000, "fit_mean": fit}


def caption(rows: Rows, setting: Values) -> str:
    noisy = [place for place in rows.places if place["label_noise"]]
    shares = ", ".join(dict.fromkeys(f"{place['label_noise']:.0%}" for place in noisy))
    return (
        "Width of the largest mean test NLL barrier of permuted paths, and the least "
        f"width of which the mean training error is below {BELOW}, with 95% "
        f"bootstrap intervals over pairs. Of {noisy[0]['train_images']:,} training "
        f"images {shares} have their labels shuffled among them, so that about a tenth "
        "of these stays right; test labels are as they are. "
        f"{peaks.caption(rows.cells, setting)}"
    )


# --- verdict -------------------------------------------------------------------------

TOGETHER = Statement(
    "the width at which the permuted NLL barrier of {networks} peaks is proportional "
    "to that at which they begin to fit the training images",
    "over training sets of several sizes and shares of shuffled labels the interval of "
    "the slope of the logarithm of the one against that of the other lies within 1/2 "
    f"and 2; fails where it lies outside, and is not judged else; {FEWEST_SETS} "
    f"training sets at least, whose fitting widths span a factor of {LEAST_SPAN}, each "
    f"with {networks.PEAK_TESTED}, and whose resamples all fit, but not from the least "
    "width on",
)


def claims(rows: Rows) -> list[Claim]:
    """One a permuted path and sample."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for place in rows.places:
        case = f"{place['sample']}, {curves.NETWORKS[place['path']]['label']}"
        groups.setdefault(case, []).append(place)
    statement = networks.about(TOGETHER, rows.cells.table[0])
    return [together(statement, case, places) for case, places in groups.items()]


def together(
    statement: Statement, case: str, places: Sequence[dict[str, Any]]
) -> Claim:
    """The verdict on the training sets that allow one."""
    found = [place for place in places if tested(place)]
    measured = f"{len(found)} of {len(places)} training sets allow a verdict"
    holds, n = None, min(place["pairs"] for place in places)
    if len(found) >= FEWEST_SETS:
        fits = [place["fit_mean"] for place in found]
        ratios = [place["peak_mean"] / place["fit_mean"] for place in found]
        slope, span = slope_of(found), max(fits) / min(fits)
        measured += (
            f"; slope {interval(slope, '.2f')}; fitting widths {min(fits):g} to "
            f"{max(fits):g}, peak over fitting width {min(ratios):.2g} to "
            f"{max(ratios):.2g}"
        )
        holds = within(slope, 1 / 2, 2) if span >= LEAST_SPAN else None
    return statement.judged(case, measured, n, holds)


def tested(place: dict[str, Any]) -> bool:
    """Whether both widths of a training set are inside the widths tried."""
    fits = place["fits"]
    return (
        networks.placed(place)
        and bool(np.isfinite(fits).all())
        and fits[0] > place["widths"][0]
    )


def slope_of(places: Sequence[dict[str, Any]]) -> Interval:
    """Slope of log peak width against log fitting width, with its 95% interval."""
    x, y = (
        np.log(np.stack([place[name] for place in places], axis=1))
        for name in ("fits", "peaks")
    )  # [1 + resamples, training sets]
    x = x - x.mean(axis=1, keepdims=True)
    spread = (x**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, low, high = statistic_interval((x * y).sum(axis=1) / spread)
    return float(value), float(low), float(high)


STUDY = Study(
    name="peak_and_fit",
    presets=PRESETS,
    rows=rows,
    table=table,
    figures=(Figure("peak_and_fit", draw, caption, claims),),
    cells=cells,
    own=OWN,
    family=classifiers.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()
