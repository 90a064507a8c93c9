"""The tutorial runs, cell by cell, and what it shows is kept in it."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT

TUTORIAL = ROOT / "experiments" / "tutorial.ipynb"
CELLS = [
    cell
    for cell in json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"]
    if cell["cell_type"] == "code"
]
MARK = "-- cell --"
# What a notebook shows of a cell beside its prints: figures, with their size in pixels.
FIGURES = f"""
for number in plt.get_fignums():
    print(repr(plt.figure(number)))
plt.close("all")
print({MARK!r})
"""
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def script(cell: dict) -> str:
    """The cell with its last value printed, as a notebook shows it."""
    source = "".join(cell["source"])
    tree = ast.parse(source)
    last = tree.body[-1]
    if isinstance(last, ast.Expr) and not source.rstrip().endswith(";"):
        shows = (
            f"if (value := {ast.unparse(last)}) is not None:\n    print(repr(value))"
        )
        tree.body[-1:] = ast.parse(shows).body
    return ast.unparse(tree) + FIGURES


def kept(cell: dict) -> str:
    """Everything that is stored below a cell, pictures as the size that they have."""
    texts = [o.get("text") or o["data"]["text/plain"] for o in cell["outputs"]]
    return "\n".join("".join(text) for text in texts)


def words(text: str) -> str:
    """The text without white space and numbers."""
    return "".join(NUMBER.sub("#", text).split())


@pytest.mark.slow
def test_cells_run_one_after_the_other_and_show_what_is_kept(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(map(script, CELLS))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *shown, rest = done.stdout.split(f"{MARK}\n")
    assert rest == ""
    for cell, text in zip(CELLS, shown, strict=True):
        assert words(text) == words(kept(cell))
        numbers = [list(map(float, NUMBER.findall(one))) for one in (text, kept(cell))]
        np.testing.assert_allclose(*numbers, rtol=0.05, atol=1e-8)


def test_what_cells_import_exists():
    code = "\n".join("".join(cell["source"]) for cell in CELLS)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.import_module(name)


def test_pictures_are_kept():
    kinds = [
        kind for cell in CELLS for o in cell["outputs"] for kind in o.get("data", ())
    ]
    assert kinds.count("image/png") == 2
