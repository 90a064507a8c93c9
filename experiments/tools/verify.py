"""Reads every cell of a sweep again, and names the bad ones: verify OUT."""

from pathlib import Path

from experiments.lib import command
from experiments.lib.lists import Refusal
from lmc_jax.results import store


def main(out: str) -> None:
    cells = set(store.cell_files(out))
    files = [*sorted(cells), *store.cell_files(out, weights=True)]
    if not files:
        raise Refusal(f"{out!r} holds no cells: give the output of a sweep")
    bad = [error for path in files if (error := fault(path, path in cells))]
    for line in bad:
        print(line)
    print(f"{len(files) - len(bad)} of {len(files)} files are sound")
    if bad:
        raise store.StoreError(
            f"{len(bad)} bad files in {out}: the command of the sweep computes those "
            "cells again"
        )


def fault(path: Path, is_cell: bool) -> str:
    """What is wrong with a stored file, in one line; empty for a sound one."""
    try:
        record = store.read(path)
    except store.StoreError as error:
        return str(error)
    asked = record.provenance.get("flags", {}).get("save_weights") == "True"
    if is_cell and asked and not path.with_suffix(store.WEIGHTS).exists():
        return f"{str(path)!r} has lost its weights, which were asked for"
    return ""


if __name__ == "__main__":
    command.run(main, "OUT")
