"""The table of statements in the gallery is the one that its claims give."""

import json

from experiments.tools import results


def test_the_table_is_up_to_date():
    _, inside, _ = results.parts(results.RESULTS.read_text(encoding="utf-8"))
    assert inside == results.table(results.GALLERY), (
        "stale: run python -m experiments.tools.results"
    )


def figure(folder, name, *claims):
    said = {"measured": "1 < 2", "rule": "r", "n": 10}
    found = {"caption": "c", "command": "d", "claims": [said | one for one in claims]}
    (folder / f"{name}.claims.json").write_text(json.dumps(found))


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
        "| Figure 2, Figures 10-13 | p | does not hold | 1/2 | 10 "
        "| [c](c.png), [b](b.png) |",
        "| Theorem 6 | q | not tested | 0/0 | 10 | [a](a.png) |",
        r"|  | \|x\| falls | holds | 1/1 | 10 | [c](c.png) |",
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
