"""The header: byte for byte the official writer's, and refused where the official reader refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from paramgen.dtypes import BY_CODE, DTYPES, FILE_DTYPES
from paramgen.errors import FileError
from paramgen.storage.header import MAX_HEADER, MalformedError, arrange, decode, encode, header_length
from paramgen.storage.reader import TensorFile

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda n: n != "__metadata__")
codes = ["F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL"]


@given(
    tensors=st.dictionaries(
        names, st.tuples(st.sampled_from(codes), st.lists(st.integers(0, 3), max_size=3)), max_size=6
    ),
    metadata=st.none() | st.tuples(names, st.text(st.characters(exclude_categories=["Cs"]))),
)
@settings(deadline=None)
def test_it_is_the_official_writers(tensors: dict[str, Any], metadata: tuple[str, str] | None) -> None:
    ours = [(name, BY_CODE[code], tuple(shape)) for name, (code, shape) in tensors.items()]
    theirs = {name: np.zeros(shape, dtype.numpy()) for name, dtype, shape in ours}
    fields = dict([metadata]) if metadata else {}  # of several keys, the official writer's order is random
    header = encode(arrange(ours), fields)
    official = safetensors.numpy.save(theirs, fields or None)
    assert header == official[: len(header)]
    assert len(header) + sum(array.nbytes for array in theirs.values()) == len(official)


def test_drawn_dtypes_stand_in_the_official_order() -> None:
    entries = arrange([(name, dtype, (1,)) for name, dtype in sorted(DTYPES.items())])
    order = [entry.name for entry in entries]
    assert order == ["float64", "float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]
    assert [entry.begin for entry in entries] == [0, 8, 12, 14, 16, 17]


def test_metadata_is_sorted_and_the_header_padded() -> None:
    header = encode([], {"b": "2", "a": "1"})
    assert header[8:].decode() == '{"__metadata__":{"a":"1","b":"2"}}'.ljust(len(header) - 8)
    assert len(header) % 8 == 0


GOOD = {
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "U8", "shape": [3], "data_offsets": [8, 11]},
}


def test_reading_what_was_written() -> None:
    metadata, entries = decode(json.dumps({"__metadata__": {"x": "y"}, **GOOD}).encode() + b"   ", 11)
    assert metadata == {"x": "y"}
    assert [(entry.name, entry.shape, entry.size) for entry in entries] == [("a", (2,), 2), ("b", (3,), 3)]


def changed(name: str, **fields: Any) -> bytes:
    return json.dumps({**GOOD, name: {**GOOD[name], **fields}}).encode()


MALFORMED = [
    (b"", "not the JSON"),
    (b"{", "not the JSON"),
    (b"[]", "not a JSON object"),
    (b"\xff{}", "not the JSON"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a": NaN}', "NaN is no JSON number"),
    (b'{"__metadata__": {"a": 1}}', "__metadata__ is not"),
    (b'{"__metadata__": []}', "__metadata__ is not"),
    (b'{"a": 3}', "tensor a has not just"),
    (b'{"a": {"dtype": "F32", "shape": []}}', "tensor a has not just"),
    (json.dumps(GOOD).replace('"b"', '"a"').encode(), "a stands twice"),
    (changed("a", dtype="F33"), "unknown dtype 'F33'"),
    (changed("a", dtype=3), "unknown dtype 3"),
    (changed("a", dtype=["F32"]), "unknown dtype"),
    (changed("a", shape=[3]), "8 bytes for [3] of float32"),
    (changed("a", shape=2), "has the shape 2"),
    (changed("a", shape=[-2]), "has the shape [-2]"),
    (changed("a", shape=[2.0]), "has the shape [2.0]"),
    (changed("a", shape=[True, 2]), "has the shape [true, 2]"),
    (changed("a", shape=[2**70]), "has the shape"),
    (changed("a", shape=[2**62, 2**62, 0]), "has the shape"),
    (changed("a", data_offsets=[0]), "has the data_offsets [0]"),
    (changed("a", data_offsets=[8, 0]), "-8 bytes"),
    (changed("b", data_offsets=[9, 12]), "begins at 9, not at 8"),
    (changed("b", data_offsets=[7, 10]), "begins at 7, not at 8"),
    (changed("b", data_offsets=[8, 12], shape=[4]), "take 12 bytes of data, the file has 11"),
    (changed("b", dtype="F4", shape=[3], data_offsets=[8, 10]), "2 bytes for [3] of f4"),
    (b'{"\\u001b[31m": 3}', "tensor \\x1b[31m has"),
]


@pytest.mark.parametrize(("header", "reason"), MALFORMED, ids=[reason for _, reason in MALFORMED])
def test_malformed_headers(header: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedError) as caught:
        decode(header, 11)
    assert reason in str(caught.value)
    path = tmp_path / "f.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(11))
    with pytest.raises(FileError, match="not a safetensors file") as refused:
        TensorFile(path)
    assert refused.value.exit_status == 3
    if "stands twice" not in reason:  # the official reader keeps the last of two
        with pytest.raises(safetensors.SafetensorError):
            safetensors.safe_open(path, "numpy")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("first", "size", "reason"),
    [
        (b"", 0, "too few"),
        (b"1234567", 7, "too few"),
        ((100).to_bytes(8, "little"), 107, "a header of 100 bytes in a file of 107"),
        ((MAX_HEADER + 1).to_bytes(8, "little"), 2**40, "the format allows 100,000,000"),
        (b"\xff" * 8, 2**40, "the format allows"),
    ],
)
def test_lengths(first: bytes, size: int, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        header_length(first, size)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_files_are_read_or_refused_as_the_official_reader_does(data: Any, tmp_path_factory: Any) -> None:
    blob = bytearray(safetensors.numpy.save({"a": np.zeros((2, 3), np.float32), "b": np.ones(3, np.int8)}, {"k": "v"}))
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(blob) - 1))
        blob[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(blob[: data.draw(st.sampled_from([len(blob), len(blob) - 1, 40, 8, 3]))])
    try:
        with safetensors.safe_open(path, "numpy") as official:  # type: ignore[no-untyped-call]
            theirs = sorted(official.keys())
    except (safetensors.SafetensorError, OSError):
        theirs = None
    try:
        with TensorFile(path) as file:
            ours = sorted(entry.name for entry in file.entries)
    except FileError:
        ours = None
    if max(blob.count(b'"a":'), blob.count(b'"b":')) < 2:  # of two tensors with one name the official reader keeps one
        assert ours == theirs


def test_the_table_of_dtypes() -> None:
    for dtype in FILE_DTYPES:
        if dtype.array is not None:
            assert dtype.numpy().itemsize * 8 == dtype.bits
    with pytest.raises(TypeError, match="f4"):
        BY_CODE["F4"].numpy()


def test_largest_finite_values() -> None:
    import ml_dtypes

    for name, dtype in DTYPES.items():
        assert dtype.name == name
        assert dtype.largest == float(ml_dtypes.finfo(dtype.numpy()).max)
