"""``python -m experiments`` lists what there is to run: studies, then tools."""

import ast
import importlib
import re
from pathlib import Path

from experiments.lib import command
from experiments.lib.study import Study

FOLDER = Path(__file__).parent


def studies() -> dict[str, Study]:
    """Every study of this folder by its name, in the order of the paper's figures."""
    found: dict[str, Study] = {}
    for path in sorted(FOLDER.glob("[!_]*.py")):
        module = importlib.import_module(f"experiments.{path.stem}")
        own = (value for value in vars(module).values() if isinstance(value, Study))
        found |= {study.name: study for study in own}
    return dict(sorted(found.items(), key=lambda item: _place(item[1])))


def _place(study: Study) -> tuple[bool, int]:
    """Figures by number, then other places of the paper, then what goes beyond it."""
    number = re.match(r"Figures? (\d+)", study.paper)
    return not study.paper, int(number[1]) if number else 99


def tools() -> dict[str, str]:
    """The first line of each tool's docstring, by name."""
    return {
        f"tools.{path.stem}": _first_line(path)
        for path in sorted(FOLDER.glob("tools/[!_]*.py"))
    }


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]


def main() -> None:
    print("python -m experiments.NAME [--preset=quick|paper] [--help]\n")
    modules = dict.fromkeys(study.line[0] for study in studies().values())
    shown = {name: _first_line(FOLDER / f"{name}.py") for name in modules}
    for name, first in (shown | tools()).items():
        print(f"  {name:<20}{first}")


if __name__ == "__main__":
    command.run(main)
