"""Every command of the README runs as it stands, on settings made small at its end.

So do the scripts for clusters at the head of ``experiments.lib.machine``. What installs
and tests is run by ``.ci/run``, which finds it in the README, and ``tools.reproduce``
by tests of its own; sbatch and srun are stand-ins, and lines of #SBATCH are not tested.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cases import (
    BARRIER_RATE,
    CLASSIFIERS,
    DOUBLE_DESCENT,
    GAP,
    MERGING,
    PLANTED,
    SETTINGS_MAP,
    SGD_THRESHOLD,
    SPARSITY,
    TEACHERS,
)
from helpers import ROOT, command

from experiments.lib import compute, machine

README = (ROOT / "README.md").read_text()
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e"
SMALL = "--k=2 --m=2,3 --pairs=2 --source=uniform --matching=types_index"
TINY = {
    "double_descent": DOUBLE_DESCENT,
    "barrier_rate": BARRIER_RATE,
    "sparsity": SPARSITY,
    "sgd_threshold": SGD_THRESHOLD,
    "barrier_vs_width": SMALL,
    "tools.slurm": SMALL,
    "overlap": "--k=2 --m=3,4 --pairs=3",
    "uniformity": "--k=2 --m=6 --m_one=6 --pairs=6 --type_pairs=6",
    "merging": MERGING,
    "settings_map": SETTINGS_MAP,
    "why_gd_differs": "--k=2 --m=6 --pairs=6 --init_std=0.1 --repeats=2",
    "matching_gap": f"{GAP} --m=4",
    "planted": PLANTED,
    "teachers": TEACHERS,
    "mnist_mlp": f"{CLASSIFIERS} --data=easy --widths=2 --layers=2",
    "cifar10_cnn": f"{CLASSIFIERS} --data=easy --widths=2",
    "peak_position": f"{CLASSIFIERS} --data=easy --widths=2 --layers=2",
    "peak_and_fit": f"{CLASSIFIERS} --data=easy --widths=2 --train_images=60",
}
# What a cluster has: processes, and the python of an environment.
CLUSTER = """
srun() { "$@"; }
python() { "$PYTHON" "$@" $TINY; }
"""


def blocks(text: str) -> list[str]:
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)  # examples, not commands
    found = re.findall(r"(?:^    \S.*\n)+", text, re.MULTILINE)
    return [re.sub("^    ", "", block, flags=re.MULTILINE) for block in found]


SCRIPTS = blocks(machine.__doc__ or "")


def commands() -> list[str]:
    inline = re.findall(r"`(python [^`]*)`", README)
    asked = [*blocks(README), *(" ".join(one.split()) for one in inline), *SCRIPTS]
    apart = ("-m pytest", "tools.reproduce")
    return [one for one in asked if not any(name in one for name in apart)]


def tiny(command: str) -> str:
    names = re.findall(r"-m experiments\.([\w.]+)", command)
    return TINY.get(names[0], "") if names else ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    bash(f"python -m experiments.barrier_vs_width --out={out}", SMALL, out, {})
    return out


def bash(command: str, tiny: str, folder: Path, variables: dict) -> str:
    environment = os.environ | {"PYTHON": sys.executable, "TINY": tiny} | variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{CLUSTER}\n{command}"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("line", commands())
def test_command_runs(line, tmp_path, finished, data, monkeypatch):
    line = line.replace(".venv/bin/python", "python").split(f"{INSTALL} . && ")[-1]
    line = re.sub(r"\b(OUT|OTHER)\b", str(finished), line).strip()
    line = line.replace("slurm ", f"slurm --cluster=local --logs={tmp_path} ")
    line = line.replace("--shards=8", "--shards=2")
    variables = {"SCRATCH": str(tmp_path), "LMC_JAX_DATA": str(data)}
    if "--array" in line:
        variables["SLURM_ARRAY_TASK_ID"] = "0"
    if figure := re.fullmatch(r"python -m experiments\.(\w+)((?: .*)?)", line):
        monkeypatch.chdir(tmp_path)
        name, given = figure.groups()
        ran = command(name, *given.split(), *tiny(line).split(), environ=variables)
        assert (ran.returncode, ran.stderr) == (0, "")
        return
    assert bash(line, tiny(line), tmp_path, variables)


NETWORKS = (
    "mnist_mlp",
    "cifar10_cnn",
    "peak_position",
    "peak_and_fit",
)  # whose grids need data


@pytest.mark.parametrize(
    "line",
    [
        line
        for line in commands()
        if re.search(r"-m experiments\.[a-z0-9_]+( |$)", line)
        and not any(name in line for name in NETWORKS)
    ],
)
def test_settings_are_a_grid_as_they_stand(line, monkeypatch, tmp_path):
    def begin(*_):
        raise compute.Done("begun")

    monkeypatch.setattr(compute, "computed", begin)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")  # --finish is for shards
    name, given = re.search(r"-m experiments\.(\w+)([^\n]*)", line).groups()
    given = [word for word in given.split() if "SCRATCH" not in word]
    assert command(name, *given, f"--out={tmp_path}").stdout == "begun\n"


def test_all_kinds_of_commands_are_found():
    found = " ".join(commands())
    for name in [*TINY, "verify", "export", "srun", "#SBATCH --array"]:
        assert name in found, name


def test_both_commands_set_up_the_same_environment():
    lines = [line for line in README.splitlines() if INSTALL in line]
    assert [line.split("&&")[1].split()[-1] for line in lines] == [".", "'.[test]'"]


def test_extras_that_are_named_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"-e '\.\[(\w+)\]'", README)
    assert set(named) <= set(project["optional-dependencies"])
    assert {"slurm", "test"} <= set(named)
