"""Spec → Parameters: every parameter with its name, size, fans, dtype and the initializer that prevails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
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
from paramgen.language.diagnostics import Diagnostics, RepeatLocation
from paramgen.language.groups import NamedOperation
from paramgen.language.model import Override, Spec
from paramgen.language.yaml_reader import Path, path_text
from paramgen.planning.streams import stream_id


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter's shape, dtype, fans, initializer and distribution, whatever its name."""

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

    def dtype_error(self, name: str) -> str | None:
        """Return why the dtype cannot hold the values of the parameter `name`, or None."""
        reason = why_unsupported(self.distribution, self.dtype)
        return f"{escape(shorten(name))} {reason}" if reason else None


def resolve_parameter(target: ParameterShape, initializer: Initializer, dtype: str) -> ParameterSpec:
    """Resolve a parameter whose initializer has been checked."""
    return ParameterSpec(
        target.shape, BY_NAME[dtype], target.fan_in, target.fan_out, initializer, initializer.to_distribution(target)
    )


class Parameter(NamedTuple):
    """One parameter in its canonical size: its name, what it is, and the stream that it is drawn by."""

    name: str
    spec: ParameterSpec
    stream: int


def name_parameter(name: str, spec: ParameterSpec) -> Parameter:
    return Parameter(name, spec, stream_id(name))


Expanded = tuple[NamedOperation, list[ParameterDef], dict[str, Parameter]]


def expand(spec: Spec, problems: Diagnostics) -> Iterator[Expanded]:
    """The operations of a spec in its order, with their definitions, and their parameters by name.

    What does not fit is added to the problems.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own, and
    `overrides`, in order.
    """
    return _Expansion(spec, problems).operations()


class NameRegistry:
    """The names of tensors, each with its owner: no two are the same, and none is another's followed by a dot."""

    def __init__(self) -> None:
        self._owners: dict[str, Path] = {}

    def add(self, name: str, owner: Path) -> str | None:
        """Take a name; return the conflict, if any."""
        other = self._owners.setdefault(name, owner)
        if other is owner:
            return None
        return f"{path_text(other)} has a tensor {shorten(name)} already; give each operation its own name"

    def report_nested(self, problems: Diagnostics, note: str = "") -> None:
        """Add a problem for each tensor whose name is another's followed by a dot."""
        last_words = {name.rpartition(".")[2] for name in self._owners}
        before = ""
        for name, owner in self._owners.items():
            outer = name.rpartition(".")[0]
            if outer == before:
                continue
            before = outer
            if last_words.isdisjoint(outer.split(".")):  # almost always, and much faster than the names one by one
                continue
            while outer and not problems.is_full:
                if outer in self._owners:
                    self._report(outer, name, owner, problems, note)
                outer = outer.rpartition(".")[0]

    def _report(self, tensor: str, inner: str, owner: Path, problems: Diagnostics, note: str) -> None:
        other = self._owners[tensor]
        if owner > other:
            message = f"{path_text(other)} has a tensor {shorten(tensor)}, which is in the way; rename one"
        else:
            message = f"{path_text(owner)} has tensors named {shorten(tensor)}.…, which are in the way; rename one"
            owner, inner = other, tensor
        context = RepeatLocation(inner.rpartition(".")[0], {}) if len(owner) > 2 else None
        problems.add_once((*owner, "name"), message + note, context=context)

    def near(self, pattern: str) -> str:
        return did_you_mean(closest_match(pattern, islice(self._owners, 1000)))


Made = TypeVar("Made")


class PerOperation(Generic[Made]):
    """A function of an operation, called once for all instances that differ by their names alone."""

    def __init__(self, make: Callable[..., Made]):
        self._make = make

    def __call__(self, instance: NamedOperation, *more: object) -> Made:
        made: Made | None = instance.results.get(self)
        if made is None:
            made = instance.results[self] = self._make(instance, *more)
        return made


@dataclass(slots=True)
class _Resolved:
    """A definition with what a spec chooses for it, where the spec says so; and what it makes without overrides."""

    definition: ParameterDef
    dtype: str
    initializer: Initializer
    path: Path
    spec: ParameterSpec | None = None


class _Expansion:
    def __init__(self, spec: Spec, problems: Diagnostics):
        self.spec = spec
        self.problems = problems
        self.names = NameRegistry()
        self.overrides = _Overrides(spec.head.overrides)
        _check_defaults(spec, problems)
        self.choices = PerOperation(self._choose)
        self.different = 0

    def operations(self) -> Iterator[Expanded]:
        problems, overrides = self.problems, self.overrides
        for instance in self.spec.instances(problems):
            definitions, choices = self.choices(instance)
            if not choices:  # its problem is known
                continue
            overrides.count(len(choices), problems)
            found = {choice.definition.name: self._parameter(instance, choice) for choice in choices}
            if None not in found.values():
                yield instance, definitions, found  # type: ignore[misc]
        self.names.report_nested(problems)
        if not problems.total:  # else they may be meant for what is not there
            for index, pattern in overrides.idle():
                near = "" if problems.fills_report else self.names.near(pattern)
                other = near or "; plan --layout canonical shows the names that patterns are of"
                problems.add(("overrides", index, "match"), f"{show(pattern)} matches no parameter{other}")

    def _choose(self, instance: NamedOperation) -> tuple[list[ParameterDef], list[_Resolved]]:
        """An operation's definitions, and what the spec chooses for each, but for overrides."""
        operation = instance.operation
        try:
            found = parameter_defs_by(self.spec.head.conventions, operation)
        except UnsupportedError as error:
            message = f"conventions: {self.spec.head.conventions}: {error}"
            self.problems.add_once((*instance.path, "type"), message, context=instance.context)
            return [], []
        self.different += len(found)
        if self.different > limits.MAX_DIFFERENT_TENSORS:
            limit = f"more than {limits.MAX_DIFFERENT_TENSORS:,} different tensors (the limit)"
            self.problems.stop(instance.path, f"{limit}, counting those that an index makes different")
        dtype = operation.dtype or self.spec.dtype
        choices = [_Resolved(one, one.dtype or dtype, *self._prevailing(instance, one)) for one in found]
        keys = {definition.key for definition in found}
        for parameter in [name for name in operation.own_initializers() if name not in keys]:
            message = f"this {operation.type_name} has no {parameter}; remove this, or give it a {parameter}"
            path = (*instance.path, "initializers", parameter)
            self.problems.add_once(path, message, of_key=True, context=instance.context)
        return found, choices

    def _prevailing(self, instance: NamedOperation, definition: ParameterDef) -> tuple[Initializer, Path]:
        """A parameter's initializer, and where the spec says so."""
        operation, base = instance.operation, instance.path
        if own := operation.own_initializers().get(definition.key):
            return own, (*base, "initializers", definition.key)
        if self.spec.head.defaults and (default := self.spec.head.default_of(operation, definition.key)):
            return default
        return definition.initializer, (*base, *definition.path)

    def _parameter(self, instance: NamedOperation, choice: _Resolved) -> Parameter | None:
        name = f"{instance.name}.{choice.definition.name}"
        if clash := self.names.add(name, instance.path):
            self.problems.add_once((*instance.path, "name"), clash, context=instance.context)
            return None
        found = self.overrides.matching(name) if self.spec.head.overrides else []
        if not found and choice.spec:
            return name_parameter(name, choice.spec)
        initializer, dtype, path = choice.initializer, choice.dtype, choice.path
        for index, override in found:
            if override.initializer:
                initializer, path = override.initializer, ("overrides", index, "initializer")
            dtype = override.dtype or dtype
        if reason := initializer.why_unsupported(choice.definition.target):
            of = "" if path[0] == "operations" else f"{shorten(name)}: "
            self.problems.add_once(path, f"{of}{initializer.type_name} {reason}", context=instance.context)
            return None
        made = resolve_parameter(choice.definition.target, initializer, dtype)
        if problem := made.dtype_error(name):
            self.problems.add_once(path, problem, context=instance.context)
        if not found:
            choice.spec = made
        return name_parameter(name, made)


class _Pattern:
    """A pattern of names with * ? and []: its pieces between the *, each of which matches texts of one length.

    Pieces are looked for one after another, each where it first matches: a literal one takes a time that is linear in
    the name's length, one with ? or [] up to so many times as long as it has characters. `cost` is in comparisons.
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
    """The regular expression of a pattern's token for one character."""
    if token == "?":
        return "."
    return translate(token)[len("(?s:") : -len(r")\Z")] if len(token) > 1 else re.escape(token)


class _Overrides:
    """The overrides of a spec; how often their patterns are compared with names is limited."""

    def __init__(self, overrides: Sequence[Override]):
        self._entries = [(_Pattern(override.match), index, override) for index, override in enumerate(overrides)]
        self._used = [False] * len(overrides)
        self._cost = sum(pattern.cost for pattern, _, _ in self._entries)
        self._compared = 0

    def count(self, names: int, problems: Diagnostics) -> None:
        """Count the comparisons with so many names."""
        self._compared += names * self._cost
        if self._compared > limits.MAX_COMPARISONS:
            limit = f"more than {limits.MAX_COMPARISONS:,} patterns times tensors (the limit)"
            problems.stop(("overrides",), f"{limit}, those with several * counted several times; give fewer overrides")

    def matching(self, name: str) -> list[tuple[int, Override]]:
        """Those that match a name, in order."""
        found = []
        for pattern, index, override in self._entries:
            if pattern.matches(name):
                found.append((index, override))
                self._used[index] = True
        return found

    def idle(self) -> Iterator[tuple[int, str]]:
        """Those that have matched nothing: their indices and patterns."""
        for _, index, override in self._entries:
            if not self._used[index]:
                yield index, override.match


def _check_defaults(spec: Spec, problems: Diagnostics) -> None:
    """Tell of defaults that fit no operation of their type, whether or not the spec has one."""
    for kind, initializers in spec.head.defaults.items():
        targets = BY_TYPE[kind].example_shapes()
        for name, initializer in initializers.items():
            if reason := initializer.why_unsupported(targets[name]):
                problems.add_once(("defaults", kind, name), f"{initializer.type_name} {reason}")
