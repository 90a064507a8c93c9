"""Exports: every stored number under its name, in both formats."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import xarray
from helpers import assert_one_line, command

from lmc_jax.paths import BARRIERS, barrier
from lmc_jax.results import export, store, summary
from lmc_jax.students.descent import CONVERGED, DIVERGED
from lmc_jax.sweep.cell import Cell, Descent, Minima

TRAINED = Cell(k=2, m=4, d=3, source=Descent(lr=0.5), pairs=3, matchings=("weights",))
MINIMA = Cell(
    k=3, m=5, d=3, source=Minima(), pairs=2, matchings=("types_index",), points=3
)


def arrays(cell, seed):
    rng = np.random.default_rng(seed)
    n = cell.pairs
    found = {
        "losses": rng.exponential(size=(n, 2, cell.points)),
        "overlap": rng.integers(0, cell.m, n),
        "counts": rng.integers(0, cell.m, (n, 2, cell.k)).astype(np.int32),
        "zero_rows": rng.integers(0, cell.m, (n, 2)),
        **{name: rng.random((n, 2)) for name in ("off_axis", "distance")},
        **{name: rng.random((n, 2)) for name in ("pqi_flat", "pqi_rows")},
    }
    if isinstance(cell.source, Descent):
        status = rng.choice([CONVERGED, DIVERGED], (n, 2)).astype(np.int32)
        return found | {"status": status, "steps": rng.integers(0, 99, (n, 2))}
    return found | {"certificate": rng.random(found["losses"].shape)}


@pytest.fixture
def out(tmp_path):
    store.open_store(tmp_path)
    for seed, cell in enumerate((TRAINED, MINIMA)):
        store.save(tmp_path, cell.parameters(), arrays(cell, seed), {})
    return tmp_path


def exported(out, kind):
    done = command("tools.export", out, f"--format={kind}")
    assert (done.returncode, done.stderr) == (0, "")
    return [Path(line.strip()) for line in done.stdout.splitlines()[1:]]


def test_netcdf_holds_every_number_under_its_cell_and_path(out):
    (path,) = exported(out, "netcdf")
    with xarray.open_dataset(path, engine="h5netcdf") as found:
        assert dict(found.sizes) == {
            **{"cell": 2, "pair": 3, "path": 3, "t": 11},
            **{"student": 2, "type": 3, "definition": 4},
        }
        for seed, cell in enumerate((TRAINED, MINIMA)):
            name = store.fingerprint(cell.parameters())
            mine = found.sel(cell=name).isel(pair=slice(cell.pairs))
            assert (mine.k, mine.m, mine.source) == (cell.k, cell.m, cell.source.name)
            ts = np.arange(cell.points) / (cell.points - 1)
            mine = mine.sel(path=["direct", *cell.matchings], t=ts)
            mine = mine.isel(type=slice(cell.k))
            expected = arrays(cell, seed)
            for array in expected:
                np.testing.assert_array_equal(mine[array], expected[array], array)
            for definition in BARRIERS:
                np.testing.assert_array_equal(
                    mine["barrier"].sel(definition=definition),
                    barrier(expected["losses"], ts, definition),
                )
            absent = {"status", "steps", "certificate"} - expected.keys()
            assert all(np.isnan(mine[name]).all() for name in absent)
        name = store.fingerprint(MINIMA.parameters())
        assert np.isnan(found.losses.sel(cell=name, path="weights")).all()
        assert np.isnan(found.losses.sel(cell=name, t=0.1)).all()
        assert np.isnan(found.overlap.sel(cell=name)[2])
        assert "1/2 E[(f - f*)^2], x ~ N(0, I_d)" in found.attrs["loss"]
        assert found.status.attrs["flag_meanings"].split()[DIVERGED] == "diverged"
        assert all("long_name" in found[name].attrs for name in found.data_vars)


def test_cells_that_differ_share_their_axes(out):
    """Paths in the order in which they come, whole numbers still whole."""
    cell = dataclasses.replace(TRAINED, pairs=4, matchings=("weights", "types_index"))
    more = arrays(cell, 0) | {"losses": np.zeros((4, 3, cell.points))}
    store.save(out, cell.parameters(), more, {})
    store.cell_path(out, MINIMA.parameters()).unlink()
    found = export.dataset(out)
    assert found.path.values.tolist() == ["direct", "weights", "types_index"]
    assert found.status.dtype == np.int32
    status = found.status.sel(cell=store.fingerprint(TRAINED.parameters()))
    np.testing.assert_array_equal(status[3], [export.MISSING, export.MISSING])
    assert found.coords.keys() & found.sizes.keys() == {
        *("cell", "path", "t", "definition")
    }


def rows(out):
    path, about = exported(out, "csv")
    content = json.loads(about.read_text())
    assert "1/2 E[(f - f*)^2], x ~ N(0, I_d)" in content["loss"]
    with path.open() as file:
        return list(csv.DictReader(file))


def test_table_has_a_row_for_each_pair_and_path(out):
    table = rows(out)
    assert len(table) == 3 * 2 + 2 * 2
    for seed, cell in enumerate((TRAINED, MINIMA)):
        name = store.fingerprint(cell.parameters())
        expected, mine = arrays(cell, seed), [r for r in table if r["cell"] == name]
        found = barrier(expected["losses"], np.linspace(0, 1, cell.points), "lerp")
        for row, (pair, path) in zip(mine, np.ndindex(cell.pairs, 2), strict=True):
            assert int(row["pair"]) == pair
            assert row["path"] == ["direct", *cell.matchings][path]
            assert float(row["barrier_by_lerp"]) == pytest.approx(found[pair, path])
            assert float(row["loss_second"]) == expected["losses"][pair, path, -1]
            assert float(row["distance_first"]) == expected["distance"][pair, 0]
            if cell is MINIMA:
                assert row["status_first"] == row["steps_second"] == row["lr"] == ""
            else:
                status = {CONVERGED: "converged", DIVERGED: "diverged"}
                assert row["status_second"] == status[expected["status"][pair, 1]]
                assert int(row["steps_first"]) == expected["steps"][pair, 0]


@pytest.mark.parametrize("arguments", [(), ("/none",), ("--format=xls", "OUT")])
def test_refused_in_one_line(arguments):
    assert_one_line(command("tools.export", *arguments))


def test_damaged_cell_leaves_no_export(out):
    cell = store.cell_files(out)[1]
    cell.write_bytes(cell.read_bytes()[:-1])
    for kind in ("csv", "netcdf"):
        done = command("tools.export", out, f"--format={kind}")
        assert_one_line(done, cell.name, status=1)
    assert not list(out.glob("*export*"))


@pytest.mark.parametrize("kind", ["csv", "netcdf"])
def test_networks_on_data_are_refused_in_one_line(tmp_path, kind):
    losses = np.zeros((2, 1, 3, 2, 2))
    store.open_store(tmp_path)
    store.save(tmp_path, {"data": "mnist", "width": 4}, {"losses": losses}, {})
    done = command("tools.export", tmp_path, f"--format={kind}")
    assert_one_line(done, "summary.csv")
    with pytest.raises(ValueError, match="two-layer students"):
        summary.load(tmp_path)
