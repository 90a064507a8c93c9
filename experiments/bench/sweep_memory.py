"""Peak memory of a sweep of few and of many cells, and the time to draw it again.

Both sweeps have the same compiled programs; the cells differ in their learning rate.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from experiments.lib import command
from experiments.lib.table import table
from lmc_jax.results import store

CELLS = 10, 1000  # of each sweep
SWEEP = (
    "--k=2 --d=2 --m=8 --lr_times_m=1 --fixed_m=8 --pairs=20 --tol=1e-4 --hold=1 "
    "--steps=2000 --check_every=100"
)


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cells in CELLS:
            rates = ",".join(f"{rate:.6g}" for rate in np.linspace(0.5, 4, cells - 2))
            out = Path(folder, str(cells))
            line = [sys.executable, "-m", "experiments.sparsity", *SWEEP.split()]
            line += [f"--scan={rates}", f"--out={out}"]
            seconds, peak = spent(line)
            again, peak_again = spent(line)
            found = len(store.cell_files(out))
            times = {"computed s": seconds, "drawn again s": again}
            peaks = {"peak MiB": peak, "peak again MiB": peak_again}
            rows.append({"cells": found, **times, **peaks})
    print(table(rows))


def spent(line: list[str]) -> tuple[float, float]:
    """Seconds of a process, and the MiB of its peak resident memory."""
    began = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for
    if status:
        raise subprocess.CalledProcessError(process.returncode, line)
    return time.perf_counter() - began, usage.ru_maxrss / 1024


if __name__ == "__main__":
    command.run(main)
