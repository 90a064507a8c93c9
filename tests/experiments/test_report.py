"""The report: claims put together into statements, and one self-contained page."""

import dataclasses
import json
import re

import pytest
from helpers import command, times

from experiments import __main__ as listed
from experiments import overlap
from experiments.lib import report

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


def claim(said, holds, paper="Figure 2", n=10, **more):
    """``text (case)``, or the text alone."""
    text, _, case = said.removesuffix(")").partition(" (")
    fields = {"paper": paper, "text": text, "case": case, "n": n, "holds": holds}
    return fields | {"measured": "1 < 2", "rule": "r & s"} | more


def figure(folder, name, *claims):
    content = {"caption": "c", "command": f"python -m {name}", "claims": list(claims)}
    (folder / f"{name}.claims.json").write_text(json.dumps(content))
    (folder / f"{name}.png").write_bytes(PIXEL)


@pytest.mark.parametrize(
    ("cases", "corrected", "verdict"),
    [
        ([True, True], [], "holds"),
        ([True, None], [], "holds"),
        ([True, False], [], "does not hold"),
        ([False, False], [], "does not hold"),
        ([None, False], [], "does not hold"),
        ([None, None], [], "not tested"),
        # A corrected form must hold wherever the statement fails, and fail nowhere.
        ([True, False], [True, True], "holds once corrected"),
        ([False, False], [True, True], "holds once corrected"),
        ([True, False], [None, True], "holds once corrected"),
        ([False, False], [True, None], "does not hold"),
        ([False, False], [True], "does not hold"),
        ([True, False], [False, True], "does not hold"),
        ([False, False], [False, False], "does not hold"),
        ([True, True], [False, False], "holds"),
        ([None, None], [True, True], "not tested"),
    ],
)
def test_cases_add_up_to_one_verdict(tmp_path, cases, corrected, verdict):
    judged = [claim(f"it falls (k = {k})", holds) for k, holds in enumerate(cases)]
    judged += [
        claim(f"it falls slowly (k = {k})", holds, corrects="it falls")
        for k, holds in enumerate(corrected)
    ]
    figure(tmp_path, "one", *judged)
    found = report.figures(tmp_path)
    statement, *others = report.statements(found)
    assert statement.verdict == verdict
    assert [case.claim.case for case in statement.cases] == ["k = 0", "k = 1"]
    assert len(statement.corrections) == len(corrected)
    # A corrected form is a statement too, in a row of its own.
    assert [other.text for other in others] == ["it falls slowly"] * bool(corrected)
    page = report.page("T", found, {}, {})
    assert ("<b>Corrected:</b> it falls slowly" in page) == bool(corrected)


@pytest.mark.parametrize(
    ("mapped", "uniform", "verdict"),
    [
        ([True, False], True, "holds at some settings"),
        ([False, None], True, "holds at no setting tried"),
        ([None, None], True, "does not hold"),  # by the case at one setting
        ([True, True], False, "does not hold"),  # of minima that have no settings
    ],
)
def test_a_map_of_settings_decides_over_cases_at_one_setting(
    tmp_path, mapped, uniform, verdict
):
    over = [
        claim(f"it falls (k = {k})", holds, lost="map")
        for k, holds in enumerate(mapped)
    ]
    point = claim("it falls (σ = 1)", False, lost="point")
    figure(tmp_path, "one", point, claim("it falls (uniform)", uniform), *over)
    (statement,) = report.statements(report.figures(tmp_path))
    assert statement.verdict == verdict


def test_a_statement_has_one_verdict_from_all_its_figures(tmp_path):
    figure(tmp_path, "one", claim("it falls (a)", True), claim("it rises", True, ""))
    figure(tmp_path, "two", claim("it falls (b)", False, "Figure 3"))
    falls, rises = report.statements(report.figures(tmp_path))
    assert (falls.paper, falls.verdict) == ("Figure 2, Figure 3", "does not hold")
    assert [f.name for f in falls.figures] == ["one", "two"]
    assert (rises.paper, rises.verdict) == ("", "holds")
    page = report.page("T", report.figures(tmp_path), {}, {})
    assert "<small>(holds in 1 of 2 cases)</small>" in page
    assert page.count("href='#two'") == 1
    assert "<li>two, b: 1 &lt; 2" in page
    assert page.count("<code>python -m two</code>") == 1


def test_a_correction_counts_in_its_own_figure_only(tmp_path):
    falls, slowly = "it falls (k = 5)", "it falls slowly (k = 5)"
    figure(
        tmp_path, "one", claim(falls, False), claim(slowly, None, corrects="it falls")
    )
    figure(
        tmp_path, "two", claim(falls, True), claim(slowly, True, corrects="it falls")
    )
    statement, _ = report.statements(report.figures(tmp_path))
    assert statement.verdict == "does not hold"


def test_page_is_escaped_and_needs_nothing_from_outside(tmp_path):
    figure(tmp_path, "one", claim("a < b & c (k = 5)", None, n=0))
    found = report.figures(tmp_path)
    page = report.page("T & U", found, {"two": "it <broke>"}, {"jax": "<1>"})
    assert "a &lt; b &amp; c" in page
    assert "All that <code>two</code> judges: it &lt;broke&gt;" in page
    assert "not tested" in page
    assert "<figcaption>c</figcaption>" in page
    assert "python -m one" in page
    assert not re.search(r"(?:src|href)=['\"](?!#|data:)", page)
    assert "data:image/png;base64," in page
    assert "<meta name='viewport' content='width=device-width" in page  # for phones
    assert "@media print" in page


def reproduced(monkeypatch, lines, *arguments):
    """The tool, where studies of these names are run by these lines."""
    found = {
        name: dataclasses.replace(overlap.STUDY, name=name, command=line)
        for name, line in lines.items()
    }
    monkeypatch.setattr(listed, "studies", lambda: found)
    return command("tools.reproduce", *arguments)


@pytest.mark.slow
def test_reproduce_runs_studies_again_from_their_cells_and_names_failures(
    tmp_path, monkeypatch
):
    lines = {"overlap": "overlap --k=2 --m=3,4 --pairs=3", "wrong": "overlap --k=0"}
    written = []
    for _ in range(2):
        done = reproduced(monkeypatch, lines, f"--out={tmp_path}/out")
        assert done.returncode == 1
        warning, error = done.stderr.splitlines()
        assert warning.startswith("warning: wrong failed: error: k=0")
        assert error == "error: wrong failed: run the command again"
        written.append(times(tmp_path / "out" / "overlap"))
    assert len(written[0]) == 2
    assert written[0] == written[1]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "All that <code>wrong</code> judges: error: k=0" in page
    assert "<figure id='overlap'>" in page


def test_results_of_earlier_runs_stay_in_the_report(tmp_path, monkeypatch):
    """And those of a study that fails now do not count."""
    lines = {"overlap": "overlap --k=0", "rate": "overlap"}
    asked = (lines, "--only=overlap", f"--out={tmp_path}")
    for name in lines:
        (tmp_path / name).mkdir()
        figure(tmp_path / name, name, claim(f"{name} falls", True))
    done = reproduced(monkeypatch, *asked)
    assert done.returncode == 1
    assert "rate falls" in done.stdout
    assert "overlap falls" not in done.stdout
    (tmp_path / "rate" / "rate.claims.json").unlink()
    done = reproduced(monkeypatch, *asked)
    assert done.returncode == 1
    assert done.stdout.startswith("no results\n")
    page = (tmp_path / "report.html").read_text()
    assert "All that <code>rate</code> judges: not asked for yet" in page
