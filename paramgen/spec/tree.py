"""From operations as they are written, in groups that repeat, to operations as the model has them, one after another.

What does not depend on the index of a repetition is evaluated and checked once, however often it is repeated, and no
list of all operations is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from paramgen.spec.base import (
    MISSING,
    RESERVED,
    UNKNOWN,
    WRONG,
    Complaint,
    Expected,
    Model,
    Name,
    explained,
    is_name,
    reserved,
)
from paramgen.spec.document import Path
from paramgen.spec.evaluation import Evaluator
from paramgen.spec.expressions import (
    VARIABLE_EXPECTED,
    ExpressionError,
    Number,
    Text,
    characters_in,
    is_variable,
    names_in,
    parsed,
)
from paramgen.spec.operations import AnyOperation, Operation
from paramgen.spec.problems import Context, Problems
from paramgen.text import near, show

OPERATION_EXPECTED = "an operation: a mapping with name and type; or a group: one with name and operations"
MAX_OPERATIONS = 1_000_000
# How often operations and groups that depend on an index are read anew, at most: some seconds.
MAX_READ = 40_000
# The characters of expressions that take about as long as a reading, and those of a name that is one.
READ_CHARACTERS, NAMED_CHARACTERS = 500, 100
MAX_NAME = 10_000


class Group(Model):
    """Operations whose names join with the group's by a dot; once, or repeated with an index between the two."""

    label = "a group"
    name: Name = Field(description="name of the group; its operations are named <group>.<operation>.")
    repeat: Annotated[
        int | None, Field(ge=1, le=MAX_OPERATIONS), Expected(f"an integer from 1 to {MAX_OPERATIONS:,}")
    ] = Field(default=None, description="how often; the operations are then named <group>.<index>.<operation>.")
    index: Annotated[str | None, Expected(VARIABLE_EXPECTED)] = Field(
        default=None, alias="as", description="variable that is the index, 0 and up, in the group."
    )
    operations: Annotated[
        list[Any], Field(min_length=1), Expected("a list of operations, at least one", OPERATION_EXPECTED)
    ] = Field(description="its operations, and groups of them.")

    @classmethod
    def key_problems(cls, data: dict[str, Any]) -> Iterator[Complaint]:
        if data.get("name") == RESERVED:
            yield reserved(("name",), WRONG)
        if isinstance(data.get("as"), str) and not is_variable(data["as"]):
            yield ("as",), f"{show(data['as'])} is not {VARIABLE_EXPECTED}", WRONG
        if "as" in data and "repeat" not in data:
            yield ("as",), "names the index of a repetition; add repeat, or remove this", UNKNOWN


@cache
def _operations() -> TypeAdapter[Operation]:
    return TypeAdapter(AnyOperation)


class Instance(NamedTuple):
    """An operation of the model, its whole name, where the document says it, and the indices around it there."""

    operation: Operation
    name: str
    path: Path
    indices: Mapping[str, int] | None

    @property
    def context(self) -> Context | None:
        """For what is wrong with it; None where it stands in no group."""
        return None if self.indices is None else Context(self.name, self.indices)


@dataclass(slots=True)
class _Node:
    """An item of a list of operations; its model at the last indices that it depends on, None once it was wrong.

    `title` is its name where that depends on indices; all else that does is in `names`. `cost` and `title_cost` are
    what it takes to read them anew, in readings.
    """

    path: Path
    item: Any
    is_group: bool
    names: frozenset[str]
    title: Text | None
    cost: int = 1
    title_cost: int = 0
    key: tuple[Number, ...] | None = None
    model: Any = None
    failed: bool = False


def is_group(item: Any) -> bool:
    return isinstance(item, dict) and "type" not in item and any(near(key, ("operations",)) for key in item)


@dataclass(slots=True)
class Tree:
    """The items of a spec's `operations`; what is wrong with one is added to the problems, once, when it is come to."""

    items: list[Any]
    evaluator: Evaluator
    problems: Problems
    _nodes: dict[Path, _Node] = field(default_factory=dict)
    _read: int = 0

    def instances(self) -> Iterator[Instance]:
        """Every operation of the model, in order, as long as the problems are not enough."""
        if self._count_is_allowed():
            yield from self._instances(self.items, ("operations",), "", {}, repeated=False)

    def _instances(
        self, items: list[Any], path: Path, prefix: str, indices: Mapping[str, int], repeated: bool
    ) -> Iterator[Instance]:
        for number, item in enumerate(items):
            if self.problems.enough or self._read > MAX_READ:
                return
            node = self._node((*path, number), item, repeated)
            model = self._model(node, prefix, indices)
            if model is None:
                continue
            name = model.name if node.title is None else self._title(node, prefix, indices)
            if name is None:
                continue
            name = prefix + name
            if not node.is_group:
                yield Instance(model, name, node.path, indices if prefix else None)
                continue
            below = (*node.path, "operations")
            for inner, within in _repetitions(model, name, indices):
                yield from self._instances(model.operations, below, inner, within, repeated or model.repeat is not None)

    def _node(self, path: Path, item: Any, repeated: bool) -> _Node:
        """The node of an item; kept if it will be come to again."""
        if node := self._nodes.get(path):
            return node
        group = is_group(item)
        node = _Node(path, item, group, frozenset(), None)
        if self.evaluator.needed and isinstance(item, dict):
            read = {key: value for key, value in item.items() if key not in ("name", "operations")}
            node.names = names_in(read)
            node.cost += characters_in(read) // READ_CHARACTERS
            text = item.get("name")
            if isinstance(text, str) and names_in(text):
                node.title, node.title_cost = parsed(text), len(text) // NAMED_CHARACTERS
        if repeated or group:
            self._nodes[path] = node
        return node

    def _model(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> Any:
        """The node's operation or group at these indices, or None where that is wrong."""
        if node.failed or (node.key is not None and not node.names):
            return node.model
        key = tuple(indices[name] for name in node.names if name in indices)
        if node.key != key:
            node.key = key
            if key and self._is_too_much(node, node.cost):
                return None
            node.model = self._validated(node, prefix, indices)
            node.failed = node.model is None
        return node.model

    def _is_too_much(self, node: _Node, cost: int) -> bool:
        """Whether a reading is one more than are made, which is told."""
        self._read += cost
        if self._read <= MAX_READ:
            return False
        often = f"more than {MAX_READ:,} times in all (long expressions count for more)"
        message = f"depends on an index, and what does is repeated {often}; repeat it less, or use the index less"
        self.problems.once(node.path, message)
        return True

    def _title(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> str | None:
        """The name at these indices of a node that is valid at others; None, and a problem, where it is none."""
        assert node.title
        if self._is_too_much(node, node.title_cost):
            return None
        try:
            name = node.title.text({**self.evaluator.variables, **indices})
        except ExpressionError:
            name = ""
        if is_name(name):
            return name
        node.model = self._validated(node, prefix, indices)
        node.failed = node.model is None
        return None

    def _validated(self, node: _Node, prefix: str, indices: Mapping[str, int]) -> Any:
        problems = self.problems
        item, errors = self.evaluator.evaluated(node.item, indices, ("operations",) if node.is_group else ())
        name = item.get("name") if isinstance(item, dict) else None
        context = Context(f"{prefix}{name}", indices) if prefix else None
        bad = self.evaluator.tell(errors, node.path, problems, context=context)
        try:
            model = Group.model_validate(item) if node.is_group else _operations().validate_python(item)
        except ValidationError as error:
            add_errors(problems, error, node.path, context, bad)
            return None
        if len(prefix) + len(model.name) > MAX_NAME:
            length = f"{len(prefix) + len(model.name):,} characters; at most {MAX_NAME:,} are allowed"
            problems.add((*node.path, "name"), f"is the end of a name of {length}")
            return None
        if isinstance(model, Group) and model.index is not None:
            taken = "the index of a group around it" if model.index in indices else "a variable of the spec"
            if model.index in indices or model.index in self.evaluator.variables:
                problems.add(
                    (*node.path, "as"), f"{model.index} is {taken} already; choose another name", context=context
                )
                return None
        return None if bad else model

    def _count_is_allowed(self) -> bool:
        groups = [number for number, item in enumerate(self.items) if is_group(item)]
        total = len(self.items) - len(groups)
        for number in groups:
            total += self._count([self.items[number]], ("operations",), "", {}, number)
            if self._read > MAX_READ:  # told
                return False
            if total > MAX_OPERATIONS:
                message = f"makes more than {MAX_OPERATIONS:,} operations, which is the most that a spec has"
                self.problems.add(("operations", number, "repeat"), message)
                return False
        return True

    def _count(self, items: list[Any], path: Path, prefix: str, indices: Mapping[str, int], start: int = 0) -> int:
        """The number of operations, or some number above the limit, or any once too many were read."""
        total = 0
        for number, item in enumerate(items, start):
            if self._read > MAX_READ:
                break
            if not is_group(item):
                total += 1
                continue
            node = self._node((*path, number), item, repeated=True)
            model = self._model(node, prefix, indices)
            if model is None:  # told; it would make one at least
                total += 1
                continue
            if not any(map(is_group, model.operations)):
                total += (model.repeat or 1) * len(model.operations)
                continue
            for name, within in _repetitions(model, prefix + model.name, indices):
                total += self._count(model.operations, (*node.path, "operations"), name, within)
                if total > MAX_OPERATIONS or self._read > MAX_READ:
                    return total
        return total


def _repetitions(group: Group, name: str, indices: Mapping[str, int]) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The prefix of the names in a group, and the indices, at each of its repetitions."""
    if group.repeat is None:
        yield f"{name}.", indices
        return
    for index in range(group.repeat):
        yield f"{name}.{index}.", {**indices, group.index: index} if group.index else indices


def written(items: list[Any], evaluator: Evaluator) -> list[Any]:
    """The items with the expressions outside of repetitions evaluated, where that can be done."""

    def evaluated(item: Any) -> Any:
        if isinstance(item, dict) and "repeat" in item:
            return item
        inner = item.get("operations") if is_group(item) else None
        value, _ = evaluator.evaluated(item, leave=("operations",) if inner else ())
        return {**value, "operations": written(inner, evaluator)} if isinstance(inner, list) else value

    return [evaluated(item) for item in items] if evaluator.needed else items


def add_errors(
    problems: Problems,
    error: ValidationError,
    base: Path,
    context: Context | None = None,
    bad: frozenset[Path] = frozenset(),
) -> None:
    """Add pydantic's errors of what stands at `base`, as long as they are to be kept; count them all.

    What is said of the paths in `bad`, whose expressions have no value, is left out.
    """
    if len(problems.kept) >= problems.KEPT:
        problems.total += error.error_count()
        return
    for item in error.errors(include_url=False):
        path = (*base, *item["loc"])
        if bad and problems.document.normalize(path) in bad:
            continue
        if item["type"] in (WRONG, UNKNOWN, MISSING):
            problems.add(path, item["msg"], of_key=item["type"] == UNKNOWN, context=context)
        else:
            path = (*path, "type") if item["type"] == "union_tag_invalid" else path
            problems.add(path, explained(item, OPERATION_EXPECTED), context=context)
