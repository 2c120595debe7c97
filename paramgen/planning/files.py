"""The files of a build: one, or the shards of a folder, each with its tensors and header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from paramgen.planning.shards import shard_names, split_into_shards
from paramgen.planning.tensors import Tensor
from paramgen.storage.header import TensorEntry, compact_json, encode_header, place_tensors


class PlannedFile(NamedTuple):
    """A file of a build; `name` is its name in a folder."""

    name: str
    entries: tuple[TensorEntry, ...]
    header: bytes

    @property
    def data_bytes(self) -> int:
        return self.entries[-1].stop

    @property
    def size(self) -> int:
        return len(self.header) + self.data_bytes


def plan_file(name: str, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> PlannedFile:
    """Return a file with these tensors, in the official order."""
    entries = place_tensors((tensor.name, tensor.dtype, tensor.rearrangement.shape) for tensor in tensors)
    return PlannedFile(name, tuple(entries), encode_header(entries, metadata))


def plan_shards(
    tensors: Sequence[Tensor], metadata: Mapping[str, str], basename: str, limit: int
) -> tuple[PlannedFile, ...]:
    """Return shards of at most `limit` bytes of data, except for larger tensors; a single one is not marked as a shard.

    `metadata` is that of shards, which say which of how many they are.
    """
    shards = split_into_shards([tensor.nbytes for tensor in tensors], limit)
    names = shard_names(basename, len(shards))
    files = []
    for number, (name, shard) in enumerate(zip(names, shards, strict=True), 1):
        place = {"basename": basename, "count": len(shards), "limit": limit, "number": number}
        own = {**metadata, "paramgen_shard": compact_json(place)}
        files.append(plan_file(name, [tensors[position] for position in shard], own))
    return tuple(files)
