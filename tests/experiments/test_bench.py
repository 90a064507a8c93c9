"""Benchmarks run, name the device and print a row a variant; speed is not tested."""

import importlib.util
import sys

import pytest
from helpers import command, run


def table(name, *flags):
    ran = run(*flags, entrypoint=(sys.executable, "-m", f"experiments.bench.{name}"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("device cpu")
    return ran.stdout


@pytest.mark.slow
def test_descent_is_timed_beside_its_peers():
    shown = table(
        "descent", "--shapes=2:3:3:4", "--repetitions=3", "--elements=100",
        "--dtype=float32",
    )  # fmt: skip
    for name in ("lmc_jax", "no zero rows", "JAX autodiff", "JAX closed form"):
        assert name in shown
    assert ("PyTorch batched" in shown) == bool(importlib.util.find_spec("torch"))
    for column in ("ns/element", "student-steps/s", "of peak", "compile s", "run s"):
        assert column in shown


@pytest.mark.slow
def test_time_of_a_step_is_split_by_operation():
    shown = table("profile", "--shapes=2:3:3:4")
    assert "k=2, m=3 padded to 8, d=3, 4 students" in shown
    assert "fusion" in shown


@pytest.mark.slow
def test_choices_are_measured_again():
    shown = table("choices", "--shapes=2:3:3:4", "--repetitions=3")
    for choice in ("batch", "rows", "level", "2^16"):
        assert choice in shown


@pytest.mark.parametrize(
    "name", ["matching", pytest.param("interpolation", marks=pytest.mark.slow)]
)
def test_pairs_are_timed(name):
    shown = table(name, "--shapes=2:3:3:4", "--repetitions=3")
    assert "run s" in shown
    assert "2,3,3,4" in shown


@pytest.mark.slow
def test_sweep_is_timed_and_its_programs_counted():
    shown = table("sweep", "--m=3", "--k=2", "--pairs=2")
    for name in ("gd", "sgd", "uniform", "weights", "types_index", "programs"):
        assert name in shown


@pytest.mark.slow
def test_networks_are_timed_beside_what_could_be_done_instead():
    shown = table("networks", "--networks=2", "--steps=2", "--width=4")
    for name in ("lmc_jax", "by vmap", "XLA's convolution", "weight matching"):
        assert name in shown
    assert ("PyTorch, threads: 1" in shown) == bool(importlib.util.find_spec("torch"))


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("descent", "--shapes=5:10"),
        ("matching", "--shapes=5:4:5:8"),
        ("interpolation", "--repetitions=1"),
        ("sweep", "--m=1"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(name, flag):
    ran = command(f"bench.{name}", flag)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert len(ran.stderr.splitlines()) == 1
