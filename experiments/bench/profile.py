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
from lmc_jax.sweep import programs

STEPS = 2000
SHOWN = 12  # operations


def main() -> None:
    for k, m, d, count in timing.shapes():
        size = programs.padded_width(m)
        call = ours(students(m, d, count, "float32"), k, size, STEPS)
        call()
        elements = count * STEPS * (m * m + m * k)
        print(f"k={k}, m={m} padded to {size}, d={d}, {count} students")
        timing.show(
            [
                {"operation": name, "ns/element": 1e9 * spent / elements}
                for name, spent in seconds(call).most_common(SHOWN)
            ]
        )


def seconds(call: Callable[[], object]) -> collections.Counter[str]:
    """Seconds in each operation that a step runs, by its name in XLA's program."""
    took: dict[str, list[float]] = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call()
        (file,) = Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for event in (event for line in plane.lines for event in line.events):
                took[event.name].append(event.duration_ns * 1e-9)
    # Operations run once a step and device, and have plain names.
    once = STEPS * jax.local_device_count()
    return collections.Counter(
        {
            name: sum(each)
            for name, each in took.items()
            if len(each) == once and ":" not in name
        }
    )


if __name__ == "__main__":
    timing.run(main)
