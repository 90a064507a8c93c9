"""Arrays to axes: one style, intervals on every point, PNG and PDF side by side."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_jax.results.files import write_atomic

if TYPE_CHECKING:  # Matplotlib loads with the first figure: no flag waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito: told apart under every common colour blindness, and in grey by marker.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.alpha": 0.25,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Inside, figures have the look of the project; outside nothing changes."""
    import matplotlib
    from cycler import cycler

    look: Any = STYLE | {"axes.prop_cycle": cycler(color=CYCLE)}
    with matplotlib.rc_context(look):
        yield


def grid(rows: int, columns: int, *, size: tuple[float, float] = (3.6, 2.7)):
    """A figure with ``rows × columns`` axes, an array ``[rows, columns]``."""
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure((width * columns, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False)


def points(
    axes: Axes,
    x: Sequence[float],
    mean: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    **style,
) -> None:
    """A curve through means with their intervals as error bars.

    A point without interval (a single pair) is drawn without bar; NaN means are left
    out.
    """
    below = np.maximum(np.nan_to_num(np.subtract(mean, low)), 0)
    above = np.maximum(np.nan_to_num(np.subtract(high, mean)), 0)
    axes.errorbar(x, mean, yerr=[below, above], capsize=1.5, elinewidth=0.8, **style)


def log_axis(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers at 1, 2, 5, 10, 20, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def mark(axes: Axes, x: float, label: str, linestyle: str = ":") -> None:
    """A vertical line for a predicted place, named in the legend."""
    axes.axvline(x, color=BLACK, linewidth=0.9, linestyle=linestyle, label=label)


def legend(figure: Figure, axes: Axes, columns: int | None = None) -> None:
    """One legend for the figure, above it, from the labels of one of its axes."""
    handles, labels = axes.get_legend_handles_labels()
    wide = max(1, int(figure.get_size_inches()[0] / 2.3))
    columns = columns or wide
    _heighten(figure, 0.19 * -(-len(labels) // columns))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns)


def _heighten(figure: Figure, inches: float) -> None:
    """Room for text, so that the axes keep their size."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + inches)


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Writes STEM.png and STEM.pdf atomically.

    Returns:
      The two paths.

    Raises:
      StoreError: when a file cannot be written.
    """
    written = []
    for kind in ("png", "pdf"):
        undated = {"CreationDate": None} if kind == "pdf" else None
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=undated)
        figure.set_layout_engine("none")  # the second file keeps the first's layout
        path = Path(f"{stem}.{kind}")
        write_atomic(path, buffer.getvalue())
        written.append(path)
    return written
