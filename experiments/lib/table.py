"""Rows as text: aligned tables, means with their intervals."""

import functools
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lmc_jax.statistics import RESAMPLES, mean_interval, named

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


def at(row: Mapping[str, Any], value: str, *names: str) -> str:
    """``mean [low, high] at m = 5``; names: the columns of the place, by default m."""
    place = ", ".join(f"{name} = {row[name]}" for name in names or ("m",))
    return f"{with_interval(row, value)} at {place}"


def interval(ends: Iterable[float], form: str = ".3g") -> str:
    """``value [low, high]``, each in the same form.

    >>> interval((0.5, 0.25, 0.75), ".2f")
    '0.50 [0.25, 0.75]'
    """
    value, low, high = (format(end, form) for end in ends)
    return f"{value} [{low}, {high}]"


def means(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Columns of the means of values ``[n]``, with their intervals, by name."""
    found = mean_interval(np.stack(list(values.values()), axis=1), resamples=RESAMPLES)
    named_ends = (named(*one) for one in zip(values, found, strict=True))
    return functools.reduce(operator.or_, named_ends)


def columns(rows: Sequence[Mapping[str, Any]], names: str) -> list[dict[str, Any]]:
    """Rows with the columns of these names; that of a mean has its interval.

    >>> columns([{"k": 5, "b_mean": 0.5, "b_low": 0.4, "b_high": 0.6}], "k b")
    [{'k': 5, 'b': '0.5 [0.4, 0.6]'}]
    """
    return [
        {
            name: with_interval(row, name) if f"{name}_mean" in row else row[name]
            for name in names.split()
        }
        for row in rows
    ]


def _short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return str(value)
