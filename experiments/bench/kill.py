"""kill -9 at random moments of one sweep: no cell torn, none lost, the same bits.

    python -m experiments.bench.kill --kills=100 --out=DIR

Runs the sweep once without disturbance, then again and again in another folder until
it was killed so many times. Wherever it ends by itself, some of its cells are removed.
A second call with the same folder goes on with the same sweep.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags

from experiments.lib import command, compute
from lmc_jax.results import store

KILLS = flags.DEFINE_integer("kills", 100, "Kills.", lower_bound=1, upper_bound=10**6)
OUT = flags.DEFINE_string("out", None, "Folder for both sweeps.", required=True)
flags.register_validator("out", bool, "give a folder")
SETTINGS = "--k=2 --m=2:8 --pairs=20 --steps=5000 --save_weights"


def sweep(out: Path) -> list[str]:
    entrypoint = [sys.executable, "-m", "experiments.barrier_vs_width"]
    return [*entrypoint, *SETTINGS.split(), f"--out={out}"]


def main() -> None:
    whole, killed = (
        compute.opened(Path(OUT.value, name)) for name in ("whole", "killed")
    )
    began = time.monotonic()
    subprocess.run(sweep(whole), check=True, stdout=subprocess.DEVNULL)
    length = min(max(time.monotonic() - began, 6.0), 12.0)
    choose = random.Random(0)
    kills, ends = 0, 0
    finished: dict[Path, bytes] = {}
    while kills < KILLS.value:
        with subprocess.Popen(sweep(killed), stdout=subprocess.DEVNULL) as process:
            try:
                status = process.wait(choose.uniform(0, length))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            else:
                ends += 1
                if status:
                    raise store.StoreError(f"a restarted sweep ended with {status}")
        finished = checked(killed, finished)
        if len(store.cell_files(killed)) == len(store.cell_files(whole)):
            for path in choose.sample(store.cell_files(killed), len(finished) // 4):
                path.unlink()
                finished.pop(path, None)
    subprocess.run(sweep(killed), check=True, stdout=subprocess.DEVNULL)
    left = [path.name for path in killed.rglob(".*.tmp")]
    print(
        f"{kills} kills, {ends} ends between them; no unreadable file, none lost; "
        f"{same(whole, killed)} files with the arrays of an uninterrupted sweep, bit "
        f"for bit; {len(left)} temporary files left"
    )


def checked(out: Path, before: dict[Path, bytes]) -> dict[Path, bytes]:
    """Every stored file, all sound, and those of before among them as they were."""
    files = (
        store.cell_files(out) + store.cell_files(out, weights=True)
        if out.exists()
        else []
    )
    now = {path: path.read_bytes() for path in files}
    for path in files:
        store.read(path)
    changed = [path.name for path, data in before.items() if now.get(path) != data]
    if changed:
        raise store.StoreError(f"finished cells were lost or changed: {changed}")
    return {path: data for path, data in now.items() if ".weights" not in path.name}


def same(one: Path, other: Path) -> int:
    """How many files there are, all with equal arrays in both folders."""
    files = store.cell_files(one) + store.cell_files(one, weights=True)
    for path in files:
        arrays, others = (
            store.read(folder / "cells" / path.name).arrays for folder in (one, other)
        )
        for name in arrays.keys() | others.keys():
            np.testing.assert_array_equal(
                arrays[name].view(np.uint8), others[name].view(np.uint8)
            )
    return len(files)


if __name__ == "__main__":
    command.run(main)
