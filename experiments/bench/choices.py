"""Measures again what was chosen by measurement: batches, padded rows, compile levels.

Of the students that ``experiments.bench.descent`` times, in float32, one setting is
changed at a time: kernel elements of a batch on one device (``batches.ELEMENTS``), rows
that students are padded to (``programs.padded_width``), and the level at which LLVM
compiles (``programs.sharded``).
"""

import functools
from unittest import mock

import jax
from tqdm import tqdm

from experiments.bench import timing
from experiments.bench.descent import ours, students
from lmc_jax.sweep import batches, programs

BATCHES = [2**power for power in range(14, 20)]
LEVELS = (0, 1, 2, 3)
ELEMENT_STEPS = 2 * 10**7  # of a timed run, about


def main() -> None:
    rows = []
    for k, m, d, _ in tqdm(timing.shapes(), disable=None):
        size = programs.padded_width(m)
        chosen = batches.ELEMENTS["cpu"]
        measure = functools.partial(row, k, m, d)
        rows += [
            measure("batch", f"2^{elements.bit_length() - 1}", elements, size)
            for elements in BATCHES
        ]
        rows += [
            measure("rows", str(other), chosen, other)
            for other in sorted({m, -(-m // 8) * 8, size})
        ]
        for level in LEVELS:
            at_level = functools.partial(programs.sharded, effort=level)
            with mock.patch.object(programs, "sharded", at_level):
                rows.append(measure("level", str(level), chosen, size))
    timing.show(rows)


def row(k: int, m: int, d: int, choice: str, value: str, elements: int, size: int):
    """Time of students padded to ``size``, in batches of so many elements."""
    runs = jax.local_device_count() * max(2, elements // (size * (size + k)))
    own = runs * (m * m + m * k)
    steps = max(8, ELEMENT_STEPS // own)
    found = timing.timed(ours(students(m, d, runs, "float32"), k, size, steps))
    return {
        "k,m,d": f"{k},{m},{d}",
        "choice": choice,
        "value": value,
        "runs": runs,
        "ns/element": timing.spread(found, own * steps * 1e-9),
        "compile s": max(0.0, found.first - found.median),
    }


if __name__ == "__main__":
    timing.run(main)
