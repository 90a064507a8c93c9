"""Which sizes to pad widths to: fewer are compiled sooner, more waste no rows.

Whole sweeps of trained students, of few and of many pairs a width, with other sizes in
place of ``programs.padded_width``.
"""

import contextlib
import time
from collections.abc import Callable
from unittest import mock

from tqdm import tqdm

from experiments.bench import timing
from lmc_jax.sweep import batches, pairs, programs, run
from lmc_jax.sweep.cell import Cell, Descent

WIDTHS = (*range(5, 31), 34, 40, 46, 52, 60, 70, 80, 90, 100)
PAIRS = (20, 200)
SIZES: dict[str, Callable[[int], int]] = {
    "as taken": programs.padded_width,
    "multiples of 8": lambda m: -(-m // 8) * 8,
    "powers of two": lambda m: max(8, 1 << (m - 1).bit_length()),
}
MODULES = (programs, batches, pairs, run)  # that name the sizes


def main() -> None:
    rows = []
    for count in PAIRS:
        cells = [Cell(5, m, 5, Descent(lr=2 / m), count, matchings=()) for m in WIDTHS]
        for name, sizes in tqdm(SIZES.items(), disable=None):
            first, again = seconds(cells, sizes)
            rows.append(
                {
                    "sizes": name,
                    "pairs": count,
                    "programs": len({sizes(m) for m in WIDTHS}),
                    "compile and run s": first,
                    "run s": again,
                }
            )
    timing.show(rows)


def seconds(cells: list[Cell], sizes: Callable[[int], int]) -> tuple[float, float]:
    """Seconds of a sweep that compiles its programs, and of the same once more."""
    timing.forget()
    found = []
    with contextlib.ExitStack() as patched:
        for module in MODULES:
            patched.enter_context(mock.patch.object(module, "padded_width", sizes))
        for _ in range(2):
            begin = time.perf_counter()
            run.sweep(cells, lambda *_: None)
            found.append(time.perf_counter() - begin)
    return found[0], found[1]


if __name__ == "__main__":
    timing.run(main)
