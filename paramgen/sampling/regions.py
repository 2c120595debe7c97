"""Regions: the strided source slices that make up a range of a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.axes import Rearrangement, c_strides
from paramgen.dtypes import DType


class StridedRegion(NamedTuple):
    """Elements of a source, and where they go in a buffer.

    For every index i below `sizes`, source element offset + Σ i·strides becomes buffer element
    out_offset + Σ i·out_strides.
    """

    source: int
    offset: int
    out_offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    out_strides: tuple[int, ...]

    @classmethod
    def contiguous(cls, offset: int, size: int, out_offset: int = 0) -> StridedRegion:
        """Return `size` consecutive elements of the first source."""
        return cls(0, offset, out_offset, (size,), (1,), (1,))

    @property
    def is_contiguous(self) -> bool:
        """True if it is a range of the source's elements, in the same order."""
        return self.sizes == () or (self.strides == (1,) and self.out_strides == (1,))

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.sizes)

    def slice_output(self, out: NDArray[np.uint8], dtype: DType) -> NDArray[np.uint8]:
        """Return the part of a buffer that a contiguous region fills."""
        return out[dtype.nbytes(self.out_offset) : dtype.nbytes(self.out_offset + self.size)]

    def output_from_offset(self, out: NDArray[np.uint8], dtype: DType) -> NDArray[np.uint8]:
        """Return the part of a buffer that begins with the region's first element."""
        return out[dtype.nbytes(self.out_offset) :]

    def element_numbers(self) -> NDArray[np.uint64]:
        """Return the numbers of the elements in their source, as an array of the region's sizes."""
        numbers: NDArray[Any] = np.full((), self.offset, np.uint64)
        for size, stride in zip(self.sizes, self.strides, strict=True):
            numbers = numbers[..., None] + np.arange(size, dtype=np.uint64) * np.uint64(stride)
        return numbers

    def select_last_axis(self, index: int, size: int) -> StridedRegion | None:
        """Return the part at one index of the source's last axis, which has this size; None if there is none.

        The region's axes are those of an array in C order, which may be permuted or merged.
        """
        along = [axis for axis, stride in enumerate(self.strides) if stride % size]
        if not along:  # all of it has the same index
            return self if self.offset % size == index else None
        (axis,) = along
        assert self.strides[axis] == 1
        first = (index - self.offset) % size
        count = len(range(first, self.sizes[axis], size))
        if not count:
            return None

        def with_axis(values: tuple[int, ...], value: int) -> tuple[int, ...]:
            return (*values[:axis], value, *values[axis + 1 :])

        out_stride = self.out_strides[axis]
        return StridedRegion(
            self.source,
            self.offset + first,
            self.out_offset + first * out_stride,
            with_axis(self.sizes, count),
            with_axis(self.strides, size),
            with_axis(self.out_strides, size * out_stride),
        )


def iter_regions(rearrangement: Rearrangement, start: int, stop: int) -> Iterator[StridedRegion]:
    """Yield elements start … stop - 1 of a tensor, in C order, as regions; the buffer begins at `start`."""
    if rearrangement.is_identity:
        yield StridedRegion.contiguous(start, stop - start)
        return
    out_strides = c_strides(rearrangement.grid)
    for low, high in iter_boxes(rearrangement.grid, start, stop):
        for piece in rearrangement.slices:
            begin = tuple(map(max, low, piece.low))
            end = tuple(map(min, high, piece.high))
            if all(first < last for first, last in zip(begin, end, strict=True)):
                inside = (i - lowest for i, lowest in zip(begin, piece.low, strict=True))
                offset = piece.offset + sum(i * stride for i, stride in zip(inside, piece.strides, strict=True))
                out_offset = sum(i * stride for i, stride in zip(begin, out_strides, strict=True)) - start
                sizes = tuple(last - first for first, last in zip(begin, end, strict=True))
                yield _merge_axes(StridedRegion(piece.source, offset, out_offset, sizes, piece.strides, out_strides))


def iter_boxes(grid: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield a range of a grid's elements, in C order, as boxes: the lowest index of each axis, and its end."""
    if not grid:
        yield (), ()
        return
    inner = prod(grid[1:])
    first, last = -(-start // inner), stop // inner
    if first > last:  # within one row
        row = stop // inner
        for low, high in iter_boxes(grid[1:], start - row * inner, stop - row * inner):
            yield (row, *low), (row + 1, *high)
        return
    if start < first * inner:
        for low, high in iter_boxes(grid[1:], start - (first - 1) * inner, inner):
            yield (first - 1, *low), (first, *high)
    if first < last:
        yield (first, *(0 for _ in grid[1:])), (last, *grid[1:])
    if last * inner < stop:
        for low, high in iter_boxes(grid[1:], 0, stop - last * inner):
            yield (last, *low), (last + 1, *high)


def _merge_axes(region: StridedRegion) -> StridedRegion:
    """Return a region with as few axes as possible, none of them reversed in the source."""
    offset, out_offset = region.offset, region.out_offset
    kept: list[tuple[int, int, int]] = []
    for size, stride, out_stride in zip(region.sizes, region.strides, region.out_strides, strict=True):
        if size == 1:
            continue
        if stride < 0:
            offset, out_offset = offset + (size - 1) * stride, out_offset + (size - 1) * out_stride
            stride, out_stride = -stride, -out_stride  # noqa: PLW2901
        if kept and kept[-1][1] == size * stride and kept[-1][2] == size * out_stride:
            kept[-1] = (kept[-1][0] * size, stride, out_stride)
        else:
            kept.append((size, stride, out_stride))
    sizes, strides, out_strides = (tuple(axis[i] for axis in kept) for i in range(3))
    return StridedRegion(region.source, offset, out_offset, sizes, strides, out_strides)
