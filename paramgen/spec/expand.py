"""Spec → Parameters: every parameter with its name, size, fans, dtype and the initializer that prevails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from itertools import islice
from math import prod

from paramgen.distributions import Distribution
from paramgen.dtypes import DTYPES, DType
from paramgen.sampling.streams import stream_id
from paramgen.spec.document import Path, Problems, path_text
from paramgen.spec.initializers import Initializer, Target
from paramgen.spec.model import Override, Spec
from paramgen.spec.operations import BY_TYPE, Operation, Template
from paramgen.spec.tree import Instance
from paramgen.text import number, shorten, show, suggestion

# How often a pattern of an override is compared with a name, at most: some seconds.
MAX_COMPARISONS = 20_000_000
# Operations whose choices are kept, for those that are repeated.
KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, in its canonical size: what it is, what it is drawn from, and by which stream."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    fan_in: int | None
    fan_out: int | None
    initializer: Initializer
    distribution: Distribution
    stream: int

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    def excess(self) -> str | None:
        """What is wrong where its extreme values exceed its dtype, or None."""
        largest = self.distribution.largest(self.dtype.name)
        assert self.dtype.largest is not None
        if largest <= self.dtype.largest:
            return None
        limit = f"{number(self.dtype.largest)}, the largest {self.dtype.name}"
        found = f"{shorten(self.name)} has values up to {number(largest)}, beyond {limit}"
        return f"{found}; choose a wider dtype or smaller values"


def parameter(name: str, target: Target, initializer: Initializer, dtype: str) -> Parameter:
    """A parameter whose initializer fits it."""
    distribution = initializer.distribution(target)
    fans = target.fan_in, target.fan_out
    return Parameter(name, target.shape, DTYPES[dtype], *fans, initializer, distribution, stream_id(name))


def expand(spec: Spec, problems: Problems) -> Iterator[tuple[Instance, list[Parameter]]]:
    """The operations of a spec in its order, with their parameters; what does not fit is added to the problems.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own, and
    `overrides`, in order.
    """
    return _Expansion(spec, problems).operations()


class Names:
    """The names of tensors, each with its owner: no two are the same, and none is another's followed by a dot."""

    def __init__(self) -> None:
        self._owners: dict[str, Path] = {}
        self._groups: dict[str, Path] = {}

    def clash(self, name: str, owner: Path) -> str | None:
        """What is in the way of a name; else None, and the name is taken."""
        if other := self._owners.get(name):
            return f"{path_text(other)} has a tensor {shorten(name)} already; give each operation its own name"
        if other := self._groups.get(name):
            return f"{shorten(name)} is in the way of the tensors {shorten(name)}.… of {path_text(other)}; rename one"
        group = name
        while group := group.rpartition(".")[0]:
            if group in self._groups:
                break
            if other := self._owners.get(group):
                return f"{shorten(name)} has the tensor {shorten(group)} of {path_text(other)} in its way; rename one"
            self._groups[group] = owner
        self._owners[name] = owner
        return None

    def near(self, pattern: str) -> str:
        return suggestion(pattern, list(islice(self._owners, 1000)))


@dataclass(slots=True)
class _Choice:
    """A template with what a spec chooses for it, where the spec says so, and the last parameter made of it."""

    template: Template
    dtype: str
    initializer: Initializer
    path: Path
    last: Parameter | None = None


class _Expansion:
    def __init__(self, spec: Spec, problems: Problems):
        self.spec = spec
        self.problems = problems
        self.names = Names()
        self.overrides = _Overrides(spec.head.overrides)
        self.wrong = set(_misfits_of_defaults(spec, problems))
        self.choices: dict[int, tuple[Operation, list[_Choice]]] = {}

    def operations(self) -> Iterator[tuple[Instance, list[Parameter]]]:
        for instance in self.spec.instances(self.problems):
            if self.problems.enough or self.overrides.compared > MAX_COMPARISONS:
                break
            parameters = [self._parameter(instance, choice) for choice in self._choices(instance)]
            yield instance, [parameter for parameter in parameters if parameter]
        if self.overrides.compared > MAX_COMPARISONS:
            message = f"more than {MAX_COMPARISONS:,} comparisons of patterns with names; give fewer overrides"
            self.problems.add(("overrides",), message)
            return
        for index, pattern in self.overrides.idle():
            message = f"{show(pattern)} matches no parameter{self.names.near(pattern)}"
            self.problems.add(("overrides", index, "match"), message)

    def _choices(self, instance: Instance) -> list[_Choice]:
        """What the spec chooses for an operation's parameters, but for overrides; kept, for repetitions."""
        operation = instance.operation
        kept = self.choices.get(id(operation))
        if kept:
            return kept[1]
        if len(self.choices) == KEPT:
            self.choices.clear()
        templates = list(operation.templates())
        choices = [
            _Choice(
                template, template.dtype or operation.dtype or self.spec.dtype, *self._prevailing(instance, template)
            )
            for template in templates
        ]
        for parameter in operation.own_initializers().keys() - {template.name for template in templates}:
            message = f"this {operation.kind} has no {parameter}; remove this, or give it a {parameter}"
            self._once((*instance.path, "initializers", parameter), message, instance, of_key=True)
        self.choices[id(operation)] = operation, choices
        return choices

    def _prevailing(self, instance: Instance, template: Template) -> tuple[Initializer, Path]:
        """A parameter's initializer, and where the spec says so."""
        operation, base = instance.operation, instance.path
        if own := operation.own_initializers().get(template.name):
            return own, (*base, "initializers", template.name)
        if self.spec.head.defaults and (default := self.spec.head.default_of(operation, template.name)):
            return default
        return template.initializer, (*base, *template.path)

    def _parameter(self, instance: Instance, choice: _Choice) -> Parameter | None:
        name = f"{instance.name}.{choice.template.name}"
        if clash := self.names.clash(name, instance.path):
            self._once((*instance.path, "name"), clash, instance)
            return None
        found = self.overrides.matching(name)
        if not found and choice.last:
            like = choice.last
            fans = like.fan_in, like.fan_out
            return Parameter(name, like.shape, like.dtype, *fans, like.initializer, like.distribution, stream_id(name))
        initializer, dtype, path = choice.initializer, choice.dtype, choice.path
        for index, override in found:
            if override.initializer:
                initializer, path = override.initializer, ("overrides", index, "initializer")
            dtype = override.dtype or dtype
        if misfit := initializer.misfit(choice.template.target):
            self._once(path, f"{initializer.kind} {misfit}", instance)
            return None
        made = parameter(name, choice.template.target, initializer, dtype)
        if excess := made.excess():
            self._once(path, excess, instance)
        if not found:
            choice.last = made
        return made

    def _once(self, path: Path, message: str, instance: Instance, of_key: bool = False) -> None:
        """Add a problem, unless there is one of its place already."""
        if path not in self.wrong:
            self.wrong.add(path)
            context = instance.context if path[0] == "operations" else None
            self.problems.add(path, message, of_key=of_key, context=context)


class _Overrides:
    """The overrides of a spec; `compared` counts how often a pattern was compared with a name."""

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
            if name.startswith(start) and match(name):
                found.append((index, override))
                self._used[index] = True
        return found

    def idle(self) -> Iterator[tuple[int, str]]:
        """Those that have matched nothing: their indices and patterns."""
        for _, _, index, override in self._entries:
            if not self._used[index]:
                yield index, override.match


def _misfits_of_defaults(spec: Spec, problems: Problems) -> Iterator[Path]:
    """The paths of defaults that fit no operation of their type, whether or not the spec has one."""
    for kind, initializers in spec.head.defaults.items():
        targets = BY_TYPE[kind].targets()
        for name, initializer in initializers.items():
            if misfit := initializer.misfit(targets[name]):
                path = ("defaults", kind, name)
                problems.add(path, f"{initializer.kind} {misfit}")
                yield path
