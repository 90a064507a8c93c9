"""The tutorial runs from anywhere and shows what it promises, in few lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[2] / "experiments" / "tutorial.py"


def test_tutorial_leads_to_a_figure_of_a_lowered_barrier(tmp_path):
    done = subprocess.run(
        [sys.executable, TUTORIAL],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TUTORIAL.parents[1])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    heights = dict(re.findall(r"(\w+) barrier: (\S+)", done.stdout))
    assert 0 < float(heights["permuted"]) < float(heights["direct"]) / 3
    assert (tmp_path / "tutorial.png").stat().st_size > 5000
    assert len(TUTORIAL.read_text().splitlines()) < 60
