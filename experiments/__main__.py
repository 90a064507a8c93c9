"""``python -m experiments`` lists the entrypoints."""

import ast
from pathlib import Path


def entrypoints(*, sharded: bool = False) -> dict[str, str]:
    """The first line of each entrypoint's docstring, by name.

    ``sharded``: of those only that compute cells, and so take the flags of shards.
    """
    mark = "define_cells()" if sharded else "common.run(main"
    folder = Path(__file__).parent
    found = {}
    for path in [*sorted(folder.glob("*.py")), *sorted(folder.glob("tools/*.py"))]:
        text = path.read_text(encoding="utf-8")
        if "common.run(main" in text and mark in text and path.stem != "__main__":
            first = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
            found[".".join(path.relative_to(folder).with_suffix("").parts)] = first
    return found


def main() -> None:
    print("python -m experiments.NAME [--preset=quick|paper] [--help]\n")
    for name, first in entrypoints().items():
        print(f"  {name:<20}{first}")


if __name__ == "__main__":
    main()
