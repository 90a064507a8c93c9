"""Matchings of pairs of global minima: microseconds a pair, on device and on host."""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from scipy.optimize import linear_sum_assignment

from experiments.bench import timing
from experiments.bench.timing import Call, ready
from lmc_jax import environment
from lmc_jax.matching import LEFTOVERS, align_types, match_weights
from lmc_jax.numerics import matmul
from lmc_jax.students import minima


def pairs(k: int, m: int, d: int, count: int) -> np.ndarray:
    draw = jax.vmap(jax.vmap(functools.partial(minima.sample, m=m, k=k, d=d)))
    keys = jax.random.split(environment.root_key(0), (count, 2))
    return np.asarray(jax.jit(draw)(keys))


def pooled(students: np.ndarray, threads: int) -> Callable[[], list]:
    """Weight matching of a block a thread, as a sweep does it."""

    def match():
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(match_weights, np.array_split(students, threads)))

    return match


def solver(students: np.ndarray) -> Callable[[], list]:
    """SciPy's assignment alone, of products that are known."""
    gains = students[:, 0] @ students[:, 1].swapaxes(1, 2)

    def match():
        return [linear_sum_assignment(gain, maximize=True) for gain in gains]

    return match


def by_optax(pair: Array) -> Array:
    """Weight matching of one pair on the device."""
    gains = matmul(pair[0], pair[1].T)
    rows, columns = optax.assignment.hungarian_algorithm(-gains)
    return jnp.zeros_like(columns).at[rows].set(columns)


def calls(k: int, m: int, d: int, count: int) -> Iterator[Call]:
    students = pairs(k, m, d, count)
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        yield Call(f"weights, {threads} threads", pooled(students, threads), count)
    yield Call("SciPy's solver alone, 1 thread", solver(students), count)
    one_by_one = functools.partial(jax.lax.map, by_optax)
    for name, mapped in (("vmap", jax.vmap(by_optax)), ("map", one_by_one)):
        # On one device: its loops are not made for sharded arrays.
        yield Call(f"weights, optax, {name}", ready(jax.jit(mapped), students), count)
    for leftovers in LEFTOVERS:
        match = functools.partial(align_types, k=k, leftovers=leftovers)
        program = timing.on_all_devices(jax.vmap(match))
        yield Call(f"types_{leftovers}", ready(program, students), count)


def main() -> None:
    for k, m, d, count in timing.shapes():
        print(f"k={k}, m={m}, d={d}, {count} pairs")
        timing.show(timing.compared(calls(k, m, d, count), "us/pair", 1e-6))


if __name__ == "__main__":
    timing.run(main)
