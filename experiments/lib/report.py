"""Figures and claims of finished entrypoints as one self-contained HTML page.

Nothing here judges: verdicts come from the claims that entrypoints left beside their
figures, and how cases add up to one verdict is said on the page.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from experiments.lib import claims
from experiments.lib.claims import VERDICTS, Claim

HOLDS, FAILS, NOT_TESTED = (VERDICTS[holds] for holds in (True, False, None))
CORRECTED = "holds once corrected"
SOMEWHERE, NOWHERE = "holds at some settings", "holds at no setting tried"
RULE = (
    "A statement is judged case by case (teacher, source, matching, ...), by the rule "
    "given with each case, and has one verdict from all its cases in all figures. "
    f"“{HOLDS}”: in every case that could be judged. “{CORRECTED}”: not in all, but a "
    "corrected form, named below the statement and judged by its own rule in a row of "
    "its own, holds in every case where the statement fails, and fails in none. "
    f"“{FAILS}”: in some case neither it nor a corrected form holds; how many cases "
    f"hold is said. “{SOMEWHERE}”, “{NOWHERE}”: the paper leaves out settings that it "
    "depends on, and it was judged over a map of them (settings_map); cases of trained "
    f"students at one setting then do not decide. “{NOT_TESTED}”: no case could be "
    "judged at these settings, or the entrypoint left no result. An order that is "
    "claimed does not hold where intervals meet, if the rule does not say otherwise."
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

    @property
    def picture(self) -> str:
        """The figure itself, in base64."""
        return base64.b64encode(Path(f"{self.stem}.png").read_bytes()).decode()


class Case(NamedTuple):
    """A claim, of one case, of one figure."""

    claim: Claim
    figure: Figure

    @property
    def verdict(self) -> str:
        return VERDICTS[self.claim.holds]


class Judgement(NamedTuple):
    """A statement in all its cases, and in those of its corrected form."""

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
            return NOT_TESTED
        mapped = _judged([case for case in self.cases if case.claim.lost == "map"])
        others = _judged([case for case in self.cases if not case.claim.lost])
        if mapped and all(others):
            return SOMEWHERE if any(mapped) else NOWHERE
        if all(self.judged):
            return HOLDS
        failed = {_place(case) for case in self.cases if case.claim.holds is False}
        saved = {_place(case) for case in self.corrections if case.claim.holds}
        corrected = failed <= saved and all(_judged(self.corrections))
        return CORRECTED if corrected else FAILS

    @property
    def size(self) -> str:
        """The least and the largest n of its cases."""
        sizes = [case.claim.n for case in self.cases]
        least, most = min(sizes), max(sizes)
        if not most and self.judged:
            return "computed"  # without sampling
        return f"{least}" if least == most else f"{least} to {most}"

    @property
    def corrected(self) -> list[tuple[str, list[bool]]]:
        """The corrected forms, each with which of its cases hold."""
        groups: dict[str, list[Case]] = {}
        for case in self.corrections:
            groups.setdefault(case.claim.text, []).append(case)
        return [(text, _judged(cases)) for text, cases in groups.items()]


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


def statements(found: Iterable[Figure]) -> list[Judgement]:
    """Claims that differ in their case only, put together, in order of appearance."""
    groups: dict[str, Judgement] = {}
    for figure in found:
        for claim in figure.claims:
            case = Case(claim, figure)
            if claim.corrects:
                groups[claim.corrects].corrections.append(case)
            statement = Judgement(claim.text, [], [])
            groups.setdefault(claim.text, statement).cases.append(case)
    return list(groups.values())


def page(
    title: str, found: Sequence[Figure], missing: Mapping[str, str], provenance: Mapping
) -> str:
    """The whole page, by the template beside this file.

    Args:
      title: its heading.
      found: figures in the order of the page.
      missing: why there is nothing of an entrypoint, by its name.
      provenance: names and values, see ``environment.provenance``.
    """
    every = statements(found)
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template("report.html").render(
        title=title,
        rule=RULE,
        unjudged=UNJUDGED,
        paper=[statement for statement in every if statement.paper],
        beyond=[statement for statement in every if not statement.paper],
        found=found,
        missing=missing,
        provenance=provenance,
    )
