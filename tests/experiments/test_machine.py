"""Shards and several processes, as flags and launchers tell of them."""

import json

import pytest
from absl import flags

from experiments.lib import machine, settings
from experiments.lib.lists import Refusal


def described(*arguments):
    """Settings such as ``num_shards=4``."""
    pairs = (argument.split("=") for argument in arguments)
    return {name: json.loads(value) for name, value in pairs}


def given(*texts):
    """What flags say."""
    found = flags.FlagValues()
    settings.define(machine.SETTINGS | machine.PROCESSES, found)
    found(["", *texts])
    return machine.given(found)


# --- shards ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ((), {}, (0, 1)),
        (("num_shards=1",), {}, (0, 1)),
        (("shard_index=2", "num_shards=4"), {}, (2, 4)),
        ((), {"ID": 3, "MIN": 0, "STEP": 1, "COUNT": 8}, (3, 8)),
        ((), {"ID": 1, "MIN": 1, "STEP": 1, "COUNT": 4}, (0, 4)),
        ((), {"ID": 14, "MIN": 10, "STEP": 2, "COUNT": 5}, (2, 5)),
        # One task submitted again: its own number counts.
        (("num_shards=8",), {"ID": 3, "MIN": 3, "STEP": 1, "COUNT": 1}, (3, 8)),
        (
            ("shard_index=1", "num_shards=4"),
            {"ID": 9, "MIN": 0, "STEP": 1, "COUNT": 20},
            (1, 4),
        ),
    ],
)
def test_shard_of_flags_and_slurm_arrays(arguments, variables, expected):
    array = {f"SLURM_ARRAY_TASK_{name}": str(v) for name, v in variables.items()}
    assert machine.shard(described(*arguments), array) == expected


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("shard_index=4", "num_shards=4"), {}),
        (("shard_index=-1", "num_shards=4"), {}),
        (("shard_index=0", "num_shards=0"), {}),
        (("shard_index=0",), {}),
        (("num_shards=4",), {}),
        # --array=1,3,7 has holes.
        ((), {"ID": 7, "MIN": 1, "STEP": 1, "COUNT": 3}),
        (("num_shards=8",), {"ID": 9, "MIN": 2, "STEP": 1, "COUNT": 8}),
    ],
)
def test_impossible_shards_are_refused_in_one_line(arguments, variables):
    array = {f"SLURM_ARRAY_TASK_{name}": str(v) for name, v in variables.items()}
    with pytest.raises(Refusal) as caught:
        machine.shard(described(*arguments), array)
    assert "--num_shards" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["127.0.0.1:abc", ":", "", "host", "host:", ":80", "host:0", "host:65536"]
)
def test_addresses_without_host_or_port_are_refused_before_jax_sees_them(text):
    with pytest.raises(Refusal, match="give HOST:PORT, a port of 1 to 65535"):
        given(f"--coordinator_address={text}")


@pytest.mark.parametrize("text", ["127.0.0.1:80", "node-1:65535", "[::1]:1234"])
def test_addresses_of_any_host_are_taken(text):
    found = given(f"--coordinator_address={text}")
    assert found == {"coordinator_address": text}


def test_what_cannot_matter_is_refused(monkeypatch):
    with pytest.raises(Refusal, match="--finish: is for shards"):
        given("--finish")
    with pytest.raises(Refusal, match="--distributed=false: is for one process"):
        given("--distributed=false", "--num_processes=7")
    assert given("--distributed=false") == {"distributed": False}
    assert given("--finish", "--num_shards=1") == {"finish": True, "num_shards": 1}
    monkeypatch.setenv(machine.ARRAY, "0")
    assert given("--finish") == {"finish": True}


@pytest.mark.parametrize(
    ("look", "name", "text"),
    [
        (machine.shard, "SLURM_ARRAY_TASK_ID", "abc"),
        (machine.told, "SLURM_STEP_NUM_TASKS", "x"),
        (machine.told, "OMPI_COMM_WORLD_SIZE", "2.5"),
    ],
)
def test_variables_of_launchers_that_are_no_numbers_are_refused(look, name, text):
    with pytest.raises(Refusal, match=f"{name}={text}"):
        look({}, {name: text})


def test_empty_variables_of_launchers_count_as_unset():
    assert not machine.told({}, {"SLURM_STEP_NUM_TASKS": ""})
    empty = {"SLURM_ARRAY_TASK_ID": ""}
    assert machine.shard({}, empty) == machine.Shard(0, 1)


@pytest.mark.parametrize(
    ("arguments", "variables", "several"),
    [
        ((), {}, False),
        ((), {"SLURM_STEP_NUM_TASKS": "1", "SLURM_JOB_ID": "7"}, False),
        ((), {"SLURM_STEP_NUM_TASKS": "4"}, True),
        ((), {"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ((), {"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ((), {"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        (("distributed=false",), {"SLURM_STEP_NUM_TASKS": "4"}, False),
        (("distributed=true",), {}, True),
        (("process_id=0",), {}, True),
        (("num_processes=2",), {}, True),
    ],
)
def test_launchers_and_flags_that_tell_of_several_processes(
    arguments, variables, several
):
    assert machine.told(described(*arguments), variables) is several
