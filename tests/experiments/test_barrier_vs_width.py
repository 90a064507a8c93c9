"""The main entrypoint as its users meet it: files, reruns, damage, refusals."""

import contextlib
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import command, run, same_arrays

from experiments import barrier_vs_width
from experiments.claims.barrier_vs_width import (
    _against_uniform,
    _by_teacher,
    _peaked,
)
from experiments.lib.claims import Claim
from experiments.lib.study import Measured
from lmc_jax.results import store, summary
from lmc_jax.statistics import named
from lmc_jax.sweep.cell import Cell, Descent, Minima

TINY = ["--k=2", "--m=2,3", "--pairs=3", "--steps=400", "--check_every=100"]
QUICK = "--matching=types_index"  # to compile
UNIFORM = ["--k=2", "--m=3,4", "--pairs=3", "--source=uniform", QUICK]


def entrypoint(*arguments):
    return command("barrier_vs_width", *arguments)


@pytest.fixture(scope="module")
def uniform(tmp_path_factory):
    """Output folder of a finished tiny run; tests leave it finished."""
    out = tmp_path_factory.mktemp("uniform")
    ran = entrypoint(*UNIFORM, f"--out={out}")
    assert (ran.returncode, ran.stderr) == (0, "")
    return out


def state(out):
    """Content and time of change of every cell."""
    cells = Path(out).glob("cells/*.npz")
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in cells}


def rows(out):
    with (Path(out) / "summary.csv").open() as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def restored(out):
    """Puts the cells back as they were."""
    before = state(out)
    try:
        yield
    finally:
        for path in Path(out).glob("cells/*.npz"):
            if path.name not in before:
                path.unlink()
        for name, (data, _) in before.items():
            (Path(out) / "cells" / name).write_bytes(data)


# --- a run and its reruns -------------------------------------------------------------


def test_run_leaves_cells_table_figure_and_verdicts_and_a_rerun_recomputes_nothing(
    tmp_path, nothing_is_swept
):
    first = run(*TINY, f"--out={tmp_path}")  # as from a shell
    assert (first.returncode, first.stderr) == (0, "")
    for ending in ("png", "pdf", "claims.json"):
        path = tmp_path / f"barrier_vs_width.{ending}"
        assert path.stat().st_size > 0
        assert str(path) in first.stdout
    assert (tmp_path / "barrier_vs_width.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "barrier_vs_width.pdf").read_bytes()[:5] == b"%PDF-"
    content = json.loads((tmp_path / "barrier_vs_width.claims.json").read_text())
    assert "n = 3" in content["caption"]
    for claim in content["claims"]:
        assert Claim(**claim).holds in (True, False, None)

    table = rows(tmp_path)
    assert len(table) == 2 * 2 * 3  # sources, widths, direct and two matchings
    assert {row["source"] for row in table} == {"gd", "uniform"}
    assert {row["matching"] for row in table} == {"direct", "types_index", "refine"}
    assert all(row["pairs"] == "3" for row in table)
    for row in table:
        assert row["m"] in first.stdout
        if row["source"] == "gd":
            assert float(row["lr"]) * int(row["m"]) == pytest.approx(2)
    cells = state(tmp_path)
    assert len(cells) == 4
    record = store.read(next((tmp_path / "cells").glob("*.npz")))
    assert record.provenance["self_check"]["loss"] < 1e-9
    assert record.provenance["flags"]["steps"] == "400"
    for name in ("git_commit", "git_dirty", "jax", "devices", "prng", "command"):
        assert name in record.provenance

    written = (tmp_path / "summary.csv").read_bytes()
    again = entrypoint(*TINY, f"--out={tmp_path}")
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert state(tmp_path) == cells
    assert (tmp_path / "summary.csv").read_bytes() == written


def test_loaded_columns_are_those_of_the_csv(uniform):
    columns, table = summary.load(uniform), rows(uniform)
    assert list(columns) == list(table[0])
    for name, column in columns.items():
        assert len(column) == len(table)
        for value, row in zip(column, table, strict=True):
            if isinstance(value, np.floating):
                missing = row[name] == ""
                assert np.isnan(value) if missing else float(row[name]) == value
            else:
                assert row[name] == str(value)


def test_more_widths_keep_the_cells_that_are_there(uniform):
    with restored(uniform):
        before = state(uniform)
        status, _, stderr = entrypoint(*UNIFORM, "--m=3,5", f"--out={uniform}")
        assert (status, stderr) == (0, "")
        after = state(uniform)
        assert len(after) == len(before) + 1
        assert {name: after[name] for name in before} == before
        # The summary is of all cells in the folder, the figure of the asked ones.
        assert [row["m"] for row in rows(uniform)] == ["3"] * 2 + ["4"] * 2 + ["5"] * 2


def test_damaged_cells_are_named_and_those_of_the_grid_recomputed(uniform):
    cells = {
        store.read(path).parameters["m"]: path for path in store.cell_files(uniform)
    }
    whole = store.read(cells[3])
    with restored(uniform):
        cells[3].write_bytes(cells[3].read_bytes()[:-100])
        cells[4].write_bytes(b"no cell")  # beside the grid
        status, _, stderr = entrypoint(*UNIFORM, "--m=3", f"--out={uniform}")
        assert status == 0
        assert len(stderr.splitlines()) == 2
        assert all(str(path) in stderr for path in cells.values())
        again = store.read(cells[3])
        assert again.parameters == whole.parameters
        assert same_arrays({"": again.arrays}, {"": whole.arrays})
        assert {row["m"] for row in rows(uniform)} == {"3"}


def test_weights_are_computed_for_cells_stored_without_and_then_kept(uniform):
    records = {path.name: store.read(path) for path in store.cell_files(uniform)}
    with restored(uniform):
        arguments = [*UNIFORM, "--save_weights", f"--out={uniform}"]
        assert entrypoint(*arguments)[::2] == (0, "")
        for path in store.cell_files(uniform):
            record = store.read(path)
            assert same_arrays({"": record.arrays}, {"": records[path.name].arrays})
            W = store.read_weights(path).arrays["W"]
            assert W.shape == (3, 2, record.parameters["m"], 2)
            np.testing.assert_allclose(W.sum(2), 1, rtol=1e-12)  # minima
        stored = state(uniform)
        assert len(stored) == 4
        assert entrypoint(*arguments)[::2] == (0, "")
        assert state(uniform) == stored


# --- verdicts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("means", "shares", "peak", "fall"),
    [
        ([1, 4, 9, 6, 1, 0.5], [0, 0.2, 0.8, 0, 0, 0], True, True),
        ([9, 6, 3, 2, 1, 0.5], [0.97, 0.03, 0, 0, 0, 0], False, True),
        ([1, 2, 3, 9, 2, 1], [0, 0, 0.02, 0.98, 0, 0], False, True),
        ([1, 2, 3, 4, 6, 9], [0, 0, 0, 0, 0, 1], False, False),
        ([1, 4, 5, 4.5, 4.8, 4.9], [0, 0, 0.6, 0.4, 0, 0], None, False),  # few pairs
    ],
)
def test_the_place_of_the_peak_is_judged_by_resamples(means, shares, peak, fall):
    rows = [
        {"k": 4, "m": m, "pairs": 9, "rate": "", "largest": share}
        | named("barrier", (y, 0.9 * y, 1.1 * y))
        for m, y, share in zip((5, 6, 8, 20, 28, 40), means, shares, strict=True)
    ]
    claims = _peaked("Figure 2", "k = 4", rows, 4)
    assert [claim.holds for claim in claims] == [peak, fall]


@pytest.mark.parametrize(
    ("ratios", "below", "alike"),
    [
        ([(0.8, 0.7, 0.9), (0.9, 0.8, 0.95)], True, True),
        ([(0.8, 0.7, 0.9), (0.9, 0.8, 1.1)], None, True),
        ([(0.8, 0.7, 0.9), (1.3, 1.1, 1.6)], False, True),
        ([(2.5, 2.1, 3.0), (0.4, 0.3, 0.49)], True, False),
        ([(0.8, 0.7, 0.9), (0.9, 0.3, 3.0)], None, None),  # few pairs
    ],
)
def test_trained_minima_are_compared_with_uniform_ones_by_ratios(ratios, below, alike):
    rows = [
        {"k": 4, "m": m, "pairs": 9, "source": "gd", "over_uniform": ratio}
        for m, ratio in zip((8, 20), ratios, strict=True)
    ]
    claims = _against_uniform("Figure 2", "k = 4", rows)
    assert [claim.holds for claim in claims] == [below, alike]


@pytest.mark.parametrize(
    ("wide", "holds"),
    [
        ([0.1, 0.9, 0.1], True),  # rises and falls more than the other
        ([0.4, 0.5, 0.4], False),  # less
        ([0.1, 0.9, 0.8], None),  # rises more, falls less
        ([0.2, 0.6, 0.1], True),  # falls more, rises as much
    ],
)
def test_a_peak_is_sharper_by_its_rise_and_its_fall(wide, holds):
    def curve(k, values):
        return [
            {"k": k, "m": ratio * k, "pairs": 9}
            | named("normalized", (y, 0.95 * y, 1.05 * y))
            for ratio, y in zip((2, 3, 8), values, strict=True)
        ]

    judged = _by_teacher("", curve(5, [0.2, 0.6, 0.2]), curve(20, wide))
    assert judged[1].holds is holds


def test_rows_have_the_shares_of_resamples_and_the_ratio_to_uniform_minima():
    def measured(source, m, *barriers):
        cell = Cell(2, m, 2, source, len(barriers), matchings=(), points=3)
        losses = np.zeros((len(barriers), 1, 3))
        losses[:, 0, 1] = barriers
        arrays = {"losses": losses}
        row = {"k": 2, "m": m, "source": source.name, "rate": "", "matching": "direct"}
        row |= {"pairs": len(barriers), "barrier_low": min(barriers)}
        row["cell"] = store.fingerprint(cell.parameters())
        return store.Record(cell.parameters(), arrays, {}), row

    trained, uniform = Descent(lr=0.1), Minima()
    found = [
        measured(uniform, 2, 9.0, 9.0),  # at m = k there is no peak
        measured(uniform, 3, 1.0, 1.0),
        measured(uniform, 4, 3.0, 3.0),
        measured(trained, 4, 6.0, 6.0),
    ]
    records, table = zip(*found, strict=True)
    rows = barrier_vs_width.rows(Measured({"barrier": "lerp"}, (), records, table))
    assert [row.get("largest") for row in rows] == [None, 0, 1, 1]
    assert rows[-1]["over_uniform"].tolist() == [2, 2, 2]


# --- results at the edges -------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--k=1", "--m=1,2,3", "--pairs=2", "--source=uniform"],
        ["--k=2", "--m=2", "--pairs=1", "--source=equal"],
        ["--k=1,2", "--m=2,4", "--pairs=1", "--source=uniform", "--normalize"],
    ],
    ids=["one teacher neuron", "one pair, m = k", "normalized, one pair"],
)
def test_degenerate_settings_end_in_a_figure_without_warnings(tmp_path, arguments):
    status, _, stderr = entrypoint(*arguments, QUICK, f"--out={tmp_path}")
    assert status == 0, status
    assert stderr == ""
    name = "normalized_barrier" if "--normalize" in arguments else "barrier_vs_width"
    assert (tmp_path / f"{name}.png").exists()


def test_point_all_of_whose_runs_diverged_has_no_barrier(tmp_path):
    arguments = ["--k=2", "--m=3", "--pairs=2", "--source=gd", "--lr=1000", QUICK]
    status, stdout, stderr = entrypoint(*arguments, f"--out={tmp_path}")
    assert status == 0, status
    assert stderr == ""
    for kind in ("caption.txt", "claims.json"):
        said = (tmp_path / f"barrier_vs_width.{kind}").read_text()
        assert "All runs diverged: no mean is shown." in said
    for row in rows(tmp_path):
        assert (row["pairs"], row["diverged_fraction"]) == ("0", "1.0")
        assert row["barrier_mean"] == row["overlap_mean"] == ""
    assert re.search(r"\b2\b.*\bgd\b.*\b1000\b.*\b3\b", stdout)


def test_entrypoints_are_listed_with_their_first_lines():
    done = command("__main__")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ +barrier_vs_width +Barrier against", done.stdout, re.M)
