"""The table of backends, and the words that choose among their devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from paramgen.catalog.synonyms import DEVICE_SYNONYMS
from paramgen.errors import DeviceError, UsageError
from paramgen.formatting import did_you_mean

if TYPE_CHECKING:
    from paramgen.sampling.backend import Backend

# Each is a module that satisfies Module; it is imported when it is asked for.
BACKENDS = {"cpu": "paramgen.sampling.cpu", "gpu": "paramgen.sampling.gpu"}
AUTO = "auto"
_GPUS = re.compile(r"gpu:\d{1,4}(,gpu:\d{1,4})*", re.ASCII)
# What a GPU takes to start, about: less drawing than that is done sooner by the CPU.
GPU_START_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Device:
    """A device that draws, or could: what it is, or why it cannot be used and what would change that."""

    name: str
    description: str
    usable: bool = True


class Module(Protocol):
    """What a backend's module has to offer."""

    def devices(self) -> list[Device]:
        """All there are; one that is not usable, where there are none."""

    def open_backends(self, numbers: Sequence[int], threads: int, size: int) -> list[Backend]:
        """A backend for each thread that is to draw blocks of at most `size` bytes, on these devices or on all."""

    def open_backend(self, numbers: Sequence[int]) -> Backend:
        """A backend that draws into arrays, on the device of this number or on the current one."""


def module(kind: str) -> Module:
    return cast(Module, import_module(BACKENDS[kind]))


def parsed(device: str) -> tuple[str, list[int]]:
    """A device's backend and the numbers given with it: of "gpu:0,gpu:1" ("gpu", [0, 1]). UsageError if it has none."""
    if device in BACKENDS:
        return device, []
    if isinstance(device, str) and _GPUS.fullmatch(device):
        return "gpu", list(dict.fromkeys(int(part.removeprefix("gpu:")) for part in device.split(",")))
    meant = re.sub(r"[a-z]+", lambda word: DEVICE_SYNONYMS.get(word[0], word[0]), str(device).lower())
    guess = did_you_mean(meant if meant != device and (meant in BACKENDS or _GPUS.fullmatch(meant)) else None)
    raise UsageError(f"{device!r} is no device: cpu, gpu (all there are), gpu:0, gpu:0,gpu:1 or auto{guess}")


def open_backends(device: str, threads: int, size: int, seconds: float) -> list[Backend]:
    """A backend for each thread of a build that a thread of a CPU would draw in so many seconds.

    "auto" is the first GPU, where there is one that can be used and the work is worth starting it. DeviceError says
    why a device cannot be used.
    """
    if device == AUTO:
        if seconds / threads > GPU_START_SECONDS and any(found.usable for found in module("gpu").devices()):
            try:
                return module("gpu").open_backends([0], threads, size)
            except DeviceError:  # another process may have all of its memory
                pass
        device = "cpu"
    kind, numbers = parsed(device)
    return module(kind).open_backends(numbers, threads, size)


def open_backend(device: str) -> Backend:
    """A backend that draws into arrays on one device."""
    found = None if device == AUTO else parsed(device)
    if found is None or len(found[1]) > 1:
        raise UsageError(f"{device!r}: arrays are on one device; name it: cpu, gpu or gpu:N")
    kind, numbers = found
    return module(kind).open_backend(numbers)
