"""paramgen: a neural network's parameters in a file, the same bytes for the same spec and seed everywhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramgen.api import build as build
    from paramgen.api import initialize as initialize
    from paramgen.api import load as load
    from paramgen.api import load_spec as load_spec
    from paramgen.api import plan as plan
    from paramgen.api import sample as sample
    from paramgen.api import to_cpu as to_cpu
    from paramgen.api import to_gpu as to_gpu
    from paramgen.api import to_torch as to_torch
    from paramgen.engine import BuildResult as BuildResult
    from paramgen.errors import DeviceError as DeviceError
    from paramgen.errors import Diagnostic as Diagnostic
    from paramgen.errors import FileError as FileError
    from paramgen.errors import ParamgenError as ParamgenError
    from paramgen.errors import SpecError as SpecError
    from paramgen.errors import UsageError as UsageError
    from paramgen.planning.plan import Plan as Plan
    from paramgen.spec import Spec as Spec

__version__ = "0.1.0"

# Files are replaced atomically with calls that Windows does not have (flock, renaming an open file).
UNSUPPORTED = (
    "paramgen: needs Linux or macOS, got Windows; use it in the Windows Subsystem for Linux (wsl --install)"
    if sys.platform == "win32"
    else None
)

# Where each public name lives: imported when first used, so that `import paramgen` costs nothing.
_MODULES = {
    "BuildResult": "paramgen.engine",
    "DeviceError": "paramgen.errors",
    "Diagnostic": "paramgen.errors",
    "FileError": "paramgen.errors",
    "ParamgenError": "paramgen.errors",
    "Plan": "paramgen.planning.plan",
    "Spec": "paramgen.spec",
    "SpecError": "paramgen.errors",
    "UsageError": "paramgen.errors",
    "build": "paramgen.api",
    "initialize": "paramgen.api",
    "load": "paramgen.api",
    "load_spec": "paramgen.api",
    "plan": "paramgen.api",
    "sample": "paramgen.api",
    "to_cpu": "paramgen.api",
    "to_gpu": "paramgen.api",
    "to_torch": "paramgen.api",
}

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604 (all are strings)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'paramgen' has no attribute {name!r}")
    if UNSUPPORTED:
        raise ImportError(UNSUPPORTED)
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
