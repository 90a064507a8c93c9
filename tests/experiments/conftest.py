"""A finished sweep, small data sets, and a guard against sweeping twice."""

import gzip

import numpy as np
import pytest
from cases import IDX_FILES, SWEEP, idx
from helpers import command

from experiments.lib import students


@pytest.fixture
def nothing_is_swept(monkeypatch):
    """In this process every cell of two-layer students must be found stored."""
    monkeypatch.setattr(students, "sweep", None)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Output folder of ``SWEEP`` in one process, on as many devices as cores."""
    out = tmp_path_factory.mktemp("whole")
    assert command("barrier_vs_width", *SWEEP, f"--out={out}").returncode == 0
    return out


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data root with two small data sets, 8 × 8 images of ten classes."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("easy", "hard"):
        (root / name).mkdir()
        for file in IDX_FILES:
            count = 60 if "train" in file else 20
            shape = (count, 8, 8) if "images" in file else (count,)
            array = rng.integers(256 if "images" in file else 10, size=shape)
            (root / name / f"{file}.gz").write_bytes(gzip.compress(idx(array)))
    return root
