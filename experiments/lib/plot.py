"""Arrays to axes: one style, intervals on every point, PNG and PDF side by side.

Text is of 8 points at the size of the figure. Panels side by side take the width of a
page and are not to be scaled down to a column; panels in one column fit a column.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_jax.results.files import write_atomic

if TYPE_CHECKING:  # Matplotlib loads with the first figure: no flag waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

# Okabe & Ito: told apart under every common colour blindness, and in grey by marker.
# Those of sources are in curves.py, those of matchings in the registry.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
# Of neither a source nor a matching.
WINE, TEAL, BROWN, GREY = "#882255", "#44AA99", "#8C510A", "0.5"
CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STYLE: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "font.size": 8,
    "grid.alpha": 0.25,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
COLUMN, PAGE = 3.3, 6.9  # inches, widths of a column and of a page of a paper


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Inside, figures have the look of the project; outside nothing changes."""
    import matplotlib
    from cycler import cycler

    settings: Any = STYLE | {"axes.prop_cycle": cycler(color=CYCLE)}
    with matplotlib.rc_context(settings):
        yield


def grid(rows: int, columns: int, *, height: float = 2.0, share: Any = False):
    """A figure of a column's width, or a page's, with axes ``[rows, columns]``.

    height: inches of a row. share: y axes, of all panels or by "row" or "col".
    """
    from matplotlib.figure import Figure

    width = COLUMN if columns == 1 else PAGE
    figure = Figure((width, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=share)


def sentence(text: str):
    """A figure that says why there is nothing to draw."""
    figure, axes = grid(1, 1)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0.5, 0.5, textwrap.fill(text, 40), ha="center", va="center")
    return figure


def panels(count: int, columns: int = 3, **options: Any):
    """A ``grid`` of so many panels, row by row; ``axes`` beyond them are hidden."""
    columns = min(columns, count)
    figure, axes = grid(-(-count // columns), columns, **options)
    for panel in axes.flat[count:]:
        panel.set_visible(False)
    return figure, axes


def ordered(values: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """Styles of an ordered quantity, teacher widths or rates: from dark to light."""
    import matplotlib

    values = list(values)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(values)))
    return {
        value: {"color": tuple(color), "marker": MARKERS[i % len(MARKERS)]}
        for i, (value, color) in enumerate(zip(values, colors, strict=True))
    }


def points(
    axes: Axes, x: ArrayLike, mean: ArrayLike, low: ArrayLike, high: ArrayLike, **style
) -> None:
    """A curve through means with their intervals as error bars.

    A point without interval (a single pair) is drawn without bar; NaN means are left
    out.
    """
    below = np.maximum(np.nan_to_num(np.subtract(mean, low)), 0)
    above = np.maximum(np.nan_to_num(np.subtract(high, mean)), 0)
    axes.errorbar(x, mean, yerr=[below, above], capsize=1.5, elinewidth=0.8, **style)


def log_axis(axes: Axes, which: str = "x") -> None:
    """A logarithmic axis, "x" or "y", with plain numbers at 1, 2, 5, 10, 20, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def zeros(axes: Axes, x: Sequence[float], color: Any, place: int) -> None:
    """Marks zeros at the lower edge of a logarithmic y axis, in rows by place."""
    if len(x):
        hollow: dict[str, Any] = {"marker": "v", "linestyle": "none"}
        hollow["markerfacecolor"] = "none"
        heights = np.full(len(x), 0.03 + 0.05 * place)
        transform = axes.get_xaxis_transform()
        axes.plot(x, heights, **hollow, color=color, transform=transform)
        axes.plot([], [], **hollow, color=GREY, label="0, below the axis")


def shade(axes: Axes, x: Sequence[float], kept: Sequence[bool], label: str) -> None:
    """Greys a logarithmic x axis around the places that are kept of all places x."""
    edges = [x[0] / 1.1, *np.sqrt(np.multiply(x[1:], x[:-1])), x[-1] * 1.1]
    starts = [i for i in range(len(x)) if kept[i] and not (i and kept[i - 1])]
    for start in starts:
        end = next((i for i in range(start, len(x)) if not kept[i]), len(x))
        axes.axvspan(edges[start], edges[end], color="0.9", linewidth=0, label=label)


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
    columns = columns or _columns(list(found), width)
    lines = -(-len(found) // columns)
    figure.set_size_inches(width, height + 0.19 * lines)  # the axes keep their size
    figure.legend(
        *(list(found.values()), list(found)), loc="outside upper left", ncols=columns
    )


def _columns(labels: Sequence[str], width: float) -> int:
    """The most columns of a legend that fit into so many inches."""
    from matplotlib.textpath import TextPath

    size = STYLE["legend.fontsize"]
    texts = [TextPath((0, 0), label, size=size) for label in labels]
    inches = np.array([text.get_extents().width for text in texts]) / 72
    handle = (STYLE["legend.handlelength"] + 3) * size / 72  # with the space around it
    for columns in range(min(4, len(labels)), 1, -1):
        parts = np.array_split(inches, columns)  # as Matplotlib fills them
        if sum(handle + part.max() for part in parts) <= width:
            return columns
    return 1


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
