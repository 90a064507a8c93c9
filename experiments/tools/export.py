"""A sweep for other tools: export OUT --format=csv|netcdf|parquet.

csv and parquet hold a tidy table, a row for each pair and path; netcdf holds all that
is stored but weights, with named dimensions, for xarray. Conventions are in the
attributes of the file; beside a csv, in export.json.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.lib import command
from experiments.lib.lists import Refusal
from lmc_jax.results import export, files, store

FORMAT = flags.DEFINE_enum(
    "format", "csv", ["csv", "netcdf", "parquet"], "Of the file."
)
GROUP = 200_000  # rows of a group of a parquet file, at least


def main(out: str) -> None:
    if not store.cell_files(out):
        raise Refusal(f"{out!r} holds no cells: give the output of a sweep")
    write = {"csv": write_csv, "netcdf": write_netcdf, "parquet": write_parquet}
    try:
        written = write[FORMAT.value](Path(out))
    except store.StoreError:
        raise
    except ValueError as error:
        raise Refusal(str(error)) from error
    except ImportError as error:
        raise Refusal(
            f"--format={FORMAT.value} needs {error.name or error}: "
            "pip install 'lmc_jax[export]'"
        ) from error
    print("files:", *written, sep="\n  ")


def write_csv(out: Path) -> list[Path]:
    path, about = out / "export.csv", out / "export.json"
    files.write_csv(path, _rows(out))
    text = json.dumps(export.ATTRIBUTES | export.DESCRIPTIONS, indent=2)
    files.write_atomic(about, (text + "\n").encode())
    return [path, about]


def _rows(out: Path) -> Iterator[dict[str, Any]]:
    for table in export.tables(out):
        columns = [column.tolist() for column in table.values()]  # masked: None
        for values in zip(*columns, strict=True):
            yield dict(zip(table, values, strict=True))


def write_parquet(out: Path) -> list[Path]:
    import pyarrow
    from pyarrow import parquet

    kinds = {"i": pyarrow.int64(), "f": pyarrow.float64(), "U": pyarrow.string()}
    about = export.ATTRIBUTES | export.DESCRIPTIONS

    def table(columns):
        arrays = {
            name: pyarrow.array(c.data, kinds[c.dtype.kind], np.ma.getmaskarray(c))
            for name, c in columns.items()
        }
        return pyarrow.table(arrays).replace_schema_metadata(about)

    path = out / "export.parquet"
    tables = map(table, export.tables(out))
    waiting = [next(tables)]
    with (
        files.replacing(path) as temporary,
        parquet.ParquetWriter(temporary, waiting[0].schema) as writer,
    ):
        for one in tables:
            if sum(map(len, waiting)) >= GROUP:
                writer.write_table(pyarrow.concat_tables(waiting))
                waiting.clear()
            waiting.append(one)
        writer.write_table(pyarrow.concat_tables(waiting))
    return [path]


def write_netcdf(out: Path) -> list[Path]:
    import h5netcdf  # noqa: F401  the engine, named here when it is missing

    path = out / "export.nc"
    content = io.BytesIO()  # HDF5 crashes where a disk is full
    export.dataset(out).to_netcdf(content, engine="h5netcdf")
    files.write_atomic(path, content.getvalue())
    return [path]


if __name__ == "__main__":
    command.run(main, "OUT")
