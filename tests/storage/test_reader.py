"""Reading files: the official parser's verdict on every header except duplicate names, and the data."""

import json
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from golden import Golden
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paramgen.dtypes import FILE_DTYPES, DType
from paramgen.errors import FileError, MalformedFileError
from paramgen.storage import reader
from paramgen.storage.header import MAX_HEADER_BYTES, encode_header, find_duplicate, place_tensors
from paramgen.storage.reader import TensorFile

Verdict = tuple[dict[str, tuple[str, list[int]]], dict[str, str]] | None


def official_verdict(path: Path) -> Verdict:
    """Return the official parser's tensors and metadata, or None if it refuses the file."""
    try:
        file = safetensors.safe_open(path, framework="np", backend="pread")  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError:
        return None
    parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    return {name: (part.get_dtype(), part.get_shape()) for name, part in parts.items()}, file.metadata() or {}


def our_verdict(path: Path) -> Verdict:
    try:
        with TensorFile(path) as file:
            return {entry.name: (entry.dtype.code, list(entry.shape)) for entry in file.entries}, file.metadata
    except MalformedFileError as error:
        assert str(error).startswith(f"{path}: ")
        assert str(error).isprintable() and len(str(error)) < len(str(path)) + 2000
        return None


def has_duplicates(content: bytes) -> bool:
    """Return True if a header that the official parser accepts names a tensor twice."""
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    names = json.loads(header.decode(), object_pairs_hook=lambda pairs: [key for key, _ in pairs])
    return len(set(names)) < len(names)


def compare(content: bytes, path: Path) -> Verdict:
    """Assert that both judge a file alike, and return the verdict."""
    path.write_bytes(content)
    official = official_verdict(path)
    if official is not None and has_duplicates(content):
        with pytest.raises(MalformedFileError):
            TensorFile(path)
    else:
        assert our_verdict(path) == official
    return official


def join(header: str | bytes, size: int = 0) -> bytes:
    header = header if isinstance(header, bytes) else header.encode()
    return len(header).to_bytes(8, "little") + header + bytes(range(size))


U8 = '{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'
NONE = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'


def one(shape: str, dtype: str = '"U8"', offsets: str = "[0,2]", more: str = "") -> str:
    return f'{{"a":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}}}'


ACCEPTED = {
    "no tensor": join("{}"),
    "metadata alone": join('{"__metadata__":{"a":"b"}}'),
    "no metadata": join('{"__metadata__":null}'),
    "empty metadata": join('{"__metadata__":{}}'),
    "a key of metadata twice": join('{"__metadata__":{"a":"1","a":"2"}}'),
    "metadata last": join(f'{{"a":{U8},"__metadata__":{{"b":"["}}}}', 2),
    "a fresh key in a tensor": join(one("[2]", more=',"x":{"y":[null,1e300,-1,{"z":"}"}]}'), 2),
    "a fresh key with duplicates": join(one("[2]", more=',"x":{"y":1,"y":2}'), 2),
    "a tensor as a list": join('{"a":["U8",[2],[0,2]]}', 2),
    "a dtype as a mapping": join(one("[2]", dtype='{"U8":null}'), 2),
    "whitespace": join(f' \n\t\r{{ "a" :\n{U8}}} \n\t', 2),
    "a scalar": join(one("[]", offsets="[0,1]"), 1),
    "many dimensions": join(one(str([1] * 1000), offsets="[0,1]"), 1),
    "zero-size tensors at one place": join(f'{{"z":{NONE},"y":{NONE},"a":{U8}}}', 2),
    "dimensions beyond NumPy's": join(one(f"[0,{2**64 - 1},{2**64 - 1}]", offsets="[0,0]")),
    "tensors in no order": join(
        '{"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}', 3
    ),
    "100 levels": join(one("[2]", more=',"x":' + "[" * 100 + "]" * 100), 2),
    "an empty name": join(f'{{"":{U8}}}', 2),
    "a name with NUL": join(f'{{"\\u0000":{U8}}}', 2),
    "a name of two surrogates": join(f'{{"\\ud83d\\ude00":{U8}}}', 2),
    "a name of control characters": join(f'{{"\x7f\x9b\u202e":{U8}}}', 2),
    "a name with brackets": join(f'{{"[[[[":{U8}}}', 2),
    "padding to the limit": join(b"{}".ljust(MAX_HEADER_BYTES)),
}
REFUSED = {
    "an empty file": b"",
    "seven bytes": b"1234567",
    "a length beyond the file": (100).to_bytes(8, "little") + b"{}",
    "a length beyond any file": b"\xff" * 8 + b"{}",
    "a length beyond the limit": join(b"{}".ljust(MAX_HEADER_BYTES + 1)),
    "an empty header": join(""),
    "an open brace": join("{"),
    "a list": join("[]"),
    "a text": join('"a"'),
    "null": join("null"),
    "a comma too many": join(f'{{"a":{U8},}}', 2),
    "NUL after the header": join(f'{{"a":{U8}}}\0', 2),
    "a byte order mark": join(f'\ufeff{{"a":{U8}}}', 2),
    "text after the header": join(f'{{"a":{U8}}}{{}}', 2),
    "a comment": join(f'{{"a":{U8}/**/}}', 2),
    "no UTF-8": join(b'{"\xff":1}'),
    "surrogates in UTF-8": join(b'{"\xed\xa0\x80":' + U8.encode() + b"}", 2),
    "UTF-16": join(f'{{"a":{U8}}}'.encode("utf-16"), 2),
    "a lone surrogate": join(f'{{"a\\ud800":{U8}}}', 2),
    "a lone surrogate in what is ignored": join(one("[2]", more=',"x":"\\udc00"'), 2),
    "a control character in a name": join(f'{{"\n":{U8}}}', 2),
    "NaN": join('{"a":NaN}'),
    "a tensor that is a number": join('{"a":3}'),
    "a tensor without offsets": join('{"a":{"dtype":"U8","shape":[2]}}', 2),
    "a field twice": join(one("[2]", more=',"dtype":"U8"'), 2),
    "metadata twice": join('{"__metadata__":{"a":"1"},"__metadata__":{"b":"2"}}'),
    "metadata of numbers": join('{"__metadata__":{"a":1}}'),
    "metadata in a list": join('{"__metadata__":[]}'),
    "an unknown dtype": join(one("[2]", dtype='"U7"'), 2),
    "a dtype in lower case": join(one("[2]", dtype='"u8"'), 2),
    "a dtype that is a number": join(one("[2]", dtype="3"), 2),
    "a negative size": join(one("[-2]"), 2),
    "a size below zero": join(one("[-0]", offsets="[0,0]")),
    "a size with a fraction": join(one("[2.0]"), 2),
    "a size in powers of ten": join(one("[2e0]"), 2),
    "a size with a leading zero": join(one("[02]"), 2),
    "a size that is true": join(one("[true,2]"), 2),
    "a size that is a text": join(one('["2"]'), 2),
    "a size of 2^64": join(one(f"[0,{2**64}]", offsets="[0,0]")),
    "a size of 5,000 digits": join(one(f"[0,{'9' * 5000}]", offsets="[0,0]")),
    "a product beyond 2^64": join(one(f"[{2**32},{2**32},0]", offsets="[0,0]")),
    "a number out of range in what is ignored": join(one("[2]", more=',"x":1e999'), 2),
    "5,000 digits in what is ignored": join(one("[2]", more=f',"x":{"9" * 5000}'), 2),
    "one offset": join(one("[2]", offsets="[0]"), 2),
    "three offsets": join(one("[2]", offsets="[0,2,2]"), 2),
    "offsets that fall": join(one("[2]", offsets="[2,0]"), 2),
    "a hole at the start": join(one("[2]", offsets="[1,3]"), 3),
    "a hole in between": join(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}', 3
    ),
    "tensors that overlap": join(f'{{"a":{U8},"b":{U8}}}', 2),
    "bytes too few": join(f'{{"a":{U8}}}', 1),
    "bytes too many": join(f'{{"a":{U8}}}', 3),
    "a shape of other bytes": join(one("[3]"), 2),
    "half a byte": join(one("[3]", dtype='"F4"'), 2),
    "200 levels": join(one("[2]", more=',"x":' + "[" * 200 + "]" * 200), 2),
    "100,000 open brackets": join("[" * 100_000),
    "100,000 open braces": join('{"a":' * 100_000),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=list(ACCEPTED))
def test_safetensors_accepts_the_file_too(content: bytes, tmp_path: Path) -> None:
    assert compare(content, tmp_path / "f") is not None


@pytest.mark.parametrize("content", REFUSED.values(), ids=list(REFUSED))
def test_safetensors_refuses_the_file_too(content: bytes, tmp_path: Path) -> None:
    assert compare(content, tmp_path / "f") is None


@pytest.mark.parametrize("dtype", FILE_DTYPES, ids=lambda dtype: dtype.code)
def test_sizes_of_every_dtype_are_checked_as_safetensors_does(dtype: DType, tmp_path: Path) -> None:
    for shape in [(), (0,), (0, 3), (1,), (3,), (4,), (2, 4), (7, 1)]:
        bits = dtype.bits * int(np.prod(shape))
        for size in {bits // 8, -(-bits // 8), bits // 8 + 1}:
            field = {"dtype": dtype.code, "shape": shape, "data_offsets": [0, size]}
            verdict = compare(join(json.dumps({"a": field}), size), tmp_path / "f")
            assert (verdict is not None) == (size * 8 == bits)


DUPLICATES = {
    "plain": join(f'{{"a":{U8},"a":{U8}}}', 2),
    "escaped": join(f'{{"a":{U8},"\\u0061":{U8}}}', 2),
    "of other bytes": join(f'{{"a":{NONE},"a":{U8}}}', 2),
    "as lists": join('{"a":["U8",[2],[0,2]],"a":["U8",[2],[0,2]]}', 2),
    "beside brackets in metadata": join(f'{{"__metadata__":{{"x":"[["}},"a":{U8},"a":{U8}}}', 2),
    "beside escaped brackets in metadata": join(f'{{"__metadata__":{{"x":"\\u005b\\u005B"}},"a":{U8},"a":{U8}}}', 2),
    "beside brackets that the parser drops": join(f'{{"__metadata__":{{"x":"[[","x":""}},"a":{U8},"a":{U8}}}', 2),
    "beside metadata of null": join(f'{{"__metadata__":null,"a":{U8},"a":{U8}}}', 2),
}


@pytest.mark.parametrize("content", DUPLICATES.values(), ids=list(DUPLICATES))
def test_duplicate_names_are_refused(content: bytes, tmp_path: Path, golden: Golden) -> None:
    assert compare(content, tmp_path / "f") is not None
    with pytest.raises(MalformedFileError) as refused:
        TensorFile(tmp_path / "f")
    assert refused.value.exit_status == 3
    golden(refused.value)


def test_reasons_are_one_short_line(tmp_path: Path) -> None:
    name = "a\n\x1b\u202e" * 10_000
    (tmp_path / "f").write_bytes(join(one("[1]", offsets="[5,6]").replace('"a"', json.dumps(name)), 6))
    with pytest.raises(MalformedFileError) as refused:
        TensorFile(tmp_path / "f")
    assert r"a\n\x1b\u202ea" in str(refused.value)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 2000


TOKENS = [
    b'"a":', b'"b":', U8.encode(), b',"a":' + U8.encode(), b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"\\u005b",
    b"\\ud800", b"\\u0061", b"null", b"true", b"NaN", b"-0", b"1e999", b"2.0", b"0", b"9" * 30, b"18446744073709551616",
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b" ", b"\n", b"F4", b"BF16", b"C64", b"F8_E8M0", b"__metadata__",
    b"[" * 200,
]  # fmt: skip
FILE = (
    b'{"__metadata__":{"k":"[v]"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
    b'"b":{"dtype":"I8","shape":[3],"data_offsets":[24,27]},"c":{"dtype":"F4","shape":[2],"data_offsets":[27,28]}}'
)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=2000, deadline=None)
def test_damaged_files_are_read_as_safetensors_reads_them(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    header = bytearray(FILE)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(header)))
        stop = start + data.draw(st.integers(0, 3) | st.integers(0, 80))
        kinds = st.binary(max_size=2) | st.sampled_from(TOKENS) | st.just(bytes(header[start:stop] * 2))
        header[start:stop] = data.draw(kinds)
    content = bytearray(join(bytes(header), 28))
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, 7))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    compare(bytes(content), tmp_path_factory.getbasetemp() / "damaged")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["a", "[", '"[[', "\\u005b"])


@given(
    names=st.lists(texts, max_size=4),
    metadata=st.none() | st.dictionaries(texts, texts, max_size=2),
    ascii_only=st.booleans(),
    as_list=st.booleans(),
    spaces=st.sampled_from(["", " ", "\n\t"]),
)
@settings(max_examples=500, deadline=None)
@example(names=["a", "a"], metadata={"[": "["}, ascii_only=True, as_list=False, spaces="")
def test_duplicates_among_names(
    names: list[str],
    metadata: dict[str, str] | None,
    ascii_only: bool,
    as_list: bool,
    spaces: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    quoted = json.JSONEncoder(ensure_ascii=ascii_only).encode
    value = '["F32",[0],[0,0]]' if as_list else '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    fields = [f"{quoted(name)}{spaces}:{value}" for name in names]
    if metadata is not None:
        fields.append(f'"__metadata__":{quoted(metadata)}')
    verdict = compare(join("{" + f"{spaces},".join(fields) + "}"), tmp_path_factory.getbasetemp() / "duplicates")
    assert verdict is None or set(verdict[0]) == set(names)


def test_brackets_prove_that_names_are_different() -> None:
    header = encode_header(place_tensors([("a", FILE_DTYPES[0], ()), ("b", FILE_DTYPES[0], (2,))]), {"x": "[1]"})[8:]
    assert find_duplicate(header, 2, {"x": "[1]"}) is None
    broken = header.replace(b'"b":', b'"a":')
    assert find_duplicate(broken, 1, {"x": "[1]"}) == "a"


def test_the_file_that_was_checked_is_the_one_that_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors.numpy.save_file({"a": np.zeros(1)}, tmp_path / "f")
    os.mkfifo(tmp_path / "pipe")

    def replace(path: str, **keywords: Any) -> Any:
        os.replace(tmp_path / "pipe", tmp_path / "f")
        return safetensors.safe_open(path, **keywords)

    monkeypatch.setattr(reader, "safe_open", replace)
    with TensorFile(tmp_path / "f") as file:
        assert [entry.name for entry in file.entries] == ["a"]


def test_data_of_every_dtype(tmp_path: Path) -> None:
    wide = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    kinds = {dtype.name: dtype for dtype in FILE_DTYPES if dtype.numpy_name}
    arrays = {name: wide.astype(dtype.numpy_dtype()) for name, dtype in kinds.items()}
    entries = place_tensors((name, dtype, (2, 3, 4)) for name, dtype in kinds.items())
    (tmp_path / "f").write_bytes(
        encode_header(entries, {}) + b"".join(arrays[entry.name].tobytes() for entry in entries)
    )
    with TensorFile(tmp_path / "f") as file:
        assert file.entries == entries
        for entry in file.entries:
            found = file.read(entry, 5, 17)
            assert found.dtype == arrays[entry.name].dtype
            assert found.tobytes() == arrays[entry.name].reshape(-1)[5:17].tobytes()
    assert kinds["bfloat16"].numpy_dtype() == ml_dtypes.bfloat16


def test_a_dtype_of_a_later_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    safetensors.numpy.save_file({"a\n": np.zeros(1)}, tmp_path / "f")
    monkeypatch.delitem(reader.DTYPES_BY_CODE, "F64")
    with pytest.raises(FileError) as caught:
        TensorFile(tmp_path / "f")
    golden(caught.value)


def test_a_file_cut_while_open(tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "f"
    safetensors.numpy.save_file({"a": np.zeros(100)}, path)
    with TensorFile(path) as file:
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(FileError) as caught:
            file.read(file.entries[0], 0, 100)
    golden(caught.value)
