"""Batches of a sweep: their sizes, and their programs compiled before they are needed.

A batch is sized from its cell and the machine. On CPU a cell's bits do not depend on
the size, as BUILD_NOTES.md says; on other devices equal machines build equal shapes.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import numpy as np

from lmc_jax.sweep import devices, programs
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.programs import padded_width

# Kernel elements of one step that a device works on at a time: within the cache of a
# core (of 2**14 ... 2**19 the best, or within the noise of it, on both ends of the
# range of JAX: experiments.bench.choices). An accelerator shall have 64 for each of the
# threads it holds, about 2**18 on an H100, which no measurement has confirmed.
ELEMENTS = {"cpu": 2**16, "gpu": 2**24, "tpu": 2**24}
# Of memory, at most, that an element takes: less by XLA's own analysis of every program
# on CPU (tests/sweep/test_batches.py).
BYTES = 128

# Groups of cells whose programs are compiled before they are needed.
GROUPS_AHEAD = 2


def batch_shape(cell: Cell, halvings: int = 0) -> tuple[int, int]:
    """Runs that descend, and pairs that are measured, at a time on one device."""
    shares = slots(cell, halvings), pair_batch(cell, halvings)
    runs, pairs = (share // jax.device_count() for share in shares)
    return (runs, pairs) if isinstance(cell.source, Descent) else (pairs, pairs)


def room(device: jax.Device) -> int:
    """Kernel elements of one step that a device works on at a time.

    A power of two: as many as an accelerator is filled by, and at most a quarter of its
    memory, since two rounds of runs and what is measured are there as well.
    """
    elements = ELEMENTS[device.platform]
    if device.platform == "cpu":
        return elements
    held = (device.memory_stats() or {}).get("bytes_limit", 0)
    fits = held // (4 * BYTES)
    return min(elements, 1 << (fits.bit_length() - 1)) if fits else elements


def _share(elements: int, wanted: int | None, halvings: int) -> int:
    """Batch size over all devices: at least 2 a device, within memory and the cell.

    One alone would take another program on CPU, with other rounding.
    """
    count, device = jax.device_count(), jax.devices()[0]
    share = room(device) // elements
    if wanted is not None:
        share = min(share, -(-wanted // count))
    return count * max(2, share >> halvings)


def slots(cell: Cell, halvings: int = 0) -> int:
    """Runs of all devices that descend at a time.

    On an accelerator as many as fill it, since slots take the runs of all cells of a
    program: otherwise cells of few pairs would leave it idle.
    """
    size = padded_width(cell.m)
    batch = cell.source.batch if isinstance(cell.source, Descent) else 0
    elements = size * (batch or size + cell.k)
    wanted = 2 * cell.pairs if jax.devices()[0].platform == "cpu" else None
    return _share(elements, wanted, halvings)


def pair_batch(cell: Cell, halvings: int = 0) -> int:
    """Pairs of all devices that are sampled or measured at a time."""
    size = padded_width(cell.m)
    return _share(size * (size + cell.k), cell.pairs, halvings)


class Jobs(NamedTuple):
    """What each slot works on; ``fresh`` marks a run to be started. All ``[slots]``."""

    key_data: np.ndarray
    m: np.ndarray
    lr: np.ndarray
    std: np.ndarray
    fresh: np.ndarray


def compiled_ahead(
    groups: list[list[Cell]], halvings: Callable[[], int]
) -> Iterator[list[Cell]]:
    """The groups, while all cores compile the programs of the next ones.

    Tracing stays in this thread, XLA compiles in others. The programs find what was
    compiled for their shapes in JAX's own cache; a shape that is not found there,
    since it did not fit into memory or the batches were halved, is compiled when it is
    called.
    """
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        ahead: list[list[Future]] = []
        for position, group in enumerate(groups):
            for later in groups[len(ahead) : position + 1 + GROUPS_AHEAD]:
                lowered = [
                    program.lower(*shapes)
                    for program, shapes in programs_of(later[0], halvings())
                ]
                ahead.append([pool.submit(program.compile) for program in lowered])
            wait(ahead[position])
            yield group
            ahead[position].clear()  # a future keeps what it compiled


def programs_of(
    cell: Cell, halvings: int = 0
) -> Iterator[tuple[jax.stages.Wrapped, tuple[Any, ...]]]:
    """The programs of a cell, each with the shapes of its arguments in the batches."""
    size, pairs = padded_width(cell.m), pair_batch(cell, halvings)
    layout = devices.by_runs() if devices.several() else None

    def array(*shape, dtype):
        return jax.ShapeDtypeStruct(shape, np.dtype(dtype), sharding=layout)

    widths = array(pairs, dtype="int32")
    if isinstance(cell.source, Minima):
        draw = programs.sampler(cell.taught, cell.d, size, cell.source)
        yield draw, (array(pairs, 2, 2, dtype="uint32"), widths)
    else:
        source = programs.shared(cell.source)
        start, descend = programs.descender(cell.taught, cell.d, size, source)
        count = slots(cell, halvings)
        idle = array(count, dtype="int32")
        yield start, (idle,)
        runs = jax.tree.map(
            lambda like: jax.ShapeDtypeStruct(
                like.shape, like.dtype, sharding=devices.by_runs()
            ),
            jax.eval_shape(start, idle),
        )
        jobs = Jobs(
            array(count, 2, dtype="uint32"),
            array(count, dtype="int32"),
            array(count, dtype="float64"),
            array(count, dtype="float64"),
            array(count, dtype="bool"),
        )
        yield descend, (runs, *jobs)
    students = array(pairs, 2, size, cell.d, dtype="float64")
    measure = programs.measurer(cell.taught, cell.pqi)
    yield measure, (students, widths, array(pairs, dtype="float64"))
    join = programs.joiner(cell.taught, cell.matchings, cell.points)
    on_host = {
        name: array(*perms.shape, dtype=perms.dtype)
        for name, perms in programs.unmoved(cell.matchings, pairs, size).items()
    }
    yield join, (students, widths, on_host)
