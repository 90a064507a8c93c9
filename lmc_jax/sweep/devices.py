"""The devices of all processes as one: batches split over them, results whole again.

Every process runs the same program on the same data, and its own devices compute their
share of each batch. All must take the same decisions, so these rest on whole results
(``gathered``) or on what the first process saw (``from_first_process``).
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AGAIN = "finished cells are kept: start all processes again, with the same command"
RUNS = PartitionSpec("runs")
_KEPT: list[Any] = []


class FailedElsewhere(RuntimeError):
    """Another process could not do its share of a batch, and has said so."""


class Lost(RuntimeError):
    """Another process of this computation is gone, or never came."""


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory did not suffice, of the host or of a device."""
    if isinstance(error, jax.errors.JaxRuntimeError):  # the latter from CPU devices
        said = str(error)
        return "RESOURCE_EXHAUSTED" in said or "Out of memory" in said
    return isinstance(error, MemoryError)


def join(
    address: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Makes this process one of several; call before anything runs on a device.

    Arguments left out are found by JAX: on Slurm, TPU pods and Open MPI.

    Raises:
      ValueError: when they cannot be found; one line.
      Lost: when the others do not come within five minutes.
    """
    try:
        jax.distributed.initialize(address, processes, process)
    except (ValueError, TypeError, IndexError) as error:  # of HOST:PORT without port
        raise ValueError(
            f"cannot join other processes ({_first_line(error)}): on Slurm, TPU pods "
            "and Open MPI they are found, elsewhere give --coordinator_address as "
            "HOST:PORT, --num_processes and --process_id"
        ) from error
    except RuntimeError as error:
        raise Lost(f"the processes did not meet: {_first_line(error)}") from error
    _explain_aborts()


def leave() -> None:
    """Waits for the other processes and parts from them."""
    if several():
        multihost_utils.sync_global_devices("leave")
        jax.distributed.shutdown()


def _explain_aborts() -> None:
    """JAX aborts where it loses the first process: says so in a line, with status 1.

    A handler of C: those of Python run in the main thread, which may be compiling.
    """

    def explain(_):
        os.write(2, f"error: another process was lost; {AGAIN}\n".encode())
        os._exit(1)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(explain)
    _KEPT.append(handler)  # C does not keep it alive
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Turns what JAX raises when a process died into ``Lost``."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        # What Gloo reports while a program is dispatched is a ValueError.
        of_jax = isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error)
        if not (several() and of_jax):
            raise
        raise Lost(
            f"another process was lost ({_first_line(error)}); {AGAIN}"
        ) from error


def several() -> bool:
    """Whether there are other processes to compute with."""
    return joined() and jax.process_count() > 1


def joined() -> bool:
    """Whether this is a process of ``jax.distributed``; waits for nothing."""
    return jax.distributed.is_initialized()


def is_first_process() -> bool:
    """Whether this process is the one that writes, prints and draws."""
    return jax.process_index() == 0


def mesh() -> Mesh:
    """All devices of all processes on one axis, "runs"."""
    return jax.make_mesh((jax.device_count(),), ("runs",), (AxisType.Auto,))


def by_runs() -> NamedSharding:
    """How the programs lay out what they return: the leading axis over the devices."""
    return NamedSharding(mesh(), RUNS)


def scattered(tree: Any) -> Any:
    """NumPy arrays that every process has, as arguments of a program on the mesh."""
    if jax.process_count() == 1:
        return tree
    layout = by_runs()

    def local(array):
        return jax.make_array_from_callback(array.shape, layout, lambda at: array[at])

    return jax.tree.map(local, tree)


def gathered(tree: Any) -> Any:
    """A tree of sharded arrays as whole NumPy arrays, in every process.

    Raises:
      FailedElsewhere: where another process says, in place of this call, that it is
        not well.
    """
    if jax.process_count() == 1:
        return jax.device_get(tree)
    jax.block_until_ready(tree)  # a lack of memory shows here, not in a collective
    if not all_well(True):
        raise FailedElsewhere("another process could not do its share")
    return multihost_utils.process_allgather(tree, tiled=True)


def all_well(well: bool) -> bool:
    """Whether every process is well, the word of each in one collective."""
    if jax.process_count() == 1:
        return well
    return bool(multihost_utils.process_allgather(np.uint32(well)).all())


def from_first_process(values: np.ndarray) -> np.ndarray:
    """The first process's values, in every process."""
    if jax.process_count() == 1:
        return values
    return np.asarray(multihost_utils.broadcast_one_to_all(values))


def same_everywhere(number: int) -> bool:
    """Whether every process has this number, a uint32."""
    if jax.process_count() == 1:
        return True
    everywhere = multihost_utils.process_allgather(np.uint32(number))
    return bool((everywhere == everywhere.ravel()[0]).all())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
