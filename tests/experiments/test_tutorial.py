"""The tutorial runs, cell by cell, and what it shows is kept in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[2] / "experiments" / "tutorial.ipynb"
CELLS = [
    cell
    for cell in json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"]
    if cell["cell_type"] == "code"
]


def test_cells_run_one_after_the_other_and_print_what_is_kept(tmp_path):
    mark = "-- cell --"
    code = f"\nprint({mark!r})\n".join("".join(cell["source"]) for cell in CELLS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TUTORIAL.parents[1]), "MPLBACKEND": "agg"},
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


def test_pictures_are_kept():
    kinds = [
        kind for cell in CELLS for o in cell["outputs"] for kind in o.get("data", ())
    ]
    assert kinds.count("image/png") == 2
