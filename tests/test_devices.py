import jax
import pytest

from lmc_jax import devices

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
