"""A study from Python: the same as its command, and nothing is left changed."""

import json

import matplotlib
import numpy as np
import pytest
from absl import flags

from experiments import barrier_vs_width
from experiments.__main__ import studies, tools
from experiments.lib.lists import Refusal
from experiments.lib.study import Result

SETTINGS = {"k": [2], "m": [3, 4], "pairs": 3, "source": "uniform"}
SETTINGS["matching"] = "types_index"  # the quickest to compile
STUDIES = studies()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    before = {**matplotlib.rcParams, "backend": "agg"}
    found = barrier_vs_width.STUDY.run(**SETTINGS, out=out)
    assert {**matplotlib.rcParams, "backend": "agg"} == before
    assert "k" not in flags.FLAGS
    return found


def test_a_run_gives_table_figure_claims_and_files(result):
    assert isinstance(result, Result)
    assert [(row["k"], row["m"]) for row in result.table] == [(2, 3), (2, 4)]
    assert {"source", "pairs", "direct", "types_index"} <= result.table[0].keys()
    assert result.figure is result.figures["barrier_vs_width"]
    assert result.figure.axes[0].get_xlabel() == "student width m"
    assert "Figure 2" in {claim.paper for claim in result.claims}
    names = [path.name for path in result.files]
    stem = "barrier_vs_width"
    endings = ("png", "pdf", "caption.txt", "claims.json")
    assert names == ["summary.csv", *(f"{stem}.{ending}" for ending in endings)]
    assert all(path.stat().st_size for path in result.files)


def test_the_command_that_does_the_same_is_written_beside_it(result):
    written = json.loads(result.files[-1].read_text())
    asked = "--k=2 --m=3,4 --source=uniform --matching=types_index --pairs=3 --out="
    assert written["command"].startswith(
        f"python -m experiments.barrier_vs_width {asked}"
    )


def test_help_says_what_a_setting_is_in_each_preset():
    values = flags.FlagValues()
    barrier_vs_width.STUDY.define(values)
    quick, paper = (one["pairs"] for one in barrier_vs_width.PRESETS.values())
    assert values["pairs"].help.endswith(f"Default: {quick} (quick), {paper} (paper).")
    assert values["hold"].help.endswith("--tol. Default: 1.")
    assert values["d"].help.endswith("none means k.")


def test_another_run_finds_its_cells_and_another_study_runs_beside(result):
    out = result.files[0].parent
    cells = {path: path.stat().st_mtime_ns for path in out.glob("cells/*")}
    again = barrier_vs_width.STUDY.run(**SETTINGS, out=out)
    assert again.table == result.table
    ratio = barrier_vs_width.NORMALIZED.run(**SETTINGS, out=out)
    assert [claim.text for claim in ratio.claims]
    assert {p: p.stat().st_mtime_ns for p in out.glob("cells/*") if p in cells} == cells


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"widht": 3}, "widht"),
        ({"m": "5,"}, "--m=5,"),
        ({"m": np.array([6, 0])}, "m=0"),
        ({"pairs": "many"}, "many"),
        ({"m": [4], "m_over_k": [2]}, "exclude each other"),
        ({"out": ""}, "--out=: give a folder"),
        ({"preset": "slow"}, "slow"),
        ({"num_shards": 3}, "go together"),
        ({"k": np.int64(3), "d": 2}, "k=3 > d=2"),
    ],
)
def test_what_cannot_be_is_one_line_of_a_value_error(given, said, tmp_path):
    with pytest.raises(Refusal, match=said) as caught:
        barrier_vs_width.STUDY.run(**({"out": tmp_path / "out"} | given))
    assert isinstance(caught.value, ValueError)
    assert not (tmp_path / "out").exists()


def test_studies_are_listed_in_the_order_of_the_figures():
    names = list(STUDIES)
    assert names[:4] == [
        *("overlap", "barrier_vs_width", "normalized_barrier", "double_descent")
    ]
    assert STUDIES["normalized_barrier"].line == ["barrier_vs_width", "--normalize"]
    assert {"tools.verify", "tools.reproduce"} <= tools().keys()


SWEEPS = [name for name, study in STUDIES.items() if study.family.processes]


@pytest.mark.parametrize("name", [n for n in SWEEPS if n != "barrier_panels"])
def test_presets_are_grids_of_valid_cells_and_paper_is_larger(name):
    study = STUDIES[name]
    sizes = []
    for preset in study.presets.values():
        defaults = {key: setting.default for key, setting in study.choices.items()}
        sizes.append(len(study.cells(defaults | study.shared | preset)))
    assert 5 < sizes[0] < sizes[1]
