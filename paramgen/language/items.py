"""Items of a spec's `operations`: operations, groups, and the parameters of groups, each with its repetitions.

What does not depend on a local variable is evaluated and checked once, however often it repeats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from paramgen import limits
from paramgen.catalog.entries import ENTRY_KEYS, RepeatIndex
from paramgen.catalog.fields import is_name
from paramgen.catalog.models import read_typed
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, Operation
from paramgen.catalog.synonyms import OPERATION_SYNONYMS
from paramgen.language import values
from paramgen.language.diagnostics import InvalidItemError, LimitExceededError, Problem, RepeatLocation, explain_errors
from paramgen.language.evaluation import BOUND_KEYS, Evaluator
from paramgen.language.expressions import has_expression, names_in
from paramgen.language.groups import OPERATION_EXPECTED, Group, is_group
from paramgen.language.repetitions import ONCE, Locals, Repetitions, check_condition, read_repetitions
from paramgen.language.values import ExpressionError
from paramgen.language.yaml_reader import KeyPath

# Results kept of one item for different values of local variables, and operations kept of one result of a group.
CACHE_SIZE = 1000
# In the place of parameters that are not written; null is an error.
ABSENT: Final = object()


@dataclass(eq=False, slots=True, weakref_slot=True)
class CheckedOperation:
    """An operation checked with some local variables; None if it is omitted.

    Planning caches its results by this object, which instances that differ only in name share.
    """

    operation: Operation | None


class OperationInstance(NamedTuple):
    """An operation of the model: its full name, its path in the document, and its local variables."""

    operation: Operation
    name: str
    path: KeyPath
    local: Locals | None
    checked: CheckedOperation

    @property
    def location(self) -> RepeatLocation | None:
        """Where an error in it arises; None outside of groups and repetitions."""
        return None if self.local is None else RepeatLocation(self.name, self.local)


@dataclass(slots=True)
class Expansion:
    """The state that the items of one spec share: evaluator, number of different items, whether any was omitted."""

    evaluator: Evaluator
    omits: bool = False
    different: int = 0

    def count_distinct(self, count: int, path: KeyPath) -> None:
        """Count items that are read. Raises LimitExceededError if there are too many."""
        self.different += count
        check_distinct(self.different, path)


class Item(ABC):
    """An item as written. With `is_repeated` it may be visited again, with other names or local variables."""

    __slots__ = ("cache", "expansion", "has_failed", "is_repeated", "path", "repetitions", "written")

    def __init__(self, expansion: Expansion, path: KeyPath, written: Any, is_repeated: bool):
        self.expansion = expansion
        self.path = path
        self.written = written
        self.is_repeated = is_repeated
        self.repetitions: Repetitions | None = None
        self.has_failed = False
        self.cache: dict[Any, Any] = {}

    def visit(self, prefix: str, local: Locals) -> Iterator[OperationInstance | Problem]:
        """Yield the item's operations in all its repetitions, and its errors on the first visit that finds some."""
        if self.has_failed:
            return
        scope = local
        try:
            repetitions = self.read_repetitions(local)
            indices = repetitions.indices(self.expansion.evaluator, local)
            self.expansion.omits |= not indices
            for index in indices:
                scope = local
                if repetitions is not ONCE:
                    scope = repetitions.enter(self.expansion.evaluator, index, local)
                    if not repetitions.holds(self.expansion.evaluator, scope):
                        self.expansion.omits = True
                        continue
                name = self.full_name(repetitions, index, prefix, scope)
                yield from self.expand(name, scope, is_inside=bool(prefix) or repetitions.repeat is not None)
        except InvalidItemError as error:
            self.has_failed = True
            location = RepeatLocation(self.shown_name(prefix, scope), scope) if prefix or scope else None
            yield from (problem._replace(location=location) for problem in error.problems)

    @abstractmethod
    def expand(self, name: str, local: Locals, is_inside: bool) -> Iterator[OperationInstance | Problem]:
        """Yield the operations of one repetition."""

    @abstractmethod
    def check(self, local: Locals, known: list[Problem] | None = None) -> Any:
        """Return the item checked with these local variables.

        Raises InvalidItemError, with the `known` and all other errors, if it is wrong.
        """

    def count(self, local: Locals) -> int:
        """Return the number of its operations, or some number above the limit; 1 if it is wrong.

        An empty repetition counts as one, as it takes time, too.
        """
        try:
            return len(self.read_repetitions(local).indices(self.expansion.evaluator, local))
        except InvalidItemError:  # reported when it is visited
            return 1

    def read_repetitions(self, local: Locals) -> Repetitions:
        """Return how the item repeats. Raises InvalidItemError if that is wrong."""
        if self.repetitions is None:
            try:
                self.repetitions = read_repetitions(self.written, self.path, self.expansion.evaluator, local)
            except InvalidItemError as error:
                if "as" not in self.written and "with" not in self.written:  # no variable is missing: find all errors
                    self.check(local, error.problems)
                raise
            self.is_repeated |= self.repetitions.repeat is not None
        return self.repetitions

    def full_name(self, repetitions: Repetitions, index: RepeatIndex | None, prefix: str, local: Locals) -> str:
        """Return the full name of a repetition. Raises InvalidItemError if it is not valid."""
        name = written = self.written.get("name") if isinstance(self.written, dict) else None
        if isinstance(written, str) and has_expression(written):
            try:
                name = values.render(self.expansion.evaluator.value(written, local, (*self.path, "name")))
            except ExpressionError:
                name = None
        if not isinstance(name, str) or not is_name(name):
            self.check(local)  # raises the errors of this name and all others
            raise AssertionError(f"{self.path}: no error for the name {name!r}")
        full = f"{prefix}{name}"
        names = self.expansion.evaluator.names(written, self.path, local) if repetitions.repeat is not None else ()
        if repetitions.repeat is not None and repetitions.index not in names:
            full = f"{full}.{index}"
        check_length(full, self.path)
        return full

    def shown_name(self, prefix: str, local: Locals) -> str:
        """Return the full name for errors, as far as it is known."""
        written = self.written.get("name") if isinstance(self.written, dict) else None
        evaluated, _ = self.expansion.evaluator.evaluate({"name": written}, self.path, local)
        name = evaluated["name"]
        return f"{prefix}{name}" if isinstance(name, str) else prefix.removesuffix(".")

    def fields(self) -> Any:
        """Return what is written, without the keys of its repetitions."""
        if not isinstance(self.written, dict):
            return self.written
        return {key: value for key, value in self.written.items() if key not in ENTRY_KEYS}

    def keep(self, key: Any, result: Any) -> None:
        """Cache a result, if it may be asked for again."""
        if self.is_repeated:
            if len(self.cache) == CACHE_SIZE:
                self.cache.clear()
            self.cache[key] = result


class OperationItem(Item):
    """An operation. `texts` are its strings that depend on local variables, whose values are the key of its cache."""

    __slots__ = ("texts",)

    def __init__(self, expansion: Expansion, path: KeyPath, written: Any, is_repeated: bool):
        super().__init__(expansion, path, written, is_repeated)
        self.texts: tuple[str, ...] | None = None

    def expand(self, name: str, local: Locals, is_inside: bool) -> Iterator[OperationInstance | Problem]:
        checked = self._read(local)
        if checked.operation:
            yield OperationInstance(checked.operation, name, self.path, local if is_inside else None, checked)

    def _read(self, local: Locals) -> CheckedOperation:
        """Return the operation, from the cache if it was checked with the same values."""
        if self.texts is None:
            self.texts = tuple(dict.fromkeys(self._find_texts(self.fields(), local))) if local else ()
        key = None
        try:
            found = [self.expansion.evaluator.value(text, local, self.path) for text in self.texts]
            key = repr(found) if found else ""  # repr, since 1 and 1.0 are different values
        except ExpressionError:  # reported by check
            pass
        checked: CheckedOperation | None = self.cache.get(key)
        if checked is None:
            if self.texts:
                self.expansion.count_distinct(1, self.path)
            checked = self.check(local)
            self.keep(key, checked)
        return checked

    def _find_texts(self, value: Any, local: Locals, key: str = "", bound: tuple[str, ...] = ()) -> Iterator[str]:
        """Yield the strings that use local variables; of expressions that are evaluated later, the variables."""
        if isinstance(value, str) and key != "name":
            used = self.expansion.evaluator.names(value, self.path, local)
            yield from [f"${{{name}}}" for name in sorted(used)] if key in bound else [value] if used else []
        elif isinstance(value, dict):
            later = BOUND_KEYS.get(str(value.get("type")), ())
            for inner, entry in value.items():
                yield from self._find_texts(entry, local, inner, later)
        elif isinstance(value, list):
            for entry in value:
                yield from self._find_texts(entry, local)

    def check(self, local: Locals, known: list[Problem] | None = None) -> CheckedOperation:
        fields, problems = self.fields(), list(known or ())
        if isinstance(fields, dict) and isinstance(fields.get("parameters"), dict):
            written = fields["parameters"]
            fields["parameters"], errors = self._select(written, (*self.path, "parameters"), local)
            problems += errors
            if written and not fields["parameters"] and not problems:
                return CheckedOperation(None)
        fields, failures = self.expansion.evaluator.evaluate(fields, self.path, local)
        problems += self.expansion.evaluator.explain(failures)
        operation = None
        try:
            operation = read_typed(OPERATIONS_BY_TYPE, fields, OPERATION_EXPECTED, OPERATION_SYNONYMS)
        except ValidationError as error:
            problems += explain_errors(error, fields, self.path, failures)
        if problems or failures:
            raise InvalidItemError(problems)
        return CheckedOperation(operation)

    def _select(
        self, parameters: Mapping[str, Any], path: KeyPath, local: Locals
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Return the parameters whose conditions hold, and the errors of conditions."""
        selected: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, parameter in parameters.items():
            if not isinstance(parameter, dict) or "when" not in parameter:
                selected[name] = parameter
                continue
            holds = True
            try:
                holds = check_condition(self.expansion.evaluator, parameter["when"], (*path, name, "when"), local)
            except InvalidItemError as error:
                problems += error.problems
            if holds:
                selected[name] = {key: value for key, value in parameter.items() if key != "when"}
            self.expansion.omits |= not holds
        return selected, problems


class ParametersItem(OperationItem):
    """The parameters of a group or of the whole model: an operation of type custom with the group's own name."""

    __slots__ = ()

    def __init__(self, expansion: Expansion, path: KeyPath, parameters: Any, is_repeated: bool):
        written = {"type": "custom", "name": "parameters", "parameters": parameters}
        super().__init__(expansion, path, written, is_repeated)

    def full_name(self, repetitions: Repetitions, index: RepeatIndex | None, prefix: str, local: Locals) -> str:
        return prefix.removesuffix(".")

    def shown_name(self, prefix: str, local: Locals) -> str:
        return prefix.removesuffix(".")


class GroupItem(Item):
    """A group. `inner` are the local variables that its content depends on, whose values are the key of its cache.

    `structure` are the variables that decide how often its content repeats.
    """

    __slots__ = ("inner", "is_checked", "items", "structure")

    def __init__(self, expansion: Expansion, path: KeyPath, written: dict[str, Any], is_repeated: bool):
        super().__init__(expansion, path, written, is_repeated)
        self.items: list[Item] | None = None
        self.inner: tuple[str, ...] | None = None
        self.structure: frozenset[str] | None = None
        self.is_checked = False

    def expand(self, name: str, local: Locals, is_inside: bool) -> Iterator[OperationInstance | Problem]:
        key = self._cache_key(local)
        known: list[OperationInstance] | None = self.cache.get(key)
        if known is not None:
            for operation, suffix, path, its_local, checked in known:
                check_length(name + suffix, path)
                yield OperationInstance(operation, name + suffix, path, its_local, checked)
            return
        if not self.is_checked:
            self.check(local)
            self.is_checked = True
        seen: list[OperationInstance] | None = [] if self.is_repeated else None
        for item in self.content():
            for found in item.visit(f"{name}.", local):
                yield found
                if isinstance(found, Problem) or (seen is not None and len(seen) == CACHE_SIZE):
                    seen = None
                elif seen is not None:
                    seen.append(found._replace(name=found.name[len(name) :]))
        if seen is not None:
            self.keep(key, seen)

    def check(self, local: Locals, known: list[Problem] | None = None) -> None:
        problems = list(known or ())
        fields, failures = self.expansion.evaluator.evaluate(
            {key: value for key, value in self.fields().items() if key != "parameters"},
            self.path,
            local,
            skip_keys=("operations",),
        )
        problems += self.expansion.evaluator.explain(failures)
        try:
            Group.model_validate({"operations": [None], **fields} if "parameters" in self.written else fields)
        except ValidationError as error:
            problems += explain_errors(error, fields, self.path, failures)
        if problems or failures:
            raise InvalidItemError(problems)

    def content(self) -> list[Item]:
        """Return what is in the group: its own parameters, then its operations."""
        if self.items is None:
            operations = self.written.get("operations")
            operations = operations if isinstance(operations, list) else []
            self.expansion.count_distinct(len(operations), self.path)
            self.items = make_items(
                self.expansion, self.path, operations, self.written.get("parameters", ABSENT), self.is_repeated
            )
        return self.items

    def count(self, local: Locals) -> int:
        try:
            repetitions = self.read_repetitions(local)
            indices = repetitions.indices(self.expansion.evaluator, local)
            if self._structure().isdisjoint(repetitions.declared):
                any_scope = {**local, **dict.fromkeys(repetitions.declared, 0)}
                return len(indices) * max(1, sum(item.count(any_scope) for item in self.content()))
            total = 0
            for index in indices:
                scope = repetitions.enter(self.expansion.evaluator, index, local)
                is_visited = repetitions.holds(self.expansion.evaluator, scope)
                total += max(1, sum(item.count(scope) for item in self.content()) if is_visited else 0)
                if total > limits.MAX_OPERATIONS:
                    break
        except InvalidItemError:  # reported when it is visited
            return 1
        return total

    def _cache_key(self, local: Locals) -> tuple[Any, ...]:
        """Return a key that is equal if the local variables that the content uses are equal."""
        if self.inner is None:
            content = {key: self.written.get(key) for key in ("parameters", "operations")}
            self.inner = tuple(sorted(self.expansion.evaluator.names(content, self.path, local))) if local else ()
        used = [local[name] for name in self.inner]
        return (*used, *map(type, used))

    def _structure(self) -> frozenset[str]:
        """Return the variables that decide how often the content repeats."""
        if self.structure is None:
            found = set(names_in(self.written.get("when")))
            for item in self.content():
                if isinstance(item.written, dict):
                    found |= names_in([item.written.get(key) for key in ENTRY_KEYS])
                if isinstance(item, GroupItem):
                    found |= item._structure()
            self.structure = frozenset(found)
        return self.structure


def make_items(
    expansion: Expansion, base: KeyPath, operations: list[Any], parameters: Any, is_repeated: bool
) -> list[Item]:
    """Return the items of a group's, or the model's, own parameters and operations."""
    items: list[Item] = []
    if parameters is not ABSENT:
        items.append(ParametersItem(expansion, base, parameters, is_repeated))
    for index, written in enumerate(operations):
        item = GroupItem if is_group(written) else OperationItem
        items.append(item(expansion, (*base, "operations", index), written, is_repeated))
    return items


def check_distinct(count: int, path: KeyPath) -> None:
    """Raise LimitExceededError if there are too many different items."""
    if count > limits.MAX_DISTINCT_OPERATIONS:
        limit = f"more than {limits.MAX_DISTINCT_OPERATIONS:,} different operations and groups (the limit)"
        raise LimitExceededError(path, f"{limit}, counting those that a local variable makes different")


def check_length(name: str, path: KeyPath) -> None:
    """Raise InvalidItemError if a full name is too long."""
    if len(name) > limits.MAX_NAME_LENGTH:
        problem = f"must have at most {limits.MAX_NAME_LENGTH} characters, got {len(name):,}"
        raise InvalidItemError([Problem((*path, "name"), f"the full name {problem}")])
