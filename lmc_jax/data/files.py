"""Files of a data set: found, read and compared with their hashes.

Every fault is a ``DataError`` of one line that names the file.
"""

import contextlib
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from lmc_jax.data import formats

INFLATED = 2**26  # bytes that any gzip may have: more than MNIST's images
GZIP = b"\x1f\x8b"  # no IDX file starts so


class DataError(ValueError):
    """Data that is missing or not as it should be: which file, and what would help."""


def existing(*candidates: Path) -> Path | None:
    """The first that exists."""
    return next((path for path in candidates if os.path.exists(path)), None)


def read(path: Path) -> bytes:
    """All of a file.

    Raises:
      DataError: where it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{path.name} is missing: looked for it in {path.parent}; put it there, or "
            "remove that folder to have the archive downloaded"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; put a readable file in its place"
        ) from error


def plain(path: Path, content: bytes) -> bytes:
    """The content of a file, uncompressed where its name or its first bytes say gzip.

    Raises:
      DataError: where it is damaged, or inflates more than images do.
    """
    if path.suffix != ".gz" and not content.startswith(GZIP):
        return content
    most = max(INFLATED, 100 * len(content))
    try:
        with gzip.open(io.BytesIO(content)) as file:
            inflated = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged ({error}): remove it, or put a whole one in its place"
        ) from error
    if len(inflated) > most:
        raise DataError(
            f"{path} inflates to more than {most} bytes, as no images do: remove it, "
            "or put an uncompressed one in its place"
        )
    return inflated


def digest_of(kind: str, content: bytes) -> str:
    """Hash of this kind (md5, sha256), in hex digits."""
    return hashlib.new(kind, content, usedforsecurity=False).hexdigest()


def check(path: Path, content: bytes, kind: str, digest: str) -> None:
    """Raises DataError for content that has another hash."""
    if (actual := digest_of(kind, content)) != digest:
        raise DataError(
            f"{path} is not the published file: its {kind} is {actual}, not {digest}; "
            "remove it, or put the published one in its place"
        )


@contextlib.contextmanager
def naming(path: object) -> Iterator[None]:
    """Turns a fault of content into one of a file.

    Raises:
      DataError: for every ``FormatError`` in the block.
    """
    try:
        yield
    except formats.FormatError as error:
        remedy = "remove it, or put a whole one in its place"
        raise DataError(f"{path} {error}; {remedy}") from error
