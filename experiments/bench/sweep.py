"""A whole sweep: programs compiled, seconds to compile them, seconds to run."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence

import jax
from absl import flags
from tqdm import tqdm

from experiments.bench import timing
from experiments.lib.lists import integers, refusing
from lmc_jax.sweep import programs
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import sweep

WIDTHS = flags.DEFINE_string("m", "5:100:x25", "Student widths.")
TEACHER = flags.DEFINE_integer(
    "k", 5, "Teacher width, and input dimension.", lower_bound=1
)
PAIRS = flags.DEFINE_integer("pairs", 20, "Pairs a width.", lower_bound=1)
flags.set_default(timing.REPETITIONS, 3)

SOURCES: dict[str, Callable[[int], Descent | Minima]] = {
    "gd": lambda m: Descent(lr=2 / max(m, 1)),  # m < 1 is refused with the cell
    "sgd": lambda m: Descent(lr=0.5 / max(m, 1), batch=256, steps=2000),
    "uniform": lambda m: Minima(),
}
PROGRAMS = programs.sampler, programs.descender, programs.measurer, programs.joiner
MATCHINGS = ((), ("types_index", "types_opposed"), ("weights",))


def grids() -> list[tuple[str, Sequence[str], list[Cell]]]:
    """Source, matchings and cells of every sweep, validated."""
    found: list[tuple[str, Sequence[str], list[Cell]]] = []
    for name, source in SOURCES.items():
        for matchings in MATCHINGS if name == "gd" else MATCHINGS[:1]:
            cells = [
                Cell(TEACHER.value, m, TEACHER.value, source(m), PAIRS.value)
                for m in integers(WIDTHS.value, "m")
            ]
            with refusing():
                for cell in cells:
                    cell.validate()
            cells = [dataclasses.replace(cell, matchings=matchings) for cell in cells]
            found.append((name, matchings, cells))
    return found


def main() -> None:
    compiled = []

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(note)
    rows = []
    for name, matchings, cells in tqdm(grids(), disable=not sys.stderr.isatty()):
        compiled.clear()
        jax.clear_caches()
        for made in PROGRAMS:
            made.cache_clear()
        call = functools.partial(sweep, cells, lambda *_: None)
        found = timing.timed(call)
        rows.append(
            {
                "source": name,
                "matchings": " ".join(matchings) or "none",
                "widths": len(cells),
                "programs": len(compiled),
                "compile s": found.first - found.median,
                "run s": timing.spread(found, 1),
            }
        )
    timing.show(rows)


if __name__ == "__main__":
    timing.run(main)
