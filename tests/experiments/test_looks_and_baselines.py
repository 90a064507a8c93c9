"""Figures and claims take what they know of a matching from the registry."""

import matplotlib.colors
import numpy as np
import pytest

from experiments.claims.barrier_vs_width import claims, normalized_claims
from experiments.lib import curves, matchings, plot, students
from lmc_jax.matching import MATCHINGS, PATHS
from lmc_jax.networks.cell import ALIGNMENTS

MEASURES = ("barrier", "normalized")


def curve(matching, k=2, source="uniform"):
    """Rows of a summary, of widths k ... 10k."""
    shared = {"k": k, "source": source, "rate": "", "matching": matching, "pairs": 5}
    shared |= {"largest": 1 / 3}  # of three beyond m = k
    ends = {f"{name}_{end}": 0.1 for name in MEASURES for end in ("mean", "low")}
    ends |= {f"{name}_high": 0.2 for name in MEASURES}
    return [shared | ends | {"m": times * k} for times in (1, 2, 5, 10)]


def judged(rows):
    """Labels of the matchings that claims are made of."""
    cases = [claim.case for claim in claims(rows) + normalized_claims(rows)]
    return {case.split(", ")[-1] for case in cases}


def test_every_source_and_path_has_a_name_and_a_look():
    assert curves.COLORS.keys() >= set(students.SOURCES) <= curves.NAMES.keys()
    permuted = [f"{name}{end}" for name in ALIGNMENTS for end in ("", "_repaired")]
    assert curves.NETWORKS.keys() == {"direct", *permuted}


@pytest.mark.parametrize("name", MATCHINGS)
def test_claims_leave_out_baselines_and_no_other(name, monkeypatch):
    rows = [
        row
        for k in (2, 5)
        for source in ("uniform", "gd")
        for matching in PATHS
        for row in curve(matching, k, source)
    ]
    expected = {known.label for known in PATHS.values() if not known.baseline}
    assert judged(rows) == expected
    monkeypatch.setitem(PATHS, name, PATHS[name]._replace(baseline=True))
    assert judged(rows) == expected - {PATHS[name].label}


@pytest.mark.parametrize("name", PATHS)
def test_curves_look_as_the_registry_says(name):
    _, axes = plot.grid(1, 2)
    matching = PATHS[name]
    by_source, by_matching = axes[0]
    curves.draw(by_source, curve(name))
    key, line, *_, source = by_source.get_lines()
    for one in (key, line):
        assert one.get_marker() == matching.marker
        assert one.get_linestyle() == matching.linestyle
    assert source.get_color() == line.get_color() == curves.COLORS["uniform"]
    names = by_source.get_legend_handles_labels()[1]
    assert names == [matching.label, "uniform minima"]
    (line,) = by_matching.plot([1, 2], [1, 2], **matchings.STYLES[name])
    assert matplotlib.colors.same_color(line.get_color(), matching.color)
    assert line.get_linestyle() == (":" if matching.baseline else "-")


def test_a_curve_of_runs_that_all_diverged_says_so():
    _, axes = plot.grid(1, 1)
    lost = {"barrier_mean": float("nan"), "barrier_low": float("nan"), "pairs": 0}
    lost["barrier_high"] = float("nan")
    some = curve("direct", source="gd")
    for rows, said in (
        ([row | lost for row in some], ["direct", "GD, all diverged"]),
        ([some[0] | lost, *some[1:]], ["direct", "GD"]),
    ):
        axes[0, 0].clear()
        curves.draw(axes[0, 0], rows)
        assert axes[0, 0].get_legend_handles_labels()[1] == said


def test_points_of_two_sources_stand_side_by_side():
    _, axes = plot.grid(1, 1)
    rows = [row for source in ("gd", "uniform") for row in curve("direct", 2, source)]
    curves.draw(axes[0, 0], rows)
    lines = axes[0, 0].get_lines()
    marked = [line for line in lines if line.get_marker() == PATHS["direct"].marker]
    _, first, second = (
        line.get_xdata().astype(float) for line in marked
    )  # the first is the name
    np.testing.assert_allclose(np.divide(second, first), curves.SIDE)
    np.testing.assert_allclose(np.multiply(second, first), np.square([2, 4, 10, 20]))


def test_zeros_of_two_sources_are_both_seen_below_a_logarithmic_axis():
    _, axes = plot.grid(1, 1)
    panel = axes[0, 0]
    panel.set_yscale("log")
    for source in ("gd", "uniform"):
        first, *others = curve("refine", source=source)
        none = {f"barrier_{end}": 0.0 for end in ("mean", "low", "high")}
        curves.draw(panel, [first | none, *others])
    zeros = [line for line in panel.get_lines() if line.get_marker() == "v"]
    places = {(*line.get_xdata(), *line.get_ydata()) for line in zeros} - {()}
    assert [x for x, _ in places] == [2, 2]
    assert len({y for _, y in places}) == 2


@pytest.mark.parametrize(
    ("converged", "grey"),
    [
        ([0.5, 0.9, 1, 1], [(2 / 1.1, (4 * 10) ** 0.5)]),
        ([1, 0.5, 1, 0.9], [(8**0.5, 40**0.5), (200**0.5, 22)]),
        ([1, 1, 1, 1], []),
    ],
)
def test_widths_with_runs_that_did_not_converge_are_grey(converged, grey):
    _, axes = plot.grid(1, 1)
    rows = curve("refine")
    shares = [{"converged_fraction": share} for share in converged]
    curves.shade(axes[0, 0], [a | b for a, b in zip(rows, shares, strict=True)])
    found = [patch.get_extents() for patch in axes[0, 0].patches]
    inverse = axes[0, 0].transData.inverted()
    ends = [inverse.transform(box.get_points())[:, 0] for box in found]
    assert [list(one) for one in ends] == [pytest.approx(one) for one in grey]


@pytest.mark.parametrize("letters", [3, 24, 37, 80])
def test_a_legend_is_no_wider_than_its_figure(letters):
    with plot.style():
        figure, axes = plot.grid(1, 2)
        for i in range(7):
            axes[0, 0].plot([1], [1], label=f"{i}" + "n" * letters)
        plot.legend(figure, axes)
        figure.draw_without_rendering()
        width = figure.legends[0].get_window_extent().width
    assert width <= figure.bbox.width or figure.legends[0]._ncols == 1
