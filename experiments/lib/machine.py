"""Where a sweep runs: shards, several processes; values, not flags.

On a cluster, choose one of two ways. Shards are independent jobs that write to one
folder, the shared OUT: cells are dealt to them by expected cost, each computes its own
and can be started again alone; the last to finish makes the figure. With --finish a
shard that is done goes on with what is missing of the others' cells. In a Slurm array
their numbers are found:

    #!/bin/bash
    #SBATCH --array=0-7 --cpus-per-task=4 --time=04:00:00
    python -m experiments.barrier_vs_width --preset=paper --out=$SCRATCH/widths --finish

For one of its tasks again add --num_shards=8 and submit it with --array=3. Elsewhere
give --num_shards and --shard_index.

Several processes compute each batch together, for cells too large for one host; the
first one writes and makes the figure. JAX finds the others on Slurm, Open MPI and TPU
pods:

    #!/bin/bash
    #SBATCH --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 --time=04:00:00
    srun python -m experiments.barrier_vs_width --preset=paper --out=$SCRATCH/widths

Elsewhere give each --coordinator_address=HOST:PORT, --num_processes and --process_id.
When one dies the others end with a line; start all again with the same command.

JAX's own variables hold as ever: JAX_COMPILATION_CACHE_DIR=FOLDER keeps what was
compiled for the next run, with the same bits (add TF_CPP_MIN_LOG_LEVEL=3: XLA of JAX
0.10.1 doubts every program that it loads), JAX_LOG_COMPILES=1 logs it.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jax
import numpy as np
from absl import flags

from experiments.lib.lists import Refusal
from experiments.lib.settings import Setting, Values
from experiments.lib.shards import Shard
from lmc_jax import environment
from lmc_jax.results import store
from lmc_jax.sweep import devices

MOST_SHARDS = 100_000
ARRAY = "SLURM_ARRAY_TASK_ID"

# Of every study.
SETTINGS = {
    "num_shards": Setting(int, "Jobs that share OUT. Default: the Slurm array's."),
    "shard_index": Setting(int, "Which of them this is, 0 ... num_shards - 1."),
    "finish": Setting(bool, "Then compute what other shards have not finished."),
}
# Of those whose batches several processes compute.
PROCESSES = {
    "distributed": Setting(
        bool, "Be one process of several. Default: where srun says so."
    ),
    "coordinator_address": Setting(str, "HOST:PORT of the first process."),
    "num_processes": Setting(int, "Processes that compute each batch together."),
    "process_id": Setting(int, "Which of them this is; 0 writes and draws."),
}


def given(values: flags.FlagValues) -> Values:
    """What flags say of where a sweep runs: those of these settings that are given.

    Raises:
      Refusal: for what cannot be.
    """
    names = [name for name in (*SETTINGS, *PROCESSES) if name in values]
    place = {name: values[name].value for name in names if values[name].present}
    shard(place)
    if "finish" in place and not ("num_shards" in place or ARRAY in os.environ):
        raise Refusal("--finish: is for shards, give --num_shards and --shard_index")
    if place.get("distributed") is False and len(PROCESSES.keys() & place) > 1:
        raise Refusal("--distributed=false: is for one process, give no others")
    if (address := place.get("coordinator_address")) is not None:
        host, _, port = address.rpartition(":")
        # JAX would crash, or wait for minutes.
        if not (host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 2**16):
            raise Refusal(
                f"--coordinator_address={address}: give HOST:PORT, a port of 1 to 65535"
            )
    return place


def announce() -> None:
    """One line that names the device and the versions numbers belong to."""
    origin = environment.provenance()
    names = ("device", "backend", "devices", "platform", "python", "jax", "git_commit")
    print(", ".join(f"{name} {origin[name]}" for name in names))


# --- independent shards --------------------------------------------------------------


def shard(place: Values, variables: Mapping[str, str] = os.environ) -> Shard:
    """The shard that settings or the variables of a Slurm array ask for.

    An array that is not ``a-b`` or ``a-b:step`` must be numbered by flags. With
    --num_shards alone the index is the array's task id itself, so that one task may be
    submitted again.

    Raises:
      Refusal: where it is none; one line.
    """
    index, number = place.get("shard_index"), place.get("num_shards")
    task = variables.get(ARRAY)
    if index is None and number is None and task:
        first, step, number = (
            _whole(variables, f"SLURM_ARRAY_TASK_{name}", default)
            for name, default in (("MIN", 0), ("STEP", 1), ("COUNT", 1))
        )
        index = (_whole(variables, ARRAY, 0) - first) // max(step, 1)
    elif index is None and task:
        index = _whole(variables, ARRAY, 0)
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


def told(place: Values, variables: Mapping[str, str] = os.environ) -> bool:
    """Whether settings or the launcher say that this process is one of several."""
    if "distributed" in place:
        return place["distributed"]
    return bool(PROCESSES.keys() & place) or launched(variables)


def launched(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher of this process says that it is one of several."""
    sizes = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
    several = any(_whole(variables, name, 1) > 1 for name in sizes)
    return several or "," in variables.get("TPU_WORKER_HOSTNAMES", "")


def alone(place: Values) -> None:
    """Refuses to be one of several processes, where each must be one by itself."""
    if shard(place).of == 1 and launched():
        raise Refusal(
            "the launcher started several processes, and networks are trained by one "
            "each: give --num_shards and each its --shard_index, or start one"
        )


def join(place: Values) -> None:
    """Joins the other processes, where flags or the launcher say that there are some.

    Raises:
      Refusal: for flags that cannot be met.
      Lost: when the others do not come.
    """
    if told(place) and not jax.distributed.is_initialized():
        names = ("coordinator_address", "num_processes", "process_id")
        try:
            devices.join(*map(place.get, names))
        except ValueError as error:
            raise Refusal(str(error)) from error


def agreed(cells: Sequence[Any], missing: np.ndarray) -> np.ndarray:
    """Which cells are missing by the first process's reading, bool ``[cells]``.

    Raises:
      Refusal: when the processes were asked for different cells.
    """
    grid = store.fingerprint({"cells": [cell.parameters() for cell in cells]})
    if not devices.same_everywhere(int(grid[:8], 16)):
        raise Refusal("the processes have different settings: give all the same flags")
    return devices.from_first_process(missing)


def leave(status: int) -> NoReturn:
    """Ends this process; does not wait for others that may wait for it."""
    if devices.several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
