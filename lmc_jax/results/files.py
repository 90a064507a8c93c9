"""Files that are whole or not there: what every writer of the package goes through.

A file gets its name only when all of it is on the disk: temporary sibling, fsync,
rename, fsync of the directory. So a kill or a power cut at any moment leaves finished
files whole, and two writers of one file cannot hurt each other.
"""

import csv
import errno
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

TEMPORARY = ".lmc_jax.tmp"
"""How the names of files being written end."""

DAY = 86_400.0
"""Seconds; no living writer holds a temporary file for so long."""

WRITING = threading.RLock()
"""Held while a file is written: who takes it may end the process and leave no trace."""


class StoreError(ValueError):
    """What cannot be stored or read, and what would be right, in one line."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary sibling to fill in the block; then it takes the place of ``path``.

    The file is whole and on the disk under its name, or there is no trace of it. Raises
    StoreError where the disk refuses.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    with WRITING:
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            message = f"cannot write {str(path)!r}: {error.strerror or error}"
            raise StoreError(message) from error
        finally:
            with suppress(OSError):  # gone since the rename
                temporary.unlink()


def remove_dead(folder: Path) -> None:
    """Removes the temporary files of writers that died more than a day ago."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with suppress(FileNotFoundError):  # another process was faster
            # Either way: a clock may have been wrong.
            if abs(time.time() - path.stat().st_mtime) > DAY:
                path.unlink()


@contextmanager
def or_nothing(folder: Path) -> Iterator[None]:
    """Where the block fails, takes away the folder and its parents that it made."""
    new = [one for one in (folder, *folder.parents) if not os.path.exists(one)]
    try:
        yield
    except BaseException:
        for one in new:
            with suppress(OSError, ValueError):  # not empty, or never made
                one.rmdir()
        raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Others that ask for the same folder wait, where the file system can lock it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_atomic(path: str | Path, data: bytes) -> None:
    """Replaces a file by one that is whole and on the disk, or raises StoreError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_csv(path: str | Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes a table atomically: the keys of the first row, then a line for each row.

    Floats read back exactly (narrow ones as float64). None and NaN are empty fields.
    Rows are taken one at a time. Raises StoreError where keys differ or a value is
    neither scalar nor string.
    """
    columns: list[str] = []
    with (
        replacing(path) as temporary,
        temporary.open("x", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            if not columns:
                columns = list(row)
                writer.writerow(columns)
            if row.keys() != set(columns):
                raise StoreError(f"columns {list(row)} differ from the first {columns}")
            writer.writerow([_field(row[column], column) for column in columns])


def _field(value: object, column: str) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    if not (value is None or isinstance(value, bool | int | float | str)):
        kind = type(value).__name__
        raise StoreError(f"column {column!r} has a {kind}: give scalars and strings")
    return "" if value is None or value != value else str(value)


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):  # cannot sync directories
            raise
    finally:
        os.close(descriptor)
