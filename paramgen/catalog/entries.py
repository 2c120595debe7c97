"""The keys of every entry of a spec's `operations`: how often it repeats, its local variables, and its condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from paramgen import limits
from paramgen.catalog.fields import (
    NON_NAME_CHARACTERS,
    ErrorSubject,
    FieldError,
    FieldType,
    Schema,
    is_identifier_text,
    is_name,
)
from paramgen.catalog.models import SpecModel
from paramgen.messages import must_be, show

RepeatIndex = int | str


def is_variable(name: object) -> bool:
    """Return whether an expression can have a variable of this name."""
    return isinstance(name, str) and is_identifier_text(name) and bool(name) and not name[0].isdecimal()


VARIABLE = FieldType(
    value="a variable's name of letters, digits and _, with no digit first",
    accepts=is_variable,
    schema={"type": "string", "pattern": f"^[^{NON_NAME_CHARACTERS}0-9-][^{NON_NAME_CHARACTERS}-]*$"},
)


def _accepts_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= limits.MAX_OPERATIONS


def _accepts_repeat(value: Any) -> bool:
    if isinstance(value, dict):
        return (
            {"from", "to"} <= value.keys() <= {"from", "to", "step"}
            and all(map(_accepts_count, value.values()))
            and value.get("step", 1) > 0
        )
    if isinstance(value, list):
        indices = [item for item in value if _accepts_count(item) or (isinstance(item, str) and is_name(item))]
        return len(set(indices)) == len(value)
    return _accepts_count(value)


def _to_indices(value: Any) -> Sequence[RepeatIndex]:
    if isinstance(value, dict):
        return range(value["from"], value["to"], value.get("step", 1))
    return tuple(value) if isinstance(value, list) else range(value)


def _explain_repeat(value: Any) -> str:
    """Return which entry of a list is wrong."""
    if not isinstance(value, list):
        return ""
    seen: list[Any] = []
    for item in value:
        if item in seen and type(item) in (int, str):
            return f"; {show(item)} is repeated"
        seen.append(item)
    return ""


_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": limits.MAX_OPERATIONS}
REPEAT = FieldType(
    value=f"a count from 0 to {limits.MAX_OPERATIONS:,}, {{from, to}}, or a list of different indices and names",
    accepts=_accepts_repeat,
    hint=_explain_repeat,
    schema={
        "anyOf": [
            _COUNT,
            {
                "type": "object",
                "required": ["from", "to"],
                "properties": {"from": _COUNT, "to": _COUNT, "step": {**_COUNT, "minimum": 1}},
                "additionalProperties": False,
            },
            {"type": "array", "uniqueItems": True, "items": {"anyOf": [_COUNT, {"type": "string"}]}},
        ]
    },
    convert=_to_indices,
)
CONDITION = FieldType(value="true or false", accepts=lambda value: isinstance(value, bool), schema={"type": "boolean"})
LOCALS = FieldType(
    value="a mapping of names to values",
    accepts=lambda value: isinstance(value, dict),
    schema={"type": "object"},
)

Condition = Annotated[bool, CONDITION]


# The keys of an entry in a spec, in the order of their evaluation.
ENTRY_KEYS = ("repeat", "as", "with", "when")


class SpecEntry(SpecModel):
    """An operation or a group. Its keys are evaluated in the order of these fields, before the others."""

    repeat: Annotated[Sequence[RepeatIndex] | None, REPEAT] = Field(
        default=None,
        description="how often: a count, {from, to, step} without `to` itself, or a list of indices and names.",
    )
    index: Annotated[str | None, VARIABLE] = Field(
        default=None, alias="as", description="variable that holds the index of the repetition."
    )
    local: Annotated[dict[str, Any] | None, LOCALS] = Field(
        default=None, alias="with", description="variables of this entry and of what is in it."
    )
    when: Condition = Field(default=True, description="condition; if false, the entry is omitted.")

    @classmethod
    def field_names(cls) -> Iterable[str]:
        names = list(super().field_names())
        return (*(name for name in names if name not in ENTRY_KEYS), *ENTRY_KEYS)

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        if "as" in data and "repeat" not in data:
            yield FieldError(("as",), "has no effect without repeat; add repeat, or remove it", ErrorSubject.KEY)
        local = data.get("with")
        for name in local if isinstance(local, dict) else ():
            if not is_variable(name):
                yield FieldError(("with", name), must_be(VARIABLE.value, name), ErrorSubject.KEY)

    @classmethod
    def schema_rules(cls) -> Schema:
        return {
            "properties": {"with": {"propertyNames": {"pattern": VARIABLE.schema["pattern"]}}},
            "dependencies": {"as": ["repeat"]},
        }
