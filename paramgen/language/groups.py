"""Groups of operations as written in a spec."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from paramgen.catalog.entries import SpecEntry
from paramgen.catalog.fields import (
    RESERVED_NAME,
    ErrorSubject,
    Expectation,
    FieldError,
    KeyPath,
    Name,
    Schema,
    reserved_name_error,
)
from paramgen.catalog.operations import PARAMETERS_SCHEMA, ParametersByName
from paramgen.catalog.schemas import merge_rules, reference
from paramgen.catalog.spec_model import MAX_SUGGESTIONS
from paramgen.language.evaluation import Evaluator
from paramgen.messages import closest_match

OPERATIONS_SCHEMA: Schema = {
    "description": "the operations, each with a name, a type and its sizes, and groups of them.",
    "type": "array",
    "minItems": 1,
    "items": {
        "properties": {"type": reference("OperationType")},
        "if": {"type": "object", "not": {"required": ["type"]}},
        "then": reference("Group"),
        "else": reference("Operation"),
    },
}
OPERATION_EXPECTED = "an operation (with name and type) or a group (with name and operations)"


class Group(SpecEntry):
    """Operations named <group>.<operation>, or <group>.<index>.<operation> if the group repeats."""

    label = "a group"
    name: Name = Field(description="name of the group; its operations are named <group>.<operation>.")
    parameters: ParametersByName = Field(
        default={}, description="parameters of the group itself, named <group>.<parameter>, before its operations."
    )
    operations: Annotated[
        list[Any], Field(min_length=1), Expectation(value="a list of operations, at least one", item=OPERATION_EXPECTED)
    ] = Field(default=[], description="its operations, and groups of them.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        if data.get("name") == RESERVED_NAME:
            yield reserved_name_error(("name",), ErrorSubject.VALUE)
        if not {"operations", "parameters"} & data.keys():
            yield cls.missing_field_error("operations", cls.label)

    @classmethod
    def schema_rules(cls) -> Schema:
        fields = {"operations": OPERATIONS_SCHEMA, "parameters": PARAMETERS_SCHEMA}
        content = [{"required": ["operations"]}, {"required": ["parameters"]}]
        return merge_rules(super().schema_rules(), {"properties": fields, "anyOf": content})


def is_group(item: Any) -> bool:
    """Return True if an item is a group: without a type, and with operations or parameters, however misspelt."""
    if not isinstance(item, dict) or "type" in item:
        return False
    keys = ("operations", "parameters")
    return any(key in item for key in keys) or any(closest_match(key, keys) for key in islice(item, MAX_SUGGESTIONS))


def evaluate_outside_repeats(items: list[Any], path: KeyPath, evaluator: Evaluator) -> list[Any]:
    """Return the items with the expressions that depend on no local variable evaluated, as far as that can be done."""

    def evaluate(item: Any, path: KeyPath) -> Any:
        if isinstance(item, dict) and ("repeat" in item or "with" in item):
            return item
        inner = item.get("operations") if is_group(item) else None
        value, _ = evaluator.evaluate(item, path, skip_keys=("operations",) if inner else (), defer=False)
        if not isinstance(inner, list):
            return value
        return {**value, "operations": evaluate_outside_repeats(inner, (*path, "operations"), evaluator)}

    if not evaluator.is_enabled:
        return items
    return [evaluate(item, (*path, number)) for number, item in enumerate(items)]
