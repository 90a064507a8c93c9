"""``python -m experiments`` lists the entrypoints."""

import ast
from pathlib import Path


def main() -> None:
    print("python -m experiments.NAME [--preset=quick|paper] [--help]\n")
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_text()
        if "common.run(main" in text and path.stem != "__main__":
            first = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
            print(f"  {path.stem:<20}{first}")


if __name__ == "__main__":
    main()
