"""The table of backends, and the names of their devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from paramgen.catalog.synonyms import DEVICE_SYNONYMS
from paramgen.errors import DeviceError, UsageError
from paramgen.messages import did_you_mean, must_be, show

if TYPE_CHECKING:
    from paramgen.sampling.backend import Backend

# Each module is a BackendModule, and is imported when it is used: CuPy is slow to import.
BACKEND_MODULES = {"cpu": "paramgen.sampling.cpu.devices", "gpu": "paramgen.sampling.cuda.devices"}
AUTO = "auto"
_GPUS = re.compile(r"gpu:\d{1,4}(,gpu:\d{1,4})*", re.ASCII)
# A GPU takes about this long to start, so the CPU is faster for less work.
GPU_START_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Device:
    """A device: its name and description; if it is not usable, the reason and a remedy."""

    name: str
    description: str
    usable: bool = True


class BackendModule(Protocol):
    """The functions of a backend's module."""

    def list_devices(self) -> list[Device]:
        """Return all devices, or one unusable device with the reason."""

    def open_backends(self, numbers: Sequence[int], threads: int, size: int) -> list[Backend]:
        """Return a backend for each thread that draws blocks of at most `size` bytes; no numbers mean all devices."""

    def open_backend(self, numbers: Sequence[int]) -> Backend:
        """Return a backend that draws into arrays, on the device of this number or on the current one."""


def load_backend(name: str) -> BackendModule:
    """Import a backend of BACKEND_MODULES."""
    return cast(BackendModule, import_module(BACKEND_MODULES[name]))


def parse_device(device: str) -> tuple[str, list[int]]:
    """Return a device's backend and numbers: ("gpu", [0, 1]) of "gpu:0,gpu:1", ("auto", []) of "auto".

    Raises UsageError for other names.
    """
    if device == AUTO or device in BACKEND_MODULES:
        return device, []
    if isinstance(device, str) and _GPUS.fullmatch(device):
        return "gpu", list(dict.fromkeys(int(part.removeprefix("gpu:")) for part in device.split(",")))
    meant = re.sub(r"[a-z]+", lambda word: DEVICE_SYNONYMS.get(word[0], word[0]), str(device).lower())
    guess = did_you_mean(meant if meant != device and (meant in BACKEND_MODULES or _GPUS.fullmatch(meant)) else None)
    raise UsageError(f"unknown device {show(device)}{guess or '; use cpu, gpu (all), gpu:0, gpu:0,gpu:1 or auto'}")


def open_backends(device: str, threads: int, size: int, seconds: float) -> list[Backend]:
    """Return a backend for each thread of a build; `seconds` estimates its time on one CPU thread.

    "auto" is the first usable GPU if that is faster, else the CPU. Raises DeviceError if a device cannot be used.
    """
    name, numbers = parse_device(device)
    if name == AUTO:
        if seconds / threads > GPU_START_SECONDS and any(gpu.usable for gpu in load_backend("gpu").list_devices()):
            try:
                return load_backend("gpu").open_backends([0], threads, size)
            except DeviceError:  # another process may have all of its memory
                pass
        name = "cpu"
    return load_backend(name).open_backends(numbers, threads, size)


def open_backend(device: str) -> Backend:
    """Return a backend that draws into arrays on one device."""
    name, numbers = parse_device(device)
    if name == AUTO or len(numbers) > 1:
        raise UsageError(f"device: {must_be('one device (cpu, gpu or gpu:N)', device)}")
    return load_backend(name).open_backend(numbers)
