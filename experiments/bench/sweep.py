"""A whole sweep: programs compiled, seconds to compile them, seconds to run."""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
from tqdm import tqdm

from experiments.bench import timing
from experiments.lib.lists import integers
from lmc_jax.sweep import programs
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import sweep

K = 5  # and input dimension
SOURCES: dict[str, Callable[[int], Descent | Minima]] = {
    "gd": lambda m: Descent(lr=2 / m),
    "sgd": lambda m: Descent(lr=0.5 / m, batch=256, steps=2000),
    "uniform": lambda m: Minima(),
}
PROGRAMS = programs.sampler, programs.descender, programs.measurer, programs.joiner
MATCHINGS = ((), ("types_index", "types_opposed"), ("weights",))


def grids() -> Iterator[tuple[str, Sequence[str], list[Cell]]]:
    """Source, matchings and cells of every sweep."""
    tiny = timing.TINY.value
    widths, pairs = [K] if tiny else integers("5:100:x25", "m"), 2 if tiny else 20
    for name, source in SOURCES.items():
        for matchings in MATCHINGS if name == "gd" else MATCHINGS[:1]:
            cells = [
                Cell(K, m, K, source(m), pairs, matchings=matchings) for m in widths
            ]
            yield name, matchings, cells


def main() -> None:
    compiled = []

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(note)
    rows = []
    for name, matchings, cells in tqdm(list(grids()), disable=None):
        compiled.clear()
        timing.forget(PROGRAMS)
        found = timing.timed(functools.partial(sweep, cells, lambda *_: None), 3)
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
