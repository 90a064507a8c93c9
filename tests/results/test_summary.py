"""The table of a sweep against rows computed by hand."""

import dataclasses
import math
import warnings

import numpy as np
import pytest

from lmc_jax import statistics
from lmc_jax.results import store, summary
from lmc_jax.statistics import ratio_interval
from lmc_jax.students.descent import CONVERGED, DIVERGED, EXHAUSTED
from lmc_jax.sweep.cell import Cell, Descent, Minima

TRAINED = Cell(
    k=2, m=4, d=3, source=Descent(lr=0.5), pairs=3, matchings=("weights",), points=3
)
SAMPLED = Cell(
    k=2, m=4, d=3, source=Minima(), pairs=3, matchings=("types_index",), points=3
)
# Losses at t = 0, ½, 1 of three pairs: direct, then permuted.
LOSSES = np.array(
    [
        [[0.0, 1.0, 0.0], [0.0, 0.25, 0.0]],
        [[0.2, 2.0, 0.4], [0.2, 0.7, 0.4]],
        [[1.0, 8.0, 3.0], [1.0, 4.0, 3.0]],
    ]
)


def record(cell=TRAINED, **changes):
    n = cell.pairs
    arrays = {
        "losses": LOSSES[:n],
        "overlap": np.array([3, 2, 0])[:n],
        "zero_rows": np.array([[0, 1], [2, 0], [0, 0]])[:n],
    }
    if isinstance(cell.source, Descent):
        status = [[CONVERGED, CONVERGED], [EXHAUSTED, CONVERGED], [CONVERGED, DIVERGED]]
        arrays["status"] = np.array(status, np.int32)[:n]
    return store.Record(cell.parameters(), arrays | changes, {})


def test_row_is_the_one_computed_by_hand_without_the_diverged_pair():
    direct, permuted = summary.rows([record()])
    shared = {
        "k": 2,
        "m": 4,
        "d": 3,
        "source": "gd",
        "lr": 0.5,
        "lr_times_m": 2.0,
        "optimizer": "sgd",
        "batch": 0,
        "init_std": 0.01,
        "precision": "float32",
        "tol": 1e-6,
        "seed": 0,
        "cell": store.fingerprint(TRAINED.parameters()),
        "barrier": "lerp",
        "pairs": 2,
    }
    assert direct.items() >= (shared | {"matching": "direct"}).items()
    assert permuted.items() >= (shared | {"matching": "weights"}).items()
    # Excess over the chord: 1 and 2 - 0.3; 0.25 and 0.7 - 0.3.
    assert direct["barrier_mean"] == pytest.approx((1 + 1.7) / 2, rel=1e-14)
    assert permuted["barrier_mean"] == pytest.approx((0.25 + 0.4) / 2, rel=1e-14)
    assert direct["normalized_mean"] == 1
    assert permuted["normalized_mean"] == pytest.approx(0.65 / 2.7, rel=1e-14)
    for row, low, high in ((direct, 1, 1.7), (permuted, 0.25, 0.4)):
        # A quarter of the resamples of two pairs is one of them alone.
        assert row["barrier_low"] == pytest.approx(low, rel=1e-14)
        assert row["barrier_high"] == pytest.approx(high, rel=1e-14)
        assert row["overlap_mean"] == (3 / 4 + 2 / 4) / 2
        # Fractions and losses are over all runs, the diverged ones too.
        assert row["converged_fraction"] == 4 / 6
        assert row["diverged_fraction"] == 1 / 6
        assert row["zero_row_fraction"] == 3 / (6 * 4)
        assert row["loss_median"] == pytest.approx(0.3, rel=1e-14)
        assert row["loss_max"] == 3.0


def test_intervals_are_over_pairs_not_runs():
    """Two runs of a pair alike: over runs intervals would be 1/√2 as wide."""
    rng, n = np.random.default_rng(0), 400
    losses = np.zeros((n, 2, 3))
    losses[:, :, 1] = rng.exponential(size=(n, 2))
    overlap, zero = rng.integers(0, 5, n), rng.integers(0, 5, n)
    status = np.where(rng.random(n) < 0.5, CONVERGED, EXHAUSTED)
    both = {"zero_rows": zero, "status": status.astype(np.int32)}
    changes = {name: np.stack([run, run], 1) for name, run in both.items()}
    cell = dataclasses.replace(TRAINED, pairs=n)
    row, _ = summary.rows([record(cell, losses=losses, overlap=overlap, **changes)])
    for name, values in (
        ("barrier", losses[:, 0, 1]),
        ("overlap", overlap / 4),
        ("converged_fraction", status == CONVERGED),
        ("zero_row_fraction", zero / 4),
    ):
        width = row[f"{name}_high"] - row[f"{name}_low"]
        normal = 2 * 1.96 * np.std(values) / np.sqrt(n)
        assert width == pytest.approx(normal, rel=0.1), name


def test_minima_have_no_training_columns_and_all_their_pairs():
    direct, permuted = summary.rows([record(SAMPLED)])
    assert permuted["matching"] == "types_index"
    assert (direct["source"], direct["alpha"]) == ("uniform", "1.0")
    assert direct["pairs"] == 3
    assert (direct["converged_fraction"], direct["diverged_fraction"]) == (1.0, 0.0)
    for name in ("lr", "lr_times_m", "init_std", "tol"):
        assert math.isnan(direct[name])
    assert direct["optimizer"] == ""
    assert direct["precision"] == "float64"


def test_definitions_differ_off_the_middle_of_the_path():
    losses = np.array([[[0.0, 3.0, 1.0, 0.0, 4.0]]])
    cell = Cell(k=1, m=1, d=1, source=Minima(), pairs=1, matchings=(), points=5)
    one = record(cell, losses=losses)
    found = {
        name: summary.barriers(one, name).item()
        for name in ("lerp", "mean", "max", "midpoint")
    }
    assert found == {"lerp": 2.0, "mean": 2.0, "max": 0.0, "midpoint": -1.0}
    for name, height in found.items():
        (row,) = summary.rows([one], name)
        assert (row["barrier"], row["barrier_mean"]) == (name, height)


def test_cell_all_of_whose_pairs_diverged_is_nan_and_silent():
    status = np.full((3, 2), DIVERGED, np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = summary.rows([record(status=status)])
    assert len(table) == 2
    for row in table:
        assert row["pairs"] == 0
        assert (row["converged_fraction"], row["diverged_fraction"]) == (0.0, 1.0)
        for value in ("barrier", "normalized"):
            for end in ("mean", "low", "high"):
                assert math.isnan(row[f"{value}_{end}"])
        assert math.isnan(row["overlap_mean"])
        assert row["loss_max"] == 3.0


def test_single_kept_pair_has_a_mean_without_an_interval():
    status = np.array([[CONVERGED, CONVERGED], *[[DIVERGED, CONVERGED]] * 2], np.int32)
    direct, permuted = summary.rows([record(status=status)])
    assert (permuted["pairs"], permuted["barrier_mean"]) == (1, 0.25)
    assert permuted["normalized_mean"] == 0.25
    assert math.isnan(permuted["barrier_low"])
    assert math.isnan(direct["normalized_high"])


def test_pairs_without_any_direct_barrier_are_silent_and_have_no_ratio():
    losses = np.zeros((3, 2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = summary.rows([record(SAMPLED, losses=losses)])
    for row in table:
        assert row["barrier_mean"] == row["barrier_low"] == row["barrier_high"] == 0
        assert math.isnan(row["normalized_mean"])


def test_ratio_is_silent_where_some_resamples_have_no_direct_barrier():
    """At m = k pairs often are aligned by chance: both barriers are zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, low, high = ratio_interval(
            np.array([0.0, 0.0, 0.5]), np.array([0.0, 0.0, 1.0]), resamples=2000
        )
    assert value == 0.5
    assert math.isnan(low) or low <= 0.5
    assert math.isnan(high) or high >= 0.5


def test_equal_data_give_equal_intervals():
    values = np.random.default_rng(0).exponential(size=400)
    first = statistics.mean_interval(values)
    statistics._draws.cache_clear()  # as in another process
    np.testing.assert_array_equal(statistics.mean_interval(values), first)


def grid():
    return [
        Cell(k=k, m=m, d=d, source=source, pairs=3, matchings=("weights",), points=3)
        for k, d in ((2, 3), (2, 2), (1, 3))
        for m in (12, 4, 5)
        for source in (
            Minima(),
            Descent(lr=8.0 / m),
            Descent(lr=2.0 / m),
            Descent(lr=2.0 / m, batch=8),
        )
    ]


def test_rows_are_sorted_by_k_d_source_rate_width_and_matching():
    records = [record(cell) for cell in grid()]
    table = summary.rows(records)
    assert len(table) == 2 * len(records)
    names = ("k", "d", "source", "lr_times_m", "m")
    keys = [tuple(row[name] for name in names) for row in table]
    keys = [tuple(-1 if value != value else value for value in key) for key in keys]
    assert keys == sorted(keys)
    assert [row["matching"] for row in table[:4]] == ["direct", "weights"] * 2
    np.testing.assert_equal(summary.rows(records[::-1]), table)


def test_load_gives_the_rows_as_columns_of_a_finished_folder(tmp_path):
    cells = [TRAINED, *grid()[:4]]
    store.open_store(tmp_path)
    for cell in cells:
        stored = record(cell)
        store.save(tmp_path, stored.parameters, stored.arrays, {})
    before = sorted(tmp_path.rglob("*"))
    columns = summary.load(tmp_path, "max")
    table = summary.rows(store.load(tmp_path), "max")
    assert list(columns) == list(table[0])
    for name, column in columns.items():
        assert isinstance(column, np.ndarray)
        assert column.shape == (2 * len(cells),)
        np.testing.assert_array_equal(column, [row[name] for row in table])
    assert columns["barrier_mean"].dtype == np.float64
    assert columns["m"].dtype.kind == columns["pairs"].dtype.kind == "i"
    assert columns["source"].dtype.kind == "U"
    chosen = (columns["source"] == "uniform") & (columns["matching"] == "direct")
    assert columns["m"][chosen].tolist() == [12]
    assert sorted(tmp_path.rglob("*")) == before  # nothing is written


def test_load_refuses_an_empty_folder_and_a_damaged_cell(tmp_path):
    with pytest.raises(store.StoreError, match="no cells"):
        summary.load(tmp_path)
    store.open_store(tmp_path)
    stored = record()
    path = store.save(tmp_path, stored.parameters, stored.arrays, {})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(store.CorruptCell, match=path.name):
        summary.load(tmp_path)
