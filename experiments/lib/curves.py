"""Rows of the summary as curves: grouping, names, one look for every figure."""

from collections import namedtuple
from collections.abc import Sequence

from experiments.lib import plot
from lmc_jax.matching import MATCHINGS, PATHS

COLORS = {
    "gd": plot.BLUE,
    "sgd": plot.PURPLE,
    "uniform": plot.RED,
    "dirichlet": plot.GREEN,
    "equal": plot.ORANGE,
}
NAMES = {
    "gd": "GD",
    "sgd": "SGD",
    "uniform": "uniform minima",
    "dirichlet": "Dirichlet minima",
    "equal": "minima of equal norms",
    "gaussian": "Gaussian students",
}
Look = namedtuple("Look", "label color marker linestyle")
WEIGHTS, ACTIVATIONS = (MATCHINGS[n].color for n in ("weights", "activations"))
LOOKS = {  # of the paths of networks
    "direct": Look("direct", plot.BLACK, "x", "--"),
    "weights": Look("weight matching", WEIGHTS, "D", "-"),
    "activations": Look("activation matching", ACTIVATIONS, "v", "-"),
    "weights_repaired": Look("weight matching, REPAIR", WEIGHTS, "D", ":"),
    "activations_repaired": Look("activation matching, REPAIR", ACTIVATIONS, "v", ":"),
}
NONE = 1e-9  # a mean up to it is zero up to rounding
CONVERGED = 0.95
# Of uniform minima where markers tell learning rates apart.
MODEL = {
    **{"color": COLORS["uniform"], "marker": "*", "markersize": 6},
    "markerfacecolor": "none",
}


def group(rows: Sequence[dict], *names: str) -> dict[tuple, list[dict]]:
    """Rows grouped by the values of some columns, each group in order of m."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return {key: sorted(rows, key=lambda row: row["m"]) for key, rows in groups.items()}


def draw(axes, curve: Sequence[dict], value: str = "barrier") -> None:
    """One curve against m with its intervals, in the look of its source and matching.

    ``value`` names the columns ``*_mean``, ``*_low`` and ``*_high``. On a logarithmic
    axis zeros are marked at its lower edge. Markers are hollow: of curves that coincide
    both are seen.
    """
    source, matching = curve[0]["source"], PATHS[curve[0]["matching"]]
    color, kept = COLORS[source], curve
    lost = all(row["pairs"] == 0 for row in curve)
    if axes.get_yscale() == "log":
        kept = [row for row in curve if not row[f"{value}_mean"] <= NONE]
        none = [row["m"] for row in curve if row[f"{value}_mean"] <= NONE]
        plot.zeros(axes, none, color, list(COLORS).index(source))
    if kept:
        plot.points(
            axes,
            [row["m"] for row in kept],
            *columns(kept, value),
            color=color,
            marker=matching.marker,
            linestyle=matching.linestyle,
            markerfacecolor="none",
            label=f"{NAMES[source]}, {matching.label}" + ", all diverged" * lost,
        )


def shade(axes, rows: Sequence[dict]) -> None:
    """Greys the widths at which runs of a source are left that did not converge.

    That is one run in twenty at least.
    """
    widths = sorted({row["m"] for row in rows})
    short = {row["m"] for row in rows if row["converged_fraction"] <= CONVERGED}
    label = f"at most {CONVERGED:.0%} of runs converged"
    if short:
        plot.shade(axes, widths, [m in short for m in widths], label)


def sizes(rows: Sequence[dict], column: str = "pairs") -> str:
    """How many pairs the points have: ``100``, or ``98 to 100`` where some diverged."""
    least, most = (f(row[column] for row in rows) for f in (min, max))
    return f"{least}" if least == most else f"{least} to {most}"


def columns(curve: Sequence[dict], value: str) -> list[list[float]]:
    """Mean, low and high of a value along a curve."""
    return [[row[f"{value}_{end}"] for row in curve] for end in ("mean", "low", "high")]
