"""Digests: the SHA-256 of a build's files and tensors, from its blocks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from paramgen.blocks import FileBlock, split_into_blocks
from paramgen.errors import file_errors
from paramgen.json_text import dump_json
from paramgen.messages import must_be, show_path
from paramgen.planning.companions import Companion, open_companion
from paramgen.planning.files import PlannedFile
from paramgen.progress import BytesCallback

if TYPE_CHECKING:
    from hashlib import _Hash


HASHED_BYTES = 2**20
_DIGEST = re.compile("(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Digests:
    """The SHA-256 of a build, and of each of its files and tensors, in hexadecimal.

    `files` begins with the weights, in the order of the shards; a folder's index and companions follow. `sha256` is
    that of the weights: if there are several files, of their digests, joined.
    """

    sha256: str
    files: Mapping[str, str]
    tensors: Mapping[str, str]

    def manifest(self) -> str:
        """Return the JSON of a manifest, with a final newline."""
        return dump_json({"files": dict(self.files), "tensors": dict(self.tensors)}) + "\n"


def sha256_of(data: bytes) -> str:
    """Return the digest of data in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parse_digest(text: str) -> str:
    """Return a digest in hexadecimal, written with or without `sha256:`. Raises ValueError for other texts."""
    match = _DIGEST.fullmatch(text)
    if not match:
        raise ValueError(must_be("64 hexadecimal digits, with or without sha256: before them", text))
    return match[1]


def combine_digests(digests: Iterable[str]) -> str:
    """Return the digest of several weight files: that of their digests, joined in hexadecimal; of one file, its own."""
    digests = list(digests)
    return digests[0] if len(digests) == 1 else sha256_of("".join(digests).encode())


class FileDigests(NamedTuple):
    """The SHA-256 of a file and, if asked for, of each of its tensors, in hexadecimal."""

    sha256: str
    tensors: Mapping[str, str]


@dataclass(slots=True)
class FileHasher:
    """The digests of a file, and of each of its tensors if `with_tensors` is set, from its blocks in order."""

    with_tensors: bool = False
    _file: _Hash = field(default_factory=hashlib.sha256)
    _tensors: dict[str, _Hash] = field(default_factory=dict)

    def tasks(self, block: FileBlock, data: memoryview) -> list[Callable[[], None]]:
        """Return the functions that add a block's bytes; they may run at the same time."""

        def add_to_file() -> None:
            self._file.update(data)

        def add_to_tensors() -> None:
            for part in block.slices:
                nbytes = part.tensor.dtype.nbytes(part.stop - part.start)
                tensor = self._tensors.setdefault(part.tensor.name, hashlib.sha256())
                tensor.update(data[part.offset : part.offset + nbytes])

        return [add_to_file, add_to_tensors] if self.with_tensors else [add_to_file]

    @property
    def digests(self) -> FileDigests:
        """The digests of the file and of each tensor's bytes, in the file's order."""
        tensors = {name: tensor.hexdigest() for name, tensor in self._tensors.items()}
        return FileDigests(self._file.hexdigest(), tensors)


def hash_companion(companion: Companion, write: Callable[[memoryview], None] = lambda data: None) -> str:
    """Return the digest of a companion's content, which is also written piece by piece."""
    sha256 = hashlib.sha256()
    with open_companion(companion) as file:
        while data := file.read(HASHED_BYTES):
            write(memoryview(data))
            sha256.update(data)
    return sha256.hexdigest()


def hash_weights(path: str, file: PlannedFile, with_tensors: bool, progress: BytesCallback) -> FileDigests:
    """Return the digests of a file on disk, whose bytes have the places of a planned one."""
    hasher = FileHasher(with_tensors)
    with file_errors(show_path(path)), open(path, "rb") as stream:
        for block in split_into_blocks(file, HASHED_BYTES):
            for task in hasher.tasks(block, memoryview(stream.read(block.size))):
                task()
            progress(sum(part.tensor.dtype.nbytes(part.stop - part.start) for part in block.slices))
    return hasher.digests
