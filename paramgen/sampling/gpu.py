"""NVIDIA GPUs as a backend, through CuPy, which only this file imports."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import ELEMENTWISE, ElementwiseDistribution
from paramgen.dtypes import DTYPES, DType
from paramgen.errors import DeviceError
from paramgen.float_mode import default_float_mode
from paramgen.formatting import human_bytes
from paramgen.sampling import cuda
from paramgen.sampling.backend import (
    REGION_AXES,
    Backend,
    Bytes,
    axes_by_out_stride,
    distribution_numbers,
    pad_axes,
)
from paramgen.sampling.devices import Device
from paramgen.sampling.host import HostBackend
from paramgen.sampling.matrix import Matrix
from paramgen.sampling.regions import StridedRegion

try:
    import cupy
except ImportError as error:
    cupy = None
    NO_CUPY = "CuPy is not installed" if isinstance(error, ModuleNotFoundError) else f"CuPy cannot be imported: {error}"

# The same as in gpu.cu.
THREADS, SIDE, PANEL = 256, 64, 16
# Elementwise kernels start at most this many blocks of threads; each thread continues with further elements.
MAX_BLOCKS = 2**12
# One block of a file is drawn while another is copied and the next is prepared.
STREAMS = 3
CUDA_13 = 13000
# The structures that gpu.cu's kernels take.
MAX_NUMBERS = max(len(distribution.kernel_fields) for distribution in ELEMENTWISE)
DISTRIBUTION = np.dtype([("n", np.float64, MAX_NUMBERS)])
AXES = np.int64, REGION_AXES
REGION = np.dtype([("first", np.int64), ("sizes", *AXES), ("strides", *AXES), ("out_strides", *AXES)])
LAYOUT = np.dtype([(name, np.int64) for name in ("rows", "columns", "row_step", "column_step")])


def _driver() -> int | None:
    """Return the newest CUDA version that the driver supports, as 1000·major + 10·minor; None without a driver."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return version.value


def _remedy() -> str:
    """Return the command that installs a CuPy for the driver."""
    driver = _driver()
    commands = [f"pip install cupy-cuda{n}x 'cuda-toolkit[cudart,nvrtc]=={n}.*'" for n in (12, 13)]
    return " or ".join(commands) if driver is None else commands[driver >= CUDA_13]


@cache
def why_unusable() -> str | None:
    """Return why no GPU can be used, and a remedy; None if one can."""
    driver = _driver()
    no_driver = "no NVIDIA driver is installed (libcuda.so.1)"
    if cupy is None:
        also = f", and {no_driver}" if driver is None else ""
        return f"{NO_CUPY}{also}; run {_remedy()}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if driver is None:
            return f"{no_driver}; install it"
        return f"the NVIDIA driver (CUDA {_version(driver)}) fails: {error}; run {_remedy()}"
    if count == 0:
        return "the NVIDIA driver finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # of several types: the library or one of its functions is missing
        return f"NVRTC is missing ({str(error).splitlines()[0]}); run {_remedy()}"
    return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def devices() -> list[Device]:
    """Describe every GPU, or say why none can be used."""
    if reason := why_unusable():
        return [Device("gpu", reason, usable=False)]
    return [_describe(number) for number in range(cupy.cuda.runtime.getDeviceCount())]


def _describe(number: int) -> Device:
    name = f"gpu:{number}"
    try:
        with current_device(number):
            properties = cupy.cuda.runtime.getDeviceProperties(number)
            free, total = cupy.cuda.runtime.memGetInfo()
            capability = f"{properties['major']}.{properties['minor']}"
            memory = f"{human_bytes(free)} of {human_bytes(total)} free"
            return Device(name, f"{properties['name'].decode()}, {memory}, compute capability {capability}")
    except DeviceError as error:
        return Device(name, str(error).removeprefix(f"{name}: "), usable=False)


def existing_gpus(numbers: Sequence[int]) -> list[int]:
    """Return these numbers, or those of all GPUs. Raises DeviceError for a GPU that does not exist."""
    if reason := why_unusable():
        raise DeviceError(f"gpu: {reason}")
    there = range(cupy.cuda.runtime.getDeviceCount())
    for number in numbers:
        if number not in there:
            raise DeviceError(f"gpu:{number}: no such GPU; available: {', '.join(f'gpu:{n}' for n in there)}")
    return list(numbers or there)


def open_backends(numbers: Sequence[int], threads: int, size: int) -> list[Backend]:
    """Return several backends for each of these GPUs."""
    found = existing_gpus(numbers)
    return [GpuBackend(number, size) for _ in range(STREAMS) for number in found]


def open_backend(numbers: Sequence[int]) -> Backend:
    """Return a backend on the GPU of this number or on the current one."""
    return GpuBackend(existing_gpus(numbers)[0] if numbers else current_number())


def current_number() -> int:
    """Return the number of CuPy's current GPU."""
    existing_gpus(())
    return int(cupy.cuda.runtime.getDevice())


@contextmanager
def current_device(number: int) -> Iterator[None]:
    """Make a GPU this thread's, and turn its errors into DeviceError."""
    try:
        with cupy.cuda.Device(number):
            yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise DeviceError(f"gpu:{number}: {str(error).rstrip('.')}; use device cpu for the same bytes") from None
    except (
        cupy.cuda.runtime.CUDARuntimeError,
        cupy.cuda.driver.CUDADriverError,
        cupy.cuda.nvrtc.NVRTCError,
    ) as error:
        raise DeviceError(f"gpu:{number}: CUDA fails: {error}") from None


class _Kernels:
    """The kernels of one GPU, each compiled at its first use."""

    def __init__(self, number: int):
        self._target = cuda.architecture(cupy.cuda.nvrtc, cupy.cuda.Device(number).compute_capability)
        self._lock = threading.Lock()
        self._modules: dict[tuple[str, ...], Any] = {}

    def draw(self, distribution: str, dtype: DType, name: str = "pg_draw") -> Any:
        """Return a kernel that draws a distribution of kernel.h in a dtype."""
        return self.get(name, *cuda.draw_defines(distribution, dtype))

    def get(self, name: str, *defines: str) -> Any:
        """Return the kernel of this name of gpu.cu, compiled with these flags."""
        with self._lock:
            if defines not in self._modules:
                module = cupy.cuda.Module()
                module.load(cuda.compile_kernels(cupy.cuda.nvrtc, self._target, defines))
                self._modules[defines] = module
            return self._modules[defines].get_function(name)


_kernels = cache(_Kernels)


class GpuBackend:
    """One stream of a GPU.

    With a `size`, it is a new stream with a buffer of that many bytes. Without, it is the thread's current stream, so
    that the caller can use the arrays without waiting.
    """

    shared = False
    max_tile = SIDE
    max_task = sys.maxsize
    max_terms = 2**10

    def __init__(self, number: int, size: int | None = None, max_blocks: int = MAX_BLOCKS):
        self.device = f"gpu:{number}"
        self._number = number
        self._max_blocks = max_blocks
        with current_device(number):
            own = size is not None
            self._stream = cupy.cuda.Stream(non_blocking=True) if own else cupy.cuda.get_current_stream()
            self._kernels = _kernels(number)
            with self._stream:
                self._block = self.empty(size or 0)
                self._found = cupy.zeros(1, np.int32)

    @property
    def host(self) -> HostBackend:
        from paramgen.sampling.cpu import backend

        return backend()

    @contextmanager
    def current(self) -> Iterator[None]:
        with default_float_mode(), current_device(self._number), self._stream:
            yield

    def buffer(self, size: int) -> Bytes:
        with current_device(self._number):
            return allocate_pinned(size)

    def draw_to_host(self, buffer: Bytes, draw: Callable[[Bytes], None]) -> None:
        block = self._block[: len(buffer)]
        draw(block)
        copy_bytes(buffer.ctypes.data, address(block), len(buffer), self._stream)
        self.finish()

    def empty(self, size: int) -> Bytes:
        data: Bytes = cupy.empty(size, np.uint8)
        return data

    def as_array(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        return data.view(device_dtype(dtype.numpy_dtype())).reshape(shape)

    def copy(self, out: Bytes, source: Bytes) -> None:
        copy_bytes(address(out), address(source), out.nbytes, self._stream)
        self.finish()  # the source may be freed next, and its memory reused by another stream

    def finish(self) -> None:
        self._stream.synchronize()

    def fill(
        self, distribution: ElementwiseDistribution, dtype: DType, seed: int, stream: int, start: int, out: Bytes
    ) -> None:
        name, numbers = distribution_numbers(distribution)
        count = out.nbytes * 8 // dtype.bits
        integers = [np.uint64(number) for number in (seed, stream, start, count)]
        self._spread(self._kernels.draw(name, dtype), count // 2 + 1, _distribution(numbers), *integers, out)

    def fill_region(
        self,
        distribution: ElementwiseDistribution,
        dtype: DType,
        seed: int,
        stream: int,
        region: StridedRegion,
        out: Bytes,
    ) -> None:
        name, numbers = distribution_numbers(distribution)
        kernel = self._kernels.draw(name, dtype, "pg_draw_region")
        here = out[dtype.nbytes(region.out_offset) :]
        arguments = _distribution(numbers), np.uint64(seed), np.uint64(stream), _region(region), here
        self._spread(kernel, region.size, *arguments)

    def take_region(self, source: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        kernel = self._kernels.get("pg_take_region")
        here = out[dtype.nbytes(region.out_offset) :]
        self._spread(kernel, region.size, source, np.int32(dtype.bits // 8), _region(region), here)

    def repeat_region(self, table: Bytes, dtype: DType, run: int, region: StridedRegion, out: Bytes) -> None:
        kernel = self._kernels.get("pg_repeat_region")
        here = out[dtype.nbytes(region.out_offset) :]
        width = dtype.bits // 8
        numbers = np.uint64(run), np.uint64(table.nbytes // width), np.int32(width)
        self._spread(kernel, region.size, table, *numbers, _region(region), here)

    def zeros(self, rows: int, columns: int) -> Matrix:
        matrix: Matrix = cupy.zeros((rows, columns))
        return matrix

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        there: NDArray[Any] = cupy.asarray(np.ascontiguousarray(array))
        return there

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return cupy.asnumpy(array)  # type: ignore[no-any-return]

    def diagonal(self, matrix: Matrix) -> Matrix:
        n = len(matrix)
        out: Matrix = cupy.empty(n)
        kind = cupy.cuda.runtime.memcpyDeviceToDevice
        step = matrix.strides[0] + 8
        cupy.cuda.runtime.memcpy2DAsync(address(out), 8, address(matrix), step, 8, n, kind, self._stream.ptr)
        return out

    def normal(self, seed: int, stream: int, start: int, double: bool, z: Matrix) -> None:
        integers = [np.uint64(number) for number in (seed, stream, start)]
        self._spread(self._kernels.get("pg_normal"), z.size, *integers, np.int32(double), *_with_layout(z))

    def round(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        number = np.int32(list(DTYPES).index(dtype.name))
        self._spread(self._kernels.get("pg_round"), q.size, *_with_layout(q), np.float64(gain), number, out)

    def accumulate(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        matrices = *_with_layout(c), *_with_layout(left), *_with_layout(right)
        blocks = -(-c.shape[0] // SIDE) * -(-c.shape[1] // SIDE)
        self._launch(self._kernels.get("pg_accumulate"), blocks, *matrices, np.float64(sign), np.int32(upper))

    def factor(self, g: Matrix, diagonal: Matrix, min_ratio: float) -> bool:
        self._launch(self._kernels.get("pg_factor"), 1, *_with_layout(g), diagonal, np.float64(min_ratio), self._found)
        return bool(cupy.asnumpy(self._found)[0])

    def solve(self, r: Matrix, x: Matrix) -> None:
        self._launch(self._kernels.get("pg_solve"), -(-x.shape[1] // PANEL), *_with_layout(r), *_with_layout(x))

    def _spread(self, kernel: Any, items: int, *arguments: Any) -> None:
        self._launch(kernel, min(-(-items // THREADS), self._max_blocks), *arguments)

    def _launch(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        kernel((blocks,), (THREADS,), arguments, stream=self._stream)


def copy_bytes(to: int, source: int, size: int, stream: Any) -> None:
    """Copy memory of any kind, in the order of a stream; this thread waits only if host memory is not pinned."""
    cupy.cuda.runtime.memcpyAsync(to, source, size, cupy.cuda.runtime.memcpyDefault, stream.ptr)


def address(array: Any) -> int:
    """Return the address of an array of CuPy's."""
    return array.data.ptr  # type: ignore[no-any-return]


def _distribution(numbers: list[float]) -> np.void:
    """Return the numbers of a distribution as gpu.cu's pg_distribution."""
    return np.array((numbers + [0.0] * (MAX_NUMBERS - len(numbers)),), DISTRIBUTION)[()]  # type: ignore[return-value]


def _region(region: StridedRegion) -> np.void:
    """Return a region as gpu.cu's pg_region."""
    return np.array((region.offset, *pad_axes(axes_by_out_stride(region))), REGION)[()]  # type: ignore[return-value]


def _with_layout(matrix: Matrix) -> tuple[Matrix, np.void]:
    """Return a matrix and its gpu.cu's pg_layout."""
    rows, columns = matrix.strides
    layout = np.array((*matrix.shape, rows // 8, columns // 8), LAYOUT)[()]
    return matrix, layout  # type: ignore[return-value]


def allocate_pinned(size: int) -> Bytes:
    """Allocate host memory that a GPU copies to and from at full speed."""
    return np.frombuffer(cupy.cuda.alloc_pinned_memory(size), np.uint8, size)


@cache
def device_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return CuPy's dtype for NumPy's: the same, or unsigned integers of the same width if CuPy lacks a narrow one.

    TypeError if the elements are not numbers.
    """
    try:
        cupy.empty(0, dtype)
    except (TypeError, ValueError):
        if dtype.type.__module__ != "ml_dtypes":
            raise TypeError(f"must be an array of numbers, got dtype {dtype}") from None
        return np.dtype(f"u{dtype.itemsize}")
    return dtype
