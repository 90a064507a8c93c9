"""CIFAR-10 in its forms: what is read, what is refused, what is fetched."""

import io
import tarfile

import numpy as np
import pytest
from helpers import refused

from lmc_jax.data import datasets
from lmc_jax.data.datasets import load
from lmc_jax.data.files import digest_of

N = 20  # records of a batch


@pytest.fixture
def batches(monkeypatch):
    """CIFAR-10 of a few records: the records of each batch, label first."""
    rng = np.random.default_rng(1)
    made = {}
    for name in datasets.CIFAR_BINARIES:
        made[name] = rng.integers(256, size=(N, 3073)).astype(np.uint8)
        made[name][:, 0] %= 10
        known = "sha1", digest_of("sha1", made[name].tobytes())
        monkeypatch.setitem(datasets.CIFAR_BINARIES, name, known)
    return made


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cifar-10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    return folder


def put(folder, batches):
    for name, records in batches.items():
        (folder / name).write_bytes(records.tobytes())


def archive(batches):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, records in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = records.nbytes
            tar.addfile(member, io.BytesIO(records.tobytes()))
    return buffer.getvalue()


def assert_read(root, batches):
    found, (*training, test) = load("cifar-10", str(root)), batches.values()
    assert found.train_images.shape == (5 * N, 32, 32, 3)
    np.testing.assert_array_equal(found.test_labels, test[:, 0])
    assert found.test_images[3, 4, 5, 1] == test[3, 1 + 1024 + 4 * 32 + 5]  # green
    assert found.train_images[N, 0, 7, 2] == training[1][0, 1 + 2048 + 7]  # blue
    assert found.note == ""


def test_extracted_batches_are_read(tmp_path, batches, folder):
    put(folder, batches)
    assert_read(tmp_path, batches)


def test_the_archive_is_downloaded_and_read(tmp_path, batches, mirror, monkeypatch):
    name, content = datasets.CIFAR_ARCHIVE, archive(batches)
    (mirror / name).write_bytes(content)
    refused("cifar-10", tmp_path, name, "does not match")
    monkeypatch.setattr(datasets, "CIFAR_MD5", digest_of("md5", content))
    assert_read(tmp_path, batches)
    (mirror / name).unlink()
    assert_read(tmp_path, batches)
    (tmp_path / "cifar-10" / name).write_bytes(content[:-1])
    monkeypatch.delattr(tarfile, "open")  # what is wrong is refused unopened
    refused("cifar-10", tmp_path, name, "its md5 is")


@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
def test_incomplete_and_wrong_batches_are_refused(tmp_path, batches, folder, name):
    put(folder, batches)
    path = folder / name
    whole = path.read_bytes()
    other = bytes([(whole[0] + 1) % 10])  # one label
    for content in (b"", whole[:-3073], other + whole[1:]):
        path.write_bytes(content)
        refused("cifar-10", tmp_path, f"{path} is not the published file", "its sha1")
    path.unlink()
    refused("cifar-10", tmp_path, f"{path} cannot be read: No such file")


def test_a_known_copy_is_read_with_a_note_and_checked(
    tmp_path, batches, folder, monkeypatch
):
    for name in datasets.CIFAR_REENCODED:
        known = "sha256", digest_of("sha256", batches[name].tobytes())
        monkeypatch.setitem(datasets.CIFAR_REENCODED, name, known)
        monkeypatch.setitem(datasets.CIFAR_BINARIES, name, ("sha1", "other"))
    put(folder, {name: batches[name] for name in datasets.CIFAR_REENCODED})
    found = load("cifar-10", str(tmp_path))
    assert "re-encoded" in found.note
    assert len(found.train_labels) == N
    for name, kind in (("test_batch.bin", "sha256"), ("data_batch_1.bin", "sha1")):
        (folder / name).write_bytes(batches[name].tobytes()[:-1] + b"x")
        refused("cifar-10", tmp_path, f"{folder / name} is not the", f"its {kind} is")
