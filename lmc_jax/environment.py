"""The process: precision, random numbers, devices, provenance, self-check."""

import functools
import os
import platform
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax.students import two_layer

PRNG = "threefry2x32"


class UnsoundJax(RuntimeError):
    """This JAX build computes a known small cell wrong."""


def configure(cpu_devices: int | None = None) -> None:
    """Settings every number here relies on; call before anything runs on a device.

    float64 is enabled (losses and barriers need it), the PRNG is pinned to
    partitionable threefry, and the host's cores become as many CPU devices, so that
    sharding over local devices keeps all of them busy.

    >>> configure()

    Args:
      cpu_devices: number of host devices; default one per core that this process may
        use. A number in XLA_FLAGS takes precedence.

    Raises:
      RuntimeError: by JAX, when it has already started with another number.
    """
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_prng_impl", PRNG)
    jax.config.update("jax_threefry_partitionable", True)
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = cpu_devices or len(os.sched_getaffinity(0))
        jax.config.update("jax_num_cpu_devices", cores)


def root_key(seed: int) -> jax.Array:
    """PRNG key of a root seed in 0 ... 2³² - 1, with the pinned implementation."""
    return jax.random.key(seed, impl=PRNG)


@functools.cache
def self_check() -> dict[str, Any]:
    """Compares a small cell, and a batched reduction, with NumPy in float64.

    Computed once a process.

    Returns:
      The largest relative errors, for the provenance of results.

    Raises:
      UnsoundJax: when an error is beyond rounding; says which and what to install.
    """
    rng = np.random.default_rng(0)
    W = rng.normal(size=(64, 6, 5))
    slope = np.asarray(jax.jit(functools.partial(two_layer.gradient, k=3))(W))
    value = np.asarray(jax.jit(functools.partial(two_layer.loss, k=3))(W))
    reference = [_numpy_loss_and_gradient(w, 3) for w in W]
    errors = {
        "loss": _relative_error(value, np.array([loss for loss, _ in reference])),
        "gradient": _relative_error(slope, np.array([grad for _, grad in reference])),
        "reduction": _reduction_error(rng),
    }
    # Written so that NaN fails as well.
    wrong = [name for name, error in errors.items() if not error < 1e-9]
    if wrong:
        raise UnsoundJax(
            f"JAX {jax.__version__} on {jax.default_backend()} computes the "
            f"{' and '.join(wrong)} of a known cell wrong (relative error "
            f"{max(errors[name] for name in wrong):.1e}); install another version in "
            "jax>=0.10.1,!=0.10.2,!=0.11.0,!=0.11.1"
        )
    return errors


def _reduction_error(rng: np.random.Generator) -> float:
    """Error of the batched reduction that JAX 0.10.2 miscompiles on CPU (jax#39103)."""
    matrix, rows = rng.normal(size=(2, 3)), rng.normal(size=(40_001, 3))
    sums = jax.jit(jax.vmap(lambda row: jnp.sum(jnp.square(matrix @ row))))(rows)
    return _relative_error(np.asarray(sums), np.sum((rows @ matrix.T) ** 2, axis=1))


def _relative_error(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(values - expected)) / np.max(np.abs(expected)))


def _numpy_loss_and_gradient(W: np.ndarray, k: int) -> tuple[float, np.ndarray]:
    """Loss and gradient of one student by explicit angles, for the self-check."""
    signed = np.concatenate([W, -np.eye(W.shape[1])[:k]])  # f - f* as one student
    norms = np.linalg.norm(signed, axis=1)
    signs = np.repeat([1.0, -1.0], [len(W), k])
    units = signed * (signs / norms)[:, None]
    cosine = np.clip(units @ units.T, -1, 1)
    theta = np.arccos(cosine)
    kernel = np.sin(theta) + (np.pi - theta) * cosine
    charge = signs * norms
    slope = units * (np.sin(theta) @ charge)[:, None] + (np.pi - theta) @ signed
    return charge @ kernel @ charge / (4 * np.pi), slope[: len(W)] / (2 * np.pi)


def peak_memory() -> int:
    """Bytes, the most that a device has held so far; of this process on CPU."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [found.get("peak_bytes_in_use", 0) for found in stats]
    return max(peaks) or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def provenance() -> dict[str, Any]:
    """Where and with what a result was computed: JSON-ready, one level deep."""
    root = Path(__file__).resolve().parent.parent
    device = jax.devices()[0]
    return {
        "git_commit": _git(root, "rev-parse", "--verify", "-q", "HEAD"),
        "git_dirty": bool(_git(root, "status", "--porcelain", "-uno")),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "backend": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        "prng": PRNG,
        "command": command(),
    }


def command() -> str:
    """The command of this process, as one would type it at the root of the project."""
    main = sys.modules["__main__"].__spec__  # None for a file or a notebook
    program = ["-m", main.name] if main else [Path(sys.argv[0]).name]
    return shlex.join(["python", *program, *sys.argv[1:]])


def _git(root: Path, *arguments: str) -> str:
    """Output of git in the source tree; empty where there is no git or no checkout."""
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip()
