"""Files that are whole or not there; `test_disk` tests them as cells of a store."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmc_jax.results import files


def test_csv_is_exact(tmp_path):
    path = tmp_path / "summary.csv"
    rows = [
        {"m": 5, "mean": 0.1 + 0.2, "name": "a,b", "none": None, "nan": np.nan},
        {
            "m": np.int64(6),
            "nan": np.float32(0.1),
            "mean": np.inf,
            "name": "",
            "none": 1,
        },
    ]
    files.write_csv(path, rows)
    assert path.read_text() == (
        "m,mean,name,none,nan\n"
        '5,0.30000000000000004,"a,b",,\n'
        f"6,inf,,1,{float(np.float32(0.1))!r}\n"
    )
    for bad in ([{"m": 1}, {"k": 1}], [{"m": np.zeros(2)}]):
        with pytest.raises(files.StoreError, match="column"):
            files.write_csv(path, bad)
    assert path.read_text().startswith("m,mean")
    with pytest.raises(files.StoreError, match="cannot write"):
        files.write_csv(tmp_path / "none" / "summary.csv", rows)


@settings(max_examples=60, deadline=None)
@given(st.floats())
def test_csv_floats_read_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "floats.csv"
    files.write_csv(path, [{"x": value, "y": 0}])
    read = path.read_text().splitlines()[1].split(",")[0]
    assert read == "" if np.isnan(value) else float(read) == value
