"""Shards, several processes and their flags; any flags: a grid, or one line."""

import contextlib
import importlib
import io
import sys

import pytest
from absl import flags
from absl.testing import flagsaver
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import barrier_vs_width, common, machine
from experiments.__main__ import entrypoints


def given_flags(*arguments):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    return flagsaver.as_parsed(**dict(a.split("=") for a in arguments))


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
    with given_flags(*arguments):
        assert machine.shard(array) == expected


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
    with given_flags(*arguments), pytest.raises(common.Refusal) as caught:
        machine.shard(array)
    assert "--num_shards" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


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
    with given_flags(*arguments):
        assert machine.told(variables) is several


# --- any flags ------------------------------------------------------------------------

text = st.text("0123456789,:x.-eE+ abgdnu_", max_size=10)
sane = st.sampled_from(
    ["1", "2", "5", "0.5", "1,2", "5:9:2", "2:40:x4", "gd", "uniform", "weights", "-1"]
    + ["0", "1e-400", "nan", "inf", "", "sgd,gd", "adam", "true", "quick", "paper"]
)


@st.composite
def argument_lists(draw, names):
    chosen = draw(st.lists(st.sampled_from(names), max_size=5))
    return [f"--{name}={draw(text | sane)}" for name in chosen]


@pytest.mark.parametrize("name", entrypoints())
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_flags_are_a_grid_or_one_line_and_status_2(name, data):
    """The parser and all checks that come before anything is opened or computed."""
    module = importlib.import_module(f"experiments.{name}")
