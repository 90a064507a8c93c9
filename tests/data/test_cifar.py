"""CIFAR-10 in its forms: what is read, what is refused unopened, what is fetched."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from helpers import refused

from lmc_jax.data import datasets, formats
from lmc_jax.data.datasets import load

RECORDS = 20


@pytest.fixture
def batches(monkeypatch):
    """CIFAR-10 of a few records: the bytes of each batch, binary and pickled."""
    monkeypatch.setattr(formats, "CIFAR_BATCH", RECORDS)
    rng = np.random.default_rng(1)
    drawn = rng.integers(10, size=(6, RECORDS)).astype(np.uint8)
    made = {}
    for name, labels in zip(datasets.CIFAR_PICKLES, drawn, strict=True):
        rows = rng.integers(256, size=(RECORDS, 3072)).astype(np.uint8)
        binary = np.concatenate([labels[:, None], rows], axis=1).tobytes()
        batch = {"data": rows, "labels": labels.tolist(), "batch_label": name}
        pickled = pickle.dumps(batch, protocol=3)
        for known, file, kind, content in (
            (datasets.CIFAR_PICKLES, name, "md5", pickled),
            (datasets.CIFAR_BINARIES, f"{name}.bin", "sha1", binary),
        ):
            monkeypatch.setitem(known, file, (kind, datasets.digest_of(kind, content)))
        made[name] = (binary, pickled, rows, labels)
    return made


def put(folder, batches, version):
    folder.mkdir(parents=True)
    for name, contents in batches.items():
        file = f"{name}.bin" if version == 0 else name
        (folder / file).write_bytes(contents[version])


def archive(batches, version, folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, contents in batches.items():
            file = f"{folder}/{name}.bin" if version == 0 else f"{folder}/{name}"
            member = tarfile.TarInfo(file)
            member.size = len(contents[version])
            tar.addfile(member, io.BytesIO(contents[version]))
    return buffer.getvalue()


LAYOUTS = {
    "cifar-10-batches-bin": 0,
    "cifar-10-batches-py": 1,
    "cifar-10-binary.tar.gz": 0,
    "cifar-10-python.tar.gz": 1,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cifar_is_read_extracted_or_archived(tmp_path, batches, layout, monkeypatch):
    folder, version = tmp_path / "cifar-10", LAYOUTS[layout]
    if layout.endswith(".gz"):
        folder.mkdir()
        content = archive(batches, version, "cifar-10-batches")
        (folder / layout).write_bytes(content)
        kind = datasets.CIFAR_ARCHIVES[layout][0]
        digest = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
        monkeypatch.setitem(datasets.CIFAR_ARCHIVES, layout, (kind, digest))
    else:
        put(folder / layout, batches, version)
    found = load("cifar-10", str(tmp_path))
    *training, (_, _, rows, labels) = batches.values()
    assert found.train_images.shape == (5 * RECORDS, 32, 32, 3)
    np.testing.assert_array_equal(found.test_labels, labels)
    assert found.test_images[3, 4, 5, 1] == rows[3, 1024 + 4 * 32 + 5]  # green
    second = training[1][2]
    assert found.train_images[RECORDS, 0, 7, 2] == second[0, 2048 + 7]  # blue


@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
def test_incomplete_and_wrong_cifar_batches_are_refused(tmp_path, batches, name):
    folder = tmp_path / "cifar-10" / "cifar-10-batches-bin"
    put(folder, batches, 0)
    path = folder / name
    whole = path.read_bytes()
    other = bytes([(whole[0] + 1) % 10])  # one label
    for content in (b"", whole[:-3073], other + whole[1:], whole[3073:] + whole[:3073]):
        path.write_bytes(content)
        refused("cifar-10", tmp_path, f"{path} is not the published file", "its sha1")
    path.unlink()
    refused("cifar-10", tmp_path, f"{name} is missing", str(folder))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (19 * 3073 * b"\0", "19 records"),
        (20 * (b"\x0a" + 3072 * b"\0"), "must be 0 to"),
    ],
)
def test_binary_records_of_something_else_are_refused(monkeypatch, content, said):
    monkeypatch.setattr(formats, "CIFAR_BATCH", RECORDS)
    with pytest.raises(formats.FormatError, match=said):
        formats.cifar_binary(content)


@pytest.fixture
def reencoded(tmp_path, batches, monkeypatch):
    """The folder of a known copy of two batches."""
    names = ("data_batch_1", "test_batch")
    for name in names:
        hashes = "sha256", hashlib.sha256(batches[name][0]).hexdigest()
        monkeypatch.setitem(datasets.CIFAR_REENCODED, f"{name}.bin", hashes)
        monkeypatch.setitem(datasets.CIFAR_BINARIES, f"{name}.bin", ("sha1", "other"))
    folder = tmp_path / "cifar-10" / "cifar-10-batches-bin"
    put(folder, {name: batches[name] for name in names}, 0)
    return folder


def test_a_known_copy_is_read_with_a_note(tmp_path, reencoded):
    found = load("cifar-10", str(tmp_path))
    assert "re-encoded" in found.note
    assert len(found.train_labels) == RECORDS


@pytest.mark.parametrize("name", ["data_batch_1.bin", "test_batch.bin"])
def test_a_flipped_bit_of_a_known_copy_is_refused_by_name(tmp_path, reencoded, name):
    content = bytearray((reencoded / name).read_bytes())
    content[5000] ^= 1
    (reencoded / name).write_bytes(content)
    refused("cifar-10", tmp_path, f"{reencoded / name} is not the", "its sha256 is")


def test_two_damaged_files_of_the_copy_are_taken_for_the_published(tmp_path, reencoded):
    for name in ("data_batch_1.bin", "test_batch.bin"):
        with (reencoded / name).open("ab") as file:
            file.write(b"x")
    path = reencoded / "data_batch_1.bin"
    refused("cifar-10", tmp_path, f"{path} is not the published file", "its sha1 is")


class _Bomb:
    def __reduce__(self):
        return (exploded.append, ("opened",))


exploded: list[str] = []


@pytest.mark.parametrize("known", [False, True])
def test_a_pickle_is_not_opened_before_its_hash_is_right(
    tmp_path, batches, monkeypatch, known
):
    folder = tmp_path / "cifar-10" / "cifar-10-batches-py"
    put(folder, batches, 1)
    bomb = pickle.dumps(_Bomb())
    (folder / "data_batch_2").write_bytes(bomb)
    if known:  # and even then it makes nothing but arrays
        md5 = hashlib.md5(bomb, usedforsecurity=False).hexdigest()
        monkeypatch.setitem(datasets.CIFAR_PICKLES, "data_batch_2", ("md5", md5))
    refused("cifar-10", tmp_path, "data_batch_2", "asks for" if known else "its md5 is")
    assert not exploded


def test_a_wrong_archive_is_refused_unopened(tmp_path, batches, monkeypatch):
    (tmp_path / "cifar-10").mkdir()
    path = tmp_path / "cifar-10" / "cifar-10-python.tar.gz"
    path.write_bytes(archive(batches, 1, "x"))
    monkeypatch.delattr(tarfile, "open")
    refused("cifar-10", tmp_path, str(path), "its sha256 is")


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02garbage", pickle.dumps({"data": [1]}), pickle.dumps([])]
)
def test_pickles_of_something_else_are_refused(content):
    with pytest.raises(formats.FormatError):
        formats.cifar_pickle(content)


def test_the_archive_of_cifar_is_downloaded(tmp_path, batches, mirror, monkeypatch):
    (tmp_path / "root").mkdir()
    content = archive(batches, 1, "cifar-10-batches-py")
    name = "cifar-10-python.tar.gz"
    (mirror / name).write_bytes(content)
    refused("cifar-10", tmp_path / "root", name, "does not match")
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(datasets.CIFAR_ARCHIVES, name, ("sha256", digest))
    found = load("cifar-10", str(tmp_path / "root"))
    assert len(found.train_labels) == 5 * RECORDS
