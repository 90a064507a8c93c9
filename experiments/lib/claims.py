"""Claims: what is stated, what was measured, and whether it holds by a stated rule."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lmc_jax.results import files

VERDICTS = {True: "holds", False: "does not hold", None: "not tested"}
Interval = tuple[float, float, float]  # value, low, high


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement in one case.

    paper: where the paper makes it, empty beyond the paper. text: the statement, in the
    same words in every case. case: what it is judged for, such as ``k = 5, m = 10``;
    may be empty. measured: in words, with numbers. rule: how the verdict follows from
    it. n: independent pairs or runs, 0 where nothing was sampled. holds: the verdict,
    None where nothing could be judged. corrects: of a corrected form, the text of the
    statement that it replaces. lost: of a statement that depends on settings that the
    paper leaves out, "point" where it is judged at one of them, "map" where it is over
    many, and said to hold if it does at some.
    """

    text: str
    measured: str
    rule: str
    n: int
    holds: bool | None
    paper: str = ""
    case: str = ""
    corrects: str = ""
    lost: str = ""


class Statement(NamedTuple):
    """What claims of one kind share: the fields of ``Claim`` of the same names.

    >>> falls = Statement("it falls", "the last mean is below the first", "Figure 1")
    >>> falls.judged("k = 5", "from 2 to 1", 40, 1 < 2).holds
    True
    """

    text: str
    rule: str
    paper: str = ""
    corrects: str = ""

    def judged(
        self, case: str, measured: str, n: int, holds: Any, lost: str = ""
    ) -> Claim:
        """The claim of one case."""
        verdict = None if holds is None else bool(holds)
        shared = self.paper, case, self.corrects, lost
        return Claim(self.text, measured, self.rule, n, verdict, *shared)


# --- rules ---------------------------------------------------------------------------


def below(
    lower: Mapping[str, Any], upper: Mapping[str, Any], value: str
) -> bool | None:
    """Whether the intervals of a value of two rows do not meet, in this order.

    None where a row has no interval.
    """
    gap = upper[f"{value}_low"] - lower[f"{value}_high"]
    return bool(gap > 0) if gap == gap else None


def within(interval: Iterable[float], least: float, most: float) -> bool | None:
    """Whether an interval lies inside bounds; None where it reaches across one."""
    _, low, high = interval
    if least <= low and high <= most:
        return True
    return False if high < least or low > most else None


def every(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether all hold: False where one fails, else None where one is not known."""
    found = set(verdicts)
    return False if False in found else None if None in found else True


def likely(share: float) -> bool | None:
    """Whether a share of bootstrap resamples is nearly all; None where it is neither
    95% at least nor 5% at most."""
    if share >= 0.95:
        return True
    return False if share <= 0.05 else None


def highest(rows: Sequence[dict], value: str = "barrier") -> dict:
    """The row with the largest mean of a value."""
    return max(rows, key=lambda row: row[f"{value}_mean"])


def lowest(rows: Sequence[dict], value: str = "barrier") -> dict:
    """The row with the least mean of a value."""
    return min(rows, key=lambda row: row[f"{value}_mean"])


# --- files and words -----------------------------------------------------------------


def write(
    stem: str | Path, caption: str, claims: Sequence[Claim], command: str
) -> Path:
    """Writes STEM.claims.json: caption, command, and the fields of each claim."""
    path = Path(f"{stem}.claims.json")
    fields = [dataclasses.asdict(claim) for claim in claims]
    content = {"caption": caption, "command": command, "claims": fields}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    files.write_atomic(path, (text + "\n").encode())
    return path


def read(path: Path) -> tuple[str, str, list[Claim]]:
    """Caption, command and claims of a file that ``write`` made."""
    content: Mapping = json.loads(path.read_text(encoding="utf-8"))
    claims = [Claim(**fields) for fields in content["claims"]]
    return content["caption"], content["command"], claims


def statements(claims: Sequence[Claim]) -> list[str]:
    """A line for each statement: in how many of its judged cases it holds."""
    cases: dict[tuple[str, str], list[bool | None]] = {}
    for claim in claims:
        whose = claim.paper or ("corrected" if claim.corrects else "not the paper's")
        cases.setdefault((claim.text, whose), []).append(claim.holds)
    lines = []
    for (text, whose), verdicts in cases.items():
        judged = [holds for holds in verdicts if holds is not None]
        said = f"holds in {sum(judged)} of {len(judged)}" if judged else VERDICTS[None]
        lines.append(f"{said:>17}  {text} ({whose})")
    return lines


def line(claim: Claim) -> str:
    """A claim for the terminal: verdict, statement, case, what was measured."""
    case = f" ({claim.case})" if claim.case else ""
    return f"{VERDICTS[claim.holds]:>13}  {claim.text}{case}: {claim.measured}"
