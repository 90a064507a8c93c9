"""Benchmarks run, name the device and print a row a variant; speed is not tested."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from absl.testing import flagsaver
from helpers import command, tools_anew

from experiments.bench import peers, sweep_memory
from lmc_jax.results import files
from lmc_jax.students import two_layer

ROOT = Path(__file__).resolve().parents[2]


def table(name, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.bench.{name}", "--tiny", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("device cpu")
    return done.stdout


TORCH = ["PyTorch batched"] if importlib.util.find_spec("torch") else []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variants"),
    [
        ("descent", ["lmc_jax", "no zero rows", "JAX autodiff, vmapped", *TORCH]),
        ("profile", ["k=2, m=3 padded to 8, d=3", "fusion"]),
        ("choices", ["batch 2^16", "8 rows", "level 1"]),
        ("matching", ["types_sorted", "weights, 1 threads", "optax", "SciPy's"]),
        ("interpolation", ["lmc_jax", "JAX arccos"]),
        ("sweep", ["gd", "sgd", "uniform", "weights", "types_index", "programs"]),
        ("estimate", ["uniform minima", "SGD, float64", "expected s", "took s"]),
        ("shards", ["dealt", "dealt, --finish", "k = 5 and 20"]),
        ("networks", ["lmc_jax", "by vmap", "XLA's convolution", "weight matching"]),
    ],
)
def test_variants_are_timed_side_by_side(name, variants):
    shown = table(name)
    for variant in variants:
        assert variant in shown


MODULES = sorted(path.stem for path in ROOT.glob("experiments/bench/[!_]*.py"))
# Imported by others: the clock, and the implementations that are compared with.
SHARED = {"timing", "peers"}


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_says_what_it_measures(name):
    shown = command(f"bench.{name}", "--help")
    path = ROOT / "experiments" / "bench" / f"{name}.py"
    first = ast.get_docstring(ast.parse(path.read_text("utf-8"))).splitlines()[0]
    assert (shown.returncode, shown.stderr) == (0, "")
    assert (first in shown.stdout) != (name in SHARED)


@pytest.mark.slow
def test_memory_of_a_sweep_is_measured_for_few_cells_and_for_many(monkeypatch, capsys):
    monkeypatch.setattr(sweep_memory, "CELLS", (4, 6))
    sweep_memory.main()
    _, few, many = capsys.readouterr().out.splitlines()
    assert [int(row.split()[0]) for row in (few, many)] == [4, 6]


@pytest.mark.parametrize("peer", [peers.autodiff, peers.closed_form])
def test_peers_take_the_gradient_of_our_loss(peer):
    k, W = 3, np.random.default_rng(0).normal(size=(5, 4))
    ours = jax.grad(functools.partial(two_layer.loss, k=k))(W)
    np.testing.assert_allclose(jax.jit(peer(k))(W), ours, atol=1e-12)


@pytest.mark.slow
def test_the_record_of_an_accelerator_has_every_part(tmp_path):
    shown = table("accelerator", f"--out={tmp_path}")
    record = json.loads((tmp_path / "accelerator.json").read_text())
    assert "what failed" not in record
    text = (tmp_path / "accelerator.md").read_text()
    for part, rows in record.items():
        if part != "provenance":
            assert rows, part
            assert part in shown
            assert f"### {part}" in text
    # On the same CPU: the small cells have the same bits.
    assert all(row["difference"] < 1e-9 for row in record["correctness"])


@pytest.mark.slow
def test_a_record_without_time_says_so(tmp_path):
    table("accelerator", f"--out={tmp_path}", "--minutes=0")
    record = json.loads((tmp_path / "accelerator.json").read_text())
    assert {row["error"] for row in record["what failed"]} == {"no time was left"}


@pytest.mark.slow
def test_no_call_that_fails_loses_or_tears_a_cell(tmp_path, capsys):
    ran = command("bench.writes", f"--out={tmp_path}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with capsys.disabled():
        print("", *ran.stdout.splitlines()[1:], sep="\n")
    rows = [line for line in ran.stdout.splitlines() if line.startswith(("st", "ne"))]
    assert len(rows) == 6
    for row in rows:
        calls, said, lost, torn, differ, left = map(int, row.split()[-6:])
        assert calls > 40
        assert (lost, torn, differ) == (0, 0, 0)
        assert (said > 0, left > 0) == ("kill" not in row, "kill" in row)


@pytest.mark.slow
def test_cells_that_are_written_in_place_would_be_torn(tmp_path, monkeypatch):
    """Or the test above would prove nothing."""

    @contextlib.contextmanager
    def in_place(path):
        try:
            yield Path(path)
        except OSError as error:
            raise files.StoreError(str(error)) from error

    monkeypatch.setattr(files, "replacing", in_place)
    with flagsaver.flagsaver(), tools_anew():
        writes = importlib.import_module("experiments.bench.writes")
        monkeypatch.setattr(writes, "FAULTS", ("kill",))
        rows = list(writes.injected(writes.of_students, tmp_path))
    assert all(row["torn files"] for row in rows)
