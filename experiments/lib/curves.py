"""Rows of the summary as curves: grouping, names, one look for every figure."""

from collections.abc import Sequence
from typing import Any

from experiments.lib import plot
from lmc_jax.matching import MATCHINGS, PATHS, Matching
from lmc_jax.networks.cell import ALIGNMENTS

# Sources by name, each with its label and colour.
SOURCES = {
    "gd": ("GD", plot.BLUE),
    "sgd": ("SGD", plot.PURPLE),
    "uniform": ("uniform minima", plot.RED),
    "dirichlet": ("Dirichlet minima", plot.GREEN),
    "equal": ("minima of equal norms", plot.ORANGE),
}
COLORS = {name: color for name, (_, color) in SOURCES.items()}
NAMES = {name: label for name, (label, _) in SOURCES.items()} | {
    "gaussian": "Gaussian students"
}
NONE = 1e-9  # a mean up to it is zero up to rounding
SHORT = 0.95  # the share of converged runs up to which a width is grey
SIDE = 1.04  # from a source to the next one, on the axis of widths
# Of uniform minima where markers tell learning rates apart.
MODEL = {
    **{"color": COLORS["uniform"], "marker": "*", "markersize": 6},
    "markerfacecolor": "none",
}


def style(matching: Matching, linestyle: str = "-", **other: Any) -> dict[str, Any]:
    """Of curves where colours tell matchings apart.

    Markers are hollow: of curves that coincide all are seen.
    """
    shared = {"color": matching.color, "marker": matching.marker}
    shared |= {"markerfacecolor": "none", "label": matching.label}
    return shared | {"linestyle": linestyle} | other


# Of the paths of networks.
NETWORKS = {"direct": style(PATHS["direct"], "--")} | {
    f"{name}{end}": style(
        MATCHINGS[name], linestyle, label=MATCHINGS[name].label + words
    )
    for name in ALIGNMENTS
    for end, linestyle, words in (("", "-", ""), ("_repaired", ":", ", REPAIR"))
}


def group(rows: Sequence[dict], *names: str) -> dict[tuple, list[dict]]:
    """Rows grouped by the values of some columns, each group in order of m."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return {key: sorted(rows, key=lambda row: row["m"]) for key, rows in groups.items()}


def points(axes, curve: Sequence[dict], value: str, x: str = "m", **style: Any) -> None:
    """A value along a curve with its intervals, against a column or against "m/k".

    ``value`` names the columns ``*_mean``, ``*_low`` and ``*_high``.
    """
    places = [row["m"] / row["k"] if x == "m/k" else row[x] for row in curve]
    plot.points(axes, places, *columns(curve, value), **style)


def draw(axes, rows: Sequence[dict]) -> None:
    """Barriers against m, a curve for each source and matching, with their names.

    Colours tell sources apart, lines and markers matchings. The points of several
    sources stand side by side at each m, and markers are hollow, so that none hides
    another. On a logarithmic axis zeros are marked at its lower edge.
    """
    sources, matchings = (
        list(dict.fromkeys(row[name] for row in rows))
        for name in ("source", "matching")
    )
    for name in matchings:
        axes.plot([], [], **_line(name, plot.BLACK), label=PATHS[name].label)
    for (source, name), curve in group(rows, "source", "matching").items():
        beside = SIDE ** (sources.index(source) - (len(sources) - 1) / 2)
        color, kept = COLORS[source], curve
        if axes.get_yscale() == "log":
            kept = [row for row in curve if not row["barrier_mean"] <= NONE]
            none = [row["m"] for row in curve if row["barrier_mean"] <= NONE]
            plot.zeros(axes, none, color, list(COLORS).index(source))
        if kept:
            moved = [row | {"m": row["m"] * beside} for row in kept]
            points(axes, moved, "barrier", **_line(name, color))
    for source in sources:
        own = [row for row in rows if row["source"] == source]
        lost = all(row["pairs"] == 0 for row in own)
        label = NAMES[source] + ", all diverged" * lost
        axes.plot([], [], color=COLORS[source], label=label)


def _line(matching: str, color: str) -> dict[str, Any]:
    """Of curves where colours tell sources apart."""
    one = PATHS[matching]
    look = {"marker": one.marker, "linestyle": one.linestyle, "color": color}
    return look | {"markerfacecolor": "none"}


def shade(axes, rows: Sequence[dict]) -> None:
    """Greys the widths at which runs of a source are left that did not converge.

    That is one run in twenty at least.
    """
    widths = sorted({row["m"] for row in rows})
    short = {row["m"] for row in rows if row["converged_fraction"] <= SHORT}
    label = f"at most {SHORT:.0%} of runs converged"
    if short:
        plot.shade(axes, widths, [m in short for m in widths], label)


def sizes(rows: Sequence[dict], column: str = "pairs") -> str:
    """How many pairs the points have: ``100``, or ``98 to 100`` where some diverged."""
    least, most = (f(row[column] for row in rows) for f in (min, max))
    return f"{least}" if least == most else f"{least} to {most}"


def columns(curve: Sequence[dict], value: str) -> list[list[float]]:
    """Mean, low and high of a value along a curve."""
    return [[row[f"{value}_{end}"] for row in curve] for end in ("mean", "low", "high")]
