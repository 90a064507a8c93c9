"""Compares the cells that two sweeps share, array by array: compare OUT OTHER.

On one machine and one JAX cells are equal bit for bit. Across versions and kinds of
devices whole numbers are equal, and others differ by no more than ``TOLERANCE``, in
units of the largest entry of their array; the exit status is 1 where they do.
"""

from pathlib import Path

import numpy as np

from experiments.lib import command
from experiments.lib.lists import Refusal
from experiments.lib.table import table
from lmc_jax.results import store

# By what they were trained in; deep networks end farther apart than students do.
TOLERANCE = {"float64": 1e-6, "float32": 0.01, "networks": 0.05}
ROUNDING = 1e-12  # a difference below it is none


def main(out: str, other: str) -> None:
    rows = differences(out, other)
    print(table(rows))
    if wide := [r for r in rows if r["largest, of the largest entry"] > tolerance(r)]:
        names = ", ".join(f"{r['array']} ({r['cells']})" for r in wide)
        raise store.StoreError(f"beyond the tolerance of their precision: {names}")


def differences(out: str | Path, other: str | Path) -> list[dict]:
    """A row for each array of each kind of cells, of cells that are in both folders.

    Raises:
      Refusal: where there are none.
    """
    ours, theirs = (
        {p.name: p for p in store.cell_files(folder)} for folder in (out, other)
    )
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise Refusal(
            f"{str(out)!r} and {str(other)!r} share no cells: give two outputs"
        )
    found: dict[tuple[str, str], list[Difference]] = {}
    for name in shared:
        first, second = store.read(ours[name]), store.read(theirs[name])
        for array in sorted(first.arrays.keys() | second.arrays.keys()):
            pair = first.arrays.get(array), second.arrays.get(array)
            found.setdefault((kind(first), array), []).append(difference(*pair))
    return [row(*key, parts) for key, parts in found.items()]


Difference = tuple[int, int, float]
"""Entries, those that differ, and the largest difference over the largest entry."""


def kind(record: store.Record) -> str:
    """The cells that a row of the table is about, by what made them."""
    source = record.parameters.get("source", {})
    if not source:
        return f"{record.parameters['architecture']} networks"
    return f"{source['name']} {source.get('precision', 'float64')}"


def tolerance(row: dict) -> float:
    """Of the cells of a row."""
    return TOLERANCE[row["cells"].split()[-1]]


def difference(first: np.ndarray | None, second: np.ndarray | None) -> Difference:
    """Of two arrays; one that is missing or of another shape differs everywhere.

    Whole numbers that differ do so without bound.
    """
    if first is None or second is None or first.shape != second.shape:
        size = max(array.size for array in (first, second) if array is not None)
        return size, size, np.inf
    other = ~((first == second) | ((first != first) & (second != second)))
    if not other.any():
        return first.size, 0, 0.0
    if first.dtype.kind != "f":
        return first.size, int(other.sum()), np.inf
    gap = np.abs(first[other].astype(float) - second[other].astype(float))
    largest = np.where(np.isnan(gap), np.inf, gap).max()  # NaN beside a number
    if largest < ROUNDING:
        return first.size, int(other.sum()), 0.0
    scale = np.abs(first[np.isfinite(first)]).max(initial=0)
    return first.size, int(other.sum()), float(largest / scale) if scale else np.inf


def row(kind: str, array: str, parts: list[Difference]) -> dict:
    sizes, differ, largest = zip(*parts, strict=True)
    return {
        "cells": kind,
        "array": array,
        "entries": sum(sizes),
        "differ": sum(differ),
        "largest, of the largest entry": max(largest),
    }


if __name__ == "__main__":
    command.run(main, "OUT", "OTHER")
