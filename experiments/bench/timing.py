"""What benchmarks share: compile and run apart, medians with spread, a table."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import PartitionSpec

from experiments.lib import command, machine
from experiments.lib.table import table
from lmc_jax import environment
from lmc_jax.numerics import matmul
from lmc_jax.sweep import programs

SHAPES = ((5, 10, 10, 384), (20, 40, 40, 256), (20, 100, 40, 64))
PROGRAMS = programs.sampler, programs.descender, programs.measurer, programs.joiner


def shapes() -> Iterator[tuple[int, int, int, int]]:
    """Shapes (k, m, d, B) of students, batches that divide over the devices."""
    devices = jax.local_device_count()
    for k, m, d, count in SHAPES:
        yield k, m, d, -(-count // devices) * devices


class Timing(NamedTuple):
    """Seconds of the first call (compilation and one run) and of those after it."""

    first: float
    median: float
    least: float
    most: float


def timed(function: Callable[[], Any], repetitions: int = 7) -> Timing:
    """Times ``function``, which must return only once its work is done."""

    def seconds():
        begun = time.perf_counter()
        function()
        return time.perf_counter() - begun

    first = seconds()
    runs = [seconds() for _ in range(repetitions)]
    return Timing(first, statistics.median(runs), min(runs), max(runs))


def ready(function: Callable, *arguments) -> Callable[[], Any]:
    """A call of a JAX function that waits for its result."""
    return lambda: jax.block_until_ready(function(*arguments))


def on_all_devices(function: Callable) -> Callable:
    """A jitted function of batches that are split over the local devices."""
    mesh = jax.make_mesh(
        (jax.local_device_count(),), ("runs",), (jax.sharding.AxisType.Auto,)
    )
    runs = PartitionSpec("runs")
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=runs, out_specs=runs))


def peak(dtype: str, n: int = 1024, products: int = 10) -> float:
    """Floating-point operations a second of large products, all devices busy."""
    devices = jax.local_device_count()
    rng = np.random.default_rng(0)
    start = rng.normal(size=(devices, n, n)).astype(dtype) / n**0.5

    @on_all_devices
    def chain(matrix):
        scan = jax.lax.scan(
            lambda power, _: (matmul(matrix, power), None), matrix, length=products
        )
        return scan[0]

    seconds = timed(ready(chain, start)).median
    return 2 * n**3 * products * devices / seconds


class Call(NamedTuple):
    """A variant to be timed, and how many units of work a call of it does."""

    variant: str
    function: Callable[[], Any]
    work: float


def compared(calls: Iterable[Call], unit: str, seconds: float) -> list[dict]:
    """One row per call: ``median [least, most]`` time a unit of work.

    ``unit`` names ``seconds`` a unit of work, such as ns/element.
    """
    rows, first = [], None
    for variant, function, work in calls:
        found = timed(function)
        first = first or found.median / work
        median, least, most = (spent / work / seconds for spent in found[1:])
        rows.append(
            {
                "variant": variant,
                unit: f"{median:.3g} [{least:.3g}, {most:.3g}]",
                "times the first": found.median / work / first,
                "compile s": max(0.0, found.first - found.median),
                "run s": found.median,
            }
        )
    return rows


def forget() -> None:
    """The programs of sweeps are compiled again."""
    jax.clear_caches()
    for made in PROGRAMS:
        made.cache_clear()


def show(rows: Sequence[dict]) -> None:
    print(table(rows), flush=True)


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark, float64 on and every core a device, and says on what."""

    def begin():
        environment.configure()
        machine.announce()
        main()

    command.run(begin)
