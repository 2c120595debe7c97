"""From operations as they are written, in groups that repeat, to operations as the model has them, one after another.

What does not depend on the index of a repetition is evaluated and checked once, however often it is repeated, and no
list of all operations is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from paramgen import limits
from paramgen.catalog.fields import RESERVED, Describe, ErrorKind, FieldError, Name, Schema, is_name, reserved
from paramgen.catalog.models import MAX_SUGGESTIONS, Model, read_tagged
from paramgen.catalog.operations import BY_TYPE, Operation
from paramgen.catalog.schemas import reference
from paramgen.formatting import closest_match, show
from paramgen.language.diagnostics import Diagnostics, RepeatLocation
from paramgen.language.evaluation import Evaluator
from paramgen.language.expressions import VARIABLE_EXPECTED, VARIABLE_SCHEMA, ExpressionError, is_variable
from paramgen.language.yaml_reader import Path

OPERATIONS_SCHEMA: Schema = {
    "description": "the operations, each with a name, a type and its sizes, and groups of them.",
    "type": "array",
    "minItems": 1,
    "items": {
        "if": {"type": "object", "required": ["operations"], "not": {"required": ["type"]}},
        "then": reference("Group"),
        "else": reference("Operation"),
    },
}
OPERATION_EXPECTED = "an operation: a mapping with name and type; or a group: one with name and operations"
# What is kept of one operation's readings at different indices, or of one group's operations.
CACHE_SIZE = 1000


class Group(Model):
    """Operations whose names join with the group's by a dot; once, or repeated with an index between the two."""

    label = "a group"
    name: Name = Field(description="name of the group; its operations are named <group>.<operation>.")
    repeat: Annotated[
        int | None,
        Field(ge=1, le=limits.MAX_OPERATIONS),
        Describe(value=f"an integer from 1 to {limits.MAX_OPERATIONS:,}"),
    ] = Field(default=None, description="how often; the operations are then named <group>.<index>.<operation>.")
    index: Annotated[str | None, Describe(value=VARIABLE_EXPECTED)] = Field(
        default=None, alias="as", description="variable that is the index, 0 and up, in the group."
    )
    operations: Annotated[
        list[Any], Field(min_length=1), Describe(value="a list of operations, at least one", item=OPERATION_EXPECTED)
    ] = Field(description="its operations, and groups of them.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        if data.get("name") == RESERVED:
            yield reserved(("name",), ErrorKind.WRONG)
        if isinstance(data.get("as"), str) and not is_variable(data["as"]):
            yield ("as",), f"{show(data['as'])} is not {VARIABLE_EXPECTED}", ErrorKind.WRONG
        if "as" in data and "repeat" not in data:
            yield ("as",), "names the index of a repetition; add repeat, or remove this", ErrorKind.UNKNOWN

    @classmethod
    def schema_rules(cls) -> Schema:
        return {
            "properties": {"operations": OPERATIONS_SCHEMA, "as": VARIABLE_SCHEMA},
            "dependencies": {"as": ["repeat"]},
        }


class NamedOperation(NamedTuple):
    """An operation of the model, its whole name, where the document says it, and the indices around it there.

    `results` is the same for all instances that differ by their names alone: what is worked out once for them.
    """

    operation: Operation
    name: str
    path: Path
    indices: Mapping[str, int] | None
    results: dict[Any, Any]

    @property
    def context(self) -> RepeatLocation | None:
        """For what is wrong with it; None where it stands in no group."""
        return None if self.indices is None else RepeatLocation(self.name, self.indices)


class _Reading(NamedTuple):
    """An item's model at some indices, and what else is worked out of it."""

    model: Any
    results: dict[Any, Any]


@dataclass(slots=True)
class _Node:
    """An item of a list of operations.

    `used` are the indices that it depends on: in its name, which is `title` if it does, or in other `texts`, which
    depend on `names`. `readings` are by the values of the texts; `last` is the one for the indices' values `key`.
    `failed` once it was wrong. A group has `children`; `walked` are these without the groups that could be dissolved,
    each with what stands before its name. The numbers of repetitions inside depend on `inner_names`.
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
    children: list[_Node] | None = None
    walked: list[tuple[str, _Node]] | None = None
    inner_names: frozenset[str] | None = None


def is_group(item: Any) -> bool:
    """Return whether an item is a group: without a type, and with operations, however misspelt."""
    if not isinstance(item, dict) or "type" in item:
        return False
    return "operations" in item or any(closest_match(key, ("operations",)) for key in islice(item, MAX_SUGGESTIONS))


def check_different(count: int, path: Path, problems: Diagnostics) -> None:
    """Raise the problems if there are more different operations than a spec may have."""
    if count > limits.MAX_DIFFERENT_OPERATIONS:
        limit = f"more than {limits.MAX_DIFFERENT_OPERATIONS:,} different operations and groups (the limit)"
        problems.stop(path, f"{limit}, counting those that an index makes different")


class Tree:
    """The items of a spec's `operations`; an error in one is added to the problems once, when it is first visited."""

    def __init__(self, items: list[Any], evaluator: Evaluator, problems: Diagnostics):
        self.evaluator = evaluator
        self.problems = problems
        self._nodes = self._made(items, ("operations",), repeated=False)
        self._different = 0

    def instances(self) -> Iterator[NamedOperation]:
        """Yield every operation of the model, in order, as long as there are not too many problems."""
        self._check_count()
        yield from self._instances([("", node) for node in self._nodes], "", {})

    def _made(self, items: list[Any], path: Path, repeated: bool) -> list[_Node]:
        return [_Node((*path, number), item, is_group(item), repeated) for number, item in enumerate(items)]

    def _children(self, node: _Node, group: Group) -> list[_Node]:
        if node.children is None:
            repeated = node.repeated or group.repeat is not None
            node.children = self._made(group.operations, (*node.path, "operations"), repeated)
        return node.children

    def _instances(
        self, nodes: list[tuple[str, _Node]], prefix: str, indices: Mapping[str, int]
    ) -> Iterator[NamedOperation]:
        for before, node in nodes:
            if self.problems.total >= limits.MAX_PROBLEMS:
                return
            base = prefix + before
            reading = node.last if node.last and not node.names else self._read(node, base, indices)
            if reading is None:
                continue
            model = reading.model
            own = model.name if node.title is None else self._title(node, base, indices)
            if own is None:
                continue
            name = base + own
            if len(name) > limits.MAX_NAME_LENGTH:
                node.last, node.failed = None, True
                problem = f"the whole name must have at most {limits.MAX_NAME_LENGTH} characters, got {len(name):,}"
                self.problems.add((*node.path, "name"), problem)
            elif not node.is_group:
                yield NamedOperation(model, name, node.path, indices if base else None, reading.results)
                if not node.repeated:
                    node.last = None  # the memory of 100,000 of them
            else:
                for inner, within in _repetitions(model, name, indices):
                    yield from self._instances(self._walked(node, model, inner, within), inner, within)

    def _walked(self, node: _Node, group: Group, prefix: str, indices: Mapping[str, int]) -> list[tuple[str, _Node]]:
        """Return what a group's repetitions go over: its children, or what is in those that are always the same."""
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
                node.failed = node.last is None
                if node.names and node.last:
                    if len(node.readings) == CACHE_SIZE:
                        node.readings.clear()
                    node.readings[values] = node.last
        return node.last

    def _used(self, node: _Node, indices: Mapping[str, int]) -> frozenset[str]:
        """Return the indices that the node depends on; find them, and its texts that do, if that is not done."""
        if node.used is not None:
            return node.used
        node.used = frozenset()
        if not indices or not isinstance(node.item, dict):
            return node.used
        found: dict[str, None] = {}
        names: set[str] = set()

        def search(value: Any) -> None:
            if isinstance(value, str):
                if used := self.evaluator.names(value, node.path, self.problems) & indices.keys():
                    found[value] = None
                    names.update(used)
            elif isinstance(value, (dict, list)):
                for entry in value.values() if isinstance(value, dict) else value:
                    search(entry)

        search({key: value for key, value in node.item.items() if key not in ("name", "operations")})
        node.texts, node.names = tuple(found), tuple(names)
        title = self.evaluator.names(node.item.get("name"), node.path, self.problems) & indices.keys()
        if title:
            node.title = node.item["name"]
        node.used = title.union(names)
        return node.used

    def _values(self, node: _Node, indices: Mapping[str, int]) -> str:
        """Return a key that is the same for equal values of the node's texts (of the same types: 1 is not 1.0)."""
        try:
            return repr([self.evaluator.value(text, indices, node.path, self.problems) for text in node.texts])
        except ExpressionError:  # reported when it is read
            return ""

    def _title(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> str | None:
        """Return the name at these indices of a node that is valid at others; None, and a problem, if it is none."""
        assert node.title
        try:
            name = str(self.evaluator.value(node.title, indices, (*node.path, "name"), self.problems))
        except ExpressionError:
            name = ""
        if is_name(name):
            return name
        reading = self._reading(node, prefix, indices)
        node.failed = reading is None
        return reading.model.name if reading else None

    def _reading(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> _Reading | None:
        """Return the node validated at these indices, or None, and problems, if it is wrong."""
        problems = self.problems
        if node.names:
            self._count_different(1, node.path)
        leave = ("operations",) if node.is_group else ()
        item, errors = self.evaluator.evaluated(node.item, node.path, problems, indices, leave)
        name = item.get("name") if isinstance(item, dict) else None
        context = RepeatLocation(f"{prefix}{name}", indices) if prefix else None
        bad = self.evaluator.report(errors, node.path, problems, context=context)
        try:
            model = Group.model_validate(item) if node.is_group else read_tagged(BY_TYPE, item, OPERATION_EXPECTED)
        except ValidationError as error:
            add_errors(problems, error, node.path, context, bad)
            return None
        if isinstance(model, Group) and model.index is not None:
            taken = "the index of a group around it" if model.index in indices else "a variable of the spec"
            if model.index in indices or model.index in self.evaluator.variables:
                problems.add(
                    (*node.path, "as"), f"{model.index} is {taken} already; choose another name", context=context
                )
                return None
        return None if bad else _Reading(model, {})

    def _count_different(self, count: int, path: Path) -> None:
        self._different += count
        check_different(self._different, path, self.problems)

    def _check_count(self) -> None:
        """Check the number of operations, before any of them is read."""
        self._different = len(self._nodes)
        total = 0
        for node in self._nodes:
            total += self._count([node], "", {})
            if total > limits.MAX_OPERATIONS:
                message = f"expands to more than {limits.MAX_OPERATIONS:,} operations (the limit)"
                self.problems.stop((*node.path, "repeat"), message)

    def _count(self, nodes: list[_Node], prefix: str, indices: Mapping[str, int]) -> int:
        """Return the number of operations, or some number above the limit."""
        total = 0
        for node in nodes:
            reading = self._read(node, prefix, indices) if node.is_group else None
            if reading is None:  # an operation; or a wrong group, which would make one at least
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
                    yield self.evaluator.names(item.get("repeat"), node.path, self.problems)
                    if isinstance(inner := item.get("operations"), list):
                        yield from search(inner)

        if node.inner_names is None:
            node.inner_names = frozenset().union(*search(group.operations))
        return node.inner_names


def _repetitions(group: Group, name: str, indices: Mapping[str, int]) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The prefix of the names in a group, and the indices, at each of its repetitions."""
    if group.repeat is None:
        yield f"{name}.", indices
        return
    for index in range(group.repeat):
        yield f"{name}.{index}.", {**indices, group.index: index} if group.index else indices


def written(items: list[Any], path: Path, evaluator: Evaluator, problems: Diagnostics) -> list[Any]:
    """Return the items with the expressions outside of repetitions evaluated, as far as that can be done."""

    def evaluated(item: Any, path: Path) -> Any:
        if isinstance(item, dict) and "repeat" in item:
            return item
        inner = item.get("operations") if is_group(item) else None
        value, _ = evaluator.evaluated(item, path, problems, leave=("operations",) if inner else ())
        if not isinstance(inner, list):
            return value
        return {**value, "operations": written(inner, (*path, "operations"), evaluator, problems)}

    if not evaluator.needed:
        return items
    return [evaluated(item, (*path, number)) for number, item in enumerate(items)]


def add_errors(
    problems: Diagnostics,
    error: ValidationError,
    base: Path,
    context: RepeatLocation | None = None,
    bad: frozenset[Path] = frozenset(),
) -> None:
    """Add pydantic's errors of what stands at `base`, as long as they are kept; count them all.

    What is said of the paths in `bad`, whose expressions have no value, is left out.
    """
    if len(problems.kept) >= limits.MAX_PROBLEMS:
        problems.total += error.error_count()
        return
    for item in error.errors(include_url=False):
        path = (*base, *item["loc"])
        if bad and problems.document.normalize(path) in bad:
            continue
        problems.add(path, item["msg"], of_key=item["type"] == ErrorKind.UNKNOWN, context=context)
