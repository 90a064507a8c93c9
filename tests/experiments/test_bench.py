"""Benchmarks run at small sizes and print one row per variant; speed is not tested."""

import functools
import importlib
import json
import time

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from helpers import promotion, tools_anew

from experiments import barrier_vs_width
from experiments.bench import peers
from lmc_jax.students import two_layer

TORCH = ["PyTorch batched"] if peers.TORCH else []
UNIFORM = {"k": "2", "m": "2,3", "pairs": 2, "source": "uniform"}
# By benchmark: what is made small, and what its table names.
BENCHES = {
    "descent": (
        {"ELEMENT_STEPS": 1},
        ["lmc_jax", "no zero rows", "JAX autodiff, vmapped", *TORCH],
    ),
    "choices": (
        {"BATCHES": [2**16], "LEVELS": (0, 1), "WIDTHS": (5,)},
        ["batch 2^16", "8 rows", "level 1", "3 columns", "sum"],
    ),
    "sizes": ({"WIDTHS": (5,), "PAIRS": (2,)}, ["as taken", "powers of two"]),
    "matching": ({}, ["types_sorted", "weights, 1 threads", "optax", "SciPy's"]),
    "estimate": (
        {"SWEEPS": {"uniform minima": (barrier_vs_width.STUDY, UNIFORM)}},
        ["uniform minima", "expected s", "took s"],
    ),
    "shards": (
        {"RUNS": 20_000, "SEEDS": 1},
        ["dealt", "dealt, --finish", "k = 5 and 20"],
    ),
    "networks": (
        {"IMAGES": 100, "FEW_IMAGES": 100, "BATCH": 10, "STEPS": 2, "WIDTHS": (8,)},
        ["lmc_jax", "by vmap", "XLA's convolution", "weight matching"],
    ),
}
LARGE = {
    **{"BLOCKS": (1, 1, 1, 1), "CHANNELS": 4, "PIXELS": 32},
    "GPT": {"layers": 2, "heads": 2, "units": 8, "tokens": 50, "places": 16},
}
ACCELERATOR = {
    **{"SIZE": 64, "SHAPES": ((2, 3, 3),), "ELEMENTS": (2**9, 2**10), "STEPS": 2},
    **{"PEERS": 30, "PAIRS": 2, "UPDATES": 20, "WIDTH": 20, "MANY": 20},
    **{"TOGETHER": (1,), "TRAINED": 2},
}


@pytest.fixture
def small(monkeypatch):
    """A benchmark by name, with some of its constants changed."""

    def imported(name, constants):
        module = importlib.import_module(f"experiments.bench.{name}")
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
        return module

    with flagsaver.flagsaver(), tools_anew(), promotion("standard"):
        flags.FLAGS.mark_as_parsed()
        imported("timing", {"SHAPES": ((2, 3, 3, 4),)})
        imported("descent", BENCHES["descent"][0])
        yield imported


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHES)
def test_variants_are_timed_side_by_side(name, small, capsys):
    constants, variants = BENCHES[name]
    small("timing", {"peak": lambda dtype: 1e9})
    small(name, constants).main()
    shown = capsys.readouterr().out
    for variant in variants:
        assert variant in shown


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "gpt2"])
def test_copies_of_large_networks_are_recovered(name, small, capsys):
    large = small("large", LARGE)
    flags.FLAGS["network"].value = name
    large.main()
    columns, row = capsys.readouterr().out.splitlines()
    assert "independent [s]" in columns
    assert columns.split()[-3] == "recovered"
    assert row.split()[0] == name
    assert row.split()[-2] == "True"


@pytest.mark.slow
@pytest.mark.parametrize("peer", [peers.autodiff, peers.closed_form])
def test_peers_take_the_gradient_of_our_loss(peer):
    k, W = 3, np.random.default_rng(0).normal(size=(5, 4))
    ours = jax.grad(functools.partial(two_layer.loss, k=k))(W)
    np.testing.assert_allclose(jax.jit(peer(k))(W), ours, atol=1e-12)


@pytest.mark.slow
def test_the_record_of_an_accelerator_has_every_part(small, tmp_path, capsys):
    accelerator = small("accelerator", ACCELERATOR)
    small("networks", BENCHES["networks"][0])
    accelerator.keep_record(tmp_path, time.monotonic() + 600)
    shown = capsys.readouterr().out
    record = json.loads((tmp_path / "accelerator.json").read_text())
    assert record.get("what failed", []) == []
    text = (tmp_path / "accelerator.md").read_text()
    for part in accelerator.PARTS:
        assert record[part]
        assert part in shown
        assert f"### {part}" in text
    # On the same CPU: the small cells have the same bits.
    assert all(row["difference"] < 1e-9 for row in record["correctness"])


def test_a_record_without_time_says_so(small, tmp_path):
    small("accelerator", {}).keep_record(tmp_path, time.monotonic())
    record = json.loads((tmp_path / "accelerator.json").read_text())
    assert {row["error"] for row in record["what failed"]} == {"no time was left"}
