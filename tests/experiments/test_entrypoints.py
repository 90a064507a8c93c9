"""Every small entrypoint end to end: files, well-formed claims, nothing twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.lib.claims import Claim

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "double_descent": (
        ["double_descent"],
        "--k=2 --m=1,2,3,4,7 --pairs=2 --lr_times_m=3 --steps=2000",
    ),
    "barrier_rate": (["barrier_rate"], "--k=2 --m_over_k=1,2,4,8,24 --pairs=5"),
    "sparsity": (
        ["sparsity_vs_width", "sparsity_vs_rate"],
        "--k=2 --d=2 --m=4,6 --fixed_m=4 --scan=2,4 --lr_times_m=2 --pairs=2 "
        "--tol=1e-4 --hold=1 --steps=2000",
    ),
}


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", TINY)
def test_leaves_figures_and_claims_and_computes_nothing_twice(name, tmp_path):
    stems, settings = TINY[name]
    command = ["-m", f"experiments.{name}", *settings.split(), f"--out={tmp_path}"]
    first = python(*command)
    assert (first.returncode, first.stderr) == (0, "")
    for stem in stems:
        for kind in ("png", "pdf"):
            assert (tmp_path / f"{stem}.{kind}").stat().st_size > 5000
        written = json.loads((tmp_path / f"{stem}.claims.json").read_text())
        assert "L = ½E[(f-f*)²], x ~ N(0, I)" in written["caption"]
        assert written["command"].startswith(f"python -m experiments.{name} --")
        assert written["claims"]
        for claim in written["claims"]:
            assert Claim(**claim).holds in (True, False, None)
    cells = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*")}
    table = (tmp_path / "summary.csv").read_bytes()
    second = python(*command)
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("cells/*")} == cells
    assert (tmp_path / "summary.csv").read_bytes() == table


def test_runs_that_do_not_fit_show_where_they_stay(tmp_path):
    settings = TINY["double_descent"][1].replace("--m=1,2,3,4,7", "--m=1,4")
    arguments = ("-m", "experiments.double_descent", *settings.split())
    done = python(*arguments, f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines()[:3]]
    assert "the others stay at" in done.stdout.splitlines()[0]
    # One neuron against two orthonormal ones has a single minimum.
    assert table[1][4:8] == ["0", "0.0885", "0.089", "[0.089,"]
    assert (table[2][4], table[2][6]) == ("1", "-")


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("barrier_vs_width", "--m_over_k:"),
        ("mnist_mlp", "--widths:"),
        ("peak_position", "--data_dir:"),
        ("tools.slurm", "--partition:"),
        ("bench.descent", "--[no]tiny:"),
    ],
)
def test_help_lists_the_flags_of_the_entrypoint_and_of_what_it_shares(name, flag):
    shown = python("-m", f"experiments.{name}", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert flag in shown.stdout
    assert "--pdb" not in shown.stdout  # absl's own


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("double_descent --k=2 --m=2,4 --lr_times_m=900", "all runs diverged: give"),
        ("sparsity --m=6 --fixed_m=4,10 --scan=5", "m >= k only: give larger --m"),
        ("sparsity --m=4,6 --source=gd", "m >= k only: give larger --m and --fixed_m"),
    ],
)
def test_what_leaves_nothing_to_draw_is_one_line(command, line, tmp_path):
    few = ("--pairs=2", "--steps=400", f"--out={tmp_path}")
    done = python("-m", *f"experiments.{command}".split(), *few)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr
