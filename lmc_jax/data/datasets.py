"""Labelled images read from disk: MNIST, Fashion-MNIST, CIFAR-10, and one's own.

A data root holds one folder a data set:

    mnist/, fashion-mnist/   train-images-idx3-ubyte[.gz], ..., four IDX files
    cifar-10/                cifar-10-batches-bin/, or cifar-10-binary.tar.gz
    any other name           four IDX files named as MNIST's, taken as they are

The root is the one given, else ``LMC_JAX_DATA``, else ``lmc_jax`` in the user's cache
folder. What is missing of the known sets is downloaded into it. Their content is
compared with published hashes.
"""

import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmc_jax.data import files
from lmc_jax.data.download import fetch
from lmc_jax.data.files import DataError

Labelled = tuple[np.ndarray, np.ndarray]  # images and labels

KNOWN = ("mnist", "fashion-mnist", "cifar-10")
# Training and test images, rows, columns and channels.
SHAPES = {
    "mnist": (60_000, 10_000, 28, 28, 1),
    "fashion-mnist": (60_000, 10_000, 28, 28, 1),
    "cifar-10": (50_000, 10_000, 32, 32, 3),
}
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# SHA-256 of the uncompressed files, in the order of IDX_FILES: gzip files of the same
# content may differ between mirrors.
IDX_CONTENT = {
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
# Batches of CIFAR-10 and their hashes: of the published files as MXNet checks them, and
# of a known copy of two of these, re-encoded from JPEG.
CIFAR_BINARIES = {
    "data_batch_1.bin": ("sha1", "aadd24acce27caa71bf4b10992e9e7b2d74c2540"),
    "data_batch_2.bin": ("sha1", "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795"),
    "data_batch_3.bin": ("sha1", "1dd00a74ab1d17a6e7d73e185b69dbf31242f295"),
    "data_batch_4.bin": ("sha1", "aab85764eb3584312d3c7f65fd2fd016e36a258e"),
    "data_batch_5.bin": ("sha1", "26e2849e66a845b7f1e4614ae70f4889ae604628"),
    "test_batch.bin": ("sha1", "67eb016db431130d61cd03c7ad570b013799c88c"),
}
CIFAR_REENCODED = {
    "data_batch_1.bin": (
        "sha256",
        "c6e66a89d3dafd2c03719fac8a8c9cbf1e6780aacd080b18316fdc6994534c9d",
    ),
    "test_batch.bin": (
        "sha256",
        "c3014b3b8da0d0e499ef4c8b4081081cd7bf21f3613ede1f0bd1aad12f55d7fd",
    ),
}
CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"


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


def data_root(given: str | None = None) -> Path:
    """The folder of the data sets; a cache folder that is not there yet is made.

    Raises:
      DataError: when the folder named by ``given`` or ``LMC_JAX_DATA`` is not there.
    """
    variable = os.environ.get("LMC_JAX_DATA")
    for source, text in ("--data_dir", given), ("LMC_JAX_DATA", variable):
        if text:
            root = Path(os.path.expanduser(text))
            if not os.path.isdir(root):  # Path's raises for names too long
                raise DataError(
                    f"{source}={text} is not a folder: give the one that holds mnist/, "
                    "fashion-mnist/ or cifar-10/, or make it and they are downloaded"
                )
            return root
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "lmc_jax").expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the data folder {root}: {error.strerror}; give another as "
            "--data_dir or LMC_JAX_DATA"
        ) from error
    return root


def located(name: str, data_dir: str | None = None) -> Path:
    """The folder of a data set, there already unless it is a known one.

    Raises:
      DataError: for a name that is neither known nor a folder.
    """
    root = data_root(data_dir)
    if name in ("", "..") or Path(name).name != name:
        raise DataError(f"data set {name!r}: give a name such as mnist, not a path")
    if name not in KNOWN and not os.path.isdir(root / name):
        raise DataError(
            f"unknown data set {name!r}: choose {', '.join(KNOWN)}, or a folder of "
            f"{root} with four IDX files named as MNIST's"
        )
    return root / name


def blank(name: str) -> Dataset:
    """What is known of a data set by its name, to look at settings before its images.

    No labels, and images of one value that take no memory: as many as a known set has,
    more and larger than can be for any other.
    """
    train, test, *shape = SHAPES.get(name, (2**31, 2**31, 2**12, 2**12, 1))
    labels = np.empty(0, np.int32)
    images = [np.broadcast_to(np.uint8(0), (count, *shape)) for count in (train, test)]
    return Dataset(name, images[0], labels, images[1], labels, "")


def load(name: str, data_dir: str | None = None) -> Dataset:
    """A data set, checked; downloaded where it is a known one that is missing.

    Args:
      name: one of ``KNOWN``, or a folder of the root with four IDX files of one's own.
      data_dir: the data root; default as ``data_root``.

    Raises:
      DataError: for what is missing, damaged or of another shape, in one line.
    """
    folder, note = located(name, data_dir), ""
    if name == "cifar-10":
        train, test, note = _cifar(folder)
    else:
        digests = IDX_CONTENT.get(name, (None,) * len(IDX_FILES))
        arrays = [
            _idx(folder / file, digest)
            for file, digest in zip(IDX_FILES, digests, strict=True)
        ]
        train, test = _labelled(folder, *arrays[:2]), _labelled(folder, *arrays[2:])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{folder}: training images are {train[0].shape[1:]}, test images "
            f"{test[0].shape[1:]}"
        )
    hashed = hashlib.sha256()
    for array in (*train, *test):
        hashed.update(repr(array.shape).encode())
        hashed.update(array.tobytes())
    return Dataset(name, *train, *test, hashed.hexdigest(), note)


def _labelled(folder: Path, images: np.ndarray, labels: np.ndarray) -> Labelled:
    """Images ``[n, h, w]`` or ``[n, h, w, c]`` and labels ``[n]`` that fit together."""
    if images.ndim not in (3, 4) or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"{folder}: images of shape {images.shape} with labels of shape "
            f"{labels.shape}: give [n, h, w] or [n, h, w, c], and [n]"
        )
    if not images.size:
        raise DataError(f"{folder}: a file of images is empty")
    return images.reshape(*images.shape[:3], -1), labels.astype(np.int32)


def _idx(path: Path, digest: str | None) -> np.ndarray:
    """The array of one of ``IDX_FILES``; no digest: one's own file."""
    zipped = path.with_name(f"{path.name}.gz")
    file = next((one for one in (path, zipped) if os.path.exists(one)), None)
    if file is None:
        if digest is None:
            raise DataError(
                f"{path} is missing, and {zipped.name} as well: put into {path.parent} "
                f"your IDX files, gzipped or not, named {', '.join(IDX_FILES)}"
            )
        fetch(path.parent.name, path, f"sha256:{digest}", gzipped=True)
        file = path
    content = files.plain(file, files.read(file))
    if digest is not None:
        files.check(file, content, "sha256", digest)
    return files.idx(file, content)


def _cifar(folder: Path) -> tuple[Labelled, Labelled, str]:
    """Training and test arrays, and what is to be said of them."""
    extracted, note = folder / "cifar-10-batches-bin", ""
    if not os.path.exists(extracted):
        batches = _cifar_archive(folder / CIFAR_ARCHIVE)
    else:
        known, first = CIFAR_BINARIES, "data_batch_1.bin"
        kind, copied = CIFAR_REENCODED[first]
        if files.digest_of(kind, files.read(extracted / first)) == copied:
            known = CIFAR_REENCODED
            note = "10,000 training images, re-encoded from JPEG copies"
        batches = []
        for name, hashes in known.items():
            batches.append(files.read(extracted / name))
            files.check(extracted / name, batches[-1], *hashes)
    *training, test = map(files.cifar, batches)
    images, labels = (np.concatenate(arrays) for arrays in zip(*training, strict=True))
    return (images, labels), test, note


def _cifar_archive(path: Path) -> list[bytes]:
    """The batches of the archive, which is downloaded where it is missing."""
    if not os.path.exists(path):
        fetch("cifar-10", path, f"md5:{CIFAR_MD5}")
    content = files.read(path)
    files.check(path, content, "md5", CIFAR_MD5)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        found = {
            Path(member.name).name: file.read()
            for member in archive
            if (file := archive.extractfile(member))
        }
    return [found[name] for name in CIFAR_BINARIES]
