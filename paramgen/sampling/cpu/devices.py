"""The CPU as a backend: the compiled kernels, or NumPy if they are missing or give other bits than NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

from paramgen.float_mode import default_float_mode
from paramgen.sampling.backend import Backend
from paramgen.sampling.devices import Device
from paramgen.sampling.host import HostBackend
from paramgen.threads import available_cpus
from paramgen.units import pluralize

FALLBACK_NOTE = "NumPy draws the same bytes, more slowly; reinstall paramgen"
MISSING_KERNELS = (
    f"the compiled kernels are missing, so {FALLBACK_NOTE} with a C compiler, Python's headers and without CFLAGS"
)


def wrong_bits_message(kernels: str, distribution: str) -> str:
    """Return the message about kernels that give other bits than the reference."""
    return f"the compiled kernels for {kernels} give wrong bits for {distribution}, so {FALLBACK_NOTE} without CFLAGS"


@cache
def _choose_backend() -> tuple[HostBackend, str | None]:
    """Return the fastest kernels that this CPU can run; or NumPy, and the reason."""
    try:
        from paramgen.sampling.cpu.backend import COMPILED_BACKENDS
    except ImportError:
        reason = MISSING_KERNELS
    else:
        from paramgen.sampling.cpu.known_answers import first_difference

        fastest = COMPILED_BACKENDS[-1]
        with default_float_mode():
            difference = first_difference(fastest)
        if difference is None:
            return fastest, None
        reason = wrong_bits_message(fastest.name, difference)
    from paramgen.sampling.reference.backend import NumpyBackend

    return NumpyBackend(), reason


@cache
def cpu_backend() -> HostBackend:
    """Return the backend of the CPU; warn, once, if it is NumPy."""
    backend, reason = _choose_backend()
    if reason:
        warnings.warn(reason, stacklevel=2)
    return backend


def list_devices() -> list[Device]:
    backend, reason = _choose_backend()
    return [Device("cpu", f"{pluralize(available_cpus(), 'thread')}, {reason or f'kernels for {backend.name}'}")]


def open_backends(numbers: Sequence[int], threads: int, size: int) -> list[Backend]:
    """Return the CPU's backend for each thread."""
    return [cpu_backend()] * threads


def open_backend(numbers: Sequence[int]) -> Backend:
    """Return the CPU's backend."""
    return cpu_backend()
