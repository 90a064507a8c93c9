"""Any flags of any command: its work begins, or one line and status 2."""

import contextlib
import importlib
import io
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from helpers import Ran, assert_one_line, tools_anew

from experiments.__main__ import studies, tools
from experiments.lib import classifiers, command, compute, estimate, machine
from lmc_jax.data import datasets

STUDIES = {study.line[0]: study for study in studies().values() if not study.line[1:]}
# What must be given beside flags.
ARGUMENTS = {
    **{"tools.verify": ["OUT"], "tools.compare": ["OUT", "OTHER"]},
    **{"tools.export": ["OUT"], "tools.merge": ["OUT"]},
    **{"tools.slurm": ["NAME", "..."]},
}
# Where the work of a tool or benchmark begins: names in its own module.
BEGINS = {
    "tools.reproduce": ["Path"],  # it makes a folder for every study
    "tools.results": ["table"],
    "bench.accelerator": ["keep_record", "save_cells"],
    "bench.shards": ["simulated", "compared"],
}

SANE = (
    "1;2;5;20;0.5;1,2;5:9:2;2:40:x4;gd;uniform;gd,uniform;weights;types_opposed;"
    "adam;lion;rmsprop;true;false;quick;paper;float64;lerp;csv;3,20;sgd;dirichlet;"
    "equal;refine;float32;1e5;1000000;0.3;overlap,planted;2:3:3:4;5:2:2:8;1000"
)
HARD = (
    ";nan;inf;-inf;-0;-1;0;1e-400;1e-45;1e308;1e999;-1e308;1e-300;0x10;1_000;+3;  3;3 ;"
    "²;٣;−3;é;99999999999999999999;-99999999999999999999;4294967295;4294967296;"
    "2147483647;2147483648;1000000000;131072;5:3;1:1:1;1:400:x30;0.5:2:x3;1:1e9:x3;"
    "1:1e400:x3;1:100000000;1:100000;1:9999;1:99999999999999999999:x5;,;1,,2;1,;nan,1;"
    "1e-320:2:x3;1:2:1e-320;gd,gd;sgd,gd;lbfgs;adafactor;noisy_sgd;polyak_sgd;"
    "add_noise;mnist,mnist;..;10:10:10:99999999999;99999:99999:99999:1"
)
NUMBERS = (
    "1;2;3;5;7;11;20;100;1000;0.5;0.01;1e-6;2,3;5:9:2;2:40:x4;3,20;40:4000;40:9999;"
    "1:9999"
)
WORDS = {
    "source": "gd;sgd;uniform;gd,uniform;dirichlet;equal;gaussian",
    "matching": "types_opposed;weights;refine;;types_index,weights",
    "optimizer": "adam;lion;rmsprop;sgd",
    "precision": "float64;float32",
    "preset": "quick;paper",
    "barrier": "lerp;mean;midpoint",
}
LETTERS = "0123456789,:x.-e gdu_"


class Enough(Exception):
    """The work would begin."""


def begin(*_, **__):
    raise Enough


def read(name, *_):
    """A data set of 60,000 images, which take no memory."""
    if name not in datasets.KNOWN:
        raise datasets.DataError(f"unknown data set {name!r}")
    images = np.broadcast_to(np.uint8(0), (60_000, 32, 32, 3))
    labels = np.arange(60_000, dtype=np.int32) % 10
    return datasets.Dataset(name, images, labels, images, labels, "0")


@contextlib.contextmanager
def frugal():
    """Fails where a setting takes 2 GiB before it is refused."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + 2 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def idle(monkeypatch, tmp_path):
    """Commands run up to the opening of --out, and leave this process as it is."""
    monkeypatch.chdir(tmp_path)
    for module in (compute, classifiers):
        monkeypatch.setattr(module, "opened", begin)
    monkeypatch.setattr(estimate, "report", begin)
    for name in ("run", "Popen"):
        monkeypatch.setattr(subprocess, name, begin)
    monkeypatch.setattr(machine, "announce", lambda: None)
    monkeypatch.setattr(compute.devices, "join", lambda *_: None)
    monkeypatch.setattr(datasets, "load", read)
    monkeypatch.setattr(datasets, "data_root", lambda *_: tmp_path)
    with flagsaver.flagsaver(), tools_anew(), frugal():
        yield monkeypatch
    assert not list(tmp_path.iterdir())


def outcome(main, given):
    """How a command ended; None where its work would begin."""
    out, err = io.StringIO(), io.StringIO()
    with (
        flagsaver.flagsaver(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(given)
        except Enough:
            return None
        except SystemExit as end:
            return Ran(end.code, out.getvalue(), err.getvalue())
    raise AssertionError("nothing happened")


def likely(choose, name):
    """A value that a flag of this name may well have, or any."""
    hopeful = WORDS.get(name, NUMBERS)
    text = "".join(choose.choices(LETTERS, k=choose.randint(0, 6)))
    drawn = f"{text};{choose.randint(-(2**70), 2**70)};{choose.gauss(0, 100)}"
    return choose.choice(
        choose.choice((hopeful, hopeful, SANE, HARD, drawn)).split(";")
    )


def tried(commands, count, choose):
    """One to four flags of any of these commands, so many times.

    Returns how many begin, how many are refused, and seconds of the slowest.
    """
    begun, refused, slowest = 0, 0, 0.0
    for _ in range(count):
        main, names = choose.choice(commands)
        names = [*names, "nonsense"]
        chosen = choose.sample(names, choose.randint(1, min(4, len(names))))
        given = [f"--{name}={likely(choose, name)}" for name in chosen]
        began = time.thread_time()
        ended = outcome(main, given)
        slowest = max(slowest, time.thread_time() - began)
        if ended is None:
            begun += 1
        else:
            assert_one_line(ended)
            refused += 1
    return begun, refused, slowest


def own(defined):
    """Names of the flags that a command defines, not absl."""
    by_module = defined.flags_by_module_dict().items()
    return [
        flag.name
        for module, own in by_module
        if module.startswith("experiments.")
        for flag in own
    ]


def of_study(name, idle):
    """A study as a function of its flags, and their names."""
    study, defined = STUDIES[name], flags.FlagValues()
    study.define(defined)

    def main(given):
        idle.setattr(sys, "argv", [name, *given])
        study.main()

    return main, own(defined)


def of_tool(name, idle):
    module = importlib.import_module(f"experiments.{name}")
    for first in BEGINS.get(name, []):
        idle.setattr(module, first, begin)
    arguments = ARGUMENTS.get(name, [])

    def main(given):
        idle.setattr(sys, "argv", [name, *arguments, *given])
        command.run(module.main, *arguments)

    return main, own(flags.FLAGS)


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_any_flags_of_a_study_are_a_valid_grid_or_refused_in_one_line(name, idle):
    study = of_study(name, idle)
    assert outcome(study[0], []) is None
    _, refused, _ = tried([study], 40, random.Random(name))
    assert refused > 5


@pytest.mark.parametrize("name", [*tools(), "bench.accelerator", "bench.shards"])
def test_any_flags_of_a_tool_begin_its_work_or_are_refused_in_one_line(name, idle):
    tool = of_tool(name, idle)
    begun, refused, _ = tried([tool], 40, random.Random(name))
    assert refused > 5
    if name.startswith("bench."):
        assert begun or outcome(tool[0], ["--out=x"]) is None


@pytest.mark.slow
def test_thousands_of_settings_begin_or_are_refused_in_a_line_within_two_seconds(
    idle, capsys
):
    """Of any study, the same in every run."""
    every = [of_study(name, idle) for name in sorted(STUDIES)]
    begun, refused, slowest = tried(every, 2000, random.Random(0))
    with capsys.disabled():
        print(
            f"\n2000 settings: {begun} begin, {refused} are refused in one line "
            f"with status 2; the slowest takes {slowest:.2f} s"
        )
    assert begun > 50
    assert slowest < 1  # with a second of imports it is below 2
