"""Labelled images as bytes: the IDX format, CIFAR-10's binary records and pickles.

Nothing here opens a file. Every fault is a ``FormatError`` of one line that says what
is wrong with the content; the caller knows the file.
"""

import io
import math
import pickle
import struct

import numpy as np

CIFAR_SHAPE = (32, 32, 3)
CIFAR_BATCH = 10_000  # records a file
CIFAR_CLASSES = 10
_UINT8 = 0x08  # the type code of IDX for unsigned bytes
_MAX_AXES = 4  # of images with channels
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_TRUSTED = {
    **{
        (f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT
        for core in ("core", "_core")
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class FormatError(ValueError):
    """Content that is not what its format promises."""


def idx(content: bytes) -> np.ndarray:
    """The uint8 array of an IDX file.

    Raises:
      FormatError: for another format or type, for missing and for surplus bytes.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise FormatError("is not an IDX file: it must begin with two zero bytes")
    kind, axes = content[2:4]
    if kind != _UINT8 or not 1 <= axes <= _MAX_AXES:
        raise FormatError(
            f"has type {kind:#04x} and {axes} axes: give unsigned bytes (0x08), one to "
            f"{_MAX_AXES} axes"
        )
    start = 4 + 4 * axes
    if len(content) < start:
        raise FormatError("is truncated within its header")
    shape = struct.unpack(f">{axes}I", content[4:start])
    size = math.prod(shape)
    if len(content) - start != size:
        fault = "truncated" if len(content) - start < size else "too long"
        raise FormatError(
            f"is {fault}: {len(content) - start} bytes after a header that promises "
            f"{' × '.join(map(str, shape))} = {size}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def cifar_binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``[10000, 32, 32, 3]`` and labels uint8 ``[10000]`` of a batch.

    Raises:
      FormatError: for another number of bytes, and for labels of 10 and more.
    """
    record = 1 + math.prod(CIFAR_SHAPE)
    if len(content) != CIFAR_BATCH * record:
        raise FormatError(
            f"holds {len(content)} bytes, {len(content) / record:g} records of "
            f"{record}: a batch has {CIFAR_BATCH}"
        )
    rows = np.frombuffer(content, np.uint8).reshape(CIFAR_BATCH, record)
    return _cifar(rows[:, 1:], rows[:, 0])


def cifar_pickle(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The same of a batch of the python version. Check its hash first all the same.

    Raises:
      FormatError: for anything but a dictionary of such arrays; nothing else than NumPy
        arrays and plain values is ever made.
    """
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        data, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
    except FormatError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise FormatError(f"is not a batch of CIFAR-10: {error!r}") from error
    shape = (CIFAR_BATCH, math.prod(CIFAR_SHAPE))
    if (data.shape, data.dtype, labels.shape) != (shape, np.uint8, shape[:1]):
        raise FormatError(
            f"holds {data.dtype} data of shape {data.shape} and {labels.shape} labels: "
            f"a batch has uint8 {shape}"
        )
    return _cifar(data, labels)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _TRUSTED[module, name]
        except KeyError:
            raise FormatError(
                f"asks for {module}.{name}, which no batch of CIFAR-10 holds"
            ) from None


def _cifar(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows hold the red, the green, the blue plane."""
    if not ((labels >= 0) & (labels < CIFAR_CLASSES)).all():
        raise FormatError(
            f"has labels of {labels.min()} to {labels.max()}: they must be 0 to 9"
        )
    height, width, channels = CIFAR_SHAPE
    planes = rows.reshape(-1, channels, height, width)
    return planes.transpose(0, 2, 3, 1), labels.astype(np.uint8)
