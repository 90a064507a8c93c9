"""The examples of the README run as they stand."""

import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lmc_jax

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@functools.cache
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


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [("README.md", 140, 1100), ("BUILD_NOTES.md", 150, 1800)],
)
def test_what_is_read_first_is_short(name, lines, words):
    text = README.with_name(name).read_text("utf-8")
    assert len(text.splitlines()) < lines
    assert len(text.split()) < words


def test_software_is_cited_in_its_version():
    (version,) = re.findall(r"version = \{([\d.]+)\}", README.read_text())
    project = README.with_name("pyproject.toml").read_text()
    assert tomllib.loads(project)["project"]["version"] == version


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs_by_itself(number, tmp_path):
    assert printed(EXAMPLES[number].replace("results/mine", str(tmp_path)))


@pytest.mark.slow
def test_the_last_example_loses_its_barrier_to_a_permutation():
    direct, aligned = printed(EXAMPLES[-1])
    assert aligned < 1e-20 < direct  # a square of rounding, in whatever order


@pytest.mark.parametrize("name", ["README.md", "experiments/gallery/RESULTS.md"])
def test_links_into_the_project_resolve(name):
    path = README.parent / name
    links = re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8"))
    inside = [link for link in links if "://" not in link]
    assert inside
    for link in inside:
        assert (path.parent / link).is_file(), link


def test_files_and_benchmarks_that_the_notes_name_exist():
    notes = README.with_name("BUILD_NOTES.md").read_text("utf-8")
    named = set(re.findall(r"([\w/]+\.(?:py|md))\b", notes)) - {"experiments/NAME.py"}
    named |= {f"bench/{name}.py" for name in re.findall(r"`bench\.(\w+)`", notes)}
    ends = {path.as_posix() for path in README.parent.rglob("*.*")}
    assert named
    for name in named:
        assert any(path.endswith(f"/{name}") for path in ends), name


def test_modules_run_by_commands_exist():
    modules = set(re.findall(r"-m (experiments[.\w]*)", README.read_text()))
    assert "experiments.barrier_vs_width" in modules
    for module in modules:
        path = README.parent.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
