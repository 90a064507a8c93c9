"""What lies where cells are looked for and is none: pipes, folders, packed files."""

import errno
import os
import zipfile

import numpy as np
import pytest
from cases import ARRAYS, PARAMETERS, PROVENANCE

from lmc_jax.results import store


def test_what_is_compressed_is_not_inflated(out, monkeypatch):
    """A sealed member of a kilobyte that would take a megabyte."""

    class Compressed(zipfile.ZipInfo):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.compress_type = zipfile.ZIP_DEFLATED

    with monkeypatch.context() as forged:
        forged.setattr(store.zipfile, "ZipInfo", Compressed)
        path = store.save(out, {"m": 1}, {"x": np.zeros(2**20, np.uint8)}, {})
    assert path.stat().st_size < 2**12
    with pytest.raises(store.CorruptCell, match="cells are not compressed"):
        store.read(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("weights", [False, True])
def test_a_pipe_or_folder_in_place_of_a_cell_is_no_cell_and_is_to_be_moved(
    out, make, weights
):
    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE, {"W": np.ones(3)})
    if weights:
        path = path.with_suffix(store.WEIGHTS)
    path.unlink()
    make(path)
    store.open_store(out)
    with pytest.raises(store.CorruptCell, match="is not a file: move it away"):
        store.read(path)
    with pytest.raises(store.StoreError, match=f"{path.name}' is not a file: move"):
        store.stored(out, PARAMETERS, weights=weights)
    if not weights:
        with pytest.raises(store.StoreError, match="is not a file: move") as caught:
            store.find(out, PARAMETERS)
        assert not isinstance(caught.value, store.CorruptCell)  # it cannot be replaced


def test_a_file_of_any_size_without_a_seal_is_not_read(out, monkeypatch):
    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    os.truncate(path, 2**36)  # sparse, 64 GiB
    monkeypatch.setattr(store.Path, "read_bytes", None)
    for look in (store.read, lambda _: store.find(out, PARAMETERS)):
        with pytest.raises(store.CorruptCell, match="wrong checksum"):
            look(path)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    assert store.cell_files("long" * 99) == []

    def refuse(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(store.os, "listdir", refuse)
    with pytest.raises(store.StoreError, match=r"cannot read '.*': Input/output error"):
        store.cell_files(tmp_path)
