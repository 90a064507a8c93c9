"""Cells on disk: one immutable, sealed `.npz` for each finished cell of a sweep.

    OUT/cells/<fingerprint>.npz          measurements, parameters, provenance
    OUT/cells/<fingerprint>.weights.npz  the same with weights, where asked for

A cell is an ordinary npz (`np.load(path)["barrier"]`) with one member more, `meta.json`
for its parameters and provenance. It ends in its seal, the zip comment: `lmc_jax schema
0001 sha256 ` and 64 digits, the SHA-256 of every byte before them (`head -c -64 CELL
| sha256sum`). Readers check the seal before they parse anything.

Cells are files that are whole or not there (`lmc_jax.results.files`): a kill or a power
cut at any moment leaves finished ones whole, and two writers cannot hurt each other.
"""

import errno
import functools
import io
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from lmc_jax.results import files
from lmc_jax.results.files import StoreError, or_nothing, sync_folder, write_atomic
from lmc_jax.versions import outdated

SCHEMA = 1  # version of this layout and of what the arrays of a cell mean

_MARK = b"lmc_jax schema %04d sha256 "
_HEX = 64  # digits of a SHA-256
_SEAL = len(_MARK % SCHEMA) + _HEX
_PYTHON_ERRORS = (ValueError, LookupError, TypeError, RuntimeError, OSError, EOFError)
_UNPARSABLE = (*_PYTHON_ERRORS, zipfile.BadZipFile, zlib.error)
WEIGHTS = ".weights.npz"

Values = Mapping[str, Any]
"""None, bool, int, finite float, str, and lists, tuples or str-keyed dicts of these."""
Arrays = Mapping[str, ArrayLike]
"""Booleans, numbers or strings by name: letters, digits, `_`, and `/` between parts."""


class CorruptCell(StoreError):
    """A stored file that is not what was written. It is safe to compute it again."""


class Outdated(CorruptCell):
    """A sound cell of programs of other versions: its command computes it again."""


class Record(NamedTuple):
    """One cell as read back. The arrays are read-only; tuples have become lists.

    path: of its file, None of a cell in memory.
    """

    parameters: dict[str, Any]
    arrays: dict[str, np.ndarray]
    provenance: dict[str, Any]
    path: Path | None = None


def fingerprint(parameters: Values) -> str:
    """Name of the cell with these parameters, the same in every process: 20 hex digits.

    Numbers equal in value are the same parameter: 1.0 and 1 name one cell; True, "1" do
    not. A cell of raised `versions` has its name too, and takes its place. Raises
    StoreError where `parameters` are not `Values`.
    """
    named = {name: parameters[name] for name in parameters if name != "versions"}
    return _name(_canonical(named, "parameters"))


@functools.lru_cache(maxsize=4096)  # a cell is named several times in a redraw
def _name(text: str) -> str:
    same = json.loads(text, parse_float=_number)
    return sha256(_canonical(same, "parameters").encode()).hexdigest()[:20]


def cell_path(out: str | Path, parameters: Values) -> Path:
    """Where the cell with these parameters is, or would be, stored."""
    return Path(out, "cells", fingerprint(parameters) + ".npz")


def open_store(out: str | Path) -> Path:
    """Makes the directory `out` ready for `save`, and returns it.

    Removes temporary files of writers that died more than a day ago. Raises StoreError
    when `out` is a file, cannot be created or written, or holds a cell of another
    schema.
    """
    try:
        cells = Path(out, "cells").absolute()
        with or_nothing(cells):
            for folder in [*reversed(cells.parents), cells]:
                if not folder.is_dir():
                    folder.mkdir(exist_ok=True)
                    sync_folder(folder.parent)
            with tempfile.TemporaryFile(dir=cells) as probe:
                probe.write(b"probe")
        for folder in (cells, cells.parent):
            files.remove_dead(folder)
    except (OSError, ValueError) as error:  # ValueError: cannot name any file
        fault = "it is a file" if isinstance(error, FileExistsError) else error
        message = f"cannot use {str(out)!r} as the output directory: {fault}"
        raise StoreError(message) from error
    for path in filter(Path.is_file, cell_files(out)):
        with suppress(OSError, CorruptCell):  # `find` names it
            if not _sealed(path, _MARK % SCHEMA):
                read(path)
    return Path(out)


def save(
    out: str | Path,
    parameters: Values,
    arrays: Arrays,
    provenance: Values,
    weights: Arrays | None = None,
) -> Path:
    """Stores a finished cell in an opened `out`, and returns its path.

    Equal content gives equal bytes. Weights are on the disk before the cell that stands
    for them. Raises StoreError for a name or value that cannot be stored and where the
    disk refuses (full, read-only): other cells are intact, nothing temporary is left.
    """
    path = cell_path(out, parameters)
    cell = _pack(parameters, arrays, provenance, "measurements")
    if weights is not None:
        packed = _pack(parameters, weights, provenance, "weights")
        write_atomic(path.with_suffix(WEIGHTS), packed)
    write_atomic(path, cell)
    return path


def read(path: str | Path, *, with_arrays: bool = True) -> Record:
    """The content of a stored file, a cell's or its weights'; its arrays if asked for.

    Raises CorruptCell when the file is unreadable, altered, truncated or misnamed,
    Outdated when programs that made it were raised since (`lmc_jax.versions`), and
    StoreError when it is sound but of another schema; all are ValueErrors.
    """
    path, name = Path(path), repr(str(path))
    _there(path, CorruptCell)
    try:
        # What has no seal may be of any size.
        data = path.read_bytes() if _sealed(path, _MARK[:14]) else b""
    except OSError as error:
        raise CorruptCell(f"{name} cannot be read: {error.strerror}") from error
    if data[-_HEX:] != _digest(data):
        raise CorruptCell(f"{name} is truncated, altered or not a cell: wrong checksum")
    if (mark := data[-_SEAL:-_HEX]) != _MARK % SCHEMA:
        other = f"{name} is sealed as {mark.decode(errors='replace')!r}"
        raise StoreError(f"{other}, not schema {SCHEMA}: use another output directory")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(member.compress_type for member in archive.infolist()):
                raise ValueError("cells are not compressed")  # to any size
            meta = json.loads(archive.read("meta.json"))
            keys = sorted({*archive.namelist()} - {"meta.json"}) if with_arrays else []
            arrays = {key[: -len(".npy")]: _array(archive.read(key)) for key in keys}
        record = Record(meta["parameters"], arrays, meta["provenance"], path)
        right = fingerprint(record.parameters)
    except _UNPARSABLE as error:
        raise CorruptCell(f"{name} is sealed but not a cell: {error!r}") from error
    if path.name not in (f"{right}.npz", f"{right}{WEIGHTS}"):
        raise CorruptCell(f"{name} holds a cell whose name is {right}.npz")
    wanted = "weights" if path.name.endswith(WEIGHTS) else "measurements"
    if (content := meta.get("content", wanted)) != wanted:
        raise CorruptCell(f"{name} holds {content}, not {wanted}: files were mixed up")
    if old := outdated(record.parameters):
        raise Outdated(f"{name} needs the command of its sweep again: made by {old}")
    return record


def _sealed(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _SEAL))
        return file.read(_SEAL).startswith(mark)


def _there(path: Path, fault: type[StoreError] = StoreError) -> bool:
    """Whether there is a file. Raises for what `save` could not replace."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise fault(f"{str(path)!r} is not a file: move it away")
    return path.exists()


def _array(member: bytes) -> np.ndarray:
    """What ``np.load`` gives; it parses every header anew, half of its time here."""
    begin = 10 + int.from_bytes(member[8:10], "little")
    dtype, shape = _header(member[:begin])
    return np.ndarray(shape, dtype, member, begin)


@functools.lru_cache(maxsize=1024)
def _header(start: bytes) -> tuple[np.dtype, tuple[int, ...]]:
    file = io.BytesIO(start)
    version = np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if version != (1, 0) or fortran or dtype.hasobject:
        raise ValueError("not a plain array of NumPy's format 1.0, rows first")
    return dtype, shape


def read_weights(cell: str | Path) -> Record | None:
    """The weights beside the cell at this path, None without; raises as `read`."""
    path = Path(cell).with_suffix(WEIGHTS)
    return read(path) if path.exists() else None


def stored(out: str | Path, parameters: Values, *, weights: bool = False) -> bool:
    """Whether the cell with these parameters is there and whole; raises as `find`.

    With `weights` those beside it as well.
    """
    path = cell_path(out, parameters)
    paths = [path, path.with_suffix(WEIGHTS)] if weights else [path]
    there = [_there(file) for file in paths]  # of each, before any is read
    return all(there) and all(read(file, with_arrays=False) for file in paths)


def find(out: str | Path, parameters: Values) -> Record | None:
    """The finished cell with these parameters, None where there is none yet.

    Raises as `read`: on CorruptCell, print it and compute the cell again; on another
    StoreError a folder or a pipe has its name.
    """
    path = cell_path(out, parameters)
    return read(path) if _there(path) else None


def cell_files(out: str | Path, *, weights: bool = False) -> list[Path]:
    """The files of all cells, or those of all weights, sorted by name.

    Raises StoreError for a folder that cannot be read.
    """
    folder = Path(out, "cells")
    try:
        names = os.listdir(folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return []  # no such folder
        raise StoreError(f"cannot read {str(folder)!r}: {error.strerror}") from error
    found = (n for n in names if n.endswith(".npz") and not n.startswith("."))
    return sorted(folder / n for n in found if n.endswith(WEIGHTS) == weights)


def read_each(
    out: str | Path, on_corrupt: Callable[[CorruptCell], object] | None = None
) -> Iterator[Record]:
    """The good cells, sorted by file name, one in memory at a time.

    Bad ones go to `on_corrupt` (a list's `append`, say); without it they are raised.
    """
    for path in cell_files(out):
        try:
            record = read(path)
        except CorruptCell as error:
            if on_corrupt is None:
                raise
            on_corrupt(error)
        else:
            yield record


class Records(Sequence[Record]):
    """Cells of the given parameters, each read, by `read`, when it is looked at."""

    def __init__(self, out: str | Path, cells: Sequence[Values]):
        self.out, self.cells = out, cells

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return Records(self.out, self.cells[index])
        return read(cell_path(self.out, self.cells[index]))


def load(out: str | Path) -> list[Record]:
    """All cells of a sweep, sorted by file name. Writes nothing.

    Raises what `read` raises, and StoreError for a folder without cells.
    """
    if cells := list(read_each(out)):
        return cells
    raise StoreError(f"{str(out)!r} holds no cells: give the output of a sweep")


def _pack(
    parameters: Values, arrays: Arrays, provenance: Values, content: str
) -> bytes:
    meta = {"parameters": parameters, "provenance": provenance, "content": content}
    text = _canonical(meta, "provenance")  # the parameters have had their fingerprint
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # uncompressed, all dated 1980
        archive.writestr(zipfile.ZipInfo("meta.json"), text)
        for name in sorted(arrays):
            array = np.asarray(arrays[name], order="C")
            if not re.fullmatch(r"\w+(/\w+)*", name, re.ASCII):
                raise StoreError(
                    f"{name!r} is not an array name: use letters, digits, _"
                )
            if array.dtype.kind not in "biufcmMSU":
                fault = f"array {name!r} has dtype {array.dtype}"
                raise StoreError(f"{fault}: convert it, for example to float32")
            member = zipfile.ZipInfo(name + ".npy")
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        archive.comment = _MARK % SCHEMA + bytes(_HEX)
    with buffer.getbuffer() as data:
        data[-_HEX:] = _digest(data)
    return buffer.getvalue()


def _digest(data: bytes | memoryview) -> bytes:
    """The last bytes that a sealed file must have."""
    return sha256(memoryview(data)[:-_HEX]).hexdigest().encode()


def _canonical(values: Values, what: str) -> str:
    """One JSON text for equal values."""
    try:
        tight = (",", ":")
        return json.dumps(values, sort_keys=True, separators=tight, allow_nan=False)
    except (TypeError, ValueError) as error:
        right = "use None, bool, int, finite float, str, and lists or dicts of these"
        raise StoreError(f"the {what} cannot be stored: {error}; {right}") from error


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value
