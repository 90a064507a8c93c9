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
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "font.size": 8,
    "grid.alpha": 0.25,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
COLUMN, PAGE = 3.3, 6.9  # inches, widths of a column and of a page of a paper


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Inside, figures have the look of the project; outside nothing changes."""
    import matplotlib
    from cycler import cycler

    look: Any = STYLE | {"axes.prop_cycle": cycler(color=CYCLE)}
    with matplotlib.rc_context(look):
        yield


def grid(rows: int, columns: int, *, height: float = 2.0, share: Any = False):
    """A figure of a column's width, or a page's, with axes ``[rows, columns]``.

    height: inches of a row. share: y axes, of all panels or by "row" or "col".
    """
    from matplotlib.figure import Figure

    width = COLUMN if columns == 1 else PAGE
    figure = Figure((width, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=share)


def shades(count: int) -> list[Any]:
    """Colours of an ordered quantity, from dark to light: teacher widths, rates."""
    import matplotlib

    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, count))
    return list(map(tuple, colors))


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


def zeros(axes: Axes, x: Sequence[float], color: Any) -> None:
    """Marks zeros at the lower edge of a logarithmic y axis."""
    if len(x):
        axes.plot(
            *(x, np.full(len(x), 0.02)),
            transform=axes.get_xaxis_transform(),
            **{"marker": "v", "linestyle": "none", "color": color},
            markerfacecolor="none",
            label="0, below the axis",
        )


def mark(axes: Axes, x: float, label: str, linestyle: str = ":") -> None:
    """A vertical line for a predicted place, named in the legend."""
    axes.axvline(x, color=BLACK, linewidth=0.9, linestyle=linestyle, label=label)


def legend(figure: Figure, axes: np.ndarray, columns: int | None = None) -> None:
    """One legend for all panels, above them, each label once."""
    found: dict[str, Any] = {}
    for panel in axes.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    width, height = figure.get_size_inches()
    columns = columns or max(1, int(width / 2.2))
    lines = -(-len(found) // columns)
    figure.set_size_inches(width, height + 0.17 * lines)  # the axes keep their size
    figure.legend(
        *(list(found.values()), list(found)), loc="outside upper left", ncols=columns
    )


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
