"""Matchings of pairs of global minima: microseconds a pair, on device and on host."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from experiments.bench import timing
from lmc_jax import environment, minima
from lmc_jax.matching import LEFTOVERS, align_types, match_weights

timing.define_shapes()


def pairs(k: int, m: int, d: int, count: int) -> np.ndarray:
    draw = jax.vmap(jax.vmap(functools.partial(minima.sample, m=m, k=k, d=d)))
    keys = jax.random.split(environment.root_key(0), (count, 2))
    return np.asarray(jax.jit(draw)(keys))


def pooled(students: np.ndarray, threads: int) -> Callable[[], list]:
    """Weight matching one pair a task, as a sweep does it."""

    def match():
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(match_weights, students[:, None]))

    return match


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    rows = []
    for k, m, d, count in timing.shapes():
        students = pairs(k, m, d, count)
        calls = {"weights, 1 thread": pooled(students, 1)}
        if cores > 1:
            calls[f"weights, {cores} threads"] = pooled(students, cores)
        for leftovers in LEFTOVERS:
            match = functools.partial(align_types, k=k, leftovers=leftovers)
            program = timing.on_all_devices(jax.vmap(match))
            calls[f"types_{leftovers}"] = timing.ready(program, students)
        for name, call in calls.items():
            found = timing.timed(call)
            rows.append(
                {
                    "matching": name,
                    "k,m,d,pairs": f"{k},{m},{d},{count}",
                    "us/pair": timing.spread(found, count * 1e-6),
                    "compile s": max(0.0, found.first - found.median),
                    "run s": found.median,
                }
            )
    timing.show(rows)


if __name__ == "__main__":
    timing.run(main)
