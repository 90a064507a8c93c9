"""Maps over two settings: a line of panels per measure, a column per group of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lib import plot


def grid(names: Sequence[str], titles: Sequence[str], x: str, y: str):
    """Axes ``[names, titles]`` with their names at the left and above.

    x and y: names of the two settings.
    """
    figure, axes = plot.grid(len(names), len(titles), height=0.72, share=True)
    axes[0, 0].annotate(y, (-0.05, 1.1), xycoords="axes fraction", ha="right")
    for line, name in zip(axes, names, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for top, bottom, title in zip(axes[0], axes[-1], titles, strict=True):
        top.set_title(title)
        bottom.set_xlabel(x)
    return figure, axes


def draw(panel, values: Mapping[tuple[float, float], float], **style: Any):
    """One map of the values at (x, y), in rising order; grey where there is none."""
    columns, lines = (sorted({key[i] for key in values}) for i in (0, 1))
    image = np.full((len(lines), len(columns)), np.nan)
    for (x, y), value in values.items():
        image[lines.index(y), columns.index(x)] = value
    panel.set_facecolor("0.9")
    panel.grid(visible=False)
    drawn = panel.imshow(image, origin="lower", aspect="auto", **style)
    panel.set(xticks=range(len(columns)), yticks=range(len(lines)), yticklabels=lines)
    last = panel.get_subplotspec().is_last_row()
    shown = [f"{x:.2g}" for x in columns] if last else []
    panel.set_xticklabels(shown, rotation=90)
    return drawn
