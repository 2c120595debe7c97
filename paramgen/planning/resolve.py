"""Spec → parameters: name, shape, fans, dtype and the initializer with the highest precedence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, partial
from itertools import islice, takewhile
from math import prod
from typing import Generic, NamedTuple, TypeVar

from paramgen import limits
from paramgen.catalog.conventions import parameter_defs as parameter_defs_by
from paramgen.catalog.distributions import Distribution, why_unsupported
from paramgen.catalog.initializers import Initializer, ParameterShape
from paramgen.catalog.layouts import UnsupportedError
from paramgen.catalog.operations import BY_TYPE, ParameterDef
from paramgen.dtypes import BY_NAME, DType
from paramgen.formatting import closest_match, did_you_mean, escape, shorten, show
from paramgen.language.diagnostics import Finding, LimitExceededError, RepeatLocation
from paramgen.language.groups import NamedOperation
from paramgen.language.model import Override, ParsedSpec
from paramgen.language.yaml_reader import Path, path_text
from paramgen.planning.streams import stream_id


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter's shape, dtype, fans, initializer and distribution, whatever its name.

    The elements at `padding_index` of the last axis are zero instead.
    """

    shape: tuple[int, ...]
    dtype: DType
    fan_in: int | None
    fan_out: int | None
    initializer: Initializer
    distribution: Distribution
    padding_index: int | None = None

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    def dtype_error(self, name: str) -> str | None:
        """Return why the dtype cannot hold the values of the parameter `name`, or None."""
        reason = why_unsupported(self.distribution, self.dtype)
        return f"{escape(shorten(name))} {reason}" if reason else None


def resolve_parameter(target: ParameterShape, initializer: Initializer, dtype: str) -> ParameterSpec:
    """Resolve a parameter whose initializer has been checked."""
    distribution, fans = initializer.to_distribution(target), (target.fan_in, target.fan_out)
    return ParameterSpec(target.shape, BY_NAME[dtype], *fans, initializer, distribution, target.padding_index)


class Parameter(NamedTuple):
    """A parameter in canonical form: name, spec, and the id of its random stream."""

    name: str
    spec: ParameterSpec
    stream: int


def name_parameter(name: str, spec: ParameterSpec) -> Parameter:
    return Parameter(name, spec, stream_id(name))


class Expanded(NamedTuple):
    """An operation of the model, its definitions, and its parameters by name."""

    instance: NamedOperation
    definitions: list[ParameterDef]
    parameters: dict[str, Parameter]


def expand(spec: ParsedSpec) -> Iterator[Expanded | Finding]:
    """Yield the operations of a spec in order with their parameters, and every error.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own, and
    `overrides`, in order.
    """
    yield from _check_defaults(spec)
    yield from _Expansion(spec).operations()


class NameRegistry:
    """The names of tensors, each with the path of its operation. None repeats, and none is a group of another."""

    def __init__(self) -> None:
        self._owners: dict[str, Path] = {}

    def add(self, name: str, owner: Path) -> str | None:
        """Take a name; return the conflict, if any."""
        other = self._owners.setdefault(name, owner)
        if other is owner:
            return None
        return f"{path_text(other)} has a tensor {shorten(name)} already; give each operation its own name"

    def nested(self, note: str = "") -> Iterator[Finding]:
        """Yield an error for each tensor whose name is another's followed by a dot."""
        last_words = {name.rpartition(".")[2] for name in self._owners}
        before = ""
        for name, owner in self._owners.items():
            outer = name.rpartition(".")[0]
            if outer == before:
                continue
            before = outer
            if last_words.isdisjoint(outer.split(".")):  # almost always, and much faster than the names one by one
                continue
            while outer:
                if outer in self._owners:
                    yield self._explain(outer, name, owner, note)
                outer = outer.rpartition(".")[0]

    def _explain(self, tensor: str, inner: str, owner: Path, note: str) -> Finding:
        other = self._owners[tensor]
        if owner > other:
            message = f"{path_text(other)} has a tensor {shorten(tensor)}, which is in the way; rename one"
        else:
            message = f"{path_text(owner)} has tensors named {shorten(tensor)}.…, which are in the way; rename one"
            owner, inner = other, tensor
        location = RepeatLocation(inner.rpartition(".")[0], {}) if len(owner) > 2 else None
        return Finding((*owner, "name"), message + note, location=location)

    def suggest(self, pattern: str) -> str:
        """Return the end of the error of a pattern that matches no name."""
        closest = did_you_mean(closest_match(pattern, list(islice(self._owners, 1000))))
        return closest or "; plan --layout canonical shows the names that patterns are of"


Result = TypeVar("Result")


class OperationCache(Generic[Result]):
    """A function of an operation, called once for all instances that differ in name only."""

    def __init__(self, function: Callable[..., Result]):
        self._function = function

    def __call__(self, instance: NamedOperation, *more: object) -> Result:
        result: Result | None = instance.results.get(self)
        if result is None:
            result = instance.results[self] = self._function(instance, *more)
        return result


@dataclass(slots=True)
class _Resolved:
    """A definition, what the spec chooses for it, and the path that does; `spec` is the result without overrides."""

    definition: ParameterDef
    dtype: str
    initializer: Initializer
    path: Path
    spec: ParameterSpec | None = None


class _Choices(NamedTuple):
    """A spec's choices for the parameters of an operation before overrides, and the errors among them."""

    definitions: list[ParameterDef]
    resolved: list[_Resolved]
    findings: list[Finding]


class _Expansion:
    def __init__(self, spec: ParsedSpec):
        self.spec = spec
        self.names = NameRegistry()
        self.overrides = _Overrides(spec.head.overrides)
        self.choices = OperationCache(self._choose)
        self.different = 0

    def operations(self) -> Iterator[Expanded | Finding]:
        is_complete = not self.spec.findings
        for instance in self.spec.operations():
            if isinstance(instance, Finding):
                is_complete = False
                yield instance
                continue
            definitions, resolved, findings = self.choices(instance)
            self.overrides.count(len(resolved))
            parameters: dict[str, Parameter] = {}
            for one in resolved:
                found = self._resolve(instance, one)
                if isinstance(found, Finding):
                    findings = [*findings, found]
                else:
                    parameters[one.definition.name] = found
            if findings:
                is_complete = False
                yield from findings
            else:
                yield Expanded(instance, definitions, parameters)
        yield from self.names.nested()
        if is_complete:  # else they may be meant for what is missing
            yield from self.overrides.find_unused(self.names)

    def _choose(self, instance: NamedOperation) -> _Choices:
        operation = instance.operation
        try:
            found = parameter_defs_by(self.spec.head.conventions, operation)
        except UnsupportedError as error:
            message = f"conventions: {self.spec.head.conventions}: {error}"
            return _Choices([], [], [Finding((*instance.path, "type"), message, location=instance.location)])
        self.different += len(found)
        if self.different > limits.MAX_DIFFERENT_TENSORS:
            limit = f"more than {limits.MAX_DIFFERENT_TENSORS:,} different tensors (the limit)"
            raise LimitExceededError(instance.path, f"{limit}, counting those that an index makes different")
        dtype = operation.dtype or self.spec.head.dtype
        resolved = [_Resolved(one, one.dtype or dtype, *self._prevailing(instance, one)) for one in found]
        keys = {definition.key for definition in found}
        findings = []
        for parameter in [name for name in operation.own_initializers() if name not in keys]:
            message = f"this {operation.type_name} has no {parameter}; remove this, or give it a {parameter}"
            path = (*instance.path, "initializers", parameter)
            findings.append(Finding(path, message, of_key=True, location=instance.location))
        return _Choices(found, resolved, findings)

    def _prevailing(self, instance: NamedOperation, definition: ParameterDef) -> tuple[Initializer, Path]:
        """Return a parameter's initializer, overrides apart, and the path that chooses it."""
        operation, base = instance.operation, instance.path
        if own := operation.own_initializers().get(definition.key):
            return own, (*base, "initializers", definition.key)
        if self.spec.head.defaults and (default := self.spec.head.default_of(operation, definition.key)):
            return default
        return definition.initializer, (*base, *definition.path)

    def _resolve(self, instance: NamedOperation, choice: _Resolved) -> Parameter | Finding:
        name = f"{instance.name}.{choice.definition.name}"
        if clash := self.names.add(name, instance.path):
            return Finding((*instance.path, "name"), clash, location=instance.location)
        overrides = self.overrides.matching(name) if self.spec.head.overrides else []
        if not overrides and choice.spec:
            return name_parameter(name, choice.spec)
        initializer, dtype, path = choice.initializer, choice.dtype, choice.path
        for index, override in overrides:
            if override.initializer:
                initializer, path = override.initializer, ("overrides", index, "initializer")
            dtype = override.dtype or dtype
        if reason := initializer.why_unsupported(choice.definition.target):
            of = "" if path[0] == "operations" else f"{shorten(name)}: "
            return Finding(path, f"{of}{initializer.type_name} {reason}", location=instance.location)
        spec = resolve_parameter(choice.definition.target, initializer, dtype)
        if problem := spec.dtype_error(name):
            return Finding(path, problem, location=instance.location)
        if not overrides:
            choice.spec = spec
        return name_parameter(name, spec)


class _Pattern:
    """A pattern of names with * ? and [], split at each * into pieces that match texts of one length.

    Each piece is searched for after the one before. That takes linear time for a literal piece, and up to the piece's
    length times as long with ? or []. `cost` counts comparisons.
    """

    def __init__(self, pattern: str):
        tokens = re.findall(r"\*+|\?|\[!?\]?[^]]*\]|.", pattern, re.DOTALL)
        pieces: list[list[str]] = [[]]
        for token in tokens:
            if token[0] == "*":
                pieces.append([])
            else:
                pieces[-1].append(token)
        first, *middle = [re.compile("".join(map(_one_character, piece)), re.DOTALL) for piece in pieces]
        self._first = first.match if middle else first.fullmatch
        self._last = middle.pop().fullmatch if middle else None
        self._width = len(pieces[-1])
        self._middle = [piece.search for piece in middle if piece.pattern]
        self._start = "".join(takewhile(lambda token: token not in ("*", "?") and len(token) == 1, tokens))
        self.cost = 1
        for piece in filter(None, pieces[1:-1]):
            is_literal = all(len(token) == 1 and token != "?" for token in piece)
            self.cost += 1 if is_literal else limits.SEARCH_COMPARISONS

    def matches(self, name: str) -> bool:
        if not name.startswith(self._start):
            return False
        found = self._first(name)
        if self._last is None or not found:
            return found is not None
        end = len(name) - self._width
        at = found.end()
        if end < at or not self._last(name, end):
            return False
        for search in self._middle:
            found = search(name, at, end)
            if not found:
                return False
            at = found.end()
        return True


def _one_character(token: str) -> str:
    """Return the regular expression of a pattern's token for one character."""
    if token == "?":
        return "."
    return translate(token)[len("(?s:") : -len(r")\Z")] if len(token) > 1 else re.escape(token)


class _Overrides:
    """The overrides of a spec, with a limit on comparisons of patterns with names."""

    def __init__(self, overrides: Sequence[Override]):
        self._entries = [(_Pattern(override.match), index, override) for index, override in enumerate(overrides)]
        self._used = [False] * len(overrides)
        self._cost = sum(pattern.cost for pattern, _, _ in self._entries)
        self._compared = 0

    def count(self, names: int) -> None:
        """Count the comparisons with some names; LimitExceededError if they are too many."""
        self._compared += names * self._cost
        if self._compared > limits.MAX_COMPARISONS:
            limit = f"more than {limits.MAX_COMPARISONS:,} patterns times tensors (the limit)"
            message = f"{limit}, those with several * counted several times; give fewer overrides"
            raise LimitExceededError(("overrides",), message)

    def matching(self, name: str) -> list[tuple[int, Override]]:
        """Return those that match a name, in order."""
        found = []
        for pattern, index, override in self._entries:
            if pattern.matches(name):
                found.append((index, override))
                self._used[index] = True
        return found

    def find_unused(self, names: NameRegistry) -> Iterator[Finding]:
        """Yield an error for each override that has matched no name."""
        for _, index, override in self._entries:
            if not self._used[index]:
                message = f"{show(override.match)} matches no parameter"
                yield Finding(("overrides", index, "match"), message, suggest=partial(names.suggest, override.match))


def _check_defaults(spec: ParsedSpec) -> Iterator[Finding]:
    """Yield an error for each default that fits no operation of its type, even if the spec does not have one."""
    for type_name, initializers in spec.head.defaults.items():
        shapes = BY_TYPE[type_name].example_shapes()
        for name, initializer in initializers.items():
            if reason := initializer.why_unsupported(shapes[name]):
                yield Finding(("defaults", type_name, name), f"{initializer.type_name} {reason}")
