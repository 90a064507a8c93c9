"""Figures and claims of finished entrypoints as one self-contained HTML page.

Nothing here judges: verdicts come from the claims that entrypoints left beside their
figures, and how cases add up to one verdict is said on the page.
"""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.lib import claims
from experiments.lib.claims import VERDICTS, Claim

HOLDS, FAILS, NOT_RUN = (VERDICTS[holds] for holds in (True, False, None))
CORRECTED = "holds with a correction"
RULE = (
    "A statement is judged case by case (teacher, source, matching, ...), by the rule "
    "given with each case, and has one verdict from all its cases in all figures. "
    f"“{HOLDS}”: in every case that could be judged. “{CORRECTED}”: not in all, but a "
    "corrected form, named below the statement and judged by its own rule in a row of "
    "its own, holds in every case where the statement fails, and fails in none. "
    f"“{FAILS}”: in some case neither it nor a corrected form holds; how many cases "
    f"hold is said. “{NOT_RUN}”: no case could be judged at these settings, or the "
    "entrypoint left no result. An order that is claimed does not hold where intervals "
    "meet, if the rule does not say otherwise."
)

# What else the paper says, in words that no result can be held against.
UNJUDGED = (
    "Equations 3, 7 and 8 and the examples of Definition 7 are the program's own code: "
    "its tests compare them with independent computations.",
    "By how much the best permutation lowers the barrier (Figure 3) and at which width "
    "it does little (Figure 8): the numbers are missing in the text that we have.",
    "That Dirichlet or equal weights model the simplex as well (Appendix B.1): no "
    "measure is named; --source=dirichlet,equal draws their curves.",
    "Why the barrier falls before m = k: that students too narrow to fit match "
    "different subsets of the teacher (Figure 4); no measure of them is named.",
    "That PQI grows slowly below the threshold of the learning rate (Figure 6): its "
    "curve is drawn, how slow is not said.",
    "That the set of Lemma 2 is compact: by its form it is a finite union of products "
    "of simplices.",
    "That the number of teacher neurons models how complex data are (Appendix B.4).",
    "What it says of the proofs and figures of other papers.",
)


class Figure(NamedTuple):
    """One figure of an entrypoint, with all that was said beside it."""

    stem: Path
    caption: str
    command: str
    claims: list[Claim]

    @property
    def name(self) -> str:
        return self.stem.name


class Case(NamedTuple):
    """A claim, of one case, of one figure."""

    claim: Claim
    figure: Figure


class Statement(NamedTuple):
    """A claim in all its cases, and in those of its corrected form where it has one."""

    text: str
    cases: list[Case]
    corrections: list[Case]

    @property
    def figures(self) -> list[Figure]:
        """Where it is judged, in order."""
        return list({case.figure.stem: case.figure for case in self.cases}.values())

    @property
    def paper(self) -> str:
        """Where the paper says it; empty beyond the paper."""
        places = dict.fromkeys(case.claim.paper for case in self.cases)
        return ", ".join(place for place in places if place)

    @property
    def judged(self) -> list[bool]:
        return _judged(self.cases)

    @property
    def verdict(self) -> str:
        if not self.judged:
            return NOT_RUN
        if all(self.judged):
            return HOLDS
        failed = {_place(case) for case in self.cases if case.claim.holds is False}
        saved = {_place(case) for case in self.corrections if case.claim.holds}
        corrected = failed <= saved and all(_judged(self.corrections))
        return CORRECTED if corrected else FAILS


def _place(case: Case) -> tuple[Path, str]:
    return case.figure.stem, case.claim.case


def _judged(cases: Sequence[Case]) -> list[bool]:
    found = (case.claim.holds for case in cases)
    return [holds for holds in found if holds is not None]


def figures(folder: Path) -> list[Figure]:
    """The figures that an entrypoint left in its output folder, by name."""
    return [
        Figure(Path(str(path).removesuffix(".claims.json")), *claims.read(path))
        for path in sorted(folder.glob("*.claims.json"))
    ]


def statements(found: Iterable[Figure]) -> list[Statement]:
    """Claims that differ in their case only, put together, in order of appearance."""
    groups: dict[str, Statement] = {}
    for figure in found:
        for claim in figure.claims:
            case = Case(claim, figure)
            if claim.corrects:
                groups[claim.corrects].corrections.append(case)
            statement = Statement(claim.text, [], [])
            groups.setdefault(claim.text, statement).cases.append(case)
    return list(groups.values())


# --- the page ------------------------------------------------------------------------


def page(
    title: str, found: Sequence[Figure], missing: Mapping[str, str], provenance: Mapping
) -> str:
    """The whole page.

    Args:
      title: its heading.
      found: figures in the order of the page.
      missing: why there is nothing of an entrypoint, by its name.
      provenance: names and values, see ``environment.provenance``.
    """
    every = statements(found)
    paper = [statement for statement in every if statement.paper]
    beyond = [statement for statement in every if not statement.paper]
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<p>{_text(RULE)}</p>",
        "<h2>What the paper claims</h2>",
        _table(paper, [_left_out(name, why) for name, why in missing.items()]),
        "<p>Not judged:</p>",
        "<ul>",
        *(f"<li>{_text(sentence)}</li>" for sentence in UNJUDGED),
        "</ul>",
        "<h2>Beyond the paper</h2>",
        _table(beyond),
        "<h2>Figures</h2>",
        *(_figure(figure) for figure in found),
        "<h2>Provenance</h2>",
        "<dl>",
        *(f"<dt>{_text(n)}</dt><dd>{_text(v)}</dd>" for n, v in provenance.items()),
        "</dl>",
    ]
    head = f"<meta charset='utf-8'><meta name='viewport' content='{_VIEWPORT}'>"
    head += f"<title>{_text(title)}</title><style>{_STYLE}</style>"
    head += f"<script>{_PRINTED}</script>"
    body = "\n".join(parts)
    return (
        f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"
    )


def _table(rows: Sequence[Statement], left_out: Sequence[str] = ()) -> str:
    names = ("paper", "statement and what was measured", "verdict", "n", "figure")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join([*(_row(statement) for statement in rows), *left_out])
    return (
        f"<div class='wide'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _left_out(name: str, why: str) -> str:
    """The row of an entrypoint without results."""
    said = f"All that <code>{_text(name)}</code> judges: {_text(why)}"
    return f"<tr><td></td><td>{said}</td>{_verdict(NOT_RUN)}<td>0</td><td></td></tr>"


def _verdict(verdict: str, note: str = "") -> str:
    return f"<td><b class='{verdict.replace(' ', '-')}'>{verdict}</b>{note}</td>"


def _row(statement: Statement) -> str:
    sizes = [case.claim.n for case in statement.cases]
    least, most = min(sizes), max(sizes)
    size = f"{least}" if least == most else f"{least} to {most}"
    if not most and statement.judged:
        size = "computed"  # without sampling
    links = (
        f"<a href='#{_text(figure.name)}'>{_text(figure.name)}</a>"
        for figure in statement.figures
    )
    said = f"{_text(statement.text)}{_cases(statement)}{_corrected(statement)}"
    return (
        f"<tr><td>{_text(statement.paper)}</td><td>{said}</td>"
        f"{_verdict(statement.verdict, _count(statement.judged))}"
        f"<td>{size}</td><td>{'<br>'.join(links)}</td></tr>"
    )


def _count(judged: Sequence[bool]) -> str:
    held = f"holds in {sum(judged)} of {len(judged)} cases"
    return f" <small>({held})</small>" if len(judged) > 1 else ""


def _corrected(statement: Statement) -> str:
    """The corrected forms, each with the number of its cases that hold."""
    groups: dict[str, list[Case]] = {}
    for case in statement.corrections:
        groups.setdefault(case.claim.text, []).append(case)
    return "".join(
        f"<p><b>Corrected:</b> {_text(text)}{_count(_judged(cases))}</p>"
        for text, cases in groups.items()
    )


def _cases(statement: Statement) -> str:
    """What was measured, by which rules, and the commands that measure it again."""
    several = len(statement.figures) > 1
    items = ""
    for claim, figure in statement.cases:
        place = ", ".join(filter(None, (figure.name if several else "", claim.case)))
        items += (
            f"<li>{_text(place)}{': ' if place else ''}{_text(claim.measured)} — "
            f"<i>{VERDICTS[claim.holds]}</i></li>"
        )
    rules = dict.fromkeys(case.claim.rule for case in statement.cases)
    commands = dict.fromkeys(figure.command for figure in statement.figures)
    notes = [f"Rule: {_text(rule)}." for rule in rules]
    notes += [f"<code>{_text(command)}</code>" for command in commands]
    shown = f"<ul>{items}</ul>" + "".join(f"<p><small>{n}</small></p>" for n in notes)
    if len(statement.cases) < 3:
        return shown
    return f"<details><summary>{len(statement.cases)} cases</summary>{shown}</details>"


def _figure(figure: Figure) -> str:
    picture = base64.b64encode(Path(f"{figure.stem}.png").read_bytes()).decode()
    name = _text(figure.name)
    return (
        f"<figure id='{name}'><h3>{name}</h3>"
        f"<img alt='{name}' src='data:image/png;base64,{picture}'>"
        f"<figcaption>{_text(figure.caption)}</figcaption>"
        f"<pre>{_text(figure.command)}</pre></figure>"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))


_VIEWPORT = "width=device-width, initial-scale=1"
# Paper cannot be clicked: all cases are opened for it.
_PRINTED = (
    "addEventListener('beforeprint', () => "
    "document.querySelectorAll('details').forEach(cases => cases.open = true))"
)
_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; max-width: 64rem; margin: 1rem auto;
  padding: 0 1rem; color: #111; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.6rem;
  border-bottom: 1px solid #ccc; }
ul { margin: 0.3rem 0; padding-left: 1.1rem; font-size: 0.85rem; color: #333; }
p { margin: 0.4rem 0; }
b.holds { color: #00694c; } b.holds-with-a-correction { color: #8a5a00; }
b.does-not-hold { color: #a33f00; } b.not-run { color: #666; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
figcaption { font-size: 0.85rem; } code { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f3f3f3;
  padding: 0.5rem; font-size: 0.8rem; }
dt { font-weight: bold; } dd { margin: 0 0 0.3rem 1rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { table, tbody, tr, td { display: block; border: 0; }
  thead { display: none; } td { padding: 0.1rem 0; }
  td:nth-child(4)::before { content: "n: "; }
  tr { border-bottom: 1px solid #ccc; padding: 0.6rem 0; } }
@media print { body { max-width: none; font-size: 11px; }
  figure, li { break-inside: avoid; } }
"""
