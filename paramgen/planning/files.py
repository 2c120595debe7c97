"""The files of a build: one, or the shards of a folder, each with its tensors and header."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from paramgen.errors import UsageError
from paramgen.messages import must_be
from paramgen.planning.shards import parse_size, shard_names, split_into_shards
from paramgen.planning.tensors import Tensor
from paramgen.storage.header import MAX_HEADER_BYTES, TensorEntry, compact_json, encode_header, place_tensors
from paramgen.units import human_bytes

DEFAULT_BASENAME = "model"
# The longest header that the tools of the Hugging Face Hub read.
HUB_HEADER_BYTES = 25_000_000
BASENAME_EXPECTED = "a file name of letters, digits, _, . and -"


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """The names and sizes of a folder's weight files: shards of at most `limit` bytes, or one file if it is None."""

    basename: str = DEFAULT_BASENAME
    limit: int | None = None


def warn_about_headers(files: Sequence[PlannedFile]) -> None:
    """Warn about the first file whose header is too long for some tools."""
    for file in files:
        size = len(file.header) - 8
        if size > HUB_HEADER_BYTES:
            limit = f"the header should have at most {HUB_HEADER_BYTES:,} bytes (the limit of the Hub's tools)"
            warnings.warn(f"{file.name}: {limit}, got {size:,}; use more shards or shorter names", stacklevel=2)
            return


def make_folder_layout(basename: str | None, max_shard_size: int | str | None) -> FolderLayout:
    """Return the layout of a folder with these options of a build. Raises UsageError if one is invalid."""
    if basename is not None and not is_basename(basename):
        raise UsageError(f"basename: {must_be(BASENAME_EXPECTED, basename)}")
    try:
        limit = parse_size(max_shard_size) if isinstance(max_shard_size, str) else max_shard_size
        if limit is not None and not (type(limit) is int and limit > 0):
            raise ValueError(must_be("a positive number of bytes, or a text such as 5GB", max_shard_size))
    except ValueError as error:
        raise UsageError(f"max_shard_size: {error}") from None
    return FolderLayout(basename or DEFAULT_BASENAME, limit)


class PlannedFile(NamedTuple):
    """A file of a build; `name` is its name in a folder."""

    name: str
    tensors: tuple[Tensor, ...]
    entries: tuple[TensorEntry, ...]
    header: bytes

    @property
    def data_bytes(self) -> int:
        return self.entries[-1].stop

    @property
    def size(self) -> int:
        return len(self.header) + self.data_bytes


class FileMetadata(NamedTuple):
    """The metadata of a single file, and those of shards, which keep the order of the spec's keys."""

    single: Mapping[str, str]
    shard: Mapping[str, str]


class HeaderSizeError(ValueError):
    """The header of a file exceeds the format's limit, or the limit of shards."""


class ShardMetadataError(ValueError):
    """The metadata of a shard do not say how its folder is split."""


def plan_files(tensors: Sequence[Tensor], folder: FolderLayout, metadata: FileMetadata) -> tuple[PlannedFile, ...]:
    """Return the files of a build, each with its tensors in the official order.

    The metadata of a shard have its place among all; a single file is not marked. Raises HeaderSizeError if a header is
    too large, or larger than the limit of shards.
    """
    limit = folder.limit or sum(tensor.nbytes for tensor in tensors)
    shards = split_into_shards([tensor.nbytes for tensor in tensors], limit)
    names = shard_names(folder.basename, len(shards))
    if len(shards) == 1:
        return (_plan_file(names[0], tensors, metadata.single),)
    files = []
    for number, (name, shard) in enumerate(zip(names, shards, strict=True), 1):
        place = {"basename": folder.basename, "count": len(shards), "limit": limit, "number": number}
        marked = {**metadata.shard, "paramgen_shard": compact_json(place)}
        file = _plan_file(name, [tensors[position] for position in shard], marked)
        if len(file.header) > limit:
            header = human_bytes(len(file.header))
            raise HeaderSizeError(
                f"shards of {human_bytes(limit)} are smaller than a header of {header}; choose larger ones"
            )
        files.append(file)
    return tuple(files)


def _plan_file(name: str, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> PlannedFile:
    entries = place_tensors((tensor.name, tensor.dtype, tensor.rearrangement.shape) for tensor in tensors)
    header = encode_header(entries, metadata)
    if len(header) - 8 > MAX_HEADER_BYTES:
        limit = f"must have at most {MAX_HEADER_BYTES:,} bytes (the format's limit), got {len(header) - 8:,}"
        raise HeaderSizeError(f"the file's header {limit}; use fewer or shorter names")
    return PlannedFile(name, tuple(tensors), tuple(entries), header)


def read_shard_metadata(text: str) -> FolderLayout:
    """Return the layout of the folder that a shard's metadata `paramgen_shard` describe. Raises ShardMetadataError."""
    try:
        place = json.loads(text)
        basename, limit = place["basename"], place["limit"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ShardMetadataError("paramgen_shard must be a mapping with basename, count, limit and number") from None
    if not is_basename(basename) or type(limit) is not int or limit < 1:
        raise ShardMetadataError("paramgen_shard must have a file name as basename and a positive limit")
    return FolderLayout(basename, limit)


def is_basename(name: Any) -> bool:
    """Return True if a value can be the common part of the names of a folder's weight files."""
    return isinstance(name, str) and bool(re.fullmatch(r"[\w][\w.-]*", name))
