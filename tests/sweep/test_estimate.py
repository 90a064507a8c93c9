"""What a sweep is expected to take: counted by hand, scheduled by another rule."""

import dataclasses

import jax
import numpy as np
import pytest
from cases import BASE, GD64, UNIFORM

from lmc_jax.sweep import batches
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.cost import expected_steps
from lmc_jax.sweep.estimate import LEVELS, looks, planned, rounds


@pytest.mark.parametrize("slots", [1, 3, 8, 50])
def test_rounds_are_those_of_slots_that_are_refilled_round_by_round(slots):
    taken = np.random.default_rng(0).integers(1, 9, 40).tolist()
    queue, under_way, expected = list(taken), [], 0
    while queue or under_way:
        while queue and len(under_way) < slots:
            under_way.append(queue.pop(0))
        under_way = [left - 1 for left in under_way if left > 1]
        expected += 1
    assert rounds(taken, slots) == expected


def test_looks_follow_the_measured_ratios_up_to_the_last_step():
    cell = Cell(k=3, m=6, d=3, source=Descent(lr=0.2, steps=2000), pairs=500)
    usual = looks([cell], np.ones(len(LEVELS)))
    assert usual == [-(-expected_steps(cell) // 200)] * 1000
    spread = looks([cell, cell], 2 * LEVELS)  # uniform on 0 ... 2
    assert len(spread) == 2000
    assert np.mean(spread) * 200 == pytest.approx(expected_steps(cell) + 100, rel=0.02)
    assert max(looks([cell], np.full(len(LEVELS), 1e3))) == 10


@pytest.mark.slow
def test_plan_of_a_small_sweep():
    small = dataclasses.replace(GD64, steps=400)
    cells = [
        dataclasses.replace(BASE, m=m, source=source)
        for m in (3, 4)
        for source in (small, dataclasses.replace(small, lr=0.25), UNIFORM)
    ]
    tried = []
    plan = planned(cells, lambda *counts: tried.append(counts))
    assert plan.runs == 6 * 2 * BASE.pairs
    # To start and to descend; to draw; to measure and to join, shared by both.
    assert plan.programs == 5
    assert plan.memory > 2**20
    assert tried == [(0, 2), (1, 2), (2, 2)]  # a size of two curves
    alone = [plan.seconds([cell]) for cell in cells]
    assert min(alone) > 0
    # What is compiled for one is compiled for the other, and all have slots.
    assert max(alone) < plan.seconds(cells) < sum(alone)
    assert plan.seconds(cells[:1]) < plan.seconds(cells[:2])


@pytest.mark.slow
def test_more_pairs_take_longer_in_proportion(monkeypatch):
    monkeypatch.setattr(batches, "ELEMENTS", {"cpu": 1})  # slots are full
    cell = dataclasses.replace(BASE, pairs=400)
    plan = planned([cell])
    assert batches.slots(cell) == 2 * jax.device_count()
    once = plan.seconds([cell])
    twice = plan.seconds([cell, dataclasses.replace(cell, m=3)])
    # Another width may take more steps, and shares what is compiled.
    assert once < twice < 3 * once
