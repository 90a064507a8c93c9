"""A sweep for other tools: export OUT --format=csv|netcdf.

csv is a tidy table, a row for each pair and path, with its conventions beside it, in
export.json; netcdf holds all that is stored but weights, with named dimensions, for
xarray.
"""

import io
import json
from pathlib import Path

from absl import flags

from experiments.lib import command
from experiments.lib.lists import Refusal
from lmc_jax.results import export, files, store

FORMAT = flags.DEFINE_enum("format", "csv", ["csv", "netcdf"], "Of the file.")


def main(out: str) -> None:
    if not store.cell_files(out):
        raise Refusal(f"{out!r} holds no cells: give the output of a sweep")
    write = {"csv": write_csv, "netcdf": write_netcdf}
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
    files.write_csv(path, export.rows(out))
    words = {name: words for name, (_, words) in export.ARRAYS.items()}
    text = json.dumps(export.ATTRIBUTES | words, indent=2)
    files.write_atomic(about, (text + "\n").encode())
    return [path, about]


def write_netcdf(out: Path) -> list[Path]:
    import h5netcdf  # noqa: F401  the engine, named here when it is missing

    path = out / "export.nc"
    content = io.BytesIO()  # HDF5 crashes where a disk is full
    export.dataset(out).to_netcdf(content, engine="h5netcdf")
    files.write_atomic(path, content.getvalue())
    return [path]


if __name__ == "__main__":
    command.run(main, "OUT")
