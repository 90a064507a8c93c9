"""Commands as their users run them, in this process or their own, and what they leave.

``command`` is for what a command says and writes; ``start`` and ``run`` are for what
only a process shows: signals, kills, several at a time.
"""

import contextlib
import gc
import io
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from unittest import mock

import jax
import pytest
from absl import app
from absl.testing import flagsaver

from lmc_jax.data.datasets import DataError, load
from lmc_jax.results import store

ROOT = Path(__file__).resolve().parents[1]
NONE: Mapping[str, str] = MappingProxyType({})
app.define_help_flags()  # absl does so once, and `command` takes back what it finds


class Ran(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def command(name, *arguments, environ=NONE) -> Ran:
    """``python -m experiments.NAME ARGUMENTS`` in this process."""
    path = ROOT.joinpath("experiments", *name.split(".")).with_suffix(".py")
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ, environ),
        mock.patch.object(sys, "argv", [str(path), *map(str, arguments)]),
        mock.patch.multiple(gc, freeze=mock.DEFAULT, set_threshold=mock.DEFAULT),
        flagsaver.flagsaver(),
        tools_anew(),
        promotion("standard"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
    return Ran(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def tools_anew():
    """Tools and benchmarks define their flags where they are imported: here, again."""

    def loaded():
        folders = ("experiments.bench", "experiments.tools")
        return {
            name: sys.modules[name] for name in sys.modules if name.startswith(folders)
        }

    before = loaded()
    for name in before:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(before)


@contextlib.contextmanager
def promotion(kind):
    """Of dtypes, in all threads: optax mixes them, and trains where commands do."""
    before = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", kind)
    try:
        yield
    finally:
        jax.config.update("jax_numpy_dtype_promotion", before)


def assert_one_line(ran, *said, status=2):
    """One line of error that says so, and nothing else."""
    assert (ran.returncode, ran.stdout) == (status, ""), ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: ")
    for part in said:
        assert part in line


# --- processes ------------------------------------------------------------------------

BARRIER_VS_WIDTH = (sys.executable, "-m", "experiments.barrier_vs_width")
# For kills that must find something under way.
COLD = {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def start(*arguments, variables=NONE, entrypoint=BARRIER_VS_WIDTH):
    """A command in a process of its own, under way."""
    # Tests that run in the background of a script ignore Ctrl-C: not their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [*entrypoint, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def run(*arguments, **options) -> Ran:
    """A command in a process of its own, to its end."""
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=300)
    return Ran(process.returncode, out, err)


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- what sweeps leave ----------------------------------------------------------------


def files(out):
    return store.cell_files(out) + store.cell_files(out, weights=True)


def times(out):
    """When each stored file was written: equal, where none was written again."""
    return {path.name: path.stat().st_mtime_ns for path in files(out)}


def arrays(out):
    return {path.name: store.read(path).arrays for path in files(out)}


def same_arrays(one, other):
    for name in one.keys() | other.keys():
        assert one[name].keys() == other[name].keys()
        for array in one[name]:
            assert one[name][array].dtype == other[name][array].dtype
            assert one[name][array].tobytes() == other[name][array].tobytes()
    return True


def found(record):
    assert record is not None
    return record


def store_alone(code, *arguments, **options):
    """Starts a process that has imported the store alone, which needs no JAX."""
    head = f"import sys; sys.path.insert(0, {str(Path(store.__file__).parent)!r})\n"
    head += "import numpy as np, os, store\nstore.outdated = lambda _: ''\n"
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def temporary_files(out):
    return [path for path in out.rglob("*") if path.name.endswith(".tmp")]


# --- data ---------------------------------------------------------------------------


def refused(name, root, *said):
    """The data set cannot be read, and one line says so."""
    with pytest.raises(DataError) as caught:
        load(name, str(root))
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message, message
