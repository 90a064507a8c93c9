"""Losses along paths, float64: ns per kernel element, beside losses by ``arccos``."""

import functools
from collections.abc import Iterator

import jax

from experiments.bench import peers, timing
from experiments.bench.matching import pairs
from experiments.bench.timing import Call, ready
from lmc_jax import paths
from lmc_jax.students import two_layer

POINTS = 11


def main() -> None:
    for k, m, d, count in timing.shapes():
        print(f"k={k}, m={m}, d={d}, {count} pairs")
        timing.show(timing.compared(calls(k, m, d, count), "ns/element", 1e-9))


def calls(k: int, m: int, d: int, count: int) -> Iterator[Call]:
    students, elements = pairs(k, m, d, count), count * POINTS * (m * m + m * k)

    def along(pair, loss):
        return paths.path_losses(loss, pair[0], pair[1], paths.times(POINTS))

    ours = functools.partial(along, loss=functools.partial(two_layer.loss, k=k))
    theirs = functools.partial(along, loss=peers.loss(k))
    program = timing.on_all_devices(jax.vmap(ours))
    yield Call("lmc_jax", ready(program, students), elements)
    yield Call("JAX arccos", ready(jax.jit(jax.vmap(theirs)), students), elements)


if __name__ == "__main__":
    timing.run(main)
