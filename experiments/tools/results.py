"""Rewrites the table of statements in gallery/RESULTS.md from the claims beside it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.lib import command, report
from lmc_jax.results import files

GALLERY = Path(__file__).resolve().parents[1] / "gallery"
RESULTS = GALLERY / "RESULTS.md"
BEGIN, END = "<!-- statements -->\n", "<!-- end -->\n"
COLUMNS = ("statement", "verdict", "n", "command", "held/judged", "paper", "figure")


def main() -> None:
    before, _, after = parts(RESULTS.read_text(encoding="utf-8"))
    files.write_atomic(RESULTS, (before + table(GALLERY) + after).encode())
    print("files:", RESULTS, sep="\n  ")


def parts(text: str) -> tuple[str, str, str]:
    """What is before the table, the table, and what is after it."""
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    return before + BEGIN, inside, END + after


def table(folder: Path) -> str:
    """A row for each statement, those of the paper first, and the commands below."""
    found = report.statements(sorted(report.figures(folder), key=number))
    found.sort(key=lambda statement: not statement.paper)
    commands = dict.fromkeys(f.command for one in found for f in one.figures)
    numbers = {command: f"{i}" for i, command in enumerate(commands, 1)}
    rows = [row(statement, numbers) for statement in found]
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    listed = (f"{number}. `{command}`\n" for command, number in numbers.items())
    return "".join((*map(line, lines), "\nCommands:\n\n", *listed))


def number(figure: report.Figure) -> int:
    """The first of the paper's figures that it shows; 99 if it shows none."""
    places = " ".join(claim.paper for claim in figure.claims)
    return min(map(int, re.findall(r"Figures? (\d+)", places)), default=99)


def row(statement: report.Judgement, numbers: Mapping[str, str]) -> list[str]:
    judged = statement.judged
    names = (f"[{figure.name}]({figure.name}.png)" for figure in statement.figures)
    commands = dict.fromkeys(numbers[figure.command] for figure in statement.figures)
    return [
        *(statement.text, statement.verdict, statement.size, ", ".join(commands)),
        *(f"{sum(judged)}/{len(judged)}", statement.paper, ", ".join(names)),
    ]


def line(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"


if __name__ == "__main__":
    command.run(main)
