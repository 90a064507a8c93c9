"""Runs a second on one CPU device and on several, in processes of their own.

Every device has the same batch, every run takes all its steps.
"""

import subprocess
import sys
import time

import jax
from absl import flags

from experiments.lib import command
from experiments.lib.lists import refusing
from experiments.lib.table import table
from lmc_jax import environment
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.run import sweep

WIDTH = flags.DEFINE_integer("m", 40, "Student width.", lower_bound=1)
TEACHER = flags.DEFINE_integer(
    "k", 5, "Teacher width, and input dimension.", lower_bound=1
)
STEPS = flags.DEFINE_integer("steps", 20_000, "Steps of a run.", lower_bound=1)
RUNS = flags.DEFINE_integer("runs", 64, "Runs on each device.", lower_bound=2)
DEVICES = flags.DEFINE_integer(
    "devices",
    0,
    "Of this process; 0 compares 1 and 2.",
    lower_bound=0,
    upper_bound=256,
)
REPETITIONS = flags.DEFINE_integer(
    "repetitions", 5, "Timed sweeps, in turn.", lower_bound=1, upper_bound=10_000
)


def main() -> None:
    with refusing():
        cell(DEVICES.value or 2).validate()
    if DEVICES.value:
        print(rate(DEVICES.value))
        return
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPETITIONS.value):
        for devices in rates:
            line = [sys.executable, "-m", "experiments.bench.scaling"]
            line += [*sys.argv[1:], f"--devices={devices}"]
            done = subprocess.run(line, check=True, capture_output=True, text=True)
            rates[devices].append(float(done.stdout))
    rows = [
        {
            "devices": devices,
            "runs/s, median": sorted(found)[len(found) // 2],
            "least": min(found),
            "most": max(found),
        }
        for devices, found in rates.items()
    ]
    print(table(rows))
    one, two = (row["runs/s, median"] for row in rows)
    print(f"two devices: {two / one:.2f} times the runs a second")


def rate(devices: int) -> float:
    """Runs a second of a sweep whose programs are compiled."""
    environment.configure(cpu_devices=devices)
    work = cell(devices)
    sweep([work], lambda *_: None)
    if jax.local_device_count() != devices:
        raise RuntimeError(f"{jax.local_device_count()} devices, not {devices}")
    began = time.perf_counter()
    sweep([work], lambda *_: None)
    return 2 * work.pairs / (time.perf_counter() - began)


def cell(devices: int) -> Cell:
    """As many runs on each device, none of which ends before its last step."""
    source = Descent(
        lr=1.0 / WIDTH.value, steps=STEPS.value, check_every=1000, tol=1e-30
    )
    pairs = devices * RUNS.value // 2
    k = TEACHER.value
    return Cell(k=k, m=WIDTH.value, d=k, source=source, pairs=pairs, matchings=())


if __name__ == "__main__":
    command.run(main)
