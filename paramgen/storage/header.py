"""The header of a safetensors file, in the official writer's order and padding. Pure: no file is touched here.

A file is 8 bytes, little-endian, of the header's length; the header, JSON padded with spaces to 8 bytes; the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any, NamedTuple

from paramgen.dtypes import BY_CODE, FILE_RANK, DType
from paramgen.text import escape, shorten, show

MAX_HEADER = 100_000_000


class MalformedError(ValueError):
    """What is wrong with a file that is no valid safetensors file."""


class Entry(NamedTuple):
    """A tensor of a file: bytes begin … end - 1 of the data."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        return prod(self.shape)


def arrange(tensors: Iterable[tuple[str, DType, tuple[int, ...]]]) -> list[Entry]:
    """The tensors one after another in the official order: by falling dtype, as the format ranks them, then by name."""
    entries, begin = [], 0
    for name, dtype, shape in sorted(tensors, key=lambda tensor: (FILE_RANK[tensor[1].code], tensor[0])):
        end = begin + dtype.nbytes(prod(shape))
        entries.append(Entry(name, dtype, shape, begin, end))
        begin = end
    return entries


def encode(entries: Iterable[Entry], metadata: Mapping[str, str]) -> bytes:
    """The header with its length before it; metadata first, its keys sorted."""
    parts = [f'"__metadata__":{compact(metadata)}'] if metadata else []
    quoted = json.JSONEncoder(ensure_ascii=False).encode
    for name, dtype, shape, begin, end in entries:
        sizes = ",".join(map(str, shape))
        parts.append(f'{quoted(name)}:{{"dtype":"{dtype.code}","shape":[{sizes}],"data_offsets":[{begin},{end}]}}')
    header = ("{" + ",".join(parts) + "}").encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def compact(value: Any) -> str:
    """JSON without spaces, keys sorted, characters as they are."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def header_length(first: bytes, file_size: int) -> int:
    """The length of the header that follows a file's first 8 bytes."""
    if len(first) < 8:
        raise MalformedError(f"{file_size} bytes are too few for a header")
    length = int.from_bytes(first, "little")
    if length > MAX_HEADER:
        raise MalformedError(f"a header of {length:,} bytes; the format allows {MAX_HEADER:,}")
    if length > file_size - 8:
        raise MalformedError(f"a header of {length:,} bytes in a file of {file_size:,}")
    return length


def decode(header: bytes, data_size: int) -> tuple[dict[str, str], list[Entry]]:
    """(metadata, tensors in the order of their data) of a header whose file has data_size bytes after it."""
    try:
        fields = json.loads(header.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedError(f"the header is not the JSON it should be: {reason}") from None
    if not isinstance(fields, dict):
        raise MalformedError("the header is not a JSON object")
    metadata = fields.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedError("__metadata__ is not an object of strings")
    entries = sorted(
        (_entry(name, field) for name, field in fields.items()), key=lambda entry: (entry.begin, entry.end)
    )
    end = 0
    for entry in entries:
        if entry.begin != end:
            raise MalformedError(f"the data of {_named(entry.name)} begins at {entry.begin}, not at {end}")
        end = entry.end
    if end != data_size:
        raise MalformedError(f"the tensors take {end:,} bytes of data, the file has {data_size:,}")
    return metadata, entries


def _named(name: str) -> str:
    return "tensor " + escape(shorten(name, 200))


def _entry(name: str, field: Any) -> Entry:
    if not isinstance(field, dict) or set(field) != {"dtype", "shape", "data_offsets"}:
        raise MalformedError(f"{_named(name)} has not just dtype, shape and data_offsets")
    dtype = BY_CODE.get(field["dtype"]) if isinstance(field["dtype"], str) else None
    if dtype is None:
        raise MalformedError(f"{_named(name)} has the unknown dtype {show(field['dtype'])}")
    shape, offsets = field["shape"], field["data_offsets"]
    if not _sizes(shape):
        raise MalformedError(f"{_named(name)} has the shape {show(shape)}")
    if not _sizes(offsets) or len(offsets) != 2:
        raise MalformedError(f"{_named(name)} has the data_offsets {show(offsets)}")
    if any(size >= 2**64 for size in accumulate(shape, mul)):
        raise MalformedError(f"{_named(name)} has the shape {show(shape)}")
    bits = prod(shape) * dtype.bits
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        shown = f"{show(shape)} of {dtype.name}"
        raise MalformedError(f"{_named(name)} has {offsets[1] - offsets[0]} bytes for {shown}")
    return Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise MalformedError(f"{escape(shorten(twice, 200))} stands twice")
    return fields


def _no_constant(name: str) -> Any:
    raise MalformedError(f"{name} is no JSON number")
