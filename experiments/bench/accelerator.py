"""The record of an accelerator: one command that ends within its minutes.

    python -m experiments.bench.accelerator --out=DIR --minutes=8

It needs no network and no data set. Its parts come in the order of ``PARTS``, the most
telling first. After every row DIR/accelerator.json and DIR/accelerator.md hold all that
is known; what failed or had no time is named there.
"""

import collections
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.bench import descent, networks, timing
from experiments.lib.lists import Refusal
from experiments.lib.table import table
from experiments.tools import compare
from lmc_jax import environment
from lmc_jax.data.datasets import Dataset
from lmc_jax.matching import MATCHINGS
from lmc_jax.networks import cell as classifiers
from lmc_jax.networks import mlp
from lmc_jax.networks.training import Training
from lmc_jax.results import files, store
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.programs import padded_width
from lmc_jax.sweep.run import sweep

OUT = flags.DEFINE_string("out", None, "Folder of the record.")
MINUTES = flags.DEFINE_float("minutes", 8.0, "The record is complete by then.")
CELLS = flags.DEFINE_bool("cells", False, "Only compute the small cells, into OUT.")

SIZE = 8192  # rows of the products that are the peak
SHAPES = ((5, 10, 10), (10, 20, 20), (20, 40, 40), (20, 100, 40))  # k, m, d
ELEMENTS = tuple(2**power for power in (18, 20, 22, 24, 25, 26))  # of a batch
STEPS = 300  # of a timed batch: about as many as between two looks of a sweep
PEERS = 2**24  # elements of a batch of the other programs
PAIRS, UPDATES, WIDTH = 5000, 10_000, 100  # of sweeps of k = 20
MANY = 100_000  # pairs of each width of k = 5
TOGETHER = (1, 8, 64, 512)  # networks trained at once
TRAINED = 500  # updates of a network

Row = dict[str, Any]


def main() -> None:
    if not OUT.value:
        raise Refusal("--out is missing: give the folder of the record")
    if CELLS.value:
        save_cells(Path(OUT.value))
    else:
        keep_record(Path(OUT.value), time.monotonic() + 60 * MINUTES.value)


def keep_record(out: Path, end: float) -> None:
    """Runs the parts until ``end``, by ``time.monotonic``.

    A part is told the folder, and a function to the seconds that are left.
    """
    out.mkdir(parents=True, exist_ok=True)

    def left() -> float:
        return end - time.monotonic()

    record: dict[str, list[Row]] = {}
    for name, part in PARTS.items():
        rows = record.setdefault(name, [])
        fault = "no time was left"
        try:
            for row in part(out, left) if left() > 0 else ():
                rows.append(row)
                write(out, record)
                fault = ""
        except Exception as error:  # one part must not cost the others
            fault = f"{type(error).__name__}: {error}"
        if fault:
            fault = " ".join(fault.split())[:300]
            record.setdefault("what failed", []).append({"part": name, "error": fault})
        write(out, record)
        if rows:
            print(f"{name}\n{table(rows)}", flush=True)
    print(f"record: {out / 'accelerator.md'}")


def write(out: Path, record: dict[str, list[Row]]) -> None:
    """The record so far, for programs and for readers."""
    origin = environment.provenance()
    text = json.dumps({"provenance": origin, **record}, indent=1)
    files.write_atomic(out / "accelerator.json", text.encode())
    lines = [", ".join(f"{name} {value}" for name, value in origin.items())]
    for name, rows in record.items():
        if rows:
            lines += ["", f"### {name}", "", *markdown(rows)]
    files.write_atomic(out / "accelerator.md", "\n".join([*lines, ""]).encode())


def markdown(rows: list[Row]) -> list[str]:
    """Rows as a table of Markdown."""
    body = [
        [f"{x:.3g}" if isinstance(x, float) else str(x) for x in row.values()]
        for row in rows
    ]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *body]
    return [f"| {' | '.join(line)} |" for line in lines]


# --- parts ----------------------------------------------------------------------------


def peaks(out: Path, left: Callable[[], float]) -> Iterator[Row]:
    """Of products of large matrices at full precision, and of memory."""
    for dtype in ("float32", "float64"):
        rate = timing.peak(dtype, SIZE) / 1e12
        yield {"what": f"{dtype} product, TFLOP/s", "value": rate}
    array = jnp.zeros(4 * SIZE**2)
    spent = timing.timed(timing.ready(jax.jit(jnp.negative), array)).median
    yield {"what": "memory, GB/s", "value": 2 * array.nbytes / spent / 1e9}


def correct(out: Path, left: Callable[[], float]) -> Iterator[Row]:
    """Loss and gradient against NumPy, small cells against those of the CPU.

    A process beside this one computes them there. Differences are in units of the
    largest entry of an array, as in ``experiments.tools.compare``.
    """
    for name, error in environment.self_check().items():
        yield {"cells": "NumPy, float64", "array": name, "difference": error}
    command = [sys.executable, "-m", "experiments.bench.accelerator", "--cells"]
    on_cpu = subprocess.Popen(
        [*command, f"--out={out / 'cpu'}"],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
    )
    try:
        save_cells(out / "here")
        on_cpu.wait(timeout=max(1.0, left()))
    finally:
        on_cpu.kill()
    for row in compare.differences(out / "here", out / "cpu"):
        yield {
            "cells": row["cells"],
            "array": row["array"],
            "difference": row["largest, of the largest entry"],
        }


def descents(out: Path, left: Callable[[], float]) -> Iterator[Row]:
    """Nanoseconds an element of ``lmc_jax`` by size of the batch, then of others."""
    for dtype, batches in (("float32", ELEMENTS), ("float64", ELEMENTS[-2:-1])):
        flops = timing.peak(dtype, SIZE)
        for k, m, d in SHAPES:
            size = padded_width(m)
            for elements in batches:
                if left() < 0:
                    return
                count = max(2, elements // (size * (size + k)))
                W = descent.students(m, d, count, dtype)
                spent = timing.timed(descent.ours(W, k, size, STEPS), 3).median
                yield element("lmc_jax", (k, m, d, count), dtype, spent / STEPS, flops)
            if dtype == "float64":
                continue
            count = PEERS // (m * (m + k))
            for call in descent.variants(k, m, d, count, dtype):
                if left() < 0:
                    return
                spent = timing.timed(call.function, 3).median
                step = spent / call.work * count * m * (m + k)
                yield element(call.variant, (k, m, d, count), dtype, step, flops)


def element(
    program: str,
    shape: tuple[int, int, int, int],
    dtype: str,
    seconds: float,
    flops: float,
) -> Row:
    """The row of a program that takes so many seconds a step of all students."""
    k, m, d, count = shape
    elements = count * m * (m + k)
    return {
        "program": program,
        "k, m, d": f"{k}, {m}, {d}",
        "dtype": dtype,
        "students": count,
        "us a step": 1e6 * seconds,
        "ns an element": 1e9 * seconds / elements,
        "share of peak": elements * (4 * d + 40) / seconds / flops,
    }


def sweeps(out: Path, left: Callable[[], float]) -> Iterator[Row]:
    """Whole sweeps in memory, with compilation, each after a tenth of it."""
    seconds = 0.0
    for name, cells in (
        ("k = 20: 10^4 students, 10^3 steps", [endless(UPDATES // 10)]),
        ("k = 20: 10^4 students, 10^4 steps", [endless(UPDATES)]),
        ("k = 5, m = 8 ... 12: 10^5 runs to 1e-6", to_the_end(MANY // 10)),
        ("k = 5, m = 8 ... 12: 10^6 runs to 1e-6", to_the_end(MANY)),
        ("k = 20: 10^4 students, 10^3 steps of SGD", [endless(UPDATES // 10, 256)]),
        (
            "k = 20, m = 1000: 10^3 minima",
            [Cell(20, 10 * WIDTH, 20, Minima(), -(-PAIRS // 10))],
        ),
    ):
        ten_times = "10^4 steps" in name or "10^6" in name  # of the row before
        if 10 * ten_times * seconds > left():
            continue
        begun = time.monotonic()
        sweep(cells, lambda *_: None)
        seconds = time.monotonic() - begun
        runs = sum(2 * cell.pairs for cell in cells)
        yield {"sweep": name, "seconds": seconds, "runs a second": runs / seconds}


def endless(steps: int, batch: int = 0) -> Cell:
    """Students that take all their steps."""
    source = Descent(lr=0.5 / WIDTH, steps=steps, tol=1e-30, batch=batch)
    return Cell(20, WIDTH, 20, source, PAIRS, matchings=())


def to_the_end(pairs: int) -> list[Cell]:
    """Students that are trained to a loss of 1e-6, and matched."""
    return [Cell(5, m, 5, Descent(lr=2 / m), pairs) for m in range(8, 13)]


def shares(out: Path, left: Callable[[], float]) -> Iterator[Row]:
    """Where the time of a sweep goes: its programs on the device, copies, the host.

    The profile is kept as OUT/trace.xplane.pb.
    """
    cells = to_the_end(PAIRS)
    sweep(cells, lambda *_: None)  # compiles
    kept = out / "trace.xplane.pb"
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        with jax.profiler.trace(folder):
            sweep(cells, lambda *_: None)
        whole = time.monotonic() - begun
        (file,) = Path(folder).rglob("*.xplane.pb")
        shutil.copy(file, kept)
    spent: dict[str, float] = collections.defaultdict(float)
    for plane in jax.profiler.ProfileData.from_file(str(kept)).planes:
        for line in plane.lines if plane.name.startswith("/device:") else ():
            for event in line.events:
                if line.name == "XLA Modules" or "Memcpy" in event.name:
                    spent[event.name.split("(")[0]] += event.duration_ns * 1e-9
    spent["whole sweep"] = whole
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1])[:12]:
        yield {"work": name, "seconds": seconds, "share": seconds / whole}


def trained(out: Path, left: Callable[[], float]) -> Iterator[Row]:
    """Networks trained at once: MLPs of MNIST's shape."""
    network = mlp((784, 64, 64, 64, 10))
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(networks.IMAGES, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(10, size=networks.IMAGES).astype(np.int32)
    for count in TOGETHER:
        if left() < 0:
            return
        spent = networks.ours(network, TRAINED, images, labels, count)
        yield {
            "MLPs 3 x 64 at once": count,
            "networks of 1,000 steps a minute": 60 / spent / 1000 * TRAINED,
        }


PARTS: dict[str, Callable[[Path, Callable[[], float]], Iterator[Row]]] = {
    "peaks": peaks,
    "correctness": correct,
    "sweeps": sweeps,
    "shares of a sweep": shares,
    "networks": trained,
    "descent": descents,
}


# --- the small cells ------------------------------------------------------------------


def save_cells(out: Path) -> None:
    """Cells of every source with every matching, and of an MLP."""
    store.open_store(out)

    def save(cell: Any, arrays: Any, weights: Any = None) -> None:
        store.save(out, cell.parameters(), arrays, {})

    gd = Descent(lr=0.2, steps=2000, precision="float64")
    sgd = dataclasses.replace(gd, lr=0.05, batch=64, steps=400)
    names = tuple(MATCHINGS)
    sources = gd, sgd, Minima()
    sweep([Cell(5, 8, 5, source, 4, matchings=names) for source in sources], save)
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=400).astype(np.int32)
    pixels = rng.integers(100, size=(400, 64), dtype=np.uint8)
    pixels[np.arange(400), labels] += 100  # so that there is something to learn
    images = pixels.reshape(400, 8, 8, 1)
    data = Dataset("bright", images[:300], labels[:300], images[300:], labels[300:], "")
    cell = classifiers.ClassifierCell(
        data=data.name,
        digest="",
        train_images=300,
        test_images=100,
        architecture="mlp",
        width=8,
        layers=3,
        training=Training(steps=100, batch=50, looks=1),
        points=3,
        pairs=2,
    )
    save(cell, classifiers.compute(cell, data)[0])


if __name__ == "__main__":
    timing.run(main)
