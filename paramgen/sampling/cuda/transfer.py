"""The transfer of arrays to and from a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import BLOCK_BYTES
from paramgen.messages import must_be_array
from paramgen.sampling.backend import Bytes
from paramgen.sampling.cuda.runtime import (
    allocate_pinned,
    check_gpus,
    copy_bytes,
    cupy,
    current_gpu,
    device_address,
    device_dtype,
    use_gpu,
)


class Transfer:
    """Two pinned buffers for one GPU: one is filled or emptied while the other is copied.

    Without numbers it is the current GPU. Copies follow the order of the thread's current stream, and are complete on
    return.
    """

    def __init__(self, numbers: Sequence[int] = ()):
        self._number = check_gpus(numbers)[0] if numbers else current_gpu()
        with use_gpu(self._number):
            self._slots = [(allocate_pinned(BLOCK_BYTES), cupy.cuda.Event(disable_timing=True)) for _ in range(2)]

    def upload_parts(
        self, read_part: Callable[[int, Bytes], None], dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> Any:
        """Return an array on the GPU, whose bytes read_part(position, buffer) puts into host memory, part by part."""
        with use_gpu(self._number):
            stream = cupy.cuda.get_current_stream()
            array = cupy.empty(shape, device_dtype(dtype))
            for number, start in enumerate(range(0, array.nbytes, BLOCK_BYTES)):
                buffer, copied = self._slots[number % 2]
                part = buffer[: array.nbytes - start]
                copied.synchronize()
                read_part(start, part)
                copy_bytes(device_address(array) + start, part.ctypes.data, part.nbytes, stream)
                copied.record(stream)
            stream.synchronize()
            return array

    def to_gpu(self, array: Any) -> Any:
        """Return a NumPy array's copy on the GPU, or an array that is already there.

        Raises TypeError for anything else.
        """
        with use_gpu(self._number):
            if isinstance(array, cupy.ndarray):
                return cupy.asarray(array)
            if not isinstance(array, np.ndarray | np.generic):
                raise TypeError(must_be_array(array))
            device_dtype(array.dtype.newbyteorder("="))
            plain = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            data = plain.reshape(-1).view(np.uint8)

            def read_part(start: int, part: Bytes) -> None:
                part[...] = data[start : start + part.nbytes]

            return self.upload_parts(read_part, plain.dtype, array.shape)

    def to_cpu(self, array: Any) -> NDArray[Any]:
        """Return a NumPy copy of a CuPy array on any GPU. Raises TypeError for anything else."""
        if not isinstance(array, cupy.ndarray):
            raise TypeError(must_be_array(array))
        with use_gpu(int(array.device)):
            stream = cupy.cuda.get_current_stream()
            plain = cupy.ascontiguousarray(array)
            out = np.empty(plain.shape, plain.dtype)
            data = out.reshape(-1).view(np.uint8)
            starts = range(0, out.nbytes, BLOCK_BYTES)
            for number, start in enumerate((*starts, None)):
                if start is not None:
                    buffer, copied = self._slots[number % 2]
                    part = buffer[: out.nbytes - start]
                    copy_bytes(part.ctypes.data, device_address(plain) + start, part.nbytes, stream)
                    copied.record(stream)
                if number:
                    buffer, copied = self._slots[(number - 1) % 2]
                    copied.synchronize()
                    before = data[starts[number - 1] :][:BLOCK_BYTES]
                    before[...] = buffer[: before.nbytes]
            return out
