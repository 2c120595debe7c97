"""Blocks: ranges of a planned file's bytes, each with the slices of tensors in it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from paramgen.buffers import BLOCK_BYTES, SHORT_RUN_ELEMENTS, WIDE_BLOCK_FACTOR
from paramgen.planning.files import PlannedFile
from paramgen.planning.tensors import Tensor
from paramgen.storage.header import TensorEntry


class FileRange(NamedTuple):
    """Bytes start … stop - 1 of the file with this name."""

    file: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


class TensorSlice(NamedTuple):
    """Elements start … stop - 1 of a tensor; their bytes begin at `offset` of a block."""

    tensor: Tensor
    start: int
    stop: int
    offset: int


class FileBlock(NamedTuple):
    """A range of a file's bytes: some of the header, then slices of tensors. Drawing it needs nothing else."""

    file: PlannedFile
    size: int
    header: bytes
    slices: list[TensorSlice]


def whole_file(file: PlannedFile) -> FileRange:
    """Return the range of all bytes of a file."""
    return FileRange(file.name, 0, file.size)


def block_size(tensor: Tensor, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the block size: larger if a transposing layout would otherwise waste random words."""
    wide = WIDE_BLOCK_FACTOR * block_bytes
    is_short = tensor.dtype.nbytes(tensor.rearrangement.max_source_step) * SHORT_RUN_ELEMENTS > block_bytes
    return wide if is_short and tensor.nbytes > wide else block_bytes


def find_entries(file: PlannedFile, start: int, stop: int) -> Sequence[TensorEntry]:
    """Return the entries of the tensors that have bytes in a range of a file."""
    first = bisect_right(file.entries, start - len(file.header), key=attrgetter("stop"))
    return file.entries[first : bisect_left(file.entries, stop - len(file.header), key=attrgetter("start"))]


def count_blocks(part: FileRange, size: int) -> int:
    """Return the number of blocks of a range."""
    return -(-part.stop // size) - part.start // size


def split_into_blocks(file: PlannedFile, size: int, start: int = 0, stop: int | None = None) -> Iterator[FileBlock]:
    """Split a range of a file, by default all of it, at each multiple of `size` bytes, which is a multiple of 8.

    The range begins and ends between elements.
    """
    stop = file.size if stop is None else stop
    tensors = {tensor.name: tensor for tensor in file.tensors}
    entries = iter(find_entries(file, start, stop))
    entry = next(entries, None)
    for begin in chain([start], range((start // size + 1) * size, stop, size)):
        end = min(stop, (begin // size + 1) * size)
        header = file.header[begin:end]
        slices, used = [], len(header)
        while begin + used < end and entry:
            tensor = tensors[entry.name]
            width, base = tensor.dtype.bits // 8, len(file.header) + entry.start
            first, last = (begin + used - base) // width, min(tensor.size, (end - base) // width)
            if first < last:
                slices.append(TensorSlice(tensor, first, last, used))
                used += (last - first) * width
            if last == tensor.size:
                entry = next(entries, None)
        yield FileBlock(file, end - begin, header, slices)
