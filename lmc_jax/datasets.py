"""Labelled images read from disk: MNIST, Fashion-MNIST, CIFAR-10, and one's own.

A data root holds one folder a data set:

    mnist/, fashion-mnist/   train-images-idx3-ubyte[.gz], ..., four IDX files
    cifar-10/                cifar-10-batches-bin/, cifar-10-batches-py/, or the archive
                             of either, cifar-10-binary.tar.gz, cifar-10-python.tar.gz
    any other name           four IDX files named as MNIST's, taken as they are

The root is the one given, else ``LMC_JAX_DATA``, else ``lmc_jax`` in the user's cache
folder. What is missing of the known sets is downloaded into it. Their content is
compared with published hashes; a pickle is opened only once its hash is right.
"""

import contextlib
import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmc_jax import download, records

KNOWN = ("mnist", "fashion-mnist", "cifar-10")
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_SHAPES = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))
# SHA-256 of the uncompressed files, in the order of IDX_FILES.
CONTENT = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
CIFAR_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
# MD5 of the extracted python batches, in the order of CIFAR_FILES, as published.
CIFAR_PICKLES = (
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
    "40351d587109b95175f43aff81a1287e",
)
# A known copy of two batches, re-encoded from JPEG: SHA-256 of the binary files.
CIFAR_REENCODED = {
    "data_batch_1": "c6e66a89d3dafd2c03719fac8a8c9cbf1e6780aacd080b18316fdc6994534c9d",
    "test_batch": "c3014b3b8da0d0e499ef4c8b4081081cd7bf21f3613ede1f0bd1aad12f55d7fd",
}
# Archives: what the tar file holds, and its hash.
CIFAR_ARCHIVES = {
    "cifar-10-binary.tar.gz": ("md5", "c32a1d4ab5d03f1284b67883e8d87530"),
    "cifar-10-python.tar.gz": (
        "sha256",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
}
# SHA-256 of the published gzip files, in the order of IDX_FILES.
GZIPPED = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
MIRRORS = {
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "cifar-10": ("https://www.cs.toronto.edu/~kriz/",),
}


class DataError(ValueError):
    """Data that is missing or not what it should be: which file, and what would help."""


class Dataset(NamedTuple):
    """Images uint8 ``[n, h, w, c]``, labels int32 ``[n]``.

    digest: SHA-256 of all arrays. note: what a caption must say of them, or nothing.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    digest: str
    note: str = ""


Progress = Callable[[str, int, int | None], object]
"""Told the file, the bytes there are of it, and how many there will be, if known."""


def data_root(given: str | None = None) -> Path:
    """The folder of the data sets; a cache folder that is not there yet is made.

    Raises:
      DataError: when the folder named by ``given`` or ``LMC_JAX_DATA`` is not there.
    """
    for source, text in (
        ("--data_dir", given),
        ("LMC_JAX_DATA", os.environ.get("LMC_JAX_DATA")),
    ):
        if text:
            root = Path(text).expanduser()
            if not root.is_dir():
                raise DataError(
                    f"{source}={text} is no folder: give the one that holds mnist/, "
                    "fashion-mnist/ or cifar-10/, or make it and they are downloaded"
                )
            return root
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(cache, "lmc_jax").expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the data folder {root}: {error.strerror}; give another as "
            "--data_dir or LMC_JAX_DATA"
        ) from error
    return root


def load(
    name: str,
    data_dir: str | None = None,
    progress: Progress = lambda name, done, total: None,
) -> Dataset:
    """A data set, checked; downloaded where it is a known one that is missing.

    Args:
      name: one of ``KNOWN``, or a folder of the root with four IDX files of one's own.
      data_dir: the data root; default as ``data_root``.
      progress: of downloads.

    Raises:
      DataError: for what is missing, damaged or of another shape, in one line.
    """
    root = data_root(data_dir)
    folder = root / name
    if not name or Path(name).name != name:
        raise DataError(f"data set {name!r}: give a name such as mnist, not a path")
    if name not in KNOWN and not folder.is_dir():
        raise DataError(
            f"unknown data set {name!r}: choose {', '.join(KNOWN)}, or a folder of "
            f"{root} with four IDX files named as MNIST's"
        )
    note = ""
    if name == "cifar-10":
        train, test, note = _cifar(folder, progress)
    else:
        arrays = [_idx(name, folder, i, progress) for i in range(4)]
        train, test = arrays[:2], arrays[2:]
    for (images, labels), part in ((train, "training"), (test, "test")):
        if images.ndim not in (3, 4) or labels.ndim != 1 or not len(images):
            raise DataError(
                f"{folder}: {part} images of shape {images.shape} with labels of shape "
                f"{labels.shape}: give [n, h, w] or [n, h, w, c], and [n]"
            )
        if len(images) != len(labels):
            raise DataError(
                f"{folder}: {len(images)} {part} images but {len(labels)} labels"
            )
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{folder}: training images are {train[0].shape[1:]}, test images "
            f"{test[0].shape[1:]}"
        )
    hashed = hashlib.sha256()
    made = []
    for images, labels in (train, test):
        images = images if images.ndim == 4 else images[..., None]
        made += [np.ascontiguousarray(images), labels.astype(np.int32)]
        for array in made[-2:]:
            hashed.update(repr(array.shape).encode())
            hashed.update(array)
    return Dataset(name, *made, hashed.hexdigest(), note)


def _idx(name: str, folder: Path, i: int, progress: Progress) -> np.ndarray:
    """File i of ``IDX_FILES``."""
    file = IDX_FILES[i]
    path = _first(folder / file, folder / f"{file}.gz")
    if path is None:
        path = folder / f"{file}.gz"
        if name not in KNOWN:
            raise DataError(f"{file} is missing: looked for it, also as .gz, in {folder}")
        _fetch(name, path, "sha256", GZIPPED[name][i], progress)
    content = _content(path)
    with _naming(path):
        array = records.idx(content)
    if name in KNOWN:
        if array.shape != IDX_SHAPES[i]:
            raise DataError(
                f"{path} holds an array of shape {array.shape}, {name} has "
                f"{IDX_SHAPES[i]}: remove the file to have it downloaded, or give your "
                "own data another folder name"
            )
        _check(path, content, "sha256", CONTENT[name][i])
    return array


def _cifar(
    folder: Path, progress: Progress
) -> tuple[list[np.ndarray], list[np.ndarray], str]:
    """Training and test arrays, and what is to be said of them."""
    names = ["cifar-10-batches-bin", "cifar-10-batches-py", *CIFAR_ARCHIVES]
    path = _first(*(folder / name for name in names))
    if path is None:
        path = folder / "cifar-10-python.tar.gz"
        _fetch("cifar-10", path, *CIFAR_ARCHIVES[path.name], progress)
    note = ""
    if path.name in CIFAR_ARCHIVES:
        content = _read(path)
        _check(path, content, *CIFAR_ARCHIVES[path.name])
        batches = _cifar_archive(path, content)
    elif path.name == "cifar-10-batches-py":
        batches = [
            _cifar_pickle(path / name, md5)
            for name, md5 in zip(CIFAR_FILES, CIFAR_PICKLES, strict=True)
        ]
    elif _first(path / "data_batch_2.bin") is None and _is_reencoded(path):
        batches = [_cifar_binary(path / f"{name}.bin") for name in CIFAR_REENCODED]
        note = "10,000 training images, re-encoded from JPEG copies"
    else:
        batches = [_cifar_binary(path / f"{name}.bin") for name in CIFAR_FILES]
    *training, test = batches
    images, labels = (np.concatenate(arrays) for arrays in zip(*training, strict=True))
    return [images, labels], list(test), note


def _is_reencoded(folder: Path) -> bool:
    """Whether the folder holds the known copy of two batches."""
    return all(
        hashlib.sha256(_read(folder / f"{name}.bin")).hexdigest() == digest
        for name, digest in CIFAR_REENCODED.items()
    )


def _cifar_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with _naming(path):
        return records.cifar_binary(_read(path))


def _cifar_pickle(path: Path, md5: str) -> tuple[np.ndarray, np.ndarray]:
    content = _read(path)
    _check(path, content, "md5", md5)
    with _naming(path):
        return records.cifar_pickle(content)


def _cifar_archive(path: Path, content: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """The batches of an archive whose hash is right."""
    binary = path.name == "cifar-10-binary.tar.gz"
    read = records.cifar_binary if binary else records.cifar_pickle
    names = [f"{name}.bin" if binary else name for name in CIFAR_FILES]
    batches = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                if name in names and (file := archive.extractfile(member)):
                    with _naming(f"{name} in {path}"):
                        batches[name] = read(file.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no readable archive: {error}") from error
    for name in names:
        if name not in batches:
            raise DataError(f"{path} holds no {name}")
    return [batches[name] for name in names]


# --- files ---------------------------------------------------------------------------


def _first(*candidates: Path) -> Path | None:
    """The first that exists."""
    return next((path for path in candidates if path.exists()), None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{path.name} is missing: looked for it in {path.parent}; put it there, or "
            "remove that folder to have the archive downloaded"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    """The bytes of a file, uncompressed where its name ends in .gz."""
    content = _read(path)
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged ({error}): remove it, or put a whole one in its place"
        ) from error


def _check(path: Path, content: bytes, kind: str, right: str) -> None:
    if (found := hashlib.new(kind, content).hexdigest()) != right:
        raise DataError(
            f"{path} is not the published file: its {kind} is {found}, not {right}; "
            "remove it, or put the published one in its place"
        )


@contextlib.contextmanager
def _naming(path: object) -> Iterator[None]:
    """Turns a fault of content into one of a file."""
    try:
        yield
    except records.RecordError as error:
        raise DataError(f"{path} {error}") from error


def _fetch(name: str, path: Path, kind: str, digest: str, progress: Progress) -> None:
    """Downloads a file of a known data set, or says how else to get it."""
    urls = [mirror + path.name for mirror in MIRRORS[name]]
    try:
        path.parent.mkdir(exist_ok=True)
        download.fetch(
            urls,
            path,
            lambda content: hashlib.new(kind, content).hexdigest() == digest,
            lambda done, total: progress(path.name, done, total),
        )
    except (OSError, download.DownloadError) as error:
        raise DataError(
            f"{name}: {path.name} is missing: looked in {path.parent}, and could not "
            f"download it: {error}; put the file there, or give the folder that holds "
            f"{name}/ as --data_dir or LMC_JAX_DATA"
        ) from error
