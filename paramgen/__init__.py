"""paramgen: a neural network's parameters in a file, the same bytes for the same spec and seed everywhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramgen.analysis.check import Check as Check
    from paramgen.analysis.diff import Differences as Differences
    from paramgen.analysis.explain import Explanation as Explanation
    from paramgen.analysis.explain import explain as explain
    from paramgen.analysis.inspection import InspectedTensor as InspectedTensor
    from paramgen.analysis.inspection import Inspection as Inspection
    from paramgen.analysis.verify import Verification as Verification
    from paramgen.api import build as build
    from paramgen.api import import_file as import_file
    from paramgen.api import import_model as import_model
    from paramgen.api import initialize as initialize
    from paramgen.api import load_spec as load_spec
    from paramgen.api import plan as plan
    from paramgen.api import sample as sample
    from paramgen.arrays import load as load
    from paramgen.arrays import to_cpu as to_cpu
    from paramgen.arrays import to_gpu as to_gpu
    from paramgen.arrays import to_torch as to_torch
    from paramgen.checks import check as check
    from paramgen.checks import diff as diff
    from paramgen.checks import digest as digest
    from paramgen.checks import inspect as inspect
    from paramgen.checks import verify as verify
    from paramgen.digests import Digests as Digests
    from paramgen.engine import BuildResult as BuildResult
    from paramgen.errors import DeviceError as DeviceError
    from paramgen.errors import Diagnostic as Diagnostic
    from paramgen.errors import DigestError as DigestError
    from paramgen.errors import FileError as FileError
    from paramgen.errors import ParamgenError as ParamgenError
    from paramgen.errors import SpecError as SpecError
    from paramgen.errors import UsageError as UsageError
    from paramgen.errors import WorkerError as WorkerError
    from paramgen.planning.plan import Plan as Plan
    from paramgen.spec import Spec as Spec

__version__ = "0.1.0"

# Files are replaced atomically with calls that Windows does not have (flock, renaming an open file).
UNSUPPORTED_PLATFORM = (
    "paramgen: needs Linux or macOS, got Windows; use it in the Windows Subsystem for Linux (wsl --install)"
    if sys.platform == "win32"
    else None
)

# The public names by module. They are imported when first used, so that `import paramgen` costs nothing. The imports
# above repeat them for type checkers, which cannot read this table; a test compares the two.
_EXPORTS = {
    "paramgen.analysis.check": ("Check",),
    "paramgen.analysis.diff": ("Differences",),
    "paramgen.analysis.explain": ("Explanation", "explain"),
    "paramgen.analysis.inspection": ("InspectedTensor", "Inspection"),
    "paramgen.analysis.verify": ("Verification",),
    "paramgen.api": ("build", "initialize", "import_file", "import_model", "load_spec", "plan", "sample"),
    "paramgen.arrays": ("load", "to_cpu", "to_gpu", "to_torch"),
    "paramgen.checks": ("check", "diff", "digest", "inspect", "verify"),
    "paramgen.digests": ("Digests",),
    "paramgen.engine": ("BuildResult",),
    "paramgen.errors": (
        "DeviceError",
        "Diagnostic",
        "DigestError",
        "FileError",
        "ParamgenError",
        "SpecError",
        "UsageError",
        "WorkerError",
    ),
    "paramgen.planning.plan": ("Plan",),
    "paramgen.spec": ("Spec",),
}
_DEFINED_IN = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = ["__version__", *_DEFINED_IN]  # noqa: PLE0604 (all are strings)


def __getattr__(name: str) -> Any:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'paramgen' has no attribute {name!r}")
    if UNSUPPORTED_PLATFORM:
        raise ImportError(UNSUPPORTED_PLATFORM)
    from importlib import import_module

    value = getattr(import_module(_DEFINED_IN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
