"""Precision, random numbers, provenance, and the check of the JAX build."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax import Cell, Minima, environment, simulate
from lmc_jax.students import two_layer

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def checked_anew():
    environment.self_check.cache_clear()
    yield
    environment.self_check.cache_clear()


def test_sound_build_passes_with_errors_of_rounding_only():
    errors = environment.self_check()
    assert all(0 <= error < 1e-12 for error in errors.values())


def test_reference_of_the_check_is_right():
    rng = np.random.default_rng(1)
    for k, d in ((1, 1), (2, 5), (5, 5)):
        W = rng.normal(size=(4, d))
        loss, gradient = environment._numpy_loss_and_gradient(W, k)
        assert loss == pytest.approx(oracles.loss(W, k), rel=1e-12)
        np.testing.assert_allclose(gradient, oracles.gradient(W, k), atol=1e-13)


def scaled(function, factor):
    return lambda W, k: function(W, k) * factor


@pytest.mark.parametrize("name", ["loss", "gradient"])
@pytest.mark.parametrize("factor", [1 + 1e-6, np.nan], ids=["a millionth", "NaN"])
def test_wrong_value_of_the_cell_is_named(monkeypatch, name, factor):
    monkeypatch.setattr(two_layer, name, scaled(getattr(two_layer, name), factor))
    with pytest.raises(environment.UnsoundJax) as caught:
        environment.self_check()
    line = str(caught.value)
    other = {"loss": "gradient", "gradient": "loss"}[name]
    assert f"computes the {name} of a known cell wrong" in line
    assert other not in line
    assert jax.__version__ in line
    assert "install another version in jax>=" in line
    assert len(line.splitlines()) == 1


def test_what_an_unsound_build_would_compute_in_memory_is_refused(monkeypatch):
    cell = Cell(k=2, m=3, d=2, source=Minima(), pairs=2, matchings=())
    simulate([cell])
    exact = two_layer.gradient
    monkeypatch.setattr(two_layer, "gradient", scaled(exact, 2))
    simulate([cell])  # checked once a process
    environment.self_check.cache_clear()
    with pytest.raises(environment.UnsoundJax, match="gradient"):
        simulate([cell])


def test_wrong_batched_reduction_is_named(monkeypatch):
    """As of a build that drops the last term of a sum under vmap."""
    assert environment._reduction_error(np.random.default_rng(0)) < 1e-12
    dropped = types.SimpleNamespace(
        square=jnp.square, sum=lambda terms: jnp.sum(terms[..., :-1], axis=-1)
    )
    monkeypatch.setattr(environment, "jnp", dropped)
    with pytest.raises(environment.UnsoundJax, match="the reduction of a known cell"):
        environment.self_check()


def test_provenance_is_flat_json_that_names_versions_devices_and_commit():
    provenance = environment.provenance()
    assert json.loads(json.dumps(provenance, allow_nan=False)) == provenance
    assert all(type(value) in (str, int, bool) for value in provenance.values())
    assert provenance["jax"] == jax.__version__
    assert provenance["numpy"] == np.__version__
    assert provenance["devices"] == jax.local_device_count()
    assert provenance["backend"] == jax.default_backend()
    assert provenance["prng"] == "threefry2x32"
    assert provenance["command"] == environment.command()
    assert provenance["command"].startswith("python ")
    if (ROOT / ".git").exists():
        assert len(provenance["git_commit"]) in (0, 40, 64)
    else:
        assert provenance["git_commit"] == ""


def test_source_tree_without_git_has_no_commit(tmp_path, monkeypatch):
    assert environment._git(tmp_path, "rev-parse", "HEAD") == ""
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))  # no git to be found
    assert environment._git(tmp_path, "rev-parse", "HEAD") == ""


def test_root_keys_are_of_the_pinned_generator_for_every_uint32():
    for seed in (0, 1, 2**31, 2**32 - 1):
        key = environment.root_key(seed)
        assert str(jax.random.key_impl(key)) == "threefry2x32"
        assert jax.random.key_data(key).tolist() == [0, seed]


def configured(devices, **variables):
    program = f"""
from lmc_jax import environment
environment.configure({devices})
environment.configure({devices})
import jax, jax.numpy as jnp
print(jax.local_device_count(), jnp.zeros(()).dtype, jax.random.key_impl(
    jax.random.key(0)), jax.config.jax_threefry_partitionable)
environment.configure({devices})
"""
    inherited = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=inherited | {"JAX_PLATFORMS": "cpu"} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_configure_sets_devices_precision_and_generator_and_may_be_repeated():
    assert configured("cpu_devices=3") == ["3", "float64", "threefry2x32", "True"]


def test_every_core_is_a_device_without_a_number():
    """As the tests themselves are configured."""
    if "device_count" not in os.environ.get("XLA_FLAGS", ""):
        assert len(jax.devices("cpu")) == len(os.sched_getaffinity(0))


def test_number_of_devices_in_the_variables_of_the_process_wins():
    flag = "--xla_force_host_platform_device_count=4"
    assert configured("cpu_devices=2", XLA_FLAGS=flag)[0] == "4"
