"""CuPy, which only this module imports: whether it works, its devices, memory and dtypes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from paramgen.errors import DeviceError
from paramgen.sampling.backend import Bytes

__all__ = [
    "allocate_pinned",
    "check_gpus",
    "copy_bytes",
    "cupy",
    "current_gpu",
    "device_address",
    "device_dtype",
    "use_gpu",
    "why_unusable",
]

try:
    import cupy
except ImportError as error:
    cupy = None
    NO_CUPY = "CuPy is not installed" if isinstance(error, ModuleNotFoundError) else f"CuPy cannot be imported: {error}"

CUDA_13_VERSION = 13000


def _driver_version() -> int | None:
    """Return the newest CUDA version that the driver supports, as 1000·major + 10·minor; None without a driver."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return version.value


def _install_command() -> str:
    """Return the command that installs a CuPy for the driver."""
    driver = _driver_version()
    commands = [f"pip install cupy-cuda{n}x 'cuda-toolkit[cudart,nvrtc]=={n}.*'" for n in (12, 13)]
    return " or ".join(commands) if driver is None else commands[driver >= CUDA_13_VERSION]


@cache
def why_unusable() -> str | None:
    """Return why no GPU can be used, and a remedy; None if one can."""
    driver = _driver_version()
    no_driver = "no NVIDIA driver is installed (libcuda.so.1)"
    if cupy is None:
        also = f", and {no_driver}" if driver is None else ""
        return f"{NO_CUPY}{also}; run {_install_command()}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if driver is None:
            return f"{no_driver}; install it"
        return f"the NVIDIA driver (CUDA {_format_version(driver)}) fails: {error}; run {_install_command()}"
    if count == 0:
        return "the NVIDIA driver finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # of several types: the library or one of its functions is missing
        return f"NVRTC is missing ({str(error).splitlines()[0]}); run {_install_command()}"
    return None


def _format_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def check_gpus(numbers: Sequence[int]) -> list[int]:
    """Return these numbers, or those of all GPUs. Raises DeviceError for a GPU that does not exist."""
    if reason := why_unusable():
        raise DeviceError(f"gpu: {reason}")
    existing = range(cupy.cuda.runtime.getDeviceCount())
    for number in numbers:
        if number not in existing:
            raise DeviceError(f"gpu:{number}: no such GPU; available: {', '.join(f'gpu:{n}' for n in existing)}")
    return list(numbers or existing)


def current_gpu() -> int:
    """Return the number of CuPy's current GPU."""
    check_gpus(())
    return int(cupy.cuda.runtime.getDevice())


@contextmanager
def use_gpu(number: int) -> Iterator[None]:
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


def copy_bytes(target: int, source: int, size: int, stream: Any) -> None:
    """Copy memory of any kind, in the order of a stream; this thread waits only if host memory is not pinned."""
    cupy.cuda.runtime.memcpyAsync(target, source, size, cupy.cuda.runtime.memcpyDefault, stream.ptr)


def device_address(array: Any) -> int:
    """Return the address of an array of CuPy's."""
    return array.data.ptr  # type: ignore[no-any-return]


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
