"""The operations of a spec: groups and repetitions as written, expanded one by one.

An item that depends on no index is evaluated and checked once, however often it repeats. Operations are yielded, never
collected in a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from paramgen import limits
from paramgen.catalog.models import (
    MAX_SUGGESTIONS,
    RESERVED,
    UNKNOWN,
    WRONG,
    Expected,
    FieldError,
    Model,
    Name,
    is_name,
    read_tagged,
    reserved,
)
from paramgen.catalog.operations import BY_TYPE, Operation
from paramgen.formatting import near, show
from paramgen.language.diagnostics import Finding, LimitExceededError, RepeatLocation
from paramgen.language.evaluation import Evaluator
from paramgen.language.expressions import (
    VARIABLE_EXPECTED,
    ExpressionError,
    is_variable,
)
from paramgen.language.yaml_reader import Path, normalize

OPERATION_EXPECTED = "an operation: a mapping with name and type; or a group: one with name and operations"
# Results cached for one operation at different indices, or operations cached for one group.
CACHE_SIZE = 1000


class Group(Model):
    """Operations named <group>.<operation>, or <group>.<index>.<operation> if the group repeats."""

    label = "a group"
    name: Name = Field(description="name of the group; its operations are named <group>.<operation>.")
    repeat: Annotated[
        int | None,
        Field(ge=1, le=limits.MAX_OPERATIONS),
        Expected(f"an integer from 1 to {limits.MAX_OPERATIONS:,}"),
    ] = Field(default=None, description="how often; the operations are then named <group>.<index>.<operation>.")
    index: Annotated[str | None, Expected(VARIABLE_EXPECTED)] = Field(
        default=None, alias="as", description="variable that is the index, 0 and up, in the group."
    )
    operations: Annotated[
        list[Any], Field(min_length=1), Expected("a list of operations, at least one", OPERATION_EXPECTED)
    ] = Field(description="its operations, and groups of them.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        if data.get("name") == RESERVED:
            yield reserved(("name",), WRONG)
        if isinstance(data.get("as"), str) and not is_variable(data["as"]):
            yield ("as",), f"{show(data['as'])} is not {VARIABLE_EXPECTED}", WRONG
        if "as" in data and "repeat" not in data:
            yield ("as",), "names the index of a repetition; add repeat, or remove this", UNKNOWN


class NamedOperation(NamedTuple):
    """An operation of the model: its full name, its path in the document, and the indices around it there.

    `results` caches what is worked out of the operation, for the other instances that differ in name only.
    """

    operation: Operation
    name: str
    path: Path
    indices: Mapping[str, int] | None
    results: dict[Any, Any]

    @property
    def location(self) -> RepeatLocation | None:
        """Where an error in it arises; None outside of groups."""
        return None if self.indices is None else RepeatLocation(self.name, self.indices)


class _Reading(NamedTuple):
    """An item validated at some indices, and a cache for what is computed from it."""

    model: Any
    results: dict[Any, Any]


@dataclass(slots=True)
class _Node:
    """An item of a list of operations.

    `used` are the indices that it depends on: in its name, which is `title` if it does, or in other `texts`, which
    depend on `names`. `readings` are by the values of the texts; `last` is the one for the indices' values `key`.
    An item that is wrong has `failed`, and `findings` until they are reported. A group has `children`; `walked` are
    these without the groups that could be dissolved, each with the prefix of its name. The numbers of repetitions
    inside depend on `inner_names`.
    """

    path: Path
    item: Any
    is_group: bool
    repeated: bool
    used: frozenset[str] | None = None
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    title: str | None = None
    readings: dict[str, _Reading] = field(default_factory=dict)
    key: tuple[int, ...] = ()
    last: _Reading | None = None
    failed: bool = False
    findings: list[Finding] = field(default_factory=list)
    children: list[_Node] | None = None
    walked: list[tuple[str, _Node]] | None = None
    inner_names: frozenset[str] | None = None


def is_group(item: Any) -> bool:
    """Return whether an item is a group: without a type, and with operations, however misspelt."""
    if not isinstance(item, dict) or "type" in item:
        return False
    return "operations" in item or any(near(key, ("operations",)) for key in islice(item, MAX_SUGGESTIONS))


def check_different(count: int, path: Path) -> None:
    """Raise LimitExceededError if there are more different operations than a spec may have."""
    if count > limits.MAX_DIFFERENT_OPERATIONS:
        limit = f"more than {limits.MAX_DIFFERENT_OPERATIONS:,} different operations and groups (the limit)"
        raise LimitExceededError(path, f"{limit}, counting those that an index makes different")


class Tree:
    """The items of a spec's `operations`, read as far as they are visited."""

    def __init__(self, items: list[Any], evaluator: Evaluator):
        self.evaluator = evaluator
        self._nodes = _make_nodes(items, ("operations",), repeated=False)
        self._different = 0

    def operations(self) -> Iterator[NamedOperation | Finding]:
        """Yield every operation of the model in order, and each error when its item is first visited."""
        self._check_count()
        yield from self._visit([("", node) for node in self._nodes], "", {})

    def _children(self, node: _Node, group: Group) -> list[_Node]:
        if node.children is None:
            repeated = node.repeated or group.repeat is not None
            node.children = _make_nodes(group.operations, (*node.path, "operations"), repeated)
        return node.children

    def _visit(
        self, nodes: list[tuple[str, _Node]], prefix: str, indices: Mapping[str, int]
    ) -> Iterator[NamedOperation | Finding]:
        for before, node in nodes:
            base = prefix + before
            reading = node.last if node.last and not node.names else self._read(node, base, indices)
            model = reading.model if reading else None
            own = model.name if model and node.title is None else self._title(node, base, indices) if model else None
            if own is not None and len(base) + len(own) > limits.MAX_NAME_LENGTH:
                problem = f"at most {limits.MAX_NAME_LENGTH} characters, got {len(base) + len(own):,}"
                _fail(node, [Finding((*node.path, "name"), f"the whole name must have {problem}")])
                own = None
            if reading is None or own is None:
                yield from node.findings
                node.findings = []
            elif not node.is_group:
                yield NamedOperation(reading.model, base + own, node.path, indices if base else None, reading.results)
                if not node.repeated:
                    node.last = None  # saves memory: there may be 100,000
            else:
                for inner, within in _repetitions(reading.model, base + own, indices):
                    yield from self._visit(self._walked(node, reading.model, inner, within), inner, within)

    def _walked(self, node: _Node, group: Group, prefix: str, indices: Mapping[str, int]) -> list[tuple[str, _Node]]:
        """Return what a group's repetitions visit: its children, constant groups replaced by their content."""
        if node.walked is None:
            node.walked = []
            for child in self._children(node, group):
                node.walked += self._dissolved(child, prefix, indices) if child.is_group else [("", child)]
        return node.walked

    def _dissolved(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> list[tuple[str, _Node]]:
        reading = self._read(node, prefix, indices)
        if reading and not node.used and (reading.model.repeat or 1) <= CACHE_SIZE:
            group = reading.model
            inner, within = next(_repetitions(group, prefix + group.name, indices))
            walked = self._walked(node, group, inner, within)
            few = len(walked) * (group.repeat or 1) <= CACHE_SIZE
            if few and not any(one.is_group or group.index in self._used(one, within) for _, one in walked):
                repetitions = [before for before, _ in _repetitions(group, group.name, {})]
                return [(before + deeper, one) for before in repetitions for deeper, one in walked]
        return [("", node)]

    def _read(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> _Reading | None:
        """Return the node's operation or group at these indices, or None if that is wrong."""
        if node.failed:
            return None
        self._used(node, indices)
        key = tuple([indices[name] for name in node.names])
        if node.last is None or node.key != key:
            node.key = key
            values = self._values(node, indices)
            node.last = node.readings.get(values)
            if node.last is None:
                node.last = self._reading(node, prefix, indices)
                if node.names and node.last:
                    if len(node.readings) == CACHE_SIZE:
                        node.readings.clear()
                    node.readings[values] = node.last
        return node.last

    def _used(self, node: _Node, indices: Mapping[str, int]) -> frozenset[str]:
        """Return the indices that the node depends on; find them on the first call."""
        if node.used is not None:
            return node.used
        node.used = frozenset()
        if not indices or not isinstance(node.item, dict):
            return node.used
        found: dict[str, None] = {}
        names: set[str] = set()

        def search(value: Any) -> None:
            if isinstance(value, str):
                if used := self.evaluator.names(value, node.path) & indices.keys():
                    found[value] = None
                    names.update(used)
            elif isinstance(value, (dict, list)):
                for entry in value.values() if isinstance(value, dict) else value:
                    search(entry)

        search({key: value for key, value in node.item.items() if key not in ("name", "operations")})
        node.texts, node.names = tuple(found), tuple(names)
        title = self.evaluator.names(node.item.get("name"), node.path) & indices.keys()
        if title:
            node.title = node.item["name"]
        node.used = title.union(names)
        return node.used

    def _values(self, node: _Node, indices: Mapping[str, int]) -> str:
        """Return a cache key: equal if the node's texts have equal values of equal types (1 is not 1.0)."""
        try:
            return repr([self.evaluator.value(text, indices, node.path) for text in node.texts])
        except ExpressionError:  # reported when it is read
            return ""

    def _title(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> str | None:
        """Return the name at these indices of a node that is valid at others; None if it fails."""
        assert node.title
        try:
            name = str(self.evaluator.value(node.title, indices, (*node.path, "name")))
        except ExpressionError:
            name = ""
        if is_name(name):
            return name
        reading = self._reading(node, prefix, indices)
        return reading.model.name if reading else None

    def _reading(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> _Reading | None:
        """Return the node validated at these indices; None if it fails."""
        if node.names:
            self._count_different(1, node.path)
        leave = ("operations",) if node.is_group else ()
        item, unknown, findings = self.evaluator.evaluate(node.item, node.path, indices, leave)
        model: Group | Operation | None = None
        try:
            model = Group.model_validate(item) if node.is_group else read_tagged(BY_TYPE, item, OPERATION_EXPECTED)
        except ValidationError as error:
            findings += explain_errors(error, item, node.path, unknown)
        if isinstance(model, Group) and model.index is not None:
            taken = "the index of a group around it" if model.index in indices else "a variable of the spec"
            if model.index in indices or model.index in self.evaluator.variables:
                message = f"{model.index} is {taken} already; choose another name"
                findings.append(Finding((*node.path, "as"), message))
        if model is None or findings or unknown:
            name = item.get("name") if isinstance(item, dict) else None
            location = RepeatLocation(f"{prefix}{name}", indices) if prefix else None
            _fail(node, [finding._replace(location=location) for finding in findings])
            return None
        return _Reading(model, {})

    def _count_different(self, count: int, path: Path) -> None:
        self._different += count
        check_different(self._different, path)

    def _check_count(self) -> None:
        """Raise LimitExceededError if there are too many operations, before any is read."""
        self._different = len(self._nodes)
        total = 0
        for node in self._nodes:
            total += self._count([node], "", {})
            if total > limits.MAX_OPERATIONS:
                message = f"expands to more than {limits.MAX_OPERATIONS:,} operations (the limit)"
                raise LimitExceededError((*node.path, "repeat"), message)

    def _count(self, nodes: list[_Node], prefix: str, indices: Mapping[str, int]) -> int:
        """Return the number of operations, or some number above the limit."""
        total = 0
        for node in nodes:
            reading = self._read(node, prefix, indices) if node.is_group else None
            if reading is None:  # an operation, or an invalid group, which counts as one
                total += 1
                continue
            group = reading.model
            is_new = node.children is None
            children = self._children(node, group)
            if is_new:
                self._count_different(len(children), node.path)
            name = prefix + group.name
            if group.index is None or group.index not in self._inner_names(node, group):
                inner, within = next(_repetitions(group, name, indices))
                total += (group.repeat or 1) * self._count(children, inner, within)
                continue
            for inner, within in _repetitions(group, name, indices):
                total += self._count(children, inner, within)
                if total > limits.MAX_OPERATIONS:
                    break
        return total

    def _inner_names(self, node: _Node, group: Group) -> frozenset[str]:
        """Return the variables that the numbers of repetitions inside a group use."""

        def search(items: list[Any]) -> Iterator[frozenset[str]]:
            for item in items:
                if is_group(item):
                    yield self.evaluator.names(item.get("repeat"), node.path)
                    if isinstance(inner := item.get("operations"), list):
                        yield from search(inner)

        if node.inner_names is None:
            node.inner_names = frozenset().union(*search(group.operations))
        return node.inner_names


def _repetitions(group: Group, name: str, indices: Mapping[str, int]) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Yield the prefix of names and the indices of each repetition of a group."""
    if group.repeat is None:
        yield f"{name}.", indices
        return
    for index in range(group.repeat):
        yield f"{name}.{index}.", {**indices, group.index: index} if group.index else indices


def _make_nodes(items: list[Any], path: Path, repeated: bool) -> list[_Node]:
    return [_Node((*path, number), item, is_group(item), repeated) for number, item in enumerate(items)]


def _fail(node: _Node, findings: list[Finding]) -> None:
    node.last, node.failed, node.findings = None, True, findings


def evaluate_outside_repeats(items: list[Any], path: Path, evaluator: Evaluator) -> list[Any]:
    """Return the items with the expressions outside of repetitions evaluated, as far as that can be done."""

    def evaluate(item: Any, path: Path) -> Any:
        if isinstance(item, dict) and "repeat" in item:
            return item
        inner = item.get("operations") if is_group(item) else None
        value = evaluator.evaluate(item, path, leave=("operations",) if inner else ()).value
        if not isinstance(inner, list):
            return value
        return {**value, "operations": evaluate_outside_repeats(inner, (*path, "operations"), evaluator)}

    if not evaluator.needed:
        return items
    return [evaluate(item, (*path, number)) for number, item in enumerate(items)]


def explain_errors(error: ValidationError, data: Any, base: Path, unknown: frozenset[Path]) -> list[Finding]:
    """Return pydantic's errors of the data at a path, without those of `unknown` paths, which have no value."""
    found = []
    for item in error.errors(include_url=False):
        path = item["loc"]
        if unknown and (*base, *normalize(data, path)) in unknown:
            continue
        found.append(Finding((*base, *path), item["msg"], of_key=item["type"] == UNKNOWN))
    return found
