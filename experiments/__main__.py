"""``python -m experiments`` lists the entrypoints."""

import ast
from pathlib import Path


def main() -> None:
    print("python -m experiments.NAME [--preset=quick|paper] [--help]\n")
    for path in sorted(Path(__file__).parent.glob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
        if path.stem not in ("__init__", "__main__", "common"):
            print(f"  {path.stem:<20}{first}")


if __name__ == "__main__":
    main()
