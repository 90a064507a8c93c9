"""Gradient descent on the population loss: ns per kernel element, beside its peers.

An element is one of the m² + m k kernel values of a student's step; its arithmetic is
taken as 4 d + 40 floating-point operations. The row ``lmc_jax`` is the loop of a sweep
with its checks for divergence and step limits, and with students padded to
the few widths that a sweep compiles, whose zero rows count as time but not as elements.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.bench import peers, timing
from lmc_jax.students import descent
from lmc_jax.students.optimizers import optimizer_named
from lmc_jax.sweep import programs
from lmc_jax.sweep.cell import PRECISIONS

timing.define_shapes()
DTYPES = flags.DEFINE_multi_enum(
    "dtype", list(PRECISIONS), list(PRECISIONS), "Precisions, the flag once for each."
)
ELEMENT_STEPS = flags.DEFINE_integer(
    "elements",
    2 * 10**7,
    "Elements of a timed run, about: sets its steps.",
    lower_bound=1,
    upper_bound=10**9,
)


def students(m: int, d: int, count: int, dtype: str) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).normal(size=(count, m, d))).astype(dtype)


def ours(W: np.ndarray, k: int, size: int, steps: int) -> Callable[[], Any]:
    """So many steps from ``W [B, m, d]``, as a sweep takes them padded to ``size``."""
    count, m, d = W.shape
    columns = programs.padded_columns(d) - d
    W = np.pad(W, ((0, 0), (0, size - m), (0, columns)))
    optimizer_of = optimizer_named("sgd")

    def descend(run, lr):
        return descent.advance(run, k, optimizer_of(lr), updates=steps, limit=2**30)

    runs = jax.vmap(lambda W: descent.start(W, optimizer_of(peers.LR)))(W)
    rates = np.full(count, peers.LR, W.dtype)
    return timing.ready(programs.sharded(jax.vmap(descend)), runs, rates)


def variants(k: int, m: int, d: int, count: int, dtype: str, steps: int):
    """Name, students, steps and a call without arguments, ours first."""
    W = students(m, d, count, dtype)
    few = max(1, steps // 8)
    threads = len(os.sched_getaffinity(0))
    size = programs.padded_width(m)
    yield "lmc_jax", count, steps, ours(W, k, size, steps)
    if size > m:
        yield "lmc_jax, no zero rows", count, steps, ours(W, k, m, steps)
    for name, gradient in (
        ("JAX autodiff, vmapped", peers.autodiff(k)),
        ("JAX closed form, vmapped", peers.closed_form(k)),
    ):
        loop = peers.jax_loop(gradient, few)
        yield name, count, few, timing.ready(loop, W)
        shared = timing.on_all_devices(loop)
        yield f"{name}, sharded", count, few, timing.ready(shared, W)
    if peers.TORCH:
        call = peers.torch_batched(W, k, few, threads)
        yield f"PyTorch batched, {threads} threads", count, few, call
        call = peers.torch_serial(W[:2], k, 10, threads)
        yield "PyTorch autograd, serial", 2, 10, call


def main() -> None:
    rows = []
    shapes = timing.shapes()
    for dtype in DTYPES.value:
        flops = timing.peak(dtype)
        print(f"matrix product, 1024, {dtype}: {flops / 1e9:.0f} GFLOP/s", flush=True)
        for k, m, d, count in shapes:
            elements = m * m + m * k
            steps = max(8, ELEMENT_STEPS.value // (elements * count))
            own = None
            for name, number, taken, call in variants(k, m, d, count, dtype, steps):
                found = timing.timed(call)
                done = number * taken
                each = found.median / (done * elements)
                own = own or each
                rows.append(
                    {
                        "variant": name,
                        "k,m,d,B": f"{k},{m},{d},{number}",
                        "dtype": dtype,
                        "ns/element": timing.spread(found, done * elements * 1e-9),
                        "student-steps/s": done / found.median,
                        "of peak": f"{(4 * d + 40) / each / flops:.1%}",
                        "lmc_jax faster": f"{each / own:.1f}x",
                        "compile s": max(0.0, found.first - found.median),
                        "run s": found.median,
                    }
                )
    timing.show(rows)


if __name__ == "__main__":
    timing.run(main)
