"""A whole sweep: programs compiled, seconds to compile them, seconds to run."""

import collections
import time
from collections.abc import Callable

import jax
from absl import flags

from experiments.bench import timing
from experiments.lists import integers
from lmc_jax import sweep
from lmc_jax.spec import Cell, Descent, Minima

WIDTHS = flags.DEFINE_string("m", "5:100:x25", "Student widths.")
TEACHER = flags.DEFINE_integer("k", 5, "Teacher width, and input dimension.")
PAIRS = flags.DEFINE_integer("pairs", 60, "Pairs a width.")
SOURCES: dict[str, Callable[[int], Descent | Minima]] = {
    "gd": lambda m: Descent(lr=2 / m),
    "sgd": lambda m: Descent(lr=0.5 / m, batch=256, steps=2000),
    "uniform": lambda m: Minima(),
}


def main() -> None:
    spent: dict[str, float] = collections.defaultdict(float)
    count: dict[str, int] = collections.defaultdict(int)

    def note(event: str, duration_secs: float, **_: str | int) -> None:
        spent[event] += duration_secs
        count[event] += 1

    jax.monitoring.register_event_duration_secs_listener(note)
    k = TEACHER.value
    rows = []
    for name, source in SOURCES.items():
        for matching in ((), ("types_index", "types_opposed"), ("weights",)):
            if name == "sgd" and matching:
                continue
            cells = [
                Cell(k, m, k, source(m), PAIRS.value, matchings=matching)
                for m in integers(WIDTHS.value, "m")
            ]
            row = {"source": name, "matchings": " ".join(matching) or "none"}
            spent.clear()
            count.clear()
            seconds = []
            for _ in range(3):
                begun = time.perf_counter()
                sweep.sweep(cells, lambda *_: None)
                seconds.append(time.perf_counter() - begun)
            compiled = "/jax/core/compile/backend_compile_duration"
            rows.append(
                row
                | {
                    "programs": count[compiled],
                    "compile s": sum(spent.values()),
                    "first s": seconds[0],
                    "run s": min(seconds[1:]),
                }
            )
            timing.show(rows[-1:])
    print()
    timing.show(rows)


if __name__ == "__main__":
    timing.run(main)
