"""Where a step of descent spends its time: core nanoseconds an element by operation.

Of the students that ``experiments.bench.descent`` times, in float32, summed over
devices: the operations of XLA's program, each by what it does. A ``product`` is of
matrices, a ``sum`` runs along an axis, a ``map`` works element by element; some do two
of these. Then, where PyTorch is installed, the operations of its closed form.
"""

import collections
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from experiments.bench import peers, timing
from experiments.bench.descent import program_of, students
from lmc_jax.sweep import programs

STEPS = 2000
SHOWN = 12  # operations


def main() -> None:
    for k, m, d, count in timing.shapes():
        size, columns = programs.padded_width(m), programs.padded_columns(d)
        W = students(m, d, count, "float32")
        print(f"k={k}, m={m} padded to {size}, d={d} to {columns}, {count} students")
        program, *arguments = program_of(W, k, size, STEPS)
        does = kinds(program.lower(*arguments).compile().as_text())
        spent = seconds(timing.ready(program, *arguments))
        elements = count * STEPS * (m * m + m * k)
        timing.show(rows(spent, does, elements))
        # Of the two large ones, cosines and gradient: size² by columns each.
        product = sum(s for name, s in spent.items() if "product" in does.get(name, ""))
        rate = count * STEPS * 4 * size**2 * columns / product / 1e9
        print(f"{rate:.0f} GFLOP/s of two products over the time of all, a core")
        if peers.TORCH:
            few = STEPS // 100
            of_torch = collections.Counter(dict(torch_seconds(W, k, few)))
            timing.show(rows(of_torch, {}, elements * few // STEPS))


def rows(
    spent: collections.Counter[str], does: dict[str, str], elements: int
) -> list[dict]:
    """The costliest operations, then the sums by kind."""
    by_kind: collections.Counter[str] = collections.Counter()
    for name, each in spent.items():
        by_kind[does.get(name, "PyTorch")] += each
    named = [(name, does.get(name, ""), s) for name, s in spent.most_common(SHOWN)]
    named += [("all", kind, s) for kind, s in by_kind.most_common()]
    return [
        {"operation": name, "does": kind, "ns/element": 1e9 * each / elements}
        for name, kind, each in named
    ]


def kinds(text: str) -> dict[str, str]:
    """What the operations of a compiled program do, by name."""
    bodies = dict(re.findall(r"^%?([\w.-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S))
    does = {}
    for name, rest in re.findall(r"^ +(?:ROOT )?%?([\w.-]+) = (.*)$", text, re.M):
        called = re.search(r"calls=%?([\w.-]+)", rest)
        body = rest + (bodies.get(called[1], "") if called else "")
        parts = [
            kind
            for kind, sign in (
                ("product", r"\bdot\("),
                ("sum", r"\breduce(-window)?\("),
            )
            if re.search(sign, body)
        ]
        does[name] = " and ".join(parts) or "map"
    return does


def seconds(call: Callable[[], object]) -> collections.Counter[str]:
    """Seconds in each operation that a step runs, by its name in XLA's program."""
    call()  # compiles
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


def torch_seconds(W, k: int, steps: int) -> Iterator[tuple[str, float]]:
    """Core seconds in each operation of PyTorch's batched closed form, one thread."""
    import torch

    call = peers.torch_batched(W, k, steps, threads=1)
    call()
    with torch.profiler.profile() as profile:
        call()
    for event in profile.key_averages():
        yield event.key, event.self_cpu_time_total * 1e-6


if __name__ == "__main__":
    timing.run(main)
