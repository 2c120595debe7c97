"""The header of a safetensors file, in the official order and padding. Nothing here opens a file.

A file is 8 bytes, little-endian, of the header's length; the header, JSON padded with spaces to 8 bytes; the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring as quote
from math import prod
from operator import itemgetter
from typing import Any, NamedTuple

from paramgen.dtypes import RANK_IN_FILE, DType

MAX_HEADER_BYTES = 100_000_000


class TensorEntry(NamedTuple):
    """A tensor of a file: bytes begin … end - 1 of the data."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        return prod(self.shape)


def order_tensors(tensors: Iterable[tuple[str, DType, tuple[int, ...]]]) -> list[TensorEntry]:
    """Place tensors one after another in the official order: by falling dtype, as the format ranks it, then by name."""
    by_rank: dict[int, list[tuple[str, DType, tuple[int, ...]]]] = {}
    for tensor in tensors:
        by_rank.setdefault(RANK_IN_FILE[tensor[1].code], []).append(tensor)
    entries, begin = [], 0
    for rank in sorted(by_rank):
        for name, dtype, shape in sorted(by_rank[rank], key=itemgetter(0)):
            end = begin + dtype.nbytes(prod(shape))
            entries.append(TensorEntry(name, dtype, shape, begin, end))
            begin = end
    return entries


def encode(entries: Iterable[TensorEntry], metadata: Mapping[str, str]) -> bytes:
    """Return the header after its length; metadata comes first, its keys sorted."""
    parts = [f'"__metadata__":{compact(metadata)}'] if metadata else []
    kinds: dict[tuple[DType, tuple[int, ...]], str] = {}
    for name, dtype, shape, begin, end in entries:
        kind = kinds.get((dtype, shape))
        if kind is None:
            sizes = ",".join(map(str, shape))
            kind = kinds[dtype, shape] = f':{{"dtype":"{dtype.code}","shape":[{sizes}],"data_offsets":['
        parts.append(f"{quote(name)}{kind}{begin},{end}]}}")
    header = ("{" + ",".join(parts) + "}").encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def compact(value: Any) -> str:
    """Return JSON without spaces, keys sorted, characters as they are."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def find_duplicate(header: bytes, tensors: int, metadata: Mapping[str, str]) -> str | None:
    """Return a name that several tensors of a header have, if any; the official parser keeps the last of them.

    `tensors` and `metadata` are what that parser found in the header. Each tensor has two lists, its shape and its
    offsets: a header with fewer brackets than another tensor needs has no duplicates. That takes a fiftieth of the
    time of reading the JSON again, which a header with other brackets (or with escaped ones) needs.
    """
    brackets = header.count(b"[") - sum(text.count("[") for pair in metadata.items() for text in pair)
    if brackets < 2 * (tensors + 1) and b"\\u005" not in header:
        return None
    names = json.loads(header.decode(), object_pairs_hook=_keys)
    name, count = Counter(names).most_common(1)[0]
    return name if count > 1 else None


def _keys(pairs: list[tuple[str, Any]]) -> list[str]:
    return [key for key, _ in pairs]
