"""What benchmarks share: compile and run apart, medians with spread, a table."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from jax.sharding import PartitionSpec

from experiments.lib import command, machine
from experiments.lib.lists import Refusal
from experiments.lib.table import table
from lmc_jax import environment
from lmc_jax.numerics import matmul
from lmc_jax.sweep.cell import MAX_WIDTH

REPETITIONS = flags.DEFINE_integer(
    "repetitions",
    7,
    "Timed runs of each variant.",
    lower_bound=3,
    upper_bound=10_000,
)


MOST_NUMBERS = 2**28  # of a batch of students, 2 GiB


def define_shapes() -> None:
    flags.DEFINE_list(
        "shapes",
        ["5:10:10:384", "20:40:40:256", "20:100:40:64"],
        "k:m:d:B, teacher and student width, input dimension, batch; comma between.",
    )


def shapes() -> list[tuple[int, int, int, int]]:
    """The shapes (k, m, d, B) asked for.

    Raises:
      Refusal: for what is not four positive numbers with k <= d and k <= m.
    """
    found = []
    for text in flags.FLAGS.shapes:
        parts = text.split(":")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise Refusal(f"--shapes={text}: give k:m:d:B, such as 5:10:10:256")
        k, m, d, count = map(int, parts)
        devices = jax.local_device_count()
        if not (1 <= k <= min(m, d) and count >= 1 and count % devices == 0):
            raise Refusal(
                f"--shapes={text}: give 1 <= k <= m, k <= d and a batch that divides "
                f"over {devices} devices"
            )
        if max(m, d) > MAX_WIDTH or count * m * d > MOST_NUMBERS:
            raise Refusal(
                f"--shapes={text}: give m and d of at most {MAX_WIDTH}, and batches of "
                f"at most {MOST_NUMBERS} weights"
            )
        found.append((k, m, d, count))
    if not found:
        raise Refusal("--shapes=: give k:m:d:B, such as 5:10:10:256")
    return found


class Timing(NamedTuple):
    """Seconds of the first call (compilation and one run) and of those after it."""

    first: float
    median: float
    least: float
    most: float


def timed(function: Callable[[], Any]) -> Timing:
    """Times ``function``, which must return only once its work is done."""

    def seconds():
        begun = time.perf_counter()
        function()
        return time.perf_counter() - begun

    first = seconds()
    runs = [seconds() for _ in range(REPETITIONS.value)]
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


def spread(timing: Timing, unit: float) -> str:
    """``median [least, most]`` in units of ``unit`` seconds."""
    median, least, most = (x / unit for x in timing[1:])
    return f"{median:.3g} [{least:.3g}, {most:.3g}]"


def show(rows: Sequence[dict]) -> None:
    print(table(rows), flush=True)


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark after its flags, float64 on and every core a device."""

    def begin():
        environment.configure()
        machine.announce()
        main()

    command.run(begin)
