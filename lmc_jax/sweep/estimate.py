"""What a sweep will take, from short measurements of its own programs and students.

Of each curve (all that cells share but width and learning rate) the smallest, the
middle and the largest batches are tried: their programs are compiled and timed, and a
few pairs trained to the end. Between these sizes what was found is interpolated.
"""

import dataclasses
import heapq
import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from lmc_jax import environment
from lmc_jax.sweep import programs
from lmc_jax.sweep.batches import Jobs, pair_batch, programs_of, slots
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.cost import expected_steps
from lmc_jax.sweep.pairs import sampled, trained
from lmc_jax.sweep.programs import padded_width
from lmc_jax.sweep.run import curve, grouped, measure

FEW = 4  # pairs of a cell that are trained, at most an eighth of them
LEVELS = (np.arange(32) + 0.5) / 32  # at which quantiles are taken
Progress = Callable[[int, int], object]


class Plan(NamedTuple):
    """What a sweep of cells will take.

    runs: networks trained, or drawn. programs: to be compiled. memory: bytes, the most
    held so far, by a device where it says so, else by this process. seconds: of any of
    the cells, computed one after the other with what must be compiled for them.
    """

    runs: int
    programs: int
    memory: int
    seconds: Callable[[Sequence[Any]], float]


def planned(
    cells: Iterable[Cell], progress: Progress = lambda done, trials: None
) -> Plan:
    """What a sweep of the cells will take on the devices of this process.

    Args:
      cells: as ``sweep`` takes them.
      progress: called with the number of trials done, one a size of a curve, and that
        of all: before the first and after each.

    Returns:
      The plan. Its seconds are those of ``sweep`` alone: nothing is stored or drawn.
    """
    groups = grouped(cells)
    expected = interpolated(
        groups,
        curve=lambda group: curve(group[0]),
        size=lambda group: padded_width(group[0].m),
        tried=_tried,
        progress=progress,
    )
    return Plan(
        runs=sum(2 * cell.pairs for group in groups for cell in group),
        programs=_count(groups),
        memory=environment.peak_memory(),
        seconds=lambda cells: sum(
            _seconds(group, *expected(group)) for group in grouped(cells)
        ),
    )


def interpolated(
    items: Iterable[Any],
    curve: Callable[[Any], Hashable],
    size: Callable[[Any], int],
    tried: Callable[[Any], Sequence[float]],
    progress: Progress,
) -> Callable[[Any], list[float]]:
    """What is expected of any of the items, from trials of a few of each curve.

    Items are cells, or groups of them. Gives a function of an item to the values that
    ``tried`` measures, between the sizes tried, on a log axis; ``progress`` as of
    ``planned``.
    """
    curves: dict[Hashable, list[Any]] = {}
    for item in items:
        curves.setdefault(curve(item), []).append(item)
    few = {shared: chosen(sorted(own, key=size)) for shared, own in curves.items()}
    done, trials = 0, sum(map(len, few.values()))
    progress(done, trials)
    found = {}
    for shared, own in few.items():
        rows = []
        for item in own:
            rows.append((np.log(size(item)), *tried(item)))
            progress(done := done + 1, trials)
        found[shared] = np.array(rows).T

    def expected(item: Any) -> list[float]:
        sizes, *values = found[curve(item)]
        return [float(np.interp(np.log(size(item)), sizes, row)) for row in values]

    return expected


def chosen(items: Sequence[Any]) -> list[Any]:
    """The first, the middle and the last, or all of fewer.

    >>> chosen([1, 2, 3, 4, 5]), chosen([1, 2])
    ([1, 3, 5], [1, 2])
    """
    last = len(items) - 1
    return [items[i] for i in sorted({0, last // 2, last})]


def timed(function: Callable[[], Any]) -> float:
    """Median seconds of a few calls after the first, which may compile."""
    seconds: list[float] = []
    for number in range(6):
        begun = time.perf_counter()
        jax.block_until_ready(function())
        if number:
            seconds.append(time.perf_counter() - begun)
        if sum(seconds) > 0.3:
            break
    return statistics.median(seconds)


def _tried(group: list[Cell]) -> list[float]:
    """Seconds to compile, of a kernel element and step, to draw and measure a pair.

    Then the ratios of steps of runs to the expected ones, ``[LEVELS]``.
    """
    first = group[0]
    pairs = pair_batch(first)
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        lowered = [program.lower(*shapes) for program, shapes in programs_of(first)]
        list(pool.map(lambda program: program.compile(), lowered))
    compiling = time.perf_counter() - begun
    few = [
        dataclasses.replace(cell, pairs=max(1, min(FEW, cell.pairs // 8)))
        for cell in chosen(group)
    ]
    step, ratios = 0.0, np.ones(len(LEVELS))
    if isinstance(first.source, Descent):
        step = _step_seconds(first)
        found = list(trained(few, 0))
        taken = [pair.run["steps"] / expected_steps(pair.cell) for pair in found]
        ratios = np.quantile(np.concatenate(taken), LEVELS)
        drawing = 0.0
    else:
        found = list(sampled(few, 0))
        drawing = timed(lambda: list(sampled([first], 0))) / first.pairs
    both = [pair.students[:, : first.m] for pair in found if pair.cell is few[0]]
    students = np.array(list(itertools.islice(itertools.cycle(both), pairs)))
    measuring = timed(lambda: measure(first, students)) / pairs
    return [compiling, step, measuring + drawing, *ratios]


def _elements(cell: Cell) -> int:
    """Kernel elements of a step of all slots."""
    assert isinstance(cell.source, Descent)
    size = padded_width(cell.m)
    return slots(cell) * size * (cell.source.batch or size + cell.k)


def _step_seconds(cell: Cell) -> float:
    """Seconds a kernel element and step of a round of all slots."""
    source, count = cell.source, slots(cell)
    assert isinstance(source, Descent)
    start, descend = programs.descender(
        cell.taught, cell.d, padded_width(cell.m), programs.shared(source)
    )
    jobs = Jobs(
        key_data=np.arange(2 * count, dtype=np.uint32).reshape(count, 2),
        m=np.full(count, cell.m, np.int32),
        lr=np.full(count, source.lr),
        std=np.full(count, source.init_std),
        fresh=np.ones(count, bool),
    )
    runs = start(jobs.m)
    steps = min(source.check_every, source.steps)
    return timed(lambda: descend(runs, *jobs)) / (steps * _elements(cell))


def _seconds(
    group: list[Cell], compiling: float, step: float, measuring: float, *ratios: float
) -> float:
    """Seconds to compile for the cells of one program and to compute them."""
    first = group[0]
    pairs = sum(cell.pairs for cell in group)
    batch = pair_batch(first)
    seconds = compiling + -(-pairs // batch) * batch * measuring
    if isinstance(first.source, Descent):
        steps = min(first.source.check_every, first.source.steps)
        count = rounds(looks(group, ratios), slots(first))
        seconds += count * steps * _elements(first) * step
    return seconds


def looks(group: Iterable[Cell], ratios: Sequence[float]) -> list[int]:
    """Looks at the loss of every run of the cells, in an order without pattern.

    Args:
      group: cells of trained students.
      ratios: of steps to the expected ones, ``[LEVELS]``.
    """
    rng, found = np.random.default_rng(0), []
    for cell in group:
        source = cell.source
        assert isinstance(source, Descent)
        level = rng.permutation((np.arange(2 * cell.pairs) + 0.5) / (2 * cell.pairs))
        steps = expected_steps(cell) * np.interp(level, LEVELS, ratios)
        found += np.ceil(np.minimum(steps, source.steps) / source.check_every).tolist()
    return [max(1, math.ceil(count)) for count in found]


def rounds(looks: Iterable[int], slots: int) -> int:
    """Rounds until all runs have ended, each begun in the slot that is free first.

    >>> rounds([3, 1, 1, 1, 4], slots=2)
    7
    """
    free = [0] * slots
    for count in looks:
        heapq.heapreplace(free, free[0] + count)
    return max(free)


def _count(groups: Iterable[list[Cell]]) -> int:
    """Programs that the batches of the groups need, each shape of one counted."""
    found = {
        (program, str(shapes))
        for group in groups
        for program, shapes in programs_of(group[0])
    }
    return len(found)
