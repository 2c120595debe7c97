"""Expansion of a spec's groups and operations to the operations of the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from paramgen import limits
from paramgen.catalog.entries import ENTRY_KEYS
from paramgen.catalog.fields import KeyPath
from paramgen.language.diagnostics import InvalidItemError, LimitExceededError, Problem, explain_errors
from paramgen.language.evaluation import EMPTY_SCOPE, Evaluator
from paramgen.language.expressions import KEYWORDS, names_in
from paramgen.language.groups import Group, is_group
from paramgen.language.items import (
    ExpansionState,
    Item,
    OperationInstance,
    OperationItem,
    ParametersItem,
    check_name_length,
)
from paramgen.language.repetitions import Scope

# Operations of one repetition of a group that are cached. 700,000 repetitions of fourteen nested groups take 10 s, and
# 55 s if they cannot be cached.
MAX_CACHED_OPERATIONS: Final = 1000
# Marks missing parameters, because null is a (wrong) value.
ABSENT: Final = object()


class OperationExpander:
    """Expands a spec's items to the operations of the model. They are yielded, never collected in a list."""

    def __init__(self, operations: list[Any], parameters: Any, evaluator: Evaluator, has_omissions: bool):
        self._state = ExpansionState(evaluator, has_omissions)
        self._operations, self._parameters = operations, parameters

    def omitted_items(self) -> dict[str, KeyPath]:
        """Return the full name of each item whose condition is false, with the path of the condition; expand all."""
        self._state.omitted = {}
        for _ in self.operations():
            pass
        return self._state.omitted

    @property
    def has_omissions(self) -> bool:
        """True once a condition was false or a repetition was empty."""
        return self._state.has_omissions

    def operations(self) -> Iterator[OperationInstance | Problem]:
        """Yield every operation of the model in order, and each error when its item is first visited."""
        self._state.count_distinct(len(self._operations), ("operations",))
        items = _make_items(self._state, (), self._operations, self._parameters, is_repeated=False)
        _check_count(items)
        for item in items:
            yield from item.visit("", EMPTY_SCOPE)


class GroupItem(Item):
    """A group. `_content_variables` are the local variables used inside; their values are the cache key.

    `_structure_variables` decide how often its content repeats.
    """

    __slots__ = ("_children", "_content_variables", "_is_checked", "_structure_variables")

    def __init__(self, state: ExpansionState, path: KeyPath, source: dict[str, Any], is_repeated: bool):
        super().__init__(state, path, source, is_repeated)
        self._children: list[Item] | None = None
        self._content_variables: tuple[str, ...] | None = None
        self._structure_variables: frozenset[str] | None = None
        self._is_checked = False

    def expand(self, name: str, scope: Scope, is_inside: bool) -> Iterator[OperationInstance | Problem]:
        key = self._cache_key(scope)
        cached: list[OperationInstance] | None = self._cache.get(key)
        if cached is not None:
            for instance in cached:
                full_name = name + instance.name
                check_name_length(full_name, instance.path)
                yield OperationInstance(instance.checked, full_name, instance.path, instance.local)
            return
        if not self._is_checked:
            self.check(scope)
            self._is_checked = True
        instances: list[OperationInstance] | None = [] if self.is_repeated else None
        for child in self.children():
            for item in child.visit(f"{name}.", scope):
                yield item
                if isinstance(item, Problem) or (instances is not None and len(instances) == MAX_CACHED_OPERATIONS):
                    instances = None
                elif instances is not None:
                    instances.append(OperationInstance(item.checked, item.name[len(name) :], item.path, item.local))
        if instances is not None:
            self._remember(key, instances)

    def check(self, scope: Scope, known: list[Problem] | None = None) -> None:
        problems = list(known or ())
        fields, failures = self.state.evaluator.evaluate(
            {key: value for key, value in self.operation_source().items() if key != "parameters"},
            self.path,
            scope,
            skip_keys=("operations",),
        )
        problems += self.state.evaluator.explain(failures)
        try:
            Group.model_validate({"operations": [None], **fields} if "parameters" in self.source else fields)
        except ValidationError as error:
            problems += explain_errors(error, fields, self.path, failures)
        if problems or failures:
            raise InvalidItemError(problems)

    def children(self) -> list[Item]:
        """Return the group's items: its own parameters, then its operations."""
        if self._children is None:
            operations = self.source.get("operations")
            operations = operations if isinstance(operations, list) else []
            self.state.count_distinct(len(operations), self.path)
            self._children = _make_items(
                self.state, self.path, operations, self.source.get("parameters", ABSENT), self.is_repeated
            )
        return self._children

    def count(self, scope: Scope) -> int:
        try:
            repetitions = self.read_repetitions(scope)
            indices = repetitions.indices(self.state.evaluator, scope)
            declared = repetitions.declared_names
            if KEYWORDS.isdisjoint(declared) and self._find_structure_variables().isdisjoint(declared):
                any_scope = {**scope, **dict.fromkeys(declared, 0)}
                return len(indices) * max(1, sum(item.count(any_scope) for item in self.children()))
            total = 0
            for index in indices:
                inner = repetitions.scope_of(self.state.evaluator, index, scope)
                is_visited = repetitions.condition_holds(self.state.evaluator, inner)
                total += max(1, sum(item.count(inner) for item in self.children()) if is_visited else 0)
                if total > limits.MAX_OPERATIONS:
                    break
        except InvalidItemError:  # reported when it is visited
            return 1
        return total

    def _cache_key(self, scope: Scope) -> str:
        """Return a key that is equal if the local variables that the content uses are equal."""
        if self._content_variables is None:
            content = {key: self.source.get(key) for key in ("parameters", "operations")}
            self._content_variables = (
                tuple(sorted(self.state.evaluator.names(content, self.path, scope))) if scope else ()
            )
        used = [scope[name] for name in self._content_variables]
        for value in used:
            if type(value) is tuple:
                self.state.evaluator.count_terms(len(value), self.path)
        return repr(used)  # repr, since 1 and 1.0 are different values

    def _find_structure_variables(self) -> frozenset[str]:
        """Return the variables that decide how often the content repeats."""
        if self._structure_variables is None:
            variables = set(names_in(self.source.get("when")))
            for child in self.children():
                if isinstance(child.source, dict):
                    variables |= names_in([child.source.get(key) for key in ENTRY_KEYS])
                if isinstance(child, GroupItem):
                    variables |= child._find_structure_variables()
            self._structure_variables = frozenset(variables)
        return self._structure_variables


def _make_items(
    state: ExpansionState, base: KeyPath, operations: list[Any], parameters: Any, is_repeated: bool
) -> list[Item]:
    """Return the items of a group's, or the model's, own parameters and operations."""
    items: list[Item] = []
    if parameters is not ABSENT:
        items.append(ParametersItem(state, base, parameters, is_repeated))
    for index, written in enumerate(operations):
        item = GroupItem if is_group(written) else OperationItem
        items.append(item(state, (*base, "operations", index), written, is_repeated))
    return items


def _check_count(items: list[Item]) -> None:
    """Raise LimitExceededError if there are too many operations.

    They are counted first because expanding a million of them takes seconds.
    """
    total = 0
    for item in items:
        total += item.count(EMPTY_SCOPE)
        if total > limits.MAX_OPERATIONS:
            message = f"expands to more than {limits.MAX_OPERATIONS:,} operations (the limit)"
            raise LimitExceededError((*item.path, "repeat"), message)
