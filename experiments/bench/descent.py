"""Gradient descent on the population loss: ns per kernel element, beside its peers.

An element is one of the m² + m k kernel values of a student's step; its arithmetic is
taken as 4 d + 40 floating-point operations. The row ``lmc_jax`` is the loop of a sweep
with its checks for divergence and step limits, and with students padded to
the few widths that a sweep compiles, whose zero rows count as time but not as elements.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments.bench import peers, timing
from experiments.bench.timing import Call, ready
from lmc_jax.students import descent
from lmc_jax.students.optimizers import optimizer_named
from lmc_jax.sweep import programs
from lmc_jax.sweep.cell import PRECISIONS

ELEMENT_STEPS = 2 * 10**7  # of a timed run on CPU, about; elsewhere 1000 times as many


def steps_of(elements: int) -> int:
    """How often to step students of so many elements in all in a timed run."""
    most = ELEMENT_STEPS * (1 if jax.default_backend() == "cpu" else 1000)
    return max(8, most // elements)


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
    return ready(programs.sharded(jax.vmap(descend)), runs, rates)


def variants(k: int, m: int, d: int, count: int, dtype: str) -> Iterator[Call]:
    """Ours first; the work of a call is in elements."""
    W, elements = students(m, d, count, dtype), m * m + m * k
    steps = steps_of(elements * count)
    few = max(1, steps // 8)
    threads = len(os.sched_getaffinity(0))
    own, size = count * steps * elements, programs.padded_width(m)
    yield Call("lmc_jax", ours(W, k, size, steps), own)
    if size > m:
        yield Call("lmc_jax, no zero rows", ours(W, k, m, steps), own)
    theirs = count * few * elements
    for name, gradient in (
        ("JAX autodiff, vmapped", peers.autodiff(k)),
        ("JAX closed form, vmapped", peers.closed_form(k)),
    ):
        loop = peers.jax_loop(gradient, few)
        yield Call(name, ready(loop, W), theirs)
        shared = timing.on_all_devices(loop)
        yield Call(f"{name}, sharded", ready(shared, W), theirs)
    if peers.TORCH:
        call = peers.torch_batched(W, k, few, threads)
        yield Call(f"PyTorch batched, {threads} threads", call, theirs)
        call = peers.torch_serial(W[:2], k, 10, threads)
        yield Call("PyTorch autograd, serial", call, 2 * 10 * elements)


def main() -> None:
    for dtype in PRECISIONS:
        flops = timing.peak(dtype)
        print(f"matrix product, 1024, {dtype}: {flops / 1e9:.0f} GFLOP/s", flush=True)
        for k, m, d, count in timing.shapes():
            least = 1e9 * (4 * d + 40) / flops
            print(f"k={k}, m={m}, d={d}, {count} students; at that rate {least:.3g} ns")
            calls = variants(k, m, d, count, dtype)
            timing.show(timing.compared(calls, "ns/element", 1e-9))


if __name__ == "__main__":
    timing.run(main)
