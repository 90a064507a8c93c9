"""Measures again what was chosen by measurement: batches, padded rows, compile levels.

Of the students that ``experiments.bench.descent`` times, in float32, one setting is
changed at a time: kernel elements of a batch on one device (``batches.ELEMENTS``), rows
that students are padded to (``programs.padded_width``) and columns
(``programs.padded_columns``), the level at which LLVM compiles (``programs.sharded``),
and a sum in place of a product with ones (``students.descent``). Then the level of
programs that are next to no work.
"""

import functools
from collections.abc import Iterator
from unittest import mock

import jax

from experiments.bench import sizes, timing
from experiments.bench.descent import ours, steps_of, students
from experiments.bench.timing import Call
from lmc_jax.students import descent
from lmc_jax.sweep import batches, programs
from lmc_jax.sweep.cell import Cell, Minima

BATCHES = [2**power for power in range(14, 20)]
LEVELS = (0, 1, 2, 3)
WIDTHS = (5, 10, 20, 40, 60, 80, 100)  # of sweeps that are next to no work


def main() -> None:
    for k, m, d, _ in timing.shapes():
        print(f"k={k}, m={m}, d={d}")
        timing.show(timing.compared(calls(k, m, d), "ns/element", 1e-9))
    timing.show([of_little_work(level) for level in LEVELS])


def of_little_work(level: int) -> dict:
    """A sweep of minima, its programs to sample and to measure compiled at a level."""
    cells = [Cell(5, m, 5, Minima(), 20, matchings=()) for m in WIDTHS]
    chosen = programs.sharded

    def at_level(function, effort=1):
        return chosen(function, effort or level)

    with mock.patch.object(programs, "sharded", at_level):
        first, again = sizes.seconds(cells, programs.padded_width)
    return {"level": level, "compile and run s": first, "run s": again}


def calls(k: int, m: int, d: int) -> Iterator[Call]:
    """The same students with one choice changed at a time."""
    size, chosen = programs.padded_width(m), batches.ELEMENTS["cpu"]
    call = functools.partial(descended, k, m, d)
    for elements in BATCHES:
        yield call(f"batch 2^{elements.bit_length() - 1}", elements, size)
    for other in sorted({m, -(-m // 8) * 8, size}):
        yield call(f"{other} rows", chosen, other)
    for level in LEVELS:
        at_level = functools.partial(programs.sharded, effort=level)
        with mock.patch.object(programs, "sharded", at_level):
            yield call(f"level {level}", chosen, size)
    if programs.padded_columns(d) > d:
        with mock.patch.object(programs, "padded_columns", lambda d: d):
            yield call(f"{d} columns", chosen, size)
    with mock.patch.object(descent, "matmul", lambda squares, _: squares.sum(-1)):
        yield call("sum", chosen, size)


def descended(k: int, m: int, d: int, name: str, elements: int, size: int) -> Call:
    """Students padded to ``size``, in batches of so many elements."""
    runs = jax.local_device_count() * max(2, elements // (size * (size + k)))
    own = runs * (m * m + m * k)
    steps = steps_of(own)
    return Call(
        name, ours(students(m, d, runs, "float32"), k, size, steps), own * steps
    )


if __name__ == "__main__":
    timing.run(main)
