"""The GPUs as devices: what they are, and their backends."""

from __future__ import annotations

from collections.abc import Sequence

from paramgen.errors import DeviceError
from paramgen.sampling.backend import Backend
from paramgen.sampling.cuda.backend import GpuBackend
from paramgen.sampling.cuda.runtime import check_gpus, cupy, current_gpu, use_gpu, why_unusable
from paramgen.sampling.devices import Device
from paramgen.units import human_bytes

# One block of a file is drawn while another is copied and the next is prepared.
CUDA_STREAMS_PER_GPU = 3


def list_devices() -> list[Device]:
    """Describe every GPU, or say why none can be used."""
    if reason := why_unusable():
        return [Device("gpu", reason, usable=False)]
    return [_describe(number) for number in range(cupy.cuda.runtime.getDeviceCount())]


def _describe(number: int) -> Device:
    name = f"gpu:{number}"
    try:
        with use_gpu(number):
            properties = cupy.cuda.runtime.getDeviceProperties(number)
            free, total = cupy.cuda.runtime.memGetInfo()
            capability = f"{properties['major']}.{properties['minor']}"
            memory = f"{human_bytes(free)} of {human_bytes(total)} free"
            return Device(name, f"{properties['name'].decode()}, {memory}, compute capability {capability}")
    except DeviceError as error:
        return Device(name, str(error).removeprefix(f"{name}: "), usable=False)


def open_backends(numbers: Sequence[int], threads: int, size: int) -> list[Backend]:
    """Return several backends for each of these GPUs."""
    gpus = check_gpus(numbers)
    return [GpuBackend(number, size) for _ in range(CUDA_STREAMS_PER_GPU) for number in gpus]


def open_backend(numbers: Sequence[int]) -> Backend:
    """Return a backend on the GPU of this number or on the current one."""
    return GpuBackend(check_gpus(numbers)[0] if numbers else current_gpu())
