"""Claims and tables: what a command prints and leaves."""

from experiments.lib import claims
from experiments.lib.table import TERMINAL, narrow, table

CLAIM = claims.Claim("c ≥ 1", measured="2", rule="r", n=3, holds=None, case="m = 1")


def test_claims_are_read_as_they_were_written(tmp_path):
    path = claims.write(tmp_path / "figure", "caption", [CLAIM], "python -m x --k=2")
    assert path == tmp_path / "figure.claims.json"
    assert claims.read(path) == ("caption", "python -m x --k=2", [CLAIM])


def test_a_claim_is_printed_in_one_line():
    assert claims.line(CLAIM) == "   not tested  c ≥ 1 (m = 1): 2"


def test_a_table_wider_than_a_terminal_is_shown_without_intervals():
    row = {"m": 5} | {f"column {i}": "0.5 [0.25, 0.75]" for i in range(5)}
    assert narrow([row]).splitlines()[-1].startswith("means; ")
    assert "[" not in narrow([row])
    assert max(map(len, narrow([row]).splitlines())) <= TERMINAL
    less = {name: row[name] for name in ("m", "column 0")}
    assert narrow([less]) == table([less])
