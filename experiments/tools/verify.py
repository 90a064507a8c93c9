"""Reads every cell of a sweep again, and names the bad ones: verify OUT."""

import collections
from pathlib import Path

from experiments.lib import command
from experiments.lib.edges import CURVATURE
from experiments.lib.lists import Refusal
from lmc_jax.results import store, summary


def main(out: str) -> None:
    cells = set(store.cell_files(out))
    beside = store.cell_files(Path(out, CURVATURE))
    files = [*sorted(cells), *store.cell_files(out, weights=True), *beside]
    if not files:
        raise Refusal(f"{out!r} holds no cells: give the output of a sweep")
    made: collections.Counter[str] = collections.Counter()
    bad = [error for path in files if (error := fault(path, path in cells, made))]
    for line in bad:
        print(line)
    print(f"{len(files) - len(bad)} of {len(files)} files are sound")
    for origin, count in made.items():
        print(f"{count} made by {origin or 'what they do not say'}")
    if bad:
        raise store.StoreError(
            f"{len(bad)} bad files in {out}: the command of the sweep makes them "
            "again, except where a line says to move one away or to use another folder"
        )


def fault(path: Path, is_cell: bool, made: collections.Counter[str]) -> str:
    """What is wrong with a stored file, in one line; empty for a sound one, counted by
    what made it."""
    try:
        record = store.read(path)
    except store.StoreError as error:
        return str(error)
    asked = record.provenance.get("flags", {}).get("save_weights") == "True"
    if is_cell and asked and not path.with_suffix(store.WEIGHTS).exists():
        return f"{str(path)!r} has lost its weights, which were asked for"
    made[summary.made_by(record)] += 1
    return ""


if __name__ == "__main__":
    command.run(main, "OUT")
