import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmc_jax.sweep import devices

GLOO = "UNKNOWN: Gloo AllGather failed: Connection reset by peer"


@pytest.mark.parametrize("kind", [ValueError, jax.errors.JaxRuntimeError])
def test_failed_collectives_are_told_as_a_lost_process(monkeypatch, kind):
    monkeypatch.setattr(devices, "several", lambda: True)
    with pytest.raises(devices.Lost, match="another process"), devices.together():
        raise kind(GLOO)


def test_other_errors_pass_unchanged(monkeypatch):
    alone = pytest.raises(jax.errors.JaxRuntimeError, match="Gloo")
    with alone, devices.together():
        raise jax.errors.JaxRuntimeError(GLOO)
    monkeypatch.setattr(devices, "several", lambda: True)
    with pytest.raises(ValueError, match="give one"), devices.together():
        raise ValueError("give one")


def test_a_lack_of_memory_is_known_as_devices_and_the_host_report_it():
    with pytest.raises(jax.errors.JaxRuntimeError) as of_device:
        jax.jit(lambda x: jnp.full(10**14, x))(1.0).block_until_ready()
    with pytest.raises(MemoryError) as of_host:
        np.ones(10**14)
    assert devices.out_of_memory(of_device.value)
    assert devices.out_of_memory(of_host.value)
    gpu = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."
    assert devices.out_of_memory(jax.errors.JaxRuntimeError(gpu))
    assert not devices.out_of_memory(jax.errors.JaxRuntimeError(GLOO))
