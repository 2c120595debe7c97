"""Spec → Parameters: every parameter with its name, size, fans, dtype and the initializer that prevails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from itertools import islice
from math import prod
from typing import Generic, NamedTuple, TypeVar

from paramgen.conventions import templates as templates_by
from paramgen.distributions import Distribution
from paramgen.dtypes import BY_NAME, DType
from paramgen.layouts import UnsupportedError
from paramgen.spec.document import Path, path_text
from paramgen.spec.initializers import Initializer, Target
from paramgen.spec.model import Override, Spec
from paramgen.spec.operations import BY_TYPE, Operation, Template
from paramgen.spec.problems import Problems
from paramgen.spec.tree import Instance
from paramgen.storage.header import MAX_HEADER
from paramgen.streams import stream_id
from paramgen.text import number, shorten, show, suggestion

# How often a pattern of an override is compared with a name, at most: some seconds. So many pairs of characters, one
# of each, count as a comparison.
MAX_COMPARISONS = 10_000_000
COMPARED_PAIRS = 500
# Operations whose choices are kept, for those that are repeated.
KEPT = 10_000


@dataclass(frozen=True)
class ParameterKind:
    """What a parameter is and is drawn from, whatever its name."""

    shape: tuple[int, ...]
    dtype: DType
    fan_in: int | None
    fan_out: int | None
    initializer: Initializer
    distribution: Distribution

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    def excess(self, name: str) -> str | None:
        """What is wrong where its extreme values exceed its dtype, or None; `name` is its first parameter's."""
        largest = self.distribution.largest(self.dtype.name)
        assert self.dtype.largest is not None
        if largest <= self.dtype.largest:
            return None
        limit = f"{number(self.dtype.largest)}, the largest {self.dtype.name}"
        found = f"{shorten(name)} has values up to {number(largest)}, beyond {limit}"
        return f"{found}; choose a wider dtype or smaller values"


def kind(target: Target, initializer: Initializer, dtype: str) -> ParameterKind:
    """What a parameter is whose initializer fits it."""
    return ParameterKind(
        target.shape, BY_NAME[dtype], target.fan_in, target.fan_out, initializer, initializer.law(target)
    )


class Parameter(NamedTuple):
    """One parameter in its canonical size: its name, what it is, and the stream that it is drawn by."""

    name: str
    kind: ParameterKind
    stream: int


def parameter(name: str, kind: ParameterKind) -> Parameter:
    return Parameter(name, kind, stream_id(name))


Expanded = tuple[Instance, list[Template], dict[str, Parameter]]


def expand(spec: Spec, problems: Problems) -> Iterator[Expanded]:
    """The operations of a spec in its order, with their templates, and their parameters by name.

    What does not fit is added to the problems.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own, and
    `overrides`, in order.
    """
    return _Expansion(spec, problems).operations()


class Names:
    """The names of tensors, each with its owner: no two are the same, and none is another's followed by a dot."""

    def __init__(self) -> None:
        self._owners: dict[str, Path] = {}
        self._groups: dict[str, Path] = {}
        self.length = 0
        """Characters of the groups' names."""

    def enter(self, group: str, owner: Path) -> str | None:
        """Make known that there are names within a group; what is in the way of that, or None."""
        while group and group not in self._groups:
            if group in self._owners:
                other = path_text(self._owners[group])
                return f"{other} has a tensor {shorten(group)}, which is in the way; rename one"
            self._groups[group] = owner
            self.length += len(group)
            group = group.rpartition(".")[0]
        return None

    def add(self, name: str, owner: Path) -> str | None:
        """Take a name; what is in the way of it, or None."""
        other = self._owners.setdefault(name, owner)
        if other is not owner:
            return f"{path_text(other)} has a tensor {shorten(name)} already; give each operation its own name"
        if name in self._groups:
            other = self._groups[name]
            return f"{path_text(other)} has tensors named {shorten(name)}.…, which are in the way; rename one"
        return None

    def near(self, pattern: str) -> str:
        return suggestion(pattern, list(islice(self._owners, 1000)))


Made = TypeVar("Made")


class PerOperation(Generic[Made]):
    """What is made of an operation (and what belongs to it), kept for the next time that it comes."""

    def __init__(self, make: Callable[..., Made]):
        self._make = make
        self._made: dict[int, tuple[Operation, Made]] = {}

    def __call__(self, instance: Instance, *more: object) -> Made:
        made = self._made.get(id(instance.operation))
        if made is None:
            if len(self._made) == KEPT:
                self._made.clear()
            made = self._made[id(instance.operation)] = instance.operation, self._make(instance, *more)
        return made[1]


@dataclass(slots=True)
class _Choice:
    """A template with what a spec chooses for it, where the spec says so; and what it makes without overrides."""

    template: Template
    dtype: str
    initializer: Initializer
    path: Path
    kind: ParameterKind | None = None


class _Expansion:
    def __init__(self, spec: Spec, problems: Problems):
        self.spec = spec
        self.problems = problems
        self.names = Names()
        self.length = 0
        self.overrides = _Overrides(spec.head.overrides)
        _check_defaults(spec, problems)
        self.choices = PerOperation(self._choose)

    def operations(self) -> Iterator[Expanded]:
        for instance in self.spec.instances(self.problems):
            if self.problems.enough or self.overrides.compared > MAX_COMPARISONS:
                break
            templates, choices = self.choices(instance)
            if not choices:  # told
                continue
            self.length += len(choices) * len(instance.name)
            if self.length + self.names.length > MAX_HEADER:
                message = f"the names of tensors exceed {MAX_HEADER:,} bytes, the format's limit of a header"
                self.problems.once(instance.path, message, context=instance.context)
                break
            if clash := self.names.enter(instance.name, instance.path):
                self.problems.once((*instance.path, "name"), clash, context=instance.context)
                continue
            found = {choice.template.name: self._parameter(instance, choice) for choice in choices}
            if None not in found.values():
                yield instance, templates, found  # type: ignore[misc]
        if self.overrides.compared > MAX_COMPARISONS:
            message = f"more than {MAX_COMPARISONS:,} comparisons of patterns with names; give fewer overrides"
            self.problems.add(("overrides",), message)
        elif not self.problems.total:  # else they may be meant for what is not there
            for index, pattern in self.overrides.idle():
                near = "" if self.problems.has_a_report else self.names.near(pattern)
                other = near or "; plan --layout canonical shows the names that patterns are of"
                self.problems.add(("overrides", index, "match"), f"{show(pattern)} matches no parameter{other}")

    def _choose(self, instance: Instance) -> tuple[list[Template], list[_Choice]]:
        """An operation's templates, and what the spec chooses for each, but for overrides."""
        operation = instance.operation
        try:
            found = templates_by(self.spec.head.conventions, operation)
        except UnsupportedError as error:
            message = f"conventions: {self.spec.head.conventions}: {error}"
            self.problems.once((*instance.path, "type"), message, context=instance.context)
            return [], []
        dtype = operation.dtype or self.spec.dtype
        choices = [_Choice(one, one.dtype or dtype, *self._prevailing(instance, one)) for one in found]
        keys = {template.key for template in found}
        for parameter in [name for name in operation.own_initializers() if name not in keys]:
            message = f"this {operation.kind} has no {parameter}; remove this, or give it a {parameter}"
            path = (*instance.path, "initializers", parameter)
            self.problems.once(path, message, of_key=True, context=instance.context)
        return found, choices

    def _prevailing(self, instance: Instance, template: Template) -> tuple[Initializer, Path]:
        """A parameter's initializer, and where the spec says so."""
        operation, base = instance.operation, instance.path
        if own := operation.own_initializers().get(template.key):
            return own, (*base, "initializers", template.key)
        if self.spec.head.defaults and (default := self.spec.head.default_of(operation, template.key)):
            return default
        return template.initializer, (*base, *template.path)

    def _parameter(self, instance: Instance, choice: _Choice) -> Parameter | None:
        name = f"{instance.name}.{choice.template.name}"
        if clash := self.names.add(name, instance.path):
            self.problems.once((*instance.path, "name"), clash, context=instance.context)
            return None
        found = self.overrides.matching(name) if self.spec.head.overrides else []
        if not found and choice.kind:
            return parameter(name, choice.kind)
        initializer, dtype, path = choice.initializer, choice.dtype, choice.path
        for index, override in found:
            if override.initializer:
                initializer, path = override.initializer, ("overrides", index, "initializer")
            dtype = override.dtype or dtype
        if misfit := initializer.misfit(choice.template.target):
            of = "" if path[0] == "operations" else f"{shorten(name)}: "
            self.problems.once(path, f"{of}{initializer.kind} {misfit}", context=instance.context)
            return None
        made = kind(choice.template.target, initializer, dtype)
        if excess := made.excess(name):
            self.problems.once(path, excess, context=instance.context)
        if not found:
            choice.kind = made
        return parameter(name, made)


class _Overrides:
    """The overrides of a spec; `compared` counts how often a pattern was compared with a name, long ones for more."""

    def __init__(self, overrides: Sequence[Override]):
        self.compared = 0
        self._entries = [
            (re.split(r"[*?\[]", override.match)[0], re.compile(translate(override.match)).match, index, override)
            for index, override in enumerate(overrides)
        ]
        self._used = [False] * len(overrides)

    def matching(self, name: str) -> list[tuple[int, Override]]:
        """Those that match a name, in order."""
        found = []
        self.compared += len(self._entries)
        for start, match, index, override in self._entries:
            if name.startswith(start):
                self.compared += len(name) * len(override.match) // COMPARED_PAIRS
                if match(name):
                    found.append((index, override))
                    self._used[index] = True
        return found

    def idle(self) -> Iterator[tuple[int, str]]:
        """Those that have matched nothing: their indices and patterns."""
        for _, _, index, override in self._entries:
            if not self._used[index]:
                yield index, override.match


def _check_defaults(spec: Spec, problems: Problems) -> None:
    """Tell of defaults that fit no operation of their type, whether or not the spec has one."""
    for kind, initializers in spec.head.defaults.items():
        targets = BY_TYPE[kind].targets()
        for name, initializer in initializers.items():
            if misfit := initializer.misfit(targets[name]):
                problems.once(("defaults", kind, name), f"{initializer.kind} {misfit}")
