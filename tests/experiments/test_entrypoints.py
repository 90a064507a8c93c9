"""Every small entrypoint end to end: files, well-formed claims, nothing twice."""

import json

import pytest
from cases import BARRIER_RATE, DOUBLE_DESCENT, MERGING, SGD_THRESHOLD, SPARSITY
from helpers import assert_one_line, command, times

from experiments.lib.claims import Claim


@pytest.mark.parametrize(
    ("name", "settings", "stems"),
    [
        ("double_descent", DOUBLE_DESCENT, ["double_descent"]),
        pytest.param(
            *("barrier_rate", BARRIER_RATE, ["barrier_rate"]), marks=pytest.mark.slow
        ),
        pytest.param(
            *("sparsity", SPARSITY, ["sparsity_vs_width", "sparsity_vs_rate"]),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("merging", MERGING, ["merging", "star"]), marks=pytest.mark.slow
        ),
        pytest.param(
            *("sgd_threshold", SGD_THRESHOLD, ["sgd_threshold", "divergence"]),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_leaves_figures_and_claims_and_computes_nothing_twice(
    name, settings, stems, tmp_path
):
    arguments = (name, *settings.split(), f"--out={tmp_path}")
    first = command(*arguments)
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
    cells, table = times(tmp_path), (tmp_path / "summary.csv").read_bytes()
    assert command(*arguments) == first
    assert times(tmp_path) == cells
    assert (tmp_path / "summary.csv").read_bytes() == table


def test_runs_that_do_not_fit_show_where_they_stay(tmp_path):
    settings = (*DOUBLE_DESCENT.split(), "--m=1,4", "--verbose", f"--out={tmp_path}")
    done = command("double_descent", *settings)
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
        ("bench.accelerator", "--minutes:"),
    ],
)
def test_help_lists_the_flags_of_the_entrypoint_and_of_what_it_shares(name, flag):
    shown = command(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert flag in shown.stdout
    assert "--pdb" not in shown.stdout  # absl's own


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("sparsity --m=6 --fixed_m=4,10 --scan=5", "m >= k only: give larger --m"),
        ("sparsity --m=4,6 --source=gd", "m >= k only: give larger --m and --fixed_m"),
    ],
)
def test_what_leaves_nothing_to_draw_is_one_line(asked, line, tmp_path):
    few = ("--pairs=2", "--steps=400", f"--out={tmp_path}")
    assert_one_line(command(*asked.split(), *few), line)


SPARSE = "sparsity --k=2 --d=2 --m=4,6 --fixed_m=4 --scan=50 --lr_times_m=50"


@pytest.mark.parametrize(
    ("asked", "name", "said"),
    [
        ("double_descent --k=2 --m=2,4 --lr_times_m=900", "", "All runs diverged: no"),
        ("planted --source=gd --lr=900 --k=2 --m=4 --noise=1", "", "All runs diverged"),
        (SPARSE, "sparsity_vs_rate", "All runs of GD diverged: no mean is shown."),
        (SPARSE, "sparsity_vs_width", "All runs of GD diverged: no mean is shown."),
    ],
)
def test_a_figure_of_runs_that_all_diverged_says_so(asked, name, said, tmp_path):
    asked = (*asked.split(), "--pairs=2", "--steps=400", "--check_every=100")
    ran = command(*asked, f"--out={tmp_path}")
    assert (ran.returncode, ran.stderr) == (0, "")
    name = name or asked[0]
    assert said in (tmp_path / f"{name}.caption.txt").read_text().replace("\n", " ")
    assert (tmp_path / f"{name}.png").exists()
