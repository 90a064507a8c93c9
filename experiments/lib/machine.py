"""Flags of where a sweep runs: shards, several processes, JAX's own tools."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import jax
import numpy as np
from absl import flags

from experiments.lib.lists import Refusal
from lmc_jax import environment
from lmc_jax.results import store
from lmc_jax.sweep import devices
from lmc_jax.sweep.cell import Cell

FLAGS = flags.FLAGS
MOST_SHARDS = 100_000


def define() -> None:
    """Flags of every entrypoint that computes cells."""
    define = flags.DEFINE_integer
    define("num_shards", None, "Jobs that share OUT. Default: the Slurm array's.")
    define("shard_index", None, "Which of them this is, 0 ... num_shards - 1.")
    flags.DEFINE_string("compilation_cache", None, "Folder of JAX's compilation cache.")
    flags.DEFINE_string("profile_dir", None, "Folder for a trace by JAX's profiler.")
    flags.DEFINE_bool("log_compiles", False, "Let JAX log what it compiles.")


def define_processes() -> None:
    """Flags of those whose batches several processes, or smaller ones, compute."""
    define = flags.DEFINE_integer
    flags.DEFINE_bool(
        "distributed", None, "Be one process of several. Default: where srun says so."
    )
    flags.DEFINE_string("coordinator_address", None, "HOST:PORT of the first process.")
    define("num_processes", None, "Processes that compute each batch together.")
    define("process_id", None, "Which of them this is; 0 writes and draws.")
    define("halvings", 0, "How often to halve the batches, for small memories.")


def announce() -> None:
    """One line that names the device and the versions numbers belong to."""
    origin = environment.provenance()
    names = ("device", "backend", "devices", "platform", "python", "jax", "git_commit")
    print(", ".join(f"{name} {origin[name]}" for name in names))


# --- independent shards --------------------------------------------------------------


class Shard(NamedTuple):
    """The cells of a grid that a job computes: every ``of``-th, from ``number``."""

    number: int
    of: int


def shard(variables: Mapping[str, str] = os.environ) -> Shard:
    """The shard that flags or the variables of a Slurm array ask for.

    An array that is not ``a-b`` or ``a-b:step`` must be numbered by flags. With
    --num_shards alone the index is the array's task id itself, so that one task may be
    submitted again.

    Raises:
      Refusal: where it is none; one line.
    """
    index, number = FLAGS.shard_index, FLAGS.num_shards
    task = variables.get("SLURM_ARRAY_TASK_ID")
    if index is None and number is None and task:
        first, step, number = (
            _whole(variables, f"SLURM_ARRAY_TASK_{name}", default)
            for name, default in (("MIN", 0), ("STEP", 1), ("COUNT", 1))
        )
        index = (_whole(variables, "SLURM_ARRAY_TASK_ID", 0) - first) // max(step, 1)
    elif index is None and task:
        index = _whole(variables, "SLURM_ARRAY_TASK_ID", 0)
    if index is None and number in (None, 1):
        return Shard(0, 1)
    if index is None or number is None:
        raise Refusal("--shard_index and --num_shards go together: give both")
    if number > MOST_SHARDS:
        raise Refusal(f"--num_shards={number}: give at most {MOST_SHARDS}")
    if not 0 <= index < number:
        raise Refusal(
            f"shard {index} of {number}: give --num_shards and a --shard_index in "
            f"0 ... {number - 1}"
        )
    return Shard(index, number)


def _whole(variables: Mapping[str, str], name: str, default: int) -> int:
    """A launcher's variable as an integer, the default where it is unset or empty."""
    text = variables.get(name) or str(default)
    try:
        return int(text)
    except ValueError as error:
        raise Refusal(f"{name}={text}: a launcher gives an integer") from error


# --- several processes ---------------------------------------------------------------


def told(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether flags or the launcher of this process say that it is one of several."""
    if FLAGS.distributed is not None:
        return FLAGS.distributed
    if FLAGS.coordinator_address or FLAGS.num_processes or FLAGS.process_id is not None:
        return True
    return launched(variables)


def launched(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher of this process says that it is one of several."""
    sizes = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
    several = any(_whole(variables, name, 1) > 1 for name in sizes)
    return several or "," in variables.get("TPU_WORKER_HOSTNAMES", "")


def prepare() -> None:
    """Configures JAX; call before anything runs on a device.

    Raises:
      Refusal: for folders that cannot be used.
    """
    for name in ("compilation_cache", "profile_dir"):
        if (folder := FLAGS[name].value) is not None:
            _folder(name, str(folder))
    environment.configure()
    if FLAGS.log_compiles:
        jax.config.update("jax_log_compiles", True)
    if FLAGS.compilation_cache:
        jax.config.update("jax_compilation_cache_dir", FLAGS.compilation_cache)


def join() -> None:
    """Joins the other processes, where flags or the launcher say that there are some.

    Raises:
      Refusal: for flags that cannot be met.
      Lost: when the others do not come.
    """
    if not 0 <= FLAGS.halvings <= 30:  # no batch has more than 2^30
        raise Refusal(f"--halvings={FLAGS.halvings}: give 0 to 30")
    if told() and not jax.distributed.is_initialized():
        try:
            devices.join(
                FLAGS.coordinator_address, FLAGS.num_processes, FLAGS.process_id
            )
        except ValueError as error:
            raise Refusal(str(error)) from error


def _folder(name: str, path: str) -> None:
    if not path:
        raise Refusal(f"--{name}=: give a folder")
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"--{name}={path}: {error.strerror}; give a folder") from error


def agreed(cells: Sequence[Cell], missing: np.ndarray) -> np.ndarray:
    """Which cells are missing by the first process's reading, bool ``[cells]``.

    Raises:
      Refusal: when the processes were asked for different cells.
    """
    grid = store.fingerprint({"cells": [cell.parameters() for cell in cells]})
    if not devices.same_everywhere(int(grid[:8], 16)):
        raise Refusal("the processes have different settings: give all the same flags")
    return devices.of_first(missing)


@contextlib.contextmanager
def profiled() -> Iterator[None]:
    """A trace for JAX's profiler where --profile_dir asks for one."""
    if FLAGS.profile_dir is None:
        yield
    else:
        jax.profiler.start_trace(FLAGS.profile_dir)
        try:
            yield
        finally:
            try:
                jax.profiler.stop_trace()
            except jax.errors.JaxRuntimeError as error:
                said = str(error).splitlines()[0]
                print(f"warning: no trace was written: {said}", file=sys.stderr)


def leave(status: int) -> NoReturn:
    """Ends this process; does not wait for others that may wait for it."""
    if devices.several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
