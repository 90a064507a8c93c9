"""The tutorial runs, cell by cell, and what it shows is kept in it."""

import ast
import importlib
import json
import os
import subprocess
import sys

import pytest
from helpers import ROOT

TUTORIAL = ROOT / "experiments" / "tutorial.ipynb"
CELLS = [
    cell
    for cell in json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"]
    if cell["cell_type"] == "code"
]


@pytest.mark.slow
def test_cells_run_one_after_the_other_and_print_what_is_kept(tmp_path):
    mark = "-- cell --"
    code = f"\nprint({mark!r})\n".join("".join(cell["source"]) for cell in CELLS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for cell, printed in zip(CELLS, done.stdout.split(f"{mark}\n"), strict=True):
        kept = "".join(
            "".join(output["text"])
            for output in cell["outputs"]
            if output["output_type"] == "stream"
        )
        assert len(printed.splitlines()) == len(kept.splitlines())


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
