"""The part of a backend that all backends of the CPU share: everything except the kernels."""

from __future__ import annotations

import mmap
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.distributions import Normal
from paramgen.dtypes import DTYPES, DType
from paramgen.float_mode import default_float_mode
from paramgen.sampling.backend import Backend, Bytes, ElementSource, Matrix
from paramgen.sampling.regions import StridedRegion
from paramgen.units import human_bytes

TILE = 264


class HostBackend(Backend):
    """A backend of the CPU, with its kernels as abstract methods."""

    name: str
    device = "cpu"
    is_thread_safe = True
    max_tile_rows = max_task_size = TILE
    max_sum_terms = 2**14

    @property
    def host_backend(self) -> HostBackend:
        return self

    @contextmanager
    def activate(self) -> Iterator[None]:
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

    def synchronize(self) -> None:
        pass  # kernels return when they are done

    def zeros(self, rows: int, columns: int) -> Matrix:
        try:
            return np.zeros((rows, columns))
        except (MemoryError, ValueError):
            raise MemoryError(f"a matrix of {rows} × {columns}") from None

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def copy_region(self, data: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        bits = np.dtype(f"u{dtype.bits // 8}")
        elements = strided_view(data.view(bits), region.offset, region.sizes, region.strides)
        view_of_region(out.view(bits), region)[...] = elements

    def fill_region_from_table(self, table: Bytes, dtype: DType, run: int, region: StridedRegion, out: Bytes) -> None:
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
        values[...] = numbers[region.element_numbers() // np.uint64(run) % np.uint64(len(numbers))]

    def diagonal(self, matrix: Matrix) -> Matrix:
        return matrix.diagonal().copy()

    def fill_normal(self, seed: int, stream: int, offset: int, is_double: bool, z: Matrix) -> None:
        dtype = DTYPES["float64" if is_double else "float32"]
        values = np.empty(z.shape, dtype.numpy_dtype())
        self.fill(ElementSource(Normal(0.0, 1.0), dtype, seed, stream), offset, values.reshape(-1).view(np.uint8))
        z[...] = values

    def store_scaled(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        values = gain * q
        result = out.view(dtype.numpy_dtype()).reshape(q.shape)
        result[...] = values if dtype.name == "float64" else values.astype(np.float32)

    @abstractmethod
    def apply_reflector(self, a: Matrix, v: Matrix, scale: float) -> None:
        """Subtract v·(scale·vᵀa) from a; the sums run over the rows of a in order."""


def strided_view(data: NDArray[Any], offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """View elements offset + Σ i·strides of a one-dimensional array."""
    steps = tuple(stride * data.itemsize for stride in strides)
    return np.ndarray(sizes, data.dtype, data, offset * data.itemsize, steps)


def view_of_region(out: NDArray[Any], region: StridedRegion) -> NDArray[Any]:
    """View the elements of a buffer where a region goes."""
    return strided_view(out, region.out_offset, region.sizes, region.out_strides)
