"""Runs a second on one CPU device and on several, in processes of their own.

Every device has the same batch, every run takes all its steps.
"""

import subprocess
import sys
import time

import jax
from absl import flags

from experiments.lib import command
from experiments.lib.table import table
from lmc_jax import environment
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.run import sweep

DEVICES = flags.DEFINE_integer(
    *("devices", 0, "Of this process; 0 compares 1 and 2."),
    lower_bound=0,
    upper_bound=2,
)
K, M, STEPS, RUNS = 5, 40, 20_000, 64  # runs on each device
REPETITIONS = 5


def main() -> None:
    if DEVICES.value:
        print(rate(DEVICES.value))
        return
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPETITIONS):
        for devices in rates:
            line = [sys.executable, "-m", "experiments.bench.scaling"]
            line += [f"--devices={devices}"]
            done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
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
    """Runs a second of a sweep whose programs are compiled, no run ends early."""
    environment.configure(cpu_devices=devices)
    source = Descent(lr=1.0 / M, steps=STEPS, check_every=1000, tol=1e-30)
    work = Cell(k=K, m=M, d=K, source=source, pairs=devices * RUNS // 2, matchings=())
    sweep([work], lambda *_: None)
    if jax.local_device_count() != devices:
        raise RuntimeError(f"{jax.local_device_count()} devices, not {devices}")
    began = time.perf_counter()
    sweep([work], lambda *_: None)
    return 2 * work.pairs / (time.perf_counter() - began)


if __name__ == "__main__":
    command.run(main)
