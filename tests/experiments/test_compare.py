"""The comparison of two sweeps names what differs, and by how much."""

import numpy as np
import pytest
from helpers import command

from experiments.tools import compare
from lmc_jax.results import store

PARAMETERS = {"m": 3, "source": {"name": "gd", "precision": "float32"}}


def compared(*folders):
    return command("tools.compare", *folders)


def test_shared_cells_are_compared_array_by_array(tmp_path):
    for name, last in (("one", 2.0), ("two", 1.5), ("three", 1.995)):
        losses = np.array([1.0, np.inf, np.nan, last])
        arrays = {"losses": losses, "steps": np.arange(3)}
        store.save(store.open_store(tmp_path / name), PARAMETERS, arrays, {})
    store.save(tmp_path / "two", PARAMETERS | {"m": 4}, {"steps": np.arange(3)}, {})
    done = compared(tmp_path / "one", tmp_path / "two")
    assert done.returncode == 1
    assert done.stderr == (
        "error: beyond the tolerance of their precision: losses (gd float32)\n"
    )
    assert compared(tmp_path / "one", tmp_path / "three").returncode == 0
    _, losses, steps = done.stdout.splitlines()
    assert losses.split() == ["gd", "float32", "losses", "4", "1", "0.25"]
    assert steps.split() == ["gd", "float32", "steps", "3", "0", "0"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], (2, 0, 0.0)),
        ([1.0, 2.0], [1.0, 2.5], (2, 1, 0.25)),
        ([np.nan, 4.0], [np.nan, 3.0], (2, 1, 0.25)),
        ([np.nan, 4.0], [1.0, 4.0], (2, 1, np.inf)),
        ([0.0], [1e-300], (1, 1, 0.0)),
        ([1e-3], [0.0], (1, 1, 1.0)),
        ([100, 200], [101, 200], (2, 1, np.inf)),
        ([3], [3, 4], (2, 2, np.inf)),
        ([3], None, (1, 1, np.inf)),
    ],
)
def test_difference(first, second, expected):
    arrays = (None if array is None else np.array(array) for array in (first, second))
    assert compare.difference(*arrays) == expected


def test_outputs_without_a_shared_cell_are_one_line(tmp_path):
    done = compared(tmp_path, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "share no cells: give two outputs" in done.stderr
