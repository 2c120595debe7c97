"""Spec → Parameters: every parameter with its name, size, fans, dtype and the initializer that prevails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paramgen.spec.document import Path, Problems, path_text
from paramgen.spec.initializers import Initializer, Target
from paramgen.spec.model import Spec
from paramgen.spec.operations import BY_TYPE, Operation, Template
from paramgen.text import shorten


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its canonical name, what is to be filled and by what; `path` is where the spec says so."""

    name: str
    target: Target
    initializer: Initializer
    dtype: str
    path: Path


def expand(spec: Spec, problems: Problems) -> Iterator[Parameter]:
    """The parameters of a spec in its order; what does not fit is added to the problems and left out.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own.
    """
    owners: dict[str, Path] = {}
    misfits = set(_misfits_of_defaults(spec, problems))
    for base, operation in spec.placed_operations():
        if problems.enough:
            break
        templates = list(operation.templates())
        for template in templates:
            name = f"{operation.name}.{template.name}"
            owner = owners.setdefault(name, base)
            if owner is not base:
                message = f"{path_text(owner)} has a tensor {shorten(name)} already; give each operation its own name"
                problems.add((*base, "name"), message)
                break
            initializer, path = _prevailing(spec, base, operation, template)
            misfit = initializer.misfit(template.target)
            if misfit is None:
                dtype = template.dtype or operation.dtype or spec.dtype
                yield Parameter(name, template.target, initializer, dtype, path)
            elif path not in misfits:
                misfits.add(path)
                problems.add(path, f"{initializer.kind} {misfit}")
        for parameter in operation.own_initializers().keys() - {template.name for template in templates}:
            message = f"this {operation.kind} has no {parameter}; remove this, or give it a {parameter}"
            problems.add((*base, "initializers", parameter), message, of_key=True)


def _misfits_of_defaults(spec: Spec, problems: Problems) -> Iterator[Path]:
    """The paths of defaults that fit no operation of their type, whether or not the spec has one."""
    for kind, initializers in spec.defaults.items():
        targets = BY_TYPE[kind].targets()
        for parameter, initializer in initializers.items():
            if misfit := initializer.misfit(targets[parameter]):
                path = ("defaults", kind, parameter)
                problems.add(path, f"{initializer.kind} {misfit}")
                yield path


def _prevailing(spec: Spec, base: Path, operation: Operation, template: Template) -> tuple[Initializer, Path]:
    """A parameter's initializer, and where the spec says so."""
    if own := operation.own_initializers().get(template.name):
        return own, (*base, "initializers", template.name)
    if spec.defaults and (default := spec.default_of(operation, template.name)):
        return default
    return template.initializer, (*base, *template.path)
