"""The store: what goes in comes out, and what is damaged never does."""

import io
import os
import random
from contextlib import suppress

import numpy as np
import pytest
from cases import ARRAYS, PARAMETERS, PROVENANCE
from helpers import found, store_alone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import ArrayLike

from lmc_jax.results import store

settings = hypothesis_settings(max_examples=60, deadline=None, derandomize=True)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec=None)),
)
# What is kept under "versions" are versions.
keys = st.text().filter(lambda key: key != "versions")
parameters = st.dictionaries(keys, scalars | st.lists(scalars, max_size=3))
dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(),
    npst.floating_dtypes(endianness="?"),
    npst.complex_number_dtypes(),
    npst.unicode_string_dtypes(max_len=3),
)
shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
names = st.from_regex(r"[a-zA-Z0-9_]+(/[a-zA-Z0-9_]+)?", fullmatch=True)


def same(one, other):
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and one.tobytes() == other.tobytes()
    )


def same_record(one, other):
    return (
        one.parameters == other.parameters
        and one.provenance == other.provenance
        and one.arrays.keys() == other.arrays.keys()
        and all(same(one.arrays[key], other.arrays[key]) for key in one.arrays)
    )


# What goes in comes out.


@settings
@given(
    parameters=parameters,
    provenance=parameters,
    arrays=st.dictionaries(names, npst.arrays(dtypes, shapes), max_size=4),
)
def test_round_trip(tmp_path_factory, parameters, provenance, arrays):
    out = store.open_store(tmp_path_factory.mktemp("out"))
    path = store.save(out, parameters, arrays, provenance)
    first = path.read_bytes()
    record = store.read(path)
    assert same_record(record, store.Record(parameters, arrays, provenance))
    assert not any(array.flags.writeable for array in record.arrays.values())
    assert same_record(found(store.find(out, parameters)), record)
    shuffled = dict(reversed(arrays.items()))
    assert store.save(out, parameters, shuffled, provenance) == path
    assert path.read_bytes() == first


def test_weights_are_on_the_disk_before_the_cell_that_stands_for_them(out, monkeypatch):
    written = []
    monkeypatch.setattr(store, "write_atomic", lambda path, _: written.append(path))
    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE, {"W": np.ones(3)})
    assert written == [path.with_suffix(store.WEIGHTS), path]


def test_nan_payloads_memory_order_and_python_values(out):
    bits = np.array([0x7FF8000000000001, 0xFFF0000000000002], dtype=np.uint64)
    arrays: dict[str, ArrayLike] = {
        "payload": bits.view(np.float64),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "every_other": np.arange(9)[::2],
        "python": [1.0, 2.0],
    }
    store.save(out, PARAMETERS, arrays, PROVENANCE)
    read = found(store.find(out, PARAMETERS)).arrays
    assert all(same(read[key], np.asarray(value)) for key, value in arrays.items())


def test_any_reader_of_npz_opens_a_cell(out):
    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    with np.load(path, allow_pickle=False) as archive:
        assert set(archive.files) == {*ARRAYS, "meta.json"}
        assert same(archive["barrier"], ARRAYS["barrier"])


def test_weights_lie_beside_their_cell(out):
    bare = store.save(out, {"m": 1}, ARRAYS, PROVENANCE)
    path = store.save(out, {"m": 2}, ARRAYS, PROVENANCE, {"W": np.ones((2, 3))})
    assert store.read_weights(bare) is None
    assert same(found(store.read_weights(path)).arrays["W"], np.ones((2, 3)))
    assert store.cell_files(out) == sorted([bare, path])
    (weights,) = store.cell_files(out, weights=True)
    assert len(store.load(out)) == 2
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(store.CorruptCell, match="weights"):
        store.read_weights(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.array([{}], dtype=object)}, "'x' has dtype object"),
        ({"x": np.zeros(1, dtype=[("a", "f4")])}, "'x' has dtype"),
        ({"../x": np.zeros(1)}, "'../x' is not an array name"),
        ({"meta.json": np.zeros(1)}, "is not an array name"),
        ({"": np.zeros(1)}, "is not an array name"),
    ],
)
def test_refused_arrays(out, arrays, message):
    with pytest.raises(store.StoreError, match=message):
        store.save(out, PARAMETERS, ARRAYS, PROVENANCE, weights=arrays)
    with pytest.raises(store.StoreError, match=message):
        store.save(out, PARAMETERS, arrays, PROVENANCE)
    assert not [*store.cell_files(out), *store.cell_files(out, weights=True)]


# Names.


def test_fingerprint_is_the_same_in_every_process_and_version():
    known = "b11a0b012bff836a137f"
    code = f"print(store.fingerprint({PARAMETERS!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    assert store_alone(code, env=environment).communicate()[0].strip() == known
    assert store.fingerprint(PARAMETERS) == known


def test_fingerprint_tells_values_apart_but_not_their_types():
    def name(value):
        return store.fingerprint({"x": value})

    pairs = [(1, 1.0), (10**20, 1e20), (0, -0.0), ((1, 2), [1.0, 2.0])]
    for one, other in [*pairs, (0.1, np.float64(0.1))]:
        assert name(one) == name(other)
    distinct = [1, "1", True, None, "", [1], [], 0.1, np.nextafter(0.1, 1), {"x": 1}]
    assert len({name(value) for value in distinct}) == len(distinct)


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, [-np.inf], {"y": np.nan}, np.float32(1), 1j, b"", {1}]
)
def test_refused_values(out, value):
    message = "cannot be stored.*use None, bool, int"
    with pytest.raises(store.StoreError, match="parameters " + message):
        store.fingerprint({"x": value})
    with pytest.raises(store.StoreError, match="provenance " + message):
        store.save(out, PARAMETERS, ARRAYS, {"x": value})
    assert not store.cell_files(out)


# What is damaged never comes out.


def test_flipped_bits_and_truncations_are_detected(out):
    cell = store.save(out, PARAMETERS, ARRAYS, PROVENANCE, {"W": ARRAYS["barrier"]})
    choose = random.Random(0)
    for path, look in (
        (cell, lambda: store.find(out, PARAMETERS)),
        (cell.with_suffix(store.WEIGHTS), lambda: store.read_weights(cell)),
    ):
        good = path.read_bytes()
        for _ in range(1000):
            bit = choose.randrange(8 * len(good))
            damaged = bytearray(good)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            with pytest.raises(store.CorruptCell, match=path.name):
                look()
        for length in [0, 1, len(good) - 1, *choose.sample(range(len(good)), 147)]:
            path.write_bytes(good[:length])
            with pytest.raises(store.CorruptCell, match=path.name):
                look()
        path.write_bytes(good + b"\0")
        with pytest.raises(store.CorruptCell):
            look()
        path.write_bytes(good)
        assert look() is not None
    cell.write_bytes(cell.read_bytes() + b"\0")
    with pytest.raises(store.CorruptCell):
        store.stored(out, PARAMETERS)
    cell.write_bytes(cell.read_bytes()[:-1])
    assert store.stored(out, PARAMETERS, weights=True)
    assert not store.stored(out, {**PARAMETERS, "one": "more"})
    weights = cell.with_suffix(store.WEIGHTS)
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert store.stored(out, PARAMETERS)
    with pytest.raises(store.CorruptCell):
        store.stored(out, PARAMETERS, weights=True)
    weights.unlink()
    assert not store.stored(out, PARAMETERS, weights=True)


def test_forged_seals_crash_nothing(out):
    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    good = path.read_bytes()
    choose = random.Random(1)
    for _ in range(400):
        bit = choose.randrange(8 * (len(good) - store._HEX))
        forged = bytearray(good)
        forged[bit // 8] ^= 1 << bit % 8
        forged[-store._HEX :] = store._digest(bytes(forged))
        path.write_bytes(forged)
        with suppress(store.StoreError):
            store.read(path)


@pytest.mark.parametrize("array", [np.array([None]), np.ones((2, 3), order="F")])
def test_members_that_are_no_plain_arrays_are_refused(array):
    member = io.BytesIO()
    np.lib.format.write_array(member, array)
    with pytest.raises(ValueError, match="not a plain array"):
        store._array(member.getvalue())


def test_foreign_and_misnamed_files_are_named(out):
    good = store.save(out, {"m": 1}, ARRAYS, PROVENANCE)
    cells = good.parent
    np.savez(cells / "0123.npz", barrier=ARRAYS["barrier"])
    (cells / "copy.npz").write_bytes(good.read_bytes())
    (cells / "folder.npz").mkdir()
    (cells / "notes.txt").write_text("ignored")
    store.open_store(out)
    corrupt: list[store.CorruptCell] = []
    (record,) = store.read_each(out, corrupt.append)
    assert record.parameters == {"m": 1}
    messages = [str(error) for error in corrupt]
    faults = ["0123.npz' is truncated", "copy.npz' holds a cell", "folder.npz' is not"]
    for fault, message in zip(faults, messages, strict=True):
        assert fault in message
    assert not any("\n" in message for message in messages)
    with pytest.raises(store.CorruptCell, match=r"0123\.npz"):
        store.load(out)


def test_another_schema_is_refused(out, monkeypatch):
    store.save(out, {"m": 1}, ARRAYS, PROVENANCE)
    with monkeypatch.context() as later:
        later.setattr(store, "SCHEMA", 2)
        path = store.save(out, {"m": 2}, ARRAYS, PROVENANCE)
        with pytest.raises(store.StoreError, match=r"schema 0001.*not schema 2"):
            store.open_store(out)
    refused = "schema 0002.*not schema 1: use another output directory"
    for attempt in (store.open_store, store.load, lambda _: store.read(path)):
        with pytest.raises(store.StoreError, match=refused) as caught:
            attempt(out)
        assert not isinstance(caught.value, store.CorruptCell)


def test_a_damaged_schema_is_damage_not_another_schema(out):
    path = store.save(out, PARAMETERS, ARRAYS, PROVENANCE)
    path.write_bytes(path.read_bytes().replace(b"schema 0001", b"schema 0003"))
    store.open_store(out)
    with pytest.raises(store.CorruptCell):
        store.find(out, PARAMETERS)


def test_load_needs_cells(out, tmp_path):
    for place in (out, tmp_path / "nowhere"):
        with pytest.raises(store.StoreError, match="holds no cells"):
            store.load(place)
    assert not (tmp_path / "nowhere").exists()
