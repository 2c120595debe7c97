"""Items of a spec's `operations`, each with its repetitions; this file has all but groups.

An item that uses no local variable is evaluated and checked once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from paramgen import limits
from paramgen.catalog.entries import ENTRY_KEYS, RepeatIndex
from paramgen.catalog.fields import KeyPath, is_name
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, Operation
from paramgen.catalog.spec_model import read_typed
from paramgen.catalog.synonyms import OPERATION_SYNONYMS
from paramgen.language import values
from paramgen.language.diagnostics import InvalidItemError, LimitExceededError, Problem, RepeatLocation, explain_errors
from paramgen.language.evaluation import Evaluator, deferred_keys
from paramgen.language.expressions import has_expression
from paramgen.language.groups import OPERATION_EXPECTED
from paramgen.language.repetitions import NOT_REPEATED, Repetitions, Scope, check_condition, read_repetitions
from paramgen.language.values import ExpressionError

# Entries in the cache of an item, one per combination of local variables.
CACHE_SIZE = 1000


@dataclass(eq=False, slots=True)
class CheckedOperation:
    """An operation whose fields are checked: one object for all instances that differ in name only.

    `choices` is for planning, which computes it once for all of them.
    """

    operation: Operation
    choices: Any = None


@dataclass(slots=True)
class OperationInstance:
    """An operation of the model: its full name, its path in the document, and its local variables."""

    checked: CheckedOperation
    name: str
    path: KeyPath
    local: Scope | None

    @property
    def operation(self) -> Operation:
        return self.checked.operation

    @property
    def location(self) -> RepeatLocation | None:
        """Where an error in it arises; None outside of groups and repetitions."""
        return None if self.local is None else RepeatLocation(self.name, self.local)


@dataclass(slots=True)
class ExpansionState:
    """The state that the items of one spec share; `has_omissions` is True once anything was omitted.

    If `omitted` is a dict, nothing is cached, and it collects the full name of each item whose condition is false, with
    the path of the condition.
    """

    evaluator: Evaluator
    has_omissions: bool
    num_distinct: int = 0
    omitted: dict[str, KeyPath] | None = None

    def count_distinct(self, count: int, path: KeyPath) -> None:
        """Count items that are read. Raises LimitExceededError if there are too many."""
        self.num_distinct += count
        check_distinct_limit(self.num_distinct, path)


class Item(ABC):
    """An item as written in `source`. With `is_repeated` it may be visited again, with other names or variables."""

    __slots__ = ("_cache", "_constant_name", "_repetitions", "has_failed", "is_repeated", "path", "source", "state")

    def __init__(self, state: ExpansionState, path: KeyPath, source: Any, is_repeated: bool):
        self.state = state
        self.path = path
        self.source = source
        self.is_repeated = is_repeated
        self.has_failed = False
        self._repetitions: Repetitions | None = None
        self._constant_name: str | None = None
        self._cache: dict[Any, Any] = {}

    def visit(self, prefix: str, outer: Scope) -> Iterator[OperationInstance | Problem]:
        """Yield the item's operations in all its repetitions, and its errors on the first visit that finds some."""
        if self.has_failed:
            return
        scope, evaluator = outer, self.state.evaluator
        try:
            repetitions = self.read_repetitions(outer)
            indices = repetitions.indices(evaluator, outer)
            self.state.has_omissions |= not indices
            for index in indices:
                scope = outer
                if repetitions is not NOT_REPEATED:
                    scope = repetitions.scope_of(evaluator, index, outer)
                    if not repetitions.condition_holds(evaluator, scope):
                        self.state.has_omissions = True
                        if self.state.omitted is not None:
                            name = self.full_name(repetitions, index, prefix, scope)
                            self.state.omitted[name] = (*self.path, "when")
                        continue
                name = self.full_name(repetitions, index, prefix, scope)
                yield from self.expand(name, scope, is_inside=bool(prefix) or repetitions.repeat is not None)
        except InvalidItemError as error:
            self.has_failed = True
            location = RepeatLocation(self.shown_name(prefix, scope), scope) if prefix or scope else None
            yield from (problem._replace(location=location) for problem in error.problems)

    @abstractmethod
    def expand(self, name: str, scope: Scope, is_inside: bool) -> Iterable[OperationInstance | Problem]:
        """Return the operations of one repetition."""

    @abstractmethod
    def check(self, scope: Scope, known: list[Problem] | None = None) -> Any:
        """Return the item checked in a scope. Raises InvalidItemError with all errors, the `known` ones included."""

    def count(self, scope: Scope) -> int:
        """Return the number of operations (exact up to the limit). Invalid items and empty repetitions count as one."""
        try:
            return len(self.read_repetitions(scope).indices(self.state.evaluator, scope))
        except InvalidItemError:  # reported when it is visited
            return 1

    def read_repetitions(self, scope: Scope) -> Repetitions:
        """Return how the item repeats. Raises InvalidItemError if that is wrong."""
        if self._repetitions is None:
            try:
                self._repetitions = read_repetitions(self.source, self.path, self.state.evaluator, scope)
            except InvalidItemError as error:
                if "as" not in self.source and "with" not in self.source:  # no variable is missing: find all errors
                    self.check(scope, error.problems)
                raise
            self.is_repeated |= self._repetitions.repeat is not None
        return self._repetitions

    def full_name(self, repetitions: Repetitions, index: RepeatIndex | None, prefix: str, scope: Scope) -> str:
        """Return the full name of a repetition. Raises InvalidItemError if it is not valid."""
        name, is_indexed = self._constant_name, False
        if name is None:
            name = self._read_name(scope)
            written = self.source["name"]
            is_indexed = repetitions.index in self.state.evaluator.names(written, self.path, scope)
            if not has_expression(written):
                self._constant_name = name
        full = prefix + name
        if repetitions.repeat is not None and not is_indexed:
            full = f"{full}.{index}"
        check_name_length(full, self.path)
        return full

    def _read_name(self, scope: Scope) -> str:
        """Return the item's own name. Raises InvalidItemError if it is not valid."""
        name = written = self.source.get("name") if isinstance(self.source, dict) else None
        if isinstance(written, str) and has_expression(written):
            try:
                name = values.render(self.state.evaluator.value(written, scope, (*self.path, "name")))
            except ExpressionError:
                name = None
        if not isinstance(name, str) or not is_name(name):
            self.check(scope)  # raises the errors of this name and all others
            raise AssertionError(f"{self.path}: no error for the name {name!r}")
        return name

    def shown_name(self, prefix: str, scope: Scope) -> str:
        """Return the full name for errors, as far as it is known."""
        written = self.source.get("name") if isinstance(self.source, dict) else None
        evaluated, _ = self.state.evaluator.evaluate({"name": written}, self.path, scope)
        name = evaluated["name"]
        return f"{prefix}{name}" if isinstance(name, str) else prefix.removesuffix(".")

    def operation_source(self) -> Any:
        """Return the source without `repeat`, `as`, `with` and `when`."""
        if not isinstance(self.source, dict):
            return self.source
        return {key: value for key, value in self.source.items() if key not in ENTRY_KEYS}

    def _remember(self, key: Any, result: Any) -> None:
        """Cache a result, if it may be asked for again."""
        if self.is_repeated and self.state.omitted is None:
            if len(self._cache) == CACHE_SIZE:
                self._cache.clear()
            self._cache[key] = result


class OperationItem(Item):
    """An operation. `_variable_texts` are its strings that use local variables; their values are the cache key."""

    __slots__ = ("_variable_texts",)

    def __init__(self, state: ExpansionState, path: KeyPath, source: Any, is_repeated: bool):
        super().__init__(state, path, source, is_repeated)
        self._variable_texts: tuple[str, ...] | None = None

    def expand(self, name: str, scope: Scope, is_inside: bool) -> Iterable[OperationInstance | Problem]:
        checked = self._read(scope)
        return (OperationInstance(checked, name, self.path, scope if is_inside else None),) if checked else ()

    def _read(self, scope: Scope) -> CheckedOperation | None:
        """Return the operation, from the cache if it was checked with the same values; None if it is omitted."""
        if self._variable_texts is None:
            texts = self._find_texts(self.operation_source(), scope) if scope else ()
            self._variable_texts = tuple(dict.fromkeys(texts))
        key = None
        try:
            values_of_texts = [self.state.evaluator.value(text, scope, self.path) for text in self._variable_texts]
            key = repr(values_of_texts) if values_of_texts else ""  # repr, since 1 and 1.0 are different values
        except ExpressionError:  # reported by check
            pass
        if key in self._cache:
            checked: CheckedOperation | None = self._cache[key]
            return checked
        if self._variable_texts:
            self.state.count_distinct(1, self.path)
        checked = self.check(scope)
        self._remember(key, checked)
        return checked

    def _find_texts(self, value: Any, scope: Scope, key: str = "", deferred: Collection[str] = ()) -> Iterator[str]:
        """Yield the strings that use local variables.

        An expression that is evaluated later cannot be a key, so each of its local variables is yielded instead.
        """
        if isinstance(value, str) and key != "name":
            used = self.state.evaluator.names(value, self.path, scope)
            yield from [f"${{{name}}}" for name in sorted(used)] if key in deferred else [value] if used else []
        elif isinstance(value, dict):
            inner_deferred = deferred_keys(value)
            for inner, entry in value.items():
                yield from self._find_texts(entry, scope, inner, inner_deferred)
        elif isinstance(value, list):
            for entry in value:
                yield from self._find_texts(entry, scope)

    def check(self, scope: Scope, known: list[Problem] | None = None) -> CheckedOperation | None:
        fields, problems = self.operation_source(), list(known or ())
        if isinstance(fields, dict) and isinstance(fields.get("parameters"), dict):
            written = fields["parameters"]
            fields["parameters"], errors = self._select(written, (*self.path, "parameters"), scope)
            problems += errors
            if written and not fields["parameters"] and not problems:
                return None
        fields, failures = self.state.evaluator.evaluate(fields, self.path, scope)
        problems += self.state.evaluator.explain(failures)
        try:
            checked = CheckedOperation(read_typed(OPERATIONS_BY_TYPE, fields, OPERATION_EXPECTED, OPERATION_SYNONYMS))
        except ValidationError as error:
            problems += explain_errors(error, fields, self.path, failures)
        if problems or failures:
            raise InvalidItemError(problems)
        return checked

    def _select(
        self, parameters: Mapping[str, Any], path: KeyPath, scope: Scope
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
                holds = check_condition(self.state.evaluator, parameter["when"], (*path, name, "when"), scope)
            except InvalidItemError as error:
                problems += error.problems
            if holds:
                selected[name] = {key: value for key, value in parameter.items() if key != "when"}
            self.state.has_omissions |= not holds
        return selected, problems


class ParametersItem(OperationItem):
    """The parameters of a group or of the whole model: an operation of type custom with the group's own name."""

    __slots__ = ()

    def __init__(self, state: ExpansionState, path: KeyPath, parameters: Any, is_repeated: bool):
        source = {"type": "custom", "name": "parameters", "parameters": parameters}
        super().__init__(state, path, source, is_repeated)

    def full_name(self, repetitions: Repetitions, index: RepeatIndex | None, prefix: str, scope: Scope) -> str:
        return prefix.removesuffix(".")

    def shown_name(self, prefix: str, scope: Scope) -> str:
        return prefix.removesuffix(".")


def check_distinct_limit(count: int, path: KeyPath) -> None:
    """Raise LimitExceededError if there are too many different items."""
    if count > limits.MAX_DISTINCT_OPERATIONS:
        limit = f"more than {limits.MAX_DISTINCT_OPERATIONS:,} distinct operations and groups (the limit)"
        raise LimitExceededError(path, f"{limit}, counting each combination of local variables")


def check_name_length(name: str, path: KeyPath) -> None:
    """Raise InvalidItemError if a full name is too long."""
    if len(name) > limits.MAX_NAME_LENGTH:
        problem = f"must have at most {limits.MAX_NAME_LENGTH} characters, got {len(name):,}"
        raise InvalidItemError([Problem((*path, "name"), f"the full name {problem}")])
