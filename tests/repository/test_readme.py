"""The examples of the README run as they stand."""

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lmc_jax
from lmc_jax.matching import MATCHINGS

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def printed(code: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=README.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [float(n) for n in re.findall(r"[\d.]+(?:e-?\d+)?", done.stdout)]


def test_first_example_has_five_lines_and_the_public_surface_is_enough_for_it():
    lines = [line for line in EXAMPLES[0].splitlines() if line]
    assert len(lines) == 5
    assert max(map(len, lines)) <= 88
    (line,) = (line for line in lines if "import" in line)
    names = line.removeprefix("from lmc_jax import ").split(", ")
    assert set(names) <= set(lmc_jax.__all__)


def test_names_in_the_text_exist():
    named = re.findall(
        r"`(?:lmc_jax\.)?(match_\w+|lower_bound|load)\b", README.read_text()
    )
    assert {"match_types", "lower_bound", "load"} <= set(named) <= set(lmc_jax.__all__)


def test_text_lists_every_matching():
    (listed,) = re.findall(r"`--matching` takes\s(.*?);", README.read_text(), re.DOTALL)
    assert set(re.findall(r"`(\w+)`", listed)) == set(MATCHINGS)


def test_software_is_cited_in_its_version():
    (version,) = re.findall(r"version = \{(.*)\}", README.read_text())
    project = README.with_name("pyproject.toml").read_text()
    assert tomllib.loads(project)["project"]["version"] == version


def test_public_names_are_there_and_documented():
    for name in lmc_jax.__all__:
        assert inspect.getdoc(getattr(lmc_jax, name)), name


@pytest.mark.parametrize(
    "code",
    [code for code in EXAMPLES if "import equinox" not in code],
    ids=lambda code: code.split()[1],
)
def test_example_runs_and_prints_a_barrier(code):
    assert 0 <= printed(code)[-1] < 1


def test_networks_of_another_library_are_aligned_and_lose_their_barrier():
    (code,) = (code for code in EXAMPLES if "import equinox" in code)
    direct, aligned = printed(code)
    said = re.search(
        r"barrier\s+falls\s+from\s+([\d.]+) to ([\d.]+)", README.read_text()
    )
    assert [direct, aligned] == pytest.approx([*map(float, said.groups())], rel=0.05)


def test_links_into_the_project_resolve():
    links = re.findall(r"\]\(([^)]+)\)", README.read_text())
    inside = [link for link in links if "://" not in link]
    assert inside
    for link in inside:
        assert (README.parent / link).is_file(), link


def test_modules_run_by_commands_exist():
    modules = set(re.findall(r"-m (experiments[.\w]*)", README.read_text()))
    assert "experiments.barrier_vs_width" in modules
    for module in modules:
        path = README.parent.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
