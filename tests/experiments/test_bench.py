"""Benchmarks run, name the device and print a row a variant; speed is not tested."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

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
        ("estimate", ["SGD, float64", "MLPs on MNIST", "expected s", "took s"]),
        ("shards", ["every n-th", "dealt, --finish", "k = 5 and 20"]),
        ("networks", ["lmc_jax", "by vmap", "XLA's convolution", "weight matching"]),
    ],
)
def test_variants_are_timed_side_by_side(name, variants):
    shown = table(name)
    for variant in variants:
        assert variant in shown


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
