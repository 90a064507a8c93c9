"""Data sets: what is read, what is refused, what is fetched."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import IDX_FILES, idx, images, write_images
from helpers import refused

from lmc_jax.data import datasets, files
from lmc_jax.data.datasets import DataError, load

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

# --- IDX -----------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["mnist", "mine"])
def test_idx_files_are_read_raw_and_gzipped(tmp_path, small, name, zipped):
    write_images(tmp_path, name, small, zipped)
    found = load(name, str(tmp_path))
    for array, expected in zip(found[1:5], images(), strict=True):
        assert array.dtype == (np.uint8 if expected.ndim == 3 else np.int32)
        np.testing.assert_array_equal(array.reshape(expected.shape), expected)
    assert found.train_images.shape == (12, 4, 4, 1)
    assert found.note == ""


def test_colour_images_of_ones_own_keep_their_channels(tmp_path):
    write_images(
        tmp_path, "mine", map(idx, images(((9, 4, 4, 3), (9,), (3, 4, 4, 3), (3,))))
    )
    assert load("mine", str(tmp_path)).test_images.shape == (3, 4, 4, 3)


def test_the_root_is_the_flag_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    for folder in ("flag", "variable", "home/.cache/lmc_jax", "xdg/lmc_jax"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LMC_JAX_DATA", raising=False)
    assert datasets.data_root() == tmp_path / "home/.cache/lmc_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.data_root() == tmp_path / "xdg/lmc_jax"
    monkeypatch.setenv("LMC_JAX_DATA", str(tmp_path / "variable"))
    assert datasets.data_root() == tmp_path / "variable"
    assert datasets.data_root(str(tmp_path / "flag")) == tmp_path / "flag"
    monkeypatch.setenv("LMC_JAX_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"LMC_JAX_DATA=.* is not a folder"):
        datasets.data_root()


@pytest.mark.parametrize("root", ["d" * 300, "/d" * 3000, "~nobody-of-this-name/d"])
def test_roots_that_cannot_be_are_one_line(root):
    for name in ("mnist", "mine"):
        refused(name, root, f"--data_dir={root} is not a folder")


WHOLE = idx(images()[0])
NO_IDX = "is not an IDX file of unsigned bytes and one to four axes"
DAMAGED = [
    (WHOLE[:-7], "has 185 bytes after a header that promises 12 × 4 × 4 = 192"),
    (WHOLE + b"\0", "has 193 bytes"),
    (WHOLE[:9], "is truncated within its header"),
    (b"", NO_IDX),
    (b"P5 28 28", NO_IDX),
    (b"\0\0\x0d" + WHOLE[3:], NO_IDX),  # another type
    (b"\0\0\x08\x64" + b"\0\0\0\1" * 100 + b"\0", NO_IDX),  # 100 axes
]


@pytest.mark.parametrize(("content", "said"), DAMAGED)
def test_damaged_idx_files_are_refused_by_name(tmp_path, content, said):
    write_images(tmp_path, "mine", [content, *map(idx, images()[1:])])
    refused("mine", tmp_path, said, str(tmp_path / "mine" / IDX_FILES[0]))


def test_gzip_is_known_without_its_ending(tmp_path, small):
    write_images(tmp_path, "mnist", map(gzip.compress, small))
    assert len(load("mnist", str(tmp_path)).train_images) == len(images()[0])


def test_gzip_that_inflates_a_thousandfold_is_refused_before_it_is_inflated(
    tmp_path, small, monkeypatch
):
    monkeypatch.setattr(files, "INFLATED", 2**20)
    write_images(tmp_path, "mnist", map(gzip.compress, small))
    path = tmp_path / "mnist" / IDX_FILES[0]
    path.write_bytes(gzip.compress(bytes(2**25)))  # 32 KiB
    tracemalloc.start()
    refused("mnist", tmp_path, str(path), "inflates to more than")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**24  # 100 times the file; all of it is twice as much
    path.write_bytes(gzip.compress(small[0] + bytes(2**19)))  # within the bound
    refused("mnist", tmp_path, str(path), "is not the published file")


def test_damaged_gzip_files_are_refused_by_name(tmp_path, small):
    write_images(tmp_path, "mnist", small, zipped=True)
    path = tmp_path / "mnist" / f"{IDX_FILES[2]}.gz"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:-20], b"<html>", bytes(flipped), b""):
        path.write_bytes(content)
        gzipped = content.startswith(files.GZIP)
        said = "is damaged" if gzipped else "is not the published file"
        refused("mnist", tmp_path, str(path), said)


def test_published_sets_must_have_their_content(tmp_path, small):
    other = images()[0]
    other[3, 2, 1] ^= 1
    write_images(tmp_path, "mnist", [idx(other), *small[1:]])
    refused("mnist", tmp_path, IDX_FILES[0], "its sha256 is", "not the published file")


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (((12, 4, 4), (11,), (5, 4, 4), (5,)), "(11,)"),
        (((12, 4, 4), (12,), (5, 4, 3), (5,)), "test images"),
        (((12, 4), (12,), (5, 4), (5,)), "give [n, h, w]"),
        (((0, 4, 4), (0,), (5, 4, 4), (5,)), "empty"),
    ],
)
def test_counts_and_shapes_that_do_not_fit_are_refused(tmp_path, shapes, said):
    write_images(tmp_path, "mine", map(idx, images(shapes)))
    refused("mine", tmp_path, said, str(tmp_path / "mine"))


def test_missing_files_and_unknown_names_are_refused(tmp_path):
    write_images(tmp_path, "mine", map(idx, images()))
    (tmp_path / "mine" / IDX_FILES[1]).unlink()
    refused("mine", tmp_path, f"{IDX_FILES[1]} is missing", "put into", *IDX_FILES)
    refused("minst", tmp_path, "unknown data set 'minst'", "mnist, fashion-mnist")
    for name in ("../mine", "..", ".", "", "mine/", str(tmp_path / "mine")):
        refused(name, tmp_path, f"data set {name!r}: give a name", "not a path")
    refused("m" * 300, tmp_path, "unknown data set 'mmm")


# --- the real ones -------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="no published data beside the project")
@pytest.mark.parametrize("name", datasets.KNOWN)
def test_the_data_beside_the_project_is_read(name):
    found = load(name, str(SHARED))
    assert found.test_images.shape[0] == 10_000
    assert np.bincount(found.test_labels).min() > 800
    assert ("re-encoded" in found.note) == (name == "cifar-10")


# --- downloads -----------------------------------------------------------------------


def test_missing_files_are_downloaded_checked_and_kept(tmp_path, small, mirror):
    (tmp_path / "root").mkdir()
    for file, content in zip(IDX_FILES, small, strict=True):
        (mirror / f"{file}.gz").write_bytes(gzip.compress(content, mtime=5))
    first = load("mnist", str(tmp_path / "root"))
    for path in mirror.iterdir():
        path.unlink()
    second = load("mnist", str(tmp_path / "root"))
    assert second.digest == first.digest
