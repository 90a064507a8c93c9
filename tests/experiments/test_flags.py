"""Any flags of any command: a valid grid, or one line and status 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import studies, tools

ROOT = Path(__file__).resolve().parents[2]

# Everything up to the opening of --out runs, in a process of its own: an entrypoint
# defines its flags once a process.
DRIVER = """
import contextlib, importlib, io, subprocess, sys
import numpy as np
from absl import flags
from absl.testing import flagsaver
from hypothesis import example, given, settings, strategies as st
from experiments.lib import classifiers, command, compute, machine
from lmc_jax.data import datasets

module = importlib.import_module(f"experiments.{sys.argv[1]}")
tools = {
    "tools.verify": ["OUT"], "tools.compare": ["OUT", "OTHER"],
    "tools.export": ["OUT"], "tools.slurm": ["NAME", "..."],
}
arguments = tools.get(sys.argv[1], [])
timing = sys.modules.get("experiments.bench.timing")
study = getattr(module, "STUDY", None)
defined = flags.FLAGS
if study:
    defined = flags.FlagValues()
    study.define(defined)
names = [
    flag.name
    for owner, own in defined.flags_by_module_dict().items()
    if owner.startswith("experiments.")
    for flag in own
]

class Enough(Exception):
    pass

def opened(*_, **__):
    raise Enough

compute.opened = classifiers.opened = opened
subprocess.run = subprocess.Popen = opened
if sys.argv[1] == "tools.reproduce":
    module.Path = opened  # it makes a folder for every entrypoint
elif sys.argv[1] == "tools.results":
    module.table = opened
elif sys.argv[1] == "bench.networks":
    module.ours = opened
elif sys.argv[1] == "bench.scaling":
    module.rate = opened
elif sys.argv[1] == "bench.sizes":
    module.seconds = opened
elif timing:
    timing.timed = timing.peak = opened
    machine.announce = lambda: None
    for drawn in ("pairs", "students"):
        if hasattr(module, drawn):
            setattr(module, drawn, opened)
images = np.broadcast_to(np.uint8(0), (60_000, 32, 32, 3))
labels = np.arange(60_000, dtype=np.int32) % 10
def load(name, *_):
    if name not in datasets.KNOWN:
        raise datasets.DataError(f"unknown data set {name!r}")
    return datasets.Dataset(name, images, labels, images, labels, "0")
datasets.load = load
datasets.data_root = lambda *_: datasets.Path(".")  # makes none
compute.devices.join = lambda *_: None
seen = {"grids": 0, "refusals": 0}
text = st.text("0123456789,:x.-e gdu_", max_size=6)
sane = st.sampled_from(
    "1;2;5;20;0.5;1,2;5:9:2;2:40:x4;gd;uniform;gd,uniform;weights;types_opposed;"
    "adam;lion;rmsprop;true;false;quick;paper;float64;lerp;csv;3,20;sgd;dirichlet;"
    "equal;refine;float32;1e5;1000000;0.3;overlap,planted;2:3:3:4;5:2:2:8;1000".split(
        ";"
    )
)
hard = st.sampled_from(
    ";nan;inf;-inf;-0;-1;0;1e-400;1e-45;1e308;1e999;-1e308;1e-300;0x10;1_000;+3;  3;3 ;"
    "²;٣;−3;é;99999999999999999999;-99999999999999999999;4294967295;4294967296;"
    "2147483647;2147483648;1000000000;131072;5:3;1:1:1;1:400:x30;0.5:2:x3;1:1e9:x3;"
    "1:1e400:x3;1:100000000;1:100000;1:9999;1:99999999999999999999:x5;,;1,,2;1,;nan,1;"
    "1e-320:2:x3;1:2:1e-320;gd,gd;sgd,gd;lbfgs;adafactor;noisy_sgd;polyak_sgd;"
    "add_noise;mnist,mnist;..;10:10:10:99999999999;99999:99999:99999:1".split(";")
)
integers = st.integers(-(2**70), 2**70).map(str)
floats = st.floats().map(str)
values = sane | text | hard | st.text(max_size=4) | integers | floats
pairs = st.tuples(st.sampled_from([*names, "nonsense"]), values)

@settings(
    max_examples=int(sys.argv[2]),
    deadline=None,
    database=None,
    print_blob=True,
    derandomize=sys.argv[2] == "100",
)
@given(st.lists(pairs, max_size=4))
@example([])
@example([("out", "x")])  # which one entrypoint needs
def check(chosen):
    given = [f"--{name}={value}" for name, value in chosen]
    sys.argv = [sys.argv[0], *arguments, *given]
    err, out = io.StringIO(), io.StringIO()
    with (
        flagsaver.flagsaver(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            study.main() if study else command.run(module.main, *arguments)
        except Enough:
            seen["grids"] += 1
        except SystemExit as end:
            lines = err.getvalue().splitlines()
            assert end.code == 2, (given, end.code, lines)
            assert len(lines) == 1 and lines[0].startswith("error: "), (given, lines)
            assert not out.getvalue(), given
            seen["refusals"] += 1
        else:
            raise AssertionError(f"{given}: nothing happened")

check()
print(*seen.values())
"""


# Of each entrypoint; another number draws new ones in each run.
EXAMPLES = os.environ.get("FLAG_EXAMPLES", "100")
BENCHES = [
    f"bench.{path.stem}"
    for path in ROOT.glob("experiments/bench/*.py")
    if "__main__" in path.read_text()
]


STUDIES = {study.line[0] for study in studies().values()}


@pytest.mark.parametrize("name", sorted([*STUDIES, *tools(), *BENCHES]))
def test_any_flags_are_a_valid_grid_or_refused_in_one_line(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, name, EXAMPLES],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    grids, refusals = map(int, done.stdout.split())
    assert refusals > 10 or name == "tools.results"  # which has no flags
    assert grids or name.startswith("tools.")
    assert {path.name for path in tmp_path.iterdir()} <= {".hypothesis"}
