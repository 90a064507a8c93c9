"""Cells of a sweep: their bits in any company, and their numbers against NumPy."""

import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import oracles
import pytest
from cases import BASE, GD32, GD64, SGD, SOURCES, UNIFORM, assert_same_bits, swept
from helpers import ROOT

from lmc_jax import environment
from lmc_jax.matching import MATCHINGS
from lmc_jax.sweep import batches
from lmc_jax.sweep.cell import Cell, Descent
from lmc_jax.sweep.pairs import run_keys
from lmc_jax.sweep.run import padded_width, sweep


def company(cell):
    """Cells of other widths, rates and seeds around the cell, some diverging."""
    others = [dataclasses.replace(cell, m=m) for m in (3, 8, 10)]
    if isinstance(cell.source, Descent):
        for lr in (0.03, 1e3):
            source = dataclasses.replace(cell.source, lr=lr)
            others.append(dataclasses.replace(cell, source=source))
    others.append(dataclasses.replace(cell, seed=cell.seed + 1))
    return [*others[::2], cell, *others[1::2]]


# --- one cell, one set of bits --------------------------------------------------------


@SOURCES
def test_cell_has_the_same_bits_alone_in_company_and_in_reversed_order(source):
    cell = dataclasses.replace(BASE, source=source)
    alone = swept([cell])[cell]
    cells = company(cell)
    together, reversed_order = swept(cells), swept(cells[::-1])
    assert_same_bits(together[cell], alone)
    for other in cells:
        assert_same_bits(reversed_order[other], together[other])
    assert_same_bits(swept([cell])[cell], alone)


def test_cell_of_more_runs_than_slots_keeps_its_bits_in_company(monkeypatch):
    whole = swept([BASE])[BASE]
    # Room for two runs and two pairs a device, the least there is.
    monkeypatch.setattr(batches, "ELEMENTS", {"cpu": 1})
    assert batches.slots(BASE) == 2 * jax.local_device_count()
    assert batches.pair_batch(BASE) == 2 * jax.local_device_count()
    alone = swept([BASE])[BASE]
    assert_same_bits(swept(company(BASE))[BASE], alone)
    assert_same_bits(alone, whole)


def test_first_pairs_of_a_longer_cell_are_those_of_a_shorter_one():
    """Though another number of pairs may make another batch shape."""
    short = dataclasses.replace(BASE, source=UNIFORM)
    long = dataclasses.replace(short, pairs=7)
    found = swept([short, long])
    first = {name: array[:5] for name, array in found[long].items()}
    assert_same_bits(first, found[short])


def test_another_number_of_devices_gives_the_same_bits(tmp_path):
    devices = 1 if jax.local_device_count() > 1 else 2
    cells = [dataclasses.replace(BASE, source=source) for source in (SGD, UNIFORM)]
    program = f"""
import jax
import numpy as np
from lmc_jax import environment
environment.configure(cpu_devices={devices})
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import sweep
assert jax.local_device_count() == {devices}
def save(cell, arrays, weights):
    path = {str(tmp_path)!r} + "/" + cell.source.name
    np.savez(path, weights=weights, **arrays)
sweep({cells!r}, save, weights=True)
"""
    variables = {
        name: value for name, value in os.environ.items() if name != "XLA_FLAGS"
    }
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=variables)
    found = swept(cells)
    for cell in cells:
        with np.load(tmp_path / f"{cell.source.name}.npz") as other:
            assert_same_bits(dict(other), found[cell])


# --- measures against NumPy -----------------------------------------------------------


def numpy_distance(W, k):
    """To the nearest minimum with these types: simplex projections by bisection."""
    kinds = np.argmax(W[:, :k], axis=1)
    nearest = np.zeros_like(W)
    for j in range(k):
        rows = np.flatnonzero(kinds == j)
        if not len(rows):
            return np.inf
        parts = W[rows, j]
        low, high = parts.min() - 2, parts.max()
        for _ in range(100):
            level = (low + high) / 2
            above = np.maximum(parts - level, 0).sum() > 1
            low, high = (level, high) if above else (low, level)
        nearest[rows, j] = np.maximum(parts - level, 0)
    return np.linalg.norm(W - nearest)


@pytest.mark.parametrize("source", [GD32, UNIFORM], ids=["gd32", "uniform"])
def test_measures_equal_numpy_on_the_saved_weights(source):
    names = ("types_opposed", "weights", "refine")  # on the device and the host
    cell = Cell(k=3, m=9, d=4, source=source, pairs=4, matchings=names)
    found = swept([cell])[cell]
    students = found["weights"].astype(float)
    ts = np.linspace(0, 1, cell.points)
    assert found["losses"].shape == (4, 1 + len(names), cell.points)
    for n, pair in enumerate(students):
        small = np.linalg.norm(pair, axis=-1) <= source.zero_row
        np.testing.assert_array_equal(found["zero_rows"][n], small.sum(-1))
        kinds = [
            np.argmax(W[~zero, :3], axis=1) for W, zero in zip(pair, small, strict=True)
        ]
        counts = np.array([np.bincount(kind, minlength=3) for kind in kinds])
        np.testing.assert_array_equal(found["counts"][n], counts)
        assert found["overlap"][n] == np.minimum(*counts).sum()
        for role, W in enumerate(pair):
            share = 1 - (np.maximum(W[:, :3].max(1), 0) ** 2).sum() / (W**2).sum()
            assert found["off_axis"][n, role] == pytest.approx(share, abs=1e-12)
            for name, values in (
                ("pqi_flat", np.abs(W).ravel()),
                ("pqi_rows", np.linalg.norm(W, axis=1)),
            ):
                ratio = values.sum() / np.sqrt((values**2).sum() * values.size)
                assert found[name][n, role] == pytest.approx(1 - ratio, abs=1e-12)
            expected = pytest.approx(numpy_distance(W, 3), rel=1e-9, abs=1e-12)
            assert found["distance"][n, role] == expected
        perms = [np.arange(9)]
        for name in names:
            perms += [*MATCHINGS[name].on_host(pair[None], 3)[0]]
        for row, perm in enumerate(perms):
            assert sorted(perm) == list(range(9))
            along = [oracles.loss((1 - t) * pair[0] + t * pair[1][perm], 3) for t in ts]
            np.testing.assert_allclose(
                found["losses"][n, row], along, rtol=1e-9, atol=1e-12
            )
    if source is UNIFORM:
        assert np.abs(found["losses"][..., [0, -1]]).max() < 1e-12
        assert found["distance"].max() < 1e-12
        assert found["off_axis"].max() < 1e-12
        assert (found["counts"] >= 1).all()
        assert "status" not in found
        assert (found["certificate"] >= found["losses"] - 1e-12).all()
    direct, weights = (
        found["losses"][:, 0],
        found["losses"][:, 1 + names.index("weights")],
    )
    assert direct.max(-1).min() > weights.max(-1).min()


def test_zero_rows_are_counted_among_the_true_rows_only():
    source = dataclasses.replace(GD64, lr=1e-12, steps=1, init_std=7e-7, zero_row=1e-6)
    cell = dataclasses.replace(BASE, m=11, source=source)
    found = swept([cell])[cell]
    small = np.linalg.norm(found["weights"], axis=-1) <= source.zero_row
    np.testing.assert_array_equal(found["zero_rows"], small.sum(-1))
    assert 0 < small.sum() < small.size
    assert (found["counts"].sum(-1) == 11 - small.sum(-1)).all()  # zeros have no type


# --- keys, widths, hand-over ----------------------------------------------------------


def test_run_keys_are_folded_in_the_stated_order():
    keys = jax.random.key_data(run_keys(environment.root_key(3), 2, 5, 4, pairs=3))
    for pair in range(3):
        for role in range(2):
            key = jax.random.key(3, impl="threefry2x32")
            for number in (2, 5, 4, pair, role):
                key = jax.random.fold_in(key, number)
            np.testing.assert_array_equal(keys[pair, role], jax.random.key_data(key))


def test_points_of_a_learning_rate_curve_start_from_the_same_students():
    cells = [
        dataclasses.replace(BASE, source=dataclasses.replace(GD64, lr=lr))
        for lr in (1e-300, 1e-200)
    ]
    found = swept(cells)
    assert_same_bits(found[cells[0]], found[cells[1]])


def test_padded_widths_hold_the_rows_in_few_sizes():
    widths = np.arange(1, 2049)
    sizes = np.array([padded_width(int(m)) for m in widths])
    assert (sizes >= widths).all()
    assert (np.diff(sizes) >= 0).all()
    assert (sizes[widths > 8] < 2 * widths[widths > 8]).all()
    assert (sizes[widths > 64] < 1.25 * widths[widths > 64]).all()
    assert len(set(sizes[:400].tolist())) <= 16
    assert [padded_width(int(size)) for size in sizes] == sizes.tolist()
    assert sorted(set(sizes.tolist()))[:8] == [8, 16, 32, 48, 64, 80, 96, 112]


def test_progress_sums_to_the_pairs_and_weights_are_handed_over_when_asked():
    cells = [BASE, dataclasses.replace(BASE, m=3), dataclasses.replace(BASE, m=10)]
    done, saved = [], []

    def save(cell, arrays, weights):
        assert "weights" not in arrays
        assert weights is None
        saved.append(cell)
        # Nothing is announced before it is stored.
        assert sum(done) <= 5 * (len(saved) + 1)

    sweep(cells, save, progress=done.append)
    assert sum(done) == 15
    assert sorted(saved, key=str) == sorted(cells, key=str)
    with_weights = swept([BASE])[BASE].pop("weights")
    assert with_weights.shape == (5, 2, 4, 3)


def test_empty_sweep_saves_nothing():
    assert swept([]) == {}
