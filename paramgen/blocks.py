"""Blocks: ranges of a planned file's bytes, each with the slices of tensors in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from paramgen.buffers import BLOCK_BYTES, SHORT_RUN_ELEMENTS, WIDE_BLOCK_FACTOR
from paramgen.planning.files import PlannedFile
from paramgen.planning.tensors import Tensor


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


def block_size(tensor: Tensor, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the block size: larger if a transposing layout would otherwise waste random words."""
    wide = WIDE_BLOCK_FACTOR * block_bytes
    is_short = tensor.dtype.nbytes(tensor.rearrangement.max_source_step) * SHORT_RUN_ELEMENTS > block_bytes
    return wide if is_short and tensor.nbytes > wide else block_bytes


def split_into_blocks(file: PlannedFile, size: int) -> Iterator[FileBlock]:
    """Split a file into blocks of `size` bytes, a multiple of 8; the last is shorter."""
    tensors = {tensor.name: tensor for tensor in file.tensors}
    header, slices, used = b"", [], 0
    for start in range(0, len(file.header), size):
        header = file.header[start : start + size]
        used = len(header)
        if used == size:
            yield FileBlock(file, size, header, [])
            header, used = b"", 0
    for entry in file.entries:
        tensor = tensors[entry.name]
        width = tensor.dtype.bits // 8
        start = 0
        while start < tensor.size:
            stop = min(tensor.size, start + (size - used) // width)
            slices.append(TensorSlice(tensor, start, stop, used))
            used += (stop - start) * width
            start = stop
            if used == size:
                yield FileBlock(file, size, header, slices)
                header, slices, used = b"", [], 0
    if used:
        yield FileBlock(file, used, header, slices)
