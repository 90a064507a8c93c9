"""Every command of the README runs as it stands, on settings made small at its end.

What installs, tests and builds pages is run by ``.ci/run``, which finds it in the
README; of a cluster there are stand-ins, and its lines of #SBATCH are not tested.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_classifiers import TINY as FEW
from test_classifiers import data as data
from test_entrypoints import TINY as SMALL_SWEEPS
from test_matching_gap import GAP, PLANTED

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e"
BY_CI = ("-m pytest", "-m pdoc")  # which finds them in the README
SMALL = "--k=2 --m=2,3 --pairs=2 --source=uniform --matching=types_index"
BENCH = "--shapes=2:3:3:4 --repetitions=3"
TINY = {name: settings for name, (_, settings) in SMALL_SWEEPS.items()} | {
    "barrier_vs_width": SMALL,
    "tools.slurm": SMALL,
    "overlap": "--k=2 --m=3,4 --pairs=3",
    "uniformity": "--k=2 --m=6 --m_one=6 --pairs=6 --type_pairs=6",
    "why_gd_differs": "--k=2 --m=6 --pairs=6 --init_std=0.1 --repeats=2",
    "matching_gap": f"{GAP} --m=4",
    "planted": PLANTED,
    "mnist_mlp": f"{FEW} --data=easy --widths=2 --layers=2",
    "cifar10_cnn": f"{FEW} --data=easy --widths=2",
    "peak_position": f"{FEW} --data=easy --widths=2 --layers=2",
    "tools.reproduce": "--only=planted",
    "bench.descent": f"{BENCH} --elements=100",
    "bench.matching": BENCH,
    "bench.interpolation": BENCH,
    "bench.sweep": "--m=3 --k=2 --pairs=2",
    "bench.profile": "--shapes=2:3:3:4",
    "bench.choices": BENCH,
}
# What a cluster has: jobs, processes, and the python of an environment.
CLUSTER = """
sbatch() { SLURM_ARRAY_TASK_ID=${1#--array=} source job.sh; }
srun() { "$@"; }
python() { "$PYTHON" "$@" $TINY; }
"""


def blocks() -> list[str]:
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)  # examples, not commands
    found = re.findall(r"(?:^    \S.*\n)+", text, re.MULTILINE)
    return [re.sub("^    ", "", block, flags=re.MULTILINE) for block in found]


def commands() -> list[str]:
    inline = re.findall(r"`((?:python|sbatch) [^`]*)`", README)
    named = re.findall(r"`python -m experiments\.bench[^`]*` measures[^;]*", README)
    more = re.findall(r"`\.(\w+)`", " ".join(named))
    benches = [f"python -m experiments.bench.{name}" for name in more]
    asked = [*blocks(), *(" ".join(one.split()) for one in inline), *benches]
    return [one for one in asked if not any(name in one for name in BY_CI)]


def tiny(command: str) -> str:
    if command.startswith("sbatch"):
        return f"{SMALL} --num_shards=8"  # as the README says
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


@pytest.mark.parametrize("command", commands())
def test_command_runs(command, tmp_path, finished, data):
    command = command.replace(".venv/bin/python", "python").split(f"{INSTALL} . && ")[
        -1
    ]
    command = re.sub(r"\b(OUT|OTHER)\b", str(finished), command)
    command = command.replace("slurm ", f"slurm --cluster=local --logs={tmp_path} ")
    (tmp_path / "job.sh").write_text(next(b for b in blocks() if "--array" in b))
    variables = {"SCRATCH": str(tmp_path), "LMC_JAX_DATA": str(data)}
    assert bash(command, tiny(command), tmp_path, variables)


def test_all_kinds_of_commands_are_found():
    found = " ".join(commands())
    for name in [*TINY, "verify", "export", "srun", "sbatch", "netcdf"]:
        assert name in found, name


def test_both_commands_set_up_the_same_environment():
    lines = [line for line in README.splitlines() if INSTALL in line]
    assert [line.split("&&")[1].split()[-1] for line in lines] == [".", "'.[test]'"]


def test_every_installation_is_one_that_ci_runs():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = " ".join(README.split())
    named = re.findall(r"\.venv/bin/pip install -e '\.\[(\w+)\]'", text)
    assert {"slurm", "export", "test", "dev"} <= set(named)
    assert set(named) <= set(extras["optional-dependencies"])
    assert text.count("pip install") == len(named) + 1  # the first command has no extra
