"""The operations of a spec, expanded one by one: repetitions, local variables, conditions and full names.

What does not depend on a local variable is evaluated and checked once, however often it repeats. Operations are
yielded, never collected in a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from paramgen import limits
from paramgen.catalog.entries import ENTRY_KEYS, Index
from paramgen.catalog.fields import is_name
from paramgen.catalog.models import read_typed
from paramgen.catalog.operations import BY_TYPE, Operation
from paramgen.catalog.synonyms import OPERATION_SYNONYMS
from paramgen.language import values
from paramgen.language.diagnostics import Finding, InvalidItemError, LimitExceededError, RepeatLocation, explain_errors
from paramgen.language.evaluation import BOUND_KEYS, NO_LOCALS, Evaluator
from paramgen.language.expressions import has_expression, names_in
from paramgen.language.groups import OPERATION_EXPECTED, Group, is_group
from paramgen.language.repetitions import ONCE, Locals, Repetitions, check_condition, read_repetitions
from paramgen.language.values import ExpressionError
from paramgen.language.yaml_reader import Path

# Operations kept of one group, or of one operation with different values.
CACHE_SIZE = 1000


class NamedOperation(NamedTuple):
    """An operation of the model: its full name, its path in the document, and its local variables.

    `results` caches what is computed from the operation, for other instances that differ in name only.
    """

    operation: Operation
    name: str
    path: Path
    local: Locals | None
    results: dict[Any, Any]

    @property
    def location(self) -> RepeatLocation | None:
        """Where an error in it arises; None outside of groups and repetitions."""
        return None if self.local is None else RepeatLocation(self.name, self.local)


class _CheckedOperation(NamedTuple):
    """An operation checked with some local variables (None if it is omitted), and what is computed from it."""

    operation: Operation | None
    results: dict[Any, Any]


@dataclass(slots=True)
class _Node:
    """An item of a list of operations, or the parameters of a group; `is_repeated` if it may be visited again.

    `texts` are an operation's texts that depend on local variables, `inner` the local variables that a group's content
    depends on, and `structure` the variables that decide how often its content repeats. `cache` holds readings of an
    operation by the values of its texts, and operations of a group by the values of `inner`.
    """

    path: Path
    item: Any
    is_group: bool
    is_repeated: bool
    is_parameters: bool = False
    repetitions: Repetitions | None = None
    texts: tuple[str, ...] | None = None
    inner: tuple[str, ...] | None = None
    structure: frozenset[str] | None = None
    children: list[_Node] | None = None
    is_checked: bool = False
    has_failed: bool = False
    cache: dict[Any, Any] = field(default_factory=dict)

    def keep(self, key: Any, result: Any) -> None:
        """Cache a result, if it may be asked for again."""
        if self.is_repeated:
            if len(self.cache) == CACHE_SIZE:
                self.cache.clear()
            self.cache[key] = result


class Tree:
    """The items of a spec's `operations`, read as far as they are visited. `omits` if anything was left out."""

    def __init__(self, items: list[Any], parameters: Any, evaluator: Evaluator):
        self.evaluator = evaluator
        self.omits = False
        self._different = 0
        self._nodes = _make_nodes(items, (), parameters, is_repeated=False)

    def operations(self) -> Iterator[NamedOperation | Finding]:
        """Yield every operation of the model in order, and each error when its item is first visited."""
        self._count_different(len(self._nodes), ("operations",))
        self._check_count()
        for node in self._nodes:
            yield from self._visit(node, "", NO_LOCALS)

    def _visit(self, node: _Node, prefix: str, local: Locals) -> Iterator[NamedOperation | Finding]:
        """Yield the operations of an item in all its repetitions."""
        if node.has_failed:
            return
        scope = local
        try:
            repetitions = self._repetitions(node, local)
            indices = repetitions.indices(self.evaluator, local)
            self.omits |= not indices
            for index in indices:
                scope = local
                if repetitions is not ONCE:
                    scope = repetitions.enter(self.evaluator, index, local)
                    if not repetitions.holds(self.evaluator, scope):
                        self.omits = True
                        continue
                name = self._name(node, repetitions, index, prefix, scope)
                if node.is_group:
                    yield from self._expand(node, name, scope)
                elif (reading := self._read(node, scope)).operation:
                    is_inside = prefix or repetitions.repeat is not None
                    yield NamedOperation(
                        reading.operation, name, node.path, scope if is_inside else None, reading.results
                    )
        except InvalidItemError as error:
            node.has_failed = True
            location = RepeatLocation(self._shown_name(node, prefix, scope), scope) if prefix or scope else None
            yield from (finding._replace(location=location) for finding in error.findings)

    def _expand(self, node: _Node, name: str, local: Locals) -> Iterator[NamedOperation | Finding]:
        """Yield the operations of one repetition of a group."""
        key = self._group_key(node, local)
        known: list[NamedOperation] | None = node.cache.get(key)
        if known is not None:
            for operation, suffix, path, its_local, results in known:
                self._check_length(name + suffix, path)
                yield NamedOperation(operation, name + suffix, path, its_local, results)
            return
        if not node.is_checked:
            self._validate(node, local)
            node.is_checked = True
        seen: list[NamedOperation] | None = [] if node.is_repeated else None
        for child in self._children(node):
            for found in self._visit(child, f"{name}.", local):
                yield found
                if isinstance(found, Finding) or (seen is not None and len(seen) == CACHE_SIZE):
                    seen = None
                elif seen is not None:
                    seen.append(found._replace(name=found.name[len(name) :]))
        if seen is not None:
            node.keep(key, seen)

    def _repetitions(self, node: _Node, local: Locals) -> Repetitions:
        if node.repetitions is None:
            try:
                node.repetitions = read_repetitions(node.item, node.path, self.evaluator, local)
            except InvalidItemError as error:
                if "as" not in node.item and "with" not in node.item:  # no variable is missing: report all errors
                    self._validate(node, local, error.findings)
                raise
            node.is_repeated |= node.repetitions.repeat is not None
        return node.repetitions

    def _name(self, node: _Node, repetitions: Repetitions, index: Index | None, prefix: str, local: Locals) -> str:
        """Return the full name of a repetition. Raises InvalidItemError if it does not have a valid one."""
        if node.is_parameters:
            return prefix.removesuffix(".")
        name = written = node.item.get("name") if isinstance(node.item, dict) else None
        if isinstance(written, str) and has_expression(written):
            try:
                name = values.render(self.evaluator.value(written, local, (*node.path, "name")))
            except ExpressionError:
                name = None
        if not isinstance(name, str) or not is_name(name):
            self._validate(node, local)
            raise AssertionError(name)
        full = prefix + name
        if repetitions.repeat is not None:
            is_indexed = repetitions.index and repetitions.index in self.evaluator.names(written, node.path, local)
            full = full if is_indexed else f"{full}.{index}"
        self._check_length(full, node.path)
        return full

    def _shown_name(self, node: _Node, prefix: str, local: Locals) -> str:
        """Return an item's full name for errors, as far as it is known."""
        name = node.item.get("name") if isinstance(node.item, dict) and not node.is_parameters else None
        name, _ = self.evaluator.evaluate({"name": name}, node.path, local)
        return f"{prefix}{name['name']}" if isinstance(name["name"], str) else prefix.removesuffix(".")

    def _check_length(self, name: str, path: Path) -> None:
        if len(name) > limits.MAX_NAME_LENGTH:
            problem = f"must have at most {limits.MAX_NAME_LENGTH} characters, got {len(name):,}"
            raise InvalidItemError([Finding((*path, "name"), f"the full name {problem}")])

    def _read(self, node: _Node, local: Locals) -> _CheckedOperation:
        """Return an operation checked with these local variables. Raises InvalidItemError if it is wrong."""
        if node.texts is None:
            node.texts = self._find_texts(node, local)
        key = None
        try:
            found = [self.evaluator.value(text, local, node.path) for text in node.texts]
            key = repr(found) if found else ""
        except ExpressionError:  # reported when it is validated
            pass
        reading: _CheckedOperation | None = node.cache.get(key)
        if reading is None:
            if node.texts:
                self._count_different(1, node.path)
            reading = self._validate(node, local)
            node.keep(key, reading)
        return reading

    def _find_texts(self, node: _Node, local: Locals) -> tuple[str, ...]:
        """Return the texts that an operation's cache key needs: those that use local variables."""
        found: dict[str, None] = {}

        def search(value: Any, is_bound: bool = False) -> None:
            if isinstance(value, str):
                used = self.evaluator.names(value, node.path, local)
                texts = [f"${{{name}}}" for name in sorted(used)] if is_bound else [value] if used else []
                found.update(dict.fromkeys(texts))
            elif isinstance(value, dict):
                later = BOUND_KEYS.get(str(value.get("type")), ())
                for key, entry in value.items():
                    search(entry, key in later)
            elif isinstance(value, list):
                for entry in value:
                    search(entry)

        if local and isinstance(node.item, dict):
            search({key: value for key, value in node.item.items() if key != "name" and key not in ENTRY_KEYS})
        return tuple(found)

    def _validate(self, node: _Node, local: Locals, known: list[Finding] | None = None) -> _CheckedOperation:
        """Return an operation checked with these local variables.

        Raises InvalidItemError, with all errors, if it is wrong.

        Of a group, only its own keys are checked.
        """
        item = node.item
        findings = list(known or ())
        if isinstance(item, dict):
            item = {key: value for key, value in item.items() if key not in ENTRY_KEYS}
            if not node.is_group and isinstance(item.get("parameters"), dict):
                item["parameters"], errors = self._select(item["parameters"], (*node.path, "parameters"), local)
                findings += errors
                if not item["parameters"] and node.item["parameters"] and not findings:
                    return _CheckedOperation(None, {})
        skip_keys = ("operations", "parameters") if node.is_group else ()
        item, failures = self.evaluator.evaluate(item, node.path, local, skip_keys)
        findings += self.evaluator.explain(failures)
        operation = None
        try:
            if node.is_group:
                Group.model_validate({**item, "parameters": {"p": _ANY}} if "parameters" in item else item)
            else:
                operation = read_typed(BY_TYPE, item, OPERATION_EXPECTED, OPERATION_SYNONYMS)
        except ValidationError as error:
            findings += explain_errors(error, item, node.path, failures)
        if findings or failures:
            raise InvalidItemError(findings)
        return _CheckedOperation(operation, {})

    def _select(self, parameters: dict[str, Any], path: Path, local: Locals) -> tuple[dict[str, Any], list[Finding]]:
        """Return the parameters whose conditions hold, and the errors of conditions."""
        selected: dict[str, Any] = {}
        findings: list[Finding] = []
        for name, parameter in parameters.items():
            if not isinstance(parameter, dict) or "when" not in parameter:
                selected[name] = parameter
                continue
            holds = True
            try:
                holds = check_condition(self.evaluator, parameter["when"], (*path, name, "when"), local)
            except InvalidItemError as error:
                findings += error.findings
            if holds:
                selected[name] = {key: value for key, value in parameter.items() if key != "when"}
            self.omits |= not holds
        return selected, findings

    def _children(self, node: _Node) -> list[_Node]:
        """Return what is in a group: its own parameters, then its operations."""
        if node.children is None:
            items = node.item.get("operations")
            items = items if isinstance(items, list) else []
            node.children = _make_nodes(items, node.path, node.item.get("parameters"), node.is_repeated)
            self._count_different(len(node.children), node.path)
        return node.children

    def _group_key(self, node: _Node, local: Locals) -> tuple[Any, ...]:
        """Return a cache key: equal if the local variables that a group's content uses are equal."""
        if node.inner is None:
            content = {key: node.item.get(key) for key in ("parameters", "operations")}
            node.inner = tuple(sorted(self.evaluator.names(content, node.path, local))) if local else ()
        used = [local[name] for name in node.inner]
        return (*used, *map(type, used))

    def _count_different(self, count: int, path: Path) -> None:
        self._different += count
        if self._different > limits.MAX_DIFFERENT_OPERATIONS:
            limit = f"more than {limits.MAX_DIFFERENT_OPERATIONS:,} different operations and groups (the limit)"
            raise LimitExceededError(path, f"{limit}, counting those that a local variable makes different")

    def _check_count(self) -> None:
        """Raise LimitExceededError if there are too many operations, before any is read."""
        total = 0
        for node in self._nodes:
            total += self._count(node, NO_LOCALS)
            if total > limits.MAX_OPERATIONS:
                message = f"expands to more than {limits.MAX_OPERATIONS:,} operations (the limit)"
                raise LimitExceededError((*node.path, "repeat"), message)

    def _count(self, node: _Node, local: Locals) -> int:
        """Return the number of an item's operations, or some number above the limit; 1 if it is wrong.

        An empty repetition counts as one, as it takes time, too.
        """
        try:
            repetitions = self._repetitions(node, local)
            indices = repetitions.indices(self.evaluator, local)
            if not node.is_group:
                return len(indices)
            children = self._children(node)
            if self._structure(node).isdisjoint(repetitions.declared):
                any_scope: Locals = {**local, **dict.fromkeys(repetitions.declared, 0)}
                return len(indices) * max(1, sum(self._count(child, any_scope) for child in children))
            total = 0
            for index in indices:
                scope = repetitions.enter(self.evaluator, index, local)
                is_visited = repetitions.holds(self.evaluator, scope)
                total += max(1, sum(self._count(child, scope) for child in children) if is_visited else 0)
                if total > limits.MAX_OPERATIONS:
                    break
        except InvalidItemError:  # reported when it is visited
            return 1
        return total

    def _structure(self, node: _Node) -> frozenset[str]:
        """Return the variables that decide how often what is in a group repeats."""
        if node.structure is None:
            found = set(names_in(node.item.get("when")))
            for child in self._children(node):
                if isinstance(child.item, dict):
                    found |= names_in([child.item.get(key) for key in ENTRY_KEYS])
                if child.is_group:
                    found |= self._structure(child)
            node.structure = frozenset(found)
        return node.structure


_ANY = {"shape": [], "initializer": "zeros"}


def _make_nodes(items: list[Any], base: Path, parameters: Any, is_repeated: bool) -> list[_Node]:
    """Return the nodes of a group's own parameters and of its operations."""
    nodes = []
    if parameters is not None:
        item = {"type": "custom", "name": "parameters", "parameters": parameters}
        nodes.append(_Node(base, item, False, is_repeated, is_parameters=True))
    path = (*base, "operations")
    return nodes + [_Node((*path, number), item, is_group(item), is_repeated) for number, item in enumerate(items)]
