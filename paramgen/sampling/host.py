"""The part of a backend that all backends of the CPU share: everything except the kernels."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.distributions import ElementwiseDistribution, Normal
from paramgen.dtypes import DTYPES, DType
from paramgen.float_mode import default_float_mode
from paramgen.formatting import human_bytes
from paramgen.sampling.backend import Bytes
from paramgen.sampling.matrix import TILE, Matrix
from paramgen.sampling.regions import StridedRegion


class HostBackend(ABC):
    """A backend of the CPU, with its kernels as abstract methods."""

    name: str
    device = "cpu"
    shared = True
    max_tile = max_task = TILE
    max_terms = 2**14

    @property
    def host(self) -> HostBackend:
        return self

    @contextmanager
    def current(self) -> Iterator[None]:
        with default_float_mode(), np.errstate(under="ignore"):
            yield

    def buffer(self, size: int) -> Bytes:
        return np.frombuffer(mmap.mmap(-1, size), np.uint8)

    def draw_to_host(self, buffer: Bytes, draw: Callable[[Bytes], None]) -> None:
        draw(buffer)

    def empty(self, size: int) -> Bytes:
        try:
            return np.empty(size, np.uint8)
        except (MemoryError, ValueError):  # ValueError: beyond what NumPy can address
            raise MemoryError(human_bytes(size)) from None

    def as_array(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        return data.view(dtype.numpy_dtype()).reshape(shape)

    def copy(self, out: Bytes, source: Bytes) -> None:
        out[...] = source

    def finish(self) -> None:  # noqa: B027 (kernels return when they are done)
        pass

    def zeros(self, rows: int, columns: int) -> Matrix:
        try:
            return np.zeros((rows, columns))
        except (MemoryError, ValueError):
            raise MemoryError(f"a matrix of {rows} × {columns}") from None

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def take_region(self, source: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        bits = np.dtype(f"u{dtype.bits // 8}")
        elements = strided_view(source.view(bits), region.offset, region.sizes, region.strides)
        view_of_region(out.view(bits), region)[...] = elements

    def repeat_region(self, table: Bytes, dtype: DType, run: int, region: StridedRegion, out: Bytes) -> None:
        bits = np.dtype(f"u{dtype.bits // 8}")
        numbers, values = table.view(bits), view_of_region(out.view(bits), region)
        if region.is_contiguous:
            flat = values.reshape(-1)
            for start in range(0, len(flat), CHUNK_ELEMENTS):
                part = flat[start : start + CHUNK_ELEMENTS]
                first = region.offset + start
                index = np.arange(first // run, (first + len(part) - 1) // run + 1)
                counts = np.full(len(index), run)
                counts[0] -= first % run
                counts[-1] -= counts.sum() - len(part)
                repeated = numbers[index % len(numbers)]
                part[...] = repeated if run == 1 else np.repeat(repeated, counts)
            return
        element: NDArray[Any] = np.full((), region.offset)
        for size, stride in zip(region.sizes, region.strides, strict=True):
            element = element[..., None] + np.arange(size) * stride
        values[...] = numbers[element // run % len(numbers)]

    def diagonal(self, matrix: Matrix) -> Matrix:
        return matrix.diagonal().copy()

    def normal(self, seed: int, stream: int, start: int, double: bool, z: Matrix) -> None:
        dtype = DTYPES["float64" if double else "float32"]
        values = np.empty(z.shape, dtype.numpy_dtype())
        self.fill(Normal(0.0, 1.0), dtype, seed, stream, start, values.reshape(-1).view(np.uint8))
        z[...] = values

    def round(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        values = gain * q
        result = out.view(dtype.numpy_dtype()).reshape(q.shape)
        result[...] = values if dtype.name == "float64" else values.astype(np.float32)

    @abstractmethod
    def fill(
        self, distribution: ElementwiseDistribution, dtype: DType, seed: int, stream: int, start: int, out: Bytes
    ) -> None: ...

    @abstractmethod
    def fill_region(
        self,
        distribution: ElementwiseDistribution,
        dtype: DType,
        seed: int,
        stream: int,
        region: StridedRegion,
        out: Bytes,
    ) -> None: ...

    @abstractmethod
    def accumulate(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None: ...

    @abstractmethod
    def factor(self, g: Matrix, diagonal: Matrix, min_ratio: float) -> bool: ...

    @abstractmethod
    def solve(self, r: Matrix, x: Matrix) -> None: ...

    @abstractmethod
    def reflect(self, a: Matrix, v: Matrix, factor: float) -> None:
        """Subtract v·(factor·vᵀa) from a; the sums run over the rows of a in order."""


def strided_view(data: NDArray[Any], offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """View elements offset + Σ i·strides of a one-dimensional array."""
    steps = tuple(stride * data.itemsize for stride in strides)
    return np.ndarray(sizes, data.dtype, data, offset * data.itemsize, steps)


def view_of_region(out: NDArray[Any], region: StridedRegion) -> NDArray[Any]:
    """View the elements of a buffer where a region goes."""
    return strided_view(out, region.out_offset, region.sizes, region.out_strides)
