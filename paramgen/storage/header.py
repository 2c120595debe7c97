"""The header of a safetensors file, in the official order and padding. Nothing here opens a file.

A file is 8 bytes, little-endian, of the header's length; the header, JSON padded with spaces to 8 bytes; the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from operator import itemgetter
from typing import Any

from paramgen.dtypes import RANK_IN_FILE, DType
from paramgen.json_text import quote_json

MAX_HEADER_BYTES = 100_000_000


@dataclass(slots=True)  # not frozen: a frozen dataclass takes four times as long to make
class TensorEntry:
    """A tensor of a file: bytes start … stop - 1 of the data."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


def place_tensors(tensors: Iterable[tuple[str, DType, tuple[int, ...]]]) -> list[TensorEntry]:
    """Place tensors one after another in the official order: by the format's rank of their dtype, then by name."""
    ordered = sorted(tensors, key=itemgetter(0))
    ordered.sort(key=lambda tensor: RANK_IN_FILE[tensor[1].code])  # a stable sort, which keeps the names in order
    entries, start = [], 0
    for name, dtype, shape in ordered:
        stop = start + dtype.nbytes(prod(shape))
        entries.append(TensorEntry(name, dtype, shape, start, stop))
        start = stop
    return entries


def encode_header(entries: Iterable[TensorEntry], metadata: Mapping[str, str]) -> bytes:
    """Return the first bytes of a file: the header's length, and the header. Metadata comes first, its keys sorted."""
    fields = [f'"__metadata__":{compact_json(metadata)}'] if metadata else []
    fragments: dict[tuple[str, tuple[int, ...]], str] = {}  # tensors of a model share few dtypes and shapes
    for entry in entries:
        key = entry.dtype.code, entry.shape
        fragment = fragments.get(key)
        if fragment is None:
            sizes = ",".join(map(str, entry.shape))
            fragment = fragments[key] = f':{{"dtype":"{entry.dtype.code}","shape":[{sizes}],"data_offsets":['
        fields.append(f"{quote_json(entry.name)}{fragment}{entry.start},{entry.stop}]}}")
    header = f"{{{','.join(fields)}}}".encode()
    padding = b" " * (-len(header) % 8)
    return b"".join(((len(header) + len(padding)).to_bytes(8, "little"), header, padding))


def compact_json(value: Any, sort_keys: bool = True) -> str:
    """Return JSON without spaces, characters as they are."""
    return json.dumps(value, ensure_ascii=False, sort_keys=sort_keys, separators=(",", ":"))


def find_duplicate(header: bytes, tensors: int, metadata: Mapping[str, str]) -> str | None:
    """Return a name that several tensors of a header have, if any; the official parser keeps the last of them.

    `tensors` (a count) and `metadata` are what that parser returned. A tensor has two lists, its shape and its offsets.
    A header with too few "[" for one more tensor therefore has no duplicates. Counting takes a fiftieth of the time of
    parsing the header again (benchmarks/tried.md). Only headers with further or escaped brackets need that.
    """
    brackets = header.count(b"[") - sum(text.count("[") for pair in metadata.items() for text in pair)
    if brackets < 2 * (tensors + 1) and b"\\u005" not in header:
        return None
    names = json.loads(header.decode(), object_pairs_hook=_keys)
    name, count = Counter(names).most_common(1)[0]
    return name if count > 1 else None


def _keys(pairs: list[tuple[str, Any]]) -> list[str]:
    return [key for key, _ in pairs]
