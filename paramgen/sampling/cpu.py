"""The CPU as a backend: the compiled kernels, or NumPy where they could not be built. Both make the same bits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

from paramgen.sampling.backend import Backend
from paramgen.sampling.devices import Device
from paramgen.sampling.host import HostBackend
from paramgen.team import available_cpus
from paramgen.text import counted

MISSING = "the compiled kernels are missing, so NumPy draws: the same bytes, slower"
REMEDY = "they are built when paramgen is installed where a C compiler and Python's headers are"


@cache
def kernels() -> HostBackend:
    """The fastest kernels that this CPU can run; NumPy, with a warning, where none were built."""
    try:
        from paramgen.sampling.compiled import SETS
    except ImportError:
        from paramgen.sampling.reference import Reference

        warnings.warn(f"{MISSING} ({REMEDY})", stacklevel=2)
        return Reference()
    return SETS[-1]


def devices() -> list[Device]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = kernels().name
    drawn_by = f"{MISSING} ({REMEDY})" if name == "reference" else f"kernels for {name}"
    return [Device("cpu", f"{counted(available_cpus(), 'thread')}, {drawn_by}")]


def lanes(numbers: Sequence[int], threads: int, size: int) -> list[Backend]:
    return [kernels()] * threads


def alone(numbers: Sequence[int]) -> Backend:
    return kernels()
