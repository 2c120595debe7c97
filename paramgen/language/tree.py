"""The operations of a spec, expanded one by one: repetitions, local variables, conditions and full names.

What does not depend on a local variable is evaluated and checked once, however often it repeats. Operations are
yielded, never collected in a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from paramgen import limits
from paramgen.catalog.entries import CONDITION, REPEAT, Entry, Index
from paramgen.catalog.fields import is_name
from paramgen.catalog.models import read_tagged
from paramgen.catalog.operations import BY_TYPE, Operation
from paramgen.catalog.synonyms import OPERATION_SYNONYMS
from paramgen.formatting import show
from paramgen.language import values
from paramgen.language.diagnostics import Finding, LimitExceededError, RepeatLocation
from paramgen.language.evaluation import BOUND, NO_LOCALS, VALUE_EXPECTED, Evaluator
from paramgen.language.expressions import has_expression, names_in
from paramgen.language.groups import OPERATION_EXPECTED, Group, explain_errors, is_group
from paramgen.language.values import ExpressionError, Value
from paramgen.language.yaml_reader import Path

# Operations kept of one group, or of one operation with different values.
CACHE_SIZE = 1000
# The keys of an entry that are evaluated before the others.
CONTROLS = {field.alias or name for name, field in Entry.model_fields.items()}

Locals = Mapping[str, Value]


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


class _Reading(NamedTuple):
    """An item validated with some local variables, and a cache for what is computed from it."""

    model: Any
    results: dict[Any, Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    """The keys of an item that are evaluated before its others, as written; `repeat` is None without repetition."""

    repeat: Any
    index: str | None
    local: Mapping[str, Any]
    when: Any

    @property
    def declared(self) -> set[str]:
        """The names of the variables that it declares."""
        return {*self.local, *([self.index] if self.index else [])}


_PLAIN = _Entry(None, None, {}, True)


@dataclass(slots=True)
class _Node:
    """An item of a list of operations, or the parameters of a group.

    `texts` are an operation's texts that depend on local variables, `inner` the local variables that a group's content
    depends on, and `structure` the variables that decide how often its content repeats. `cache` holds readings of an
    operation by the values of its texts, and operations of a group by the values of `inner`. An item that is wrong has
    `failed`, and `findings` until they are reported.
    """

    path: Path
    item: Any
    is_group: bool
    is_parameters: bool = False
    entry: _Entry | None = None
    texts: tuple[str, ...] | None = None
    inner: tuple[str, ...] | None = None
    structure: frozenset[str] | None = None
    cache: dict[Any, Any] = field(default_factory=dict)
    children: list[_Node] | None = None
    failed: bool = False
    findings: list[Finding] = field(default_factory=list)

    def fail(self, findings: Iterable[Finding], location: RepeatLocation | None = None) -> None:
        """Mark the item as wrong, and keep its errors."""
        self.failed = True
        self.findings += [finding._replace(location=location) for finding in findings]


class Tree:
    """The items of a spec's `operations`, read as far as they are visited. `omits` if anything was left out."""

    def __init__(self, items: list[Any], parameters: Any, evaluator: Evaluator):
        self.evaluator = evaluator
        self.omits = False
        self._different = 0
        self._nodes = _make_nodes(items, (), parameters)

    def operations(self) -> Iterator[NamedOperation | Finding]:
        """Yield every operation of the model in order, and each error when its item is first visited."""
        self._count_different(len(self._nodes), ("operations",))
        self._check_count()
        for node in self._nodes:
            yield from self._visit(node, "", NO_LOCALS)

    def _visit(self, node: _Node, prefix: str, local: Locals) -> Iterator[NamedOperation | Finding]:
        """Yield the operations of an item in all its repetitions."""
        entry = node.entry or self._read_entry(node, local)
        for index in self._indices(node, entry, prefix, local):
            scope = self._enter(node, entry, index, prefix, local)
            name = None if scope is None else self._name(node, entry, index, prefix, scope)
            if name is not None and scope is not None:
                yield from self._expand(node, name, scope, is_inside=bool(prefix) or entry.repeat is not None)
            if node.failed:
                break
        yield from node.findings
        node.findings = []

    def _expand(self, node: _Node, name: str, local: Locals, is_inside: bool) -> Iterator[NamedOperation | Finding]:
        """Yield the operations of one repetition of an item."""
        if not node.is_group:
            reading = self._read(node, name, local, is_inside)
            if reading and reading.model:
                yield NamedOperation(reading.model, name, node.path, local if is_inside else None, reading.results)
            return
        key = self._group_key(node, local)
        known: list[NamedOperation] | None = node.cache.get(key)
        if known is not None:
            for operation, suffix, path, its_local, results in known:
                yield NamedOperation(operation, name + suffix, path, its_local, results)
                if len(name) + len(suffix) > limits.MAX_NAME_LENGTH:
                    break
            return
        children = self._check_group(node, name, local, is_inside)
        seen: list[NamedOperation] | None = []
        for child in children:
            for found in self._visit(child, f"{name}.", local):
                yield found
                if isinstance(found, Finding) or (seen is not None and len(seen) == CACHE_SIZE):
                    seen = None
                elif seen is not None:
                    seen.append(found._replace(name=found.name[len(name) :]))
        if seen is not None and not any(child.failed for child in children):
            if len(node.cache) == CACHE_SIZE:
                node.cache.clear()
            node.cache[key] = seen

    def _read_entry(self, node: _Node, local: Locals) -> _Entry:
        """Return how an item repeats, as written; mark it as failed if that is wrong."""
        node.entry = _PLAIN
        if not isinstance(node.item, dict) or not CONTROLS & node.item.keys():
            return _PLAIN
        written = {key: node.item[key] for key in CONTROLS & node.item.keys()}
        literal = {key: value for key, value in written.items() if key == "with" or not _uses_expressions(value)}
        if "repeat" in written:
            literal.setdefault("repeat", 1)
        try:
            Entry.model_validate(literal)
        except ValidationError as error:
            node.fail(explain_errors(error, literal, node.path, ()))
        index, declared = written.get("as"), written.get("with", {})
        if not node.failed and index is not None and (index in local or index in self.evaluator.variables):
            taken = "a local variable" if index in local else "a variable of the spec"
            node.fail([Finding((*node.path, "as"), f"{index} is {taken} already; choose another name")])
        if node.failed and not (index or declared):  # the other errors of the item, which no variable of it explains
            self._validate(node, "", NO_LOCALS, None)
        elif not node.failed:
            node.entry = _Entry(written.get("repeat"), index, declared, written.get("when", True))
        return node.entry

    def _indices(self, node: _Node, entry: _Entry, prefix: str, local: Locals) -> Sequence[Index | None]:
        """Return the indices of an item's repetitions; (None,) for one that does not repeat."""
        if node.failed:
            return ()
        if entry.repeat is None:
            return (None,)
        path = (*node.path, "repeat")
        value, failures = self.evaluator.evaluate(entry.repeat, path, local)
        findings = list(self.evaluator.explain(failures))
        if not failures:
            findings = [Finding((*path, *at), message) for at, message, _ in REPEAT.errors(value)]
        if findings or failures:
            node.fail(findings, self._locate(node, prefix, local))
            return ()
        indices: Sequence[Index] = REPEAT.convert(value)
        self.omits |= not indices
        return indices

    def _enter(self, node: _Node, entry: _Entry, index: Index | None, prefix: str, local: Locals) -> Locals | None:
        """Return the local variables of a repetition; None if it is omitted or fails."""
        if entry is _PLAIN:
            return local
        around = {**local, entry.index: index} if entry.index and index is not None else local
        path = (*node.path, "with")
        declared, failures = self.evaluator.evaluate(dict(entry.local), path, around)
        findings = list(self.evaluator.explain(failures))
        if not failures:
            findings = [
                Finding((*path, name), f"{show(value)} is not {VALUE_EXPECTED}")
                for name, value in declared.items()
                if not values.is_value(value)
            ]
        if findings or failures:
            node.fail(findings, self._locate(node, prefix, around))
            return None
        scope = {**around, **{name: values.freeze(value) for name, value in declared.items()}} if declared else around
        holds, failures = self.evaluator.evaluate(entry.when, (*node.path, "when"), scope)
        findings = list(self.evaluator.explain(failures))
        if not failures:
            findings = [Finding((*node.path, "when"), message) for _, message, _ in CONDITION.errors(holds)]
        if findings or failures:
            node.fail(findings, self._locate(node, prefix, scope))
            return None
        self.omits |= not holds
        return scope if holds else None

    def _name(self, node: _Node, entry: _Entry, index: Index | None, prefix: str, local: Locals) -> str | None:
        """Return the full name of a repetition; None if it has none."""
        if node.is_parameters:
            return prefix.removesuffix(".")
        name = written = node.item.get("name") if isinstance(node.item, dict) else None
        if has_expression(written):
            try:
                name = values.render(self.evaluator.value(str(written), local, (*node.path, "name")))
            except ExpressionError:
                name = None
        if not isinstance(name, str) or not is_name(name):
            self._validate(node, f"{prefix}{written}", local, RepeatLocation(prefix, local))
            return None
        full = prefix + name
        if entry.repeat is not None and entry.index not in self.evaluator.names(written, node.path, local):
            full = f"{full}.{index}"
        if len(full) > limits.MAX_NAME_LENGTH:
            problem = f"at most {limits.MAX_NAME_LENGTH} characters, got {len(full):,}"
            node.fail([Finding((*node.path, "name"), f"the whole name must have {problem}")])
            return None
        return full

    def _read(self, node: _Node, name: str, local: Locals, is_inside: bool) -> _Reading | None:
        """Return an operation with these local variables; None if it fails."""
        if node.texts is None:
            node.texts = self._find_texts(node, local)
        key = None
        try:
            found = [self.evaluator.value(text, local, node.path) for text in node.texts]
            key = repr(found) if found else ""
        except ExpressionError:  # reported when it is validated
            pass
        reading: _Reading | None = node.cache.get(key)
        if reading is None:
            if node.texts:
                self._count_different(1, node.path)
            reading = self._validate(node, name, local, RepeatLocation(name, local) if is_inside else None)
            if key is not None and reading:
                if len(node.cache) == CACHE_SIZE:
                    node.cache.clear()
                node.cache[key] = reading
        return reading

    def _find_texts(self, node: _Node, local: Locals) -> tuple[str, ...]:
        """Return the texts that an operation's cache key needs: those that use local variables."""
        found: dict[str, None] = {}

        def search(value: Any, is_bound: bool = False) -> None:
            if isinstance(value, str):
                used = self.evaluator.names(value, node.path, local)
                found.update(
                    dict.fromkeys([f"${{{name}}}" for name in sorted(used)] if is_bound else [value] * bool(used))
                )
            elif isinstance(value, dict):
                later = BOUND.get(str(value.get("type")), ())
                for key, entry in value.items():
                    search(entry, key in later)
            elif isinstance(value, list):
                for entry in value:
                    search(entry)

        if local and isinstance(node.item, dict):
            search({key: value for key, value in node.item.items() if key != "name" and key not in CONTROLS})
        return tuple(found)

    def _validate(self, node: _Node, name: str, local: Locals, location: RepeatLocation | None) -> _Reading | None:
        """Return an operation checked with these local variables; mark it as failed, with all errors, if it is wrong.

        A group is only checked for the errors of its own keys.
        """
        item = node.item
        findings: list[Finding] = []
        if isinstance(item, dict):
            item = {key: value for key, value in item.items() if key not in CONTROLS}
            if isinstance(item.get("parameters"), dict):
                item["parameters"], findings = self._select(item["parameters"], (*node.path, "parameters"), local)
                if not item["parameters"] and node.item["parameters"] and not findings:
                    return _Reading(None, {})
        leave = ("operations", "parameters") if node.is_group else ()
        item, failures = self.evaluator.evaluate(item, node.path, local, leave)
        findings += self.evaluator.explain(failures)
        model: Group | Operation | None = None
        try:
            if node.is_group:
                model = Group.model_validate({**item, "parameters": {}} if "parameters" in item else item)
            else:
                model = read_tagged(BY_TYPE, item, OPERATION_EXPECTED, OPERATION_SYNONYMS)
        except ValidationError as error:
            findings += explain_errors(error, item, node.path, failures)
        if model is None or findings or failures:
            node.fail(findings, location)
            return None
        return _Reading(model, {})

    def _select(self, parameters: dict[str, Any], path: Path, local: Locals) -> tuple[dict[str, Any], list[Finding]]:
        """Return the parameters whose conditions hold, and the errors of conditions."""
        selected: dict[str, Any] = {}
        findings: list[Finding] = []
        for name, parameter in parameters.items():
            holds: Any = True
            if isinstance(parameter, dict) and "when" in parameter:
                at = (*path, name, "when")
                holds, failures = self.evaluator.evaluate(parameter["when"], at, local)
                findings += self.evaluator.explain(failures)
                if not failures:
                    findings += [Finding(at, message) for _, message, _ in CONDITION.errors(holds)]
                parameter = {key: value for key, value in parameter.items() if key != "when"}  # noqa: PLW2901
            if holds is not False:
                selected[name] = parameter
            else:
                self.omits = True
        return selected, findings

    def _check_group(self, node: _Node, name: str, local: Locals, is_inside: bool) -> list[_Node]:
        """Return what is in a group; nothing if the group is wrong."""
        if node.children is None or node.failed:
            reading = self._validate(node, name, local, RepeatLocation(name, local) if is_inside else None)
            if reading is None:
                return []
        return self._children(node)

    def _children(self, node: _Node) -> list[_Node]:
        """Return what is in a group: its own parameters, then its operations."""
        if node.children is None:
            items = node.item.get("operations")
            node.children = _make_nodes(
                items if isinstance(items, list) else [], node.path, node.item.get("parameters")
            )
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
        """Return the number of an item's operations, or some number above the limit.

        Empty repetitions count as one, as they take time, too.
        """
        entry = node.entry or self._read_entry(node, local)
        indices = self._indices(node, entry, "", local)
        if not node.is_group:
            return len(indices)
        children = self._children(node)
        if self._structure(node).isdisjoint(entry.declared):
            return len(indices) * max(1, sum(self._count(child, local) for child in children))
        total = 0
        for index in indices:
            scope = self._enter(node, entry, index, "", local)
            total += 1 if scope is None else max(1, sum(self._count(child, scope) for child in children))
            if total > limits.MAX_OPERATIONS:
                break
        return total

    def _structure(self, node: _Node) -> frozenset[str]:
        """Return the variables that decide how often what is in a group repeats."""
        if node.structure is None:
            found = set(names_in(node.item.get("when")))
            for child in self._children(node):
                if isinstance(child.item, dict):
                    found |= names_in([child.item.get(key) for key in CONTROLS])
                if child.is_group:
                    found |= self._structure(child)
            node.structure = frozenset(found)
        return node.structure

    def _locate(self, node: _Node, prefix: str, local: Locals) -> RepeatLocation | None:
        name = node.item.get("name") if isinstance(node.item, dict) else None
        return RepeatLocation(f"{prefix}{name}", local) if local or prefix else None


def _make_nodes(items: list[Any], base: Path, parameters: Any) -> list[_Node]:
    """Return the nodes of a group's own parameters and of its operations."""
    own = []
    if parameters is not None:
        item = {"type": "custom", "name": "parameters", "parameters": parameters}
        own.append(_Node(base, item, is_group=False, is_parameters=True))
    return own + [_Node((*base, "operations", number), item, is_group(item)) for number, item in enumerate(items)]


def _uses_expressions(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_uses_expressions, value.values() if isinstance(value, dict) else value))
    return has_expression(value)
