"""Compares the cells that two sweeps share, array by array: compare OUT OTHER."""

import numpy as np

from experiments.lib import common
from lmc_jax.results import store


def main(out: str, other: str) -> None:
    ours, theirs = ({p.name: p for p in store.paths(folder)} for folder in (out, other))
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise common.Refusal(f"{out!r} and {other!r} share no cells: give two outputs")
    found: dict[tuple[str, str], list[Difference]] = {}
    for name in shared:
        first, second = store.read(ours[name]), store.read(theirs[name])
        for array in sorted(first.arrays.keys() | second.arrays.keys()):
            pair = first.arrays.get(array), second.arrays.get(array)
            found.setdefault((kind(first), array), []).append(difference(*pair))
    print(f"cells in both: {len(shared)}")
    print(common.table([row(*key, parts) for key, parts in found.items()]))


Difference = tuple[int, int, float]
"""Entries, those that differ, and the largest difference over the largest entry."""


def kind(record: store.Record) -> str:
    """The cells that a row of the table is about, by what made them."""
    source = record.parameters.get("source", {})
    names = source.get("name"), source.get("precision")
    return " ".join(filter(None, names)) or record.parameters["architecture"]


def difference(first: np.ndarray | None, second: np.ndarray | None) -> Difference:
    """Of two arrays; one that is missing or of another shape differs everywhere."""
    if first is None or second is None or first.shape != second.shape:
        size = max(array.size for array in (first, second) if array is not None)
        return size, size, np.inf
    other = ~((first == second) | ((first != first) & (second != second)))
    if not other.any():
        return first.size, 0, 0.0
    gap = np.abs(first[other].astype(float) - second[other].astype(float))
    largest = np.where(np.isnan(gap), np.inf, gap).max()  # NaN beside a number
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
    common.run(main, "OUT", "OTHER")
