"""Where a step of descent spends its time: core nanoseconds an element by operation.

One row for each operation of XLA's program, of the students that
``experiments.bench.descent`` times, in float32. Times are summed over devices.
"""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

from experiments.bench import timing
from experiments.bench.descent import ours, students
from lmc_jax import programs

STEPS = 2000
SHOWN = 12  # operations


def main() -> None:
    for k, m, d, count in timing.shapes():
        size = programs.padded_width(m)
        call = ours(students(m, d, count, "float32"), k, size, STEPS)
        call()
        spent = seconds(call)
        elements = count * STEPS * (m * m + m * k)
        print(f"k={k}, m={m} padded to {size}, d={d}, {count} students")
        timing.show(
            [
                {"operation": name, "ns/element": 1e9 * spent[name] / elements}
                for name in sorted(spent, key=lambda name: -spent[name])[:SHOWN]
            ]
        )


def seconds(call: Callable[[], object]) -> dict[str, float]:
    """Seconds in each operation that a step runs, by its name in XLA's program."""
    spent: dict[str, float] = collections.defaultdict(float)
    times: dict[str, int] = collections.defaultdict(int)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call()
        (file,) = Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for event in (event for line in plane.lines for event in line.events):
                spent[event.name] += event.duration_ns * 1e-9
                times[event.name] += 1
    # Operations run once a step and device; what surrounds them does not.
    once = STEPS * jax.local_device_count()
    return {
        name: took
        for name, took in spent.items()
        if times[name] == once and "::" not in name
    }


if __name__ == "__main__":
    timing.run(main)
