"""NVIDIA GPUs as a backend, through CuPy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import ELEMENTWISE
from paramgen.dtypes import DType
from paramgen.float_mode import default_float_mode
from paramgen.sampling.backend import (
    DTYPE_NUMBERS,
    REGION_AXES,
    Backend,
    Bytes,
    ElementSource,
    Matrix,
    axes_by_out_stride,
    kernel_arguments,
    pad_to_region_axes,
)
from paramgen.sampling.cuda import compilation
from paramgen.sampling.cuda.runtime import (
    allocate_pinned,
    copy_bytes,
    cupy,
    device_address,
    device_dtype,
    use_gpu,
)
from paramgen.sampling.host import HostBackend
from paramgen.sampling.regions import StridedRegion

# The same as in gpu.cu.
THREADS_PER_BLOCK, TILE_SIDE, PANEL_COLUMNS = 256, 64, 16
# Elementwise kernels start at most this many blocks of threads; each thread continues with further elements.
MAX_GRID_BLOCKS = 2**12
# The structures that gpu.cu's kernels take.
MAX_NUMBERS = max(len(distribution.kernel_fields) for distribution in ELEMENTWISE)
NUMBERS = np.dtype([("numbers", np.float64, MAX_NUMBERS)])
AXES = np.int64, REGION_AXES
REGION = np.dtype([("offset", np.int64), ("sizes", *AXES), ("strides", *AXES), ("out_strides", *AXES)])
LAYOUT = np.dtype([(name, np.int64) for name in ("rows", "columns", "row_step", "column_step")])


class _Kernels:
    """The kernels of one GPU, each compiled at its first use."""

    def __init__(self, number: int):
        self._target = compilation.target_architecture(cupy.cuda.nvrtc, cupy.cuda.Device(number).compute_capability)
        self._lock = threading.Lock()
        self._modules: dict[tuple[str, ...], Any] = {}

    def draw(self, distribution: str, dtype: DType, name: str = "pg_draw") -> Any:
        """Return a kernel that draws a distribution of kernel.h in a dtype."""
        return self.get(name, *compilation.sampling_defines(distribution, dtype))

    def get(self, name: str, *defines: str) -> Any:
        """Return the kernel of this name of gpu.cu, compiled with these flags."""
        with self._lock:
            if defines not in self._modules:
                module = cupy.cuda.Module()
                module.load(compilation.compile_kernels(cupy.cuda.nvrtc, self._target, defines))
                self._modules[defines] = module
            return self._modules[defines].get_function(name)


_kernels_of = cache(_Kernels)


class GpuBackend(Backend):
    """A CUDA stream of one GPU.

    With a `size`, it is a new stream with a buffer of that many bytes. Without, it is the thread's current stream, so
    that the caller can use the arrays without waiting.
    """

    is_thread_safe = False
    max_tile_rows = TILE_SIDE
    max_task_size = sys.maxsize
    max_sum_terms = 2**10

    def __init__(self, number: int, size: int | None = None, max_blocks: int = MAX_GRID_BLOCKS):
        self.device = f"gpu:{number}"
        self._number = number
        self._max_blocks = max_blocks
        with use_gpu(number):
            owns_stream = size is not None
            self._stream = cupy.cuda.Stream(non_blocking=True) if owns_stream else cupy.cuda.get_current_stream()
            self._kernels = _kernels_of(number)
            with self._stream:
                self._block = self.empty(size or 0)
                self._factored = cupy.zeros(1, np.int32)

    @property
    def host_backend(self) -> HostBackend:
        from paramgen.sampling.cpu.devices import cpu_backend

        return cpu_backend()

    @contextmanager
    def activate(self) -> Iterator[None]:
        with default_float_mode(), use_gpu(self._number), self._stream:
            yield

    def buffer(self, size: int) -> Bytes:
        with use_gpu(self._number):
            return allocate_pinned(size)

    def draw_to_host(self, buffer: Bytes, draw: Callable[[Bytes], None]) -> None:
        block = self._block[: len(buffer)]
        draw(block)
        copy_bytes(buffer.ctypes.data, device_address(block), len(buffer), self._stream)
        self.synchronize()

    def empty(self, size: int) -> Bytes:
        data: Bytes = cupy.empty(size, np.uint8)
        return data

    def as_array(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        return data.view(device_dtype(dtype.numpy_dtype())).reshape(shape)

    def copy(self, out: Bytes, source: Bytes) -> None:
        copy_bytes(device_address(out), device_address(source), out.nbytes, self._stream)
        self.synchronize()  # the source may be freed next, and its memory reused by another stream

    def synchronize(self) -> None:
        self._stream.synchronize()

    def fill(self, source: ElementSource, offset: int, out: Bytes) -> None:
        name, numbers = kernel_arguments(source.distribution)
        count = out.nbytes * 8 // source.dtype.bits
        kernel = self._kernels.draw(name, source.dtype)
        integers = [np.uint64(number) for number in (source.seed, source.stream, offset, count)]
        self._launch_elementwise(kernel, count // 2 + 1, _pack_numbers(numbers), *integers, out)

    def fill_region(self, source: ElementSource, region: StridedRegion, out: Bytes) -> None:
        name, numbers = kernel_arguments(source.distribution)
        kernel = self._kernels.draw(name, source.dtype, "pg_draw_region")
        arguments = _pack_numbers(numbers), np.uint64(source.seed), np.uint64(source.stream), _pack_region(region)
        self._launch_elementwise(kernel, region.size, *arguments, region.output_from_offset(out, source.dtype))

    def copy_region(self, data: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        arguments = data, np.int32(dtype.bits // 8), _pack_region(region), region.output_from_offset(out, dtype)
        self._launch_elementwise(self._kernels.get("pg_copy_region"), region.size, *arguments)

    def fill_region_from_table(self, table: Bytes, dtype: DType, run: int, region: StridedRegion, out: Bytes) -> None:
        width = dtype.bits // 8
        numbers = np.uint64(run), np.uint64(table.nbytes // width), np.int32(width)
        arguments = table, *numbers, _pack_region(region), region.output_from_offset(out, dtype)
        self._launch_elementwise(self._kernels.get("pg_fill_region_from_table"), region.size, *arguments)

    def zeros(self, rows: int, columns: int) -> Matrix:
        matrix: Matrix = cupy.zeros((rows, columns))
        return matrix

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        uploaded: NDArray[Any] = cupy.asarray(np.ascontiguousarray(array))
        return uploaded

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return cupy.asnumpy(array)  # type: ignore[no-any-return]

    def diagonal(self, matrix: Matrix) -> Matrix:
        n = len(matrix)
        out: Matrix = cupy.empty(n)
        kind = cupy.cuda.runtime.memcpyDeviceToDevice
        step = matrix.strides[0] + 8
        cupy.cuda.runtime.memcpy2DAsync(
            device_address(out), 8, device_address(matrix), step, 8, n, kind, self._stream.ptr
        )
        return out

    def fill_normal(self, seed: int, stream: int, offset: int, is_double: bool, z: Matrix) -> None:
        integers = [np.uint64(number) for number in (seed, stream, offset)]
        self._launch_elementwise(
            self._kernels.get("pg_fill_normal"), z.size, *integers, np.int32(is_double), *_with_packed_layout(z)
        )

    def store_scaled(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        number = np.int32(DTYPE_NUMBERS[dtype.name])
        self._launch_elementwise(
            self._kernels.get("pg_store_scaled"), q.size, *_with_packed_layout(q), np.float64(gain), number, out
        )

    def add_product(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        matrices = *_with_packed_layout(c), *_with_packed_layout(left), *_with_packed_layout(right)
        blocks = -(-c.shape[0] // TILE_SIDE) * -(-c.shape[1] // TILE_SIDE)
        self._launch(self._kernels.get("pg_add_product"), blocks, *matrices, np.float64(sign), np.int32(upper))

    def cholesky_tile(self, g: Matrix, diagonal: Matrix, min_ratio: float) -> bool:
        self._launch(
            self._kernels.get("pg_cholesky_tile"),
            1,
            *_with_packed_layout(g),
            diagonal,
            np.float64(min_ratio),
            self._factored,
        )
        return bool(cupy.asnumpy(self._factored)[0])

    def solve_triangular(self, r: Matrix, x: Matrix) -> None:
        self._launch(
            self._kernels.get("pg_solve_triangular"),
            -(-x.shape[1] // PANEL_COLUMNS),
            *_with_packed_layout(r),
            *_with_packed_layout(x),
        )

    def _launch_elementwise(self, kernel: Any, items: int, *arguments: Any) -> None:
        self._launch(kernel, min(-(-items // THREADS_PER_BLOCK), self._max_blocks), *arguments)

    def _launch(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        kernel((blocks,), (THREADS_PER_BLOCK,), arguments, stream=self._stream)


def _pack_numbers(numbers: list[float]) -> np.void:
    """Return the numbers of a distribution as gpu.cu's pg_numbers_t."""
    return np.array((numbers + [0.0] * (MAX_NUMBERS - len(numbers)),), NUMBERS)[()]  # type: ignore[return-value]


def _pack_region(region: StridedRegion) -> np.void:
    """Return a region as gpu.cu's pg_region_t."""
    return np.array((region.offset, *pad_to_region_axes(axes_by_out_stride(region))), REGION)[()]  # type: ignore[return-value]


def _with_packed_layout(matrix: Matrix) -> tuple[Matrix, np.void]:
    """Return a matrix and its gpu.cu's pg_layout_t."""
    rows, columns = matrix.strides
    layout = np.array((*matrix.shape, rows // 8, columns // 8), LAYOUT)[()]
    return matrix, layout  # type: ignore[return-value]
