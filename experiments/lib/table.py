"""Rows as text: aligned tables, means with their intervals."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TERMINAL = 80  # columns


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned text under the names of the first row's columns.

    >>> print(table([{"m": 5, "barrier": 0.25}, {"m": 10, "barrier": float("nan")}]))
     m  barrier
     5     0.25
    10        -
    """
    columns = list(rows[0])
    body = [[_short(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *body, strict=True)]
    lines = [columns, *body]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )


def narrow(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as text, without intervals where a terminal is too narrow for them."""
    text = table(rows)
    if max(map(len, text.splitlines())) <= TERMINAL:
        return text
    means = [{name: _mean(value) for name, value in row.items()} for row in rows]
    note = "\nmeans; --verbose and the files have their 95% intervals"
    return table(means) + note * (means != rows)


def _mean(value: Any) -> Any:
    """The value, without the interval that ``with_interval`` wrote behind it."""
    return re.sub(r" \[[^][]*\]$", "", value) if isinstance(value, str) else value


def with_interval(row: Mapping[str, Any], value: str) -> str:
    """``mean [low, high]`` of a value of a row, which has a column for each."""
    mean, low, high = (row[f"{value}_{end}"] for end in ("mean", "low", "high"))
    return f"{mean:.3g} [{low:.2g}, {high:.2g}]"


def at(row: Mapping[str, Any], value: str, width: str = "m") -> str:
    """``mean [low, high] at m = 5``; ``width`` is the column, and its name."""
    name = "m =" if width == "m" else width
    return f"{with_interval(row, value)} at {name} {row[width]}"


def _short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return str(value)
