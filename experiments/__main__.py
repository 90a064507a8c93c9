"""``python -m experiments`` lists the entrypoints."""

import ast
from pathlib import Path


def entrypoints() -> dict[str, str]:
    """The first line of each entrypoint's docstring, by name."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "common.run(main" in text and path.stem != "__main__":
            first = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
            found[path.stem] = first
    return found


def main() -> None:
    print("python -m experiments.NAME [--preset=quick|paper] [--help]\n")
    for name, first in entrypoints().items():
        print(f"  {name:<20}{first}")


if __name__ == "__main__":
    main()
