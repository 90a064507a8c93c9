"""The table of statements in the gallery is the one that its claims give."""

import json
import re
import shlex

import pytest
from absl import flags

from experiments.__main__ import studies, tools
from experiments.tools import results


def test_the_table_is_up_to_date():
    _, inside, _ = results.parts(results.RESULTS.read_text(encoding="utf-8"))
    assert inside == results.table(results.GALLERY), (
        "stale: run python -m experiments.tools.results"
    )


def figure(folder, name, *claims):
    said = {"measured": "1 < 2", "rule": "r", "n": 10}
    judged = [said | one for one in claims]
    found = {"caption": "c", "command": f"{name}.py", "claims": judged}
    (folder / f"{name}.claims.json").write_text(json.dumps(found))


def test_results_open_with_the_table():
    before, _, _ = results.parts(results.RESULTS.read_text(encoding="utf-8"))
    assert before == f"# Results\n\n{results.BEGIN}"


COMMANDS = re.findall(r"`(python -m [^`]*)`", results.RESULTS.read_text("utf-8"))


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_run_a_study_or_a_tool_with_flags_that_it_knows(command):
    _, _, module, *given = shlex.split(command)
    name = module.removeprefix("experiments.")
    if name in tools():
        assert given == []
        return
    own = [study for study in studies().values() if study.line[0] == name]
    study = max(own, key=lambda study: [flag in given for flag in study.line[1:]])
    values = flags.FlagValues()
    study.define(values)
    texts = [text for text in given if text not in study.line]
    assert values([name, *texts]) == [name]


def test_the_paper_comes_first_in_the_order_of_its_figures(tmp_path):
    beyond = {"text": "|x| falls", "holds": True}
    figure(tmp_path, "a", {"text": "q", "holds": None, "paper": "Theorem 6"})
    figure(tmp_path, "b", {"text": "p", "holds": True, "paper": "Figures 10-13"})
    figure(
        tmp_path,
        "c",
        beyond,
        {"text": "p", "holds": False, "paper": "Figure 2"},
    )
    _, _, *rows = results.table(tmp_path).splitlines()
    assert rows == [
        "| p | does not hold | 10 | 1, 2 | 1/2 "
        "| Figure 2, Figures 10-13 | [c](c.png), [b](b.png) |",
        "| q | not tested | 10 | 3 | 0/0 | Theorem 6 | [a](a.png) |",
        r"| \|x\| falls | holds | 10 | 1 | 1/1 |  | [c](c.png) |",
        *("", "Commands:", ""),
        *("1. `c.py`", "2. `b.py`", "3. `a.py`"),
    ]


def test_the_tool_replaces_the_table_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "GALLERY", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "RESULTS.md")
    figure(tmp_path, "a", {"text": "q", "holds": True, "paper": "Theorem 6"})
    around = [f"# R\n\n{results.BEGIN}", f"{results.END}\n## Words\n"]
    results.RESULTS.write_text("old\n".join(around))
    results.main()
    assert results.RESULTS.read_text() == results.table(tmp_path).join(around)
    assert str(results.RESULTS) in capsys.readouterr().out
