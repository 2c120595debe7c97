"""The tables of layouts and conventions: paramgen's own, and those of each framework's module.

The convention `matlab` is the table of operations itself.
"""

from __future__ import annotations

from importlib import import_module

from paramgen.catalog.conventions import Convention
from paramgen.catalog.frameworks import CANONICAL, FRAMEWORKS, MATLAB
from paramgen.catalog.layouts import CanonicalLayout, Layout
from paramgen.catalog.operations import Operation, ParameterDef, StandardOperation

_MODULES = {name: import_module(f"paramgen.catalog.frameworks.{name}") for name in FRAMEWORKS}

LAYOUTS: dict[str, Layout] = {
    CANONICAL: CanonicalLayout("paramgen"),
    **{name: module.LAYOUT for name, module in _MODULES.items()},
}
CONVENTIONS: dict[str, Convention | None] = {
    MATLAB: None,
    **{name: module.CONVENTION for name, module in _MODULES.items()},
}


def parameter_defs_by_convention(convention: str, operation: Operation) -> list[ParameterDef]:
    """Return an operation's parameters by a convention.

    Raises UnsupportedError if its framework lacks the operation.
    """
    rules = CONVENTIONS[convention]
    if rules and isinstance(operation, StandardOperation):
        return rules.parameter_defs(operation, LAYOUTS[convention])
    return list(operation.parameter_defs())
