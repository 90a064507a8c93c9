"""Files of a data set: read, compared with their hashes, and parsed.

The formats are IDX (MNIST) and the binary records of CIFAR-10. Every fault is a
``DataError`` of one line that names the file.
"""

import gzip
import hashlib
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

CIFAR_SHAPE = (32, 32, 3)
GZIP = b"\x1f\x8b"  # no IDX file starts so
INFLATED = 2**26  # bytes that any gzip may have: more than MNIST's images


class DataError(ValueError):
    """Data that is missing or not as it should be: which file, and what would help."""


def read(path: Path) -> bytes:
    """All of a file.

    Raises:
      DataError: where it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; put a whole one there, or "
            "remove its folder to have it downloaded"
        ) from error


def plain(path: Path, content: bytes) -> bytes:
    """The content of a file, uncompressed where its first bytes say gzip.

    Raises:
      DataError: where it is damaged, or inflates more than images do.
    """
    if not content.startswith(GZIP):
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
    """Hash of this kind (md5, sha1, sha256), in hex digits."""
    return hashlib.new(kind, content, usedforsecurity=False).hexdigest()


def check(path: Path, content: bytes, kind: str, digest: str) -> None:
    """Raises DataError for content that has another hash."""
    if (actual := digest_of(kind, content)) != digest:
        raise DataError(
            f"{path} is not the published file: its {kind} is {actual}, not {digest}; "
            "remove it to have it downloaded; data of your own need another folder name"
        )


def idx(path: Path, content: bytes) -> np.ndarray:
    """The uint8 array of an IDX file.

    Raises:
      DataError: for another format or type, for missing and for surplus bytes.
    """
    if content[:3] != b"\0\0\x08" or content[3:4] not in (b"\1", b"\2", b"\3", b"\4"):
        raise DataError(
            f"{path} is not an IDX file of unsigned bytes and one to four axes: it "
            "must begin with 00 00 08 and their number"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path} is truncated within its header")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path} has {len(content) - start} bytes after a header that promises "
            f"{' × '.join(map(str, shape))} = {math.prod(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def cifar(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``[n, 32, 32, 3]`` and labels int32 ``[n]`` of a published batch."""
    height, width, channels = CIFAR_SHAPE
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + math.prod(CIFAR_SHAPE))
    planes = rows[:, 1:].reshape(-1, channels, height, width)
    return planes.transpose(0, 2, 3, 1), rows[:, 0].astype(np.int32)
