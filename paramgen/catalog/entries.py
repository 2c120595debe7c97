"""The keys of every entry of a spec's `operations`: how often it repeats, its local variables, and its condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from paramgen import limits
from paramgen.catalog.fields import (
    NON_NAME_CHARACTERS,
    ErrorSubject,
    FieldError,
    FieldType,
    KeyPath,
    Schema,
    is_identifier_text,
    is_name,
)
from paramgen.catalog.schemas import reference
from paramgen.catalog.spec_model import SpecModel, unknown_key_errors
from paramgen.messages import must_be

RepeatIndex = int | str


def is_variable(name: object) -> bool:
    """Return True if an expression can have a variable of this name."""
    return isinstance(name, str) and is_identifier_text(name) and bool(name) and not name[0].isdecimal()


VARIABLE = FieldType(
    value="a variable's name of letters, digits and _, with no digit first",
    accepts=is_variable,
    schema={"type": "string", "pattern": f"^[^{NON_NAME_CHARACTERS}0-9-][^{NON_NAME_CHARACTERS}-]*$"},
)


def _accepts_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= limits.MAX_OPERATIONS


_COUNT_TEXT = f"from 0 to {limits.MAX_OPERATIONS:,}"
# The fields of a range, with their purpose.
_RANGE_FIELDS = {"from": "first index", "to": "end, which is not included", "step": "difference of neighbours"}


@dataclass(frozen=True, kw_only=True, eq=False)
class _RepeatType(FieldType):
    """The type of `repeat`: a count, a range, or a list of indices and names."""

    def errors(self, value: Any, path: KeyPath = ()) -> Iterator[FieldError]:
        if isinstance(value, dict):
            yield from _range_errors(value, path)
        elif isinstance(value, list):
            yield from _index_errors(value, path)
        elif not _accepts_count(value):
            yield FieldError(path, must_be(self.value, value))


def _range_errors(value: dict[str, Any], path: KeyPath) -> Iterator[FieldError]:
    """Yield the errors of the fields of a range."""
    yield from unknown_key_errors(path, value, list(_RANGE_FIELDS), "unknown field of repeat", {})
    for key, purpose in _RANGE_FIELDS.items():
        if key not in value:
            if key != "step":
                message = f"missing field of repeat; add {key} ({purpose})"
                yield FieldError((*path, key), message, ErrorSubject.MISSING_FIELD)
        elif not _accepts_count(value[key]) or (key == "step" and value[key] == 0):
            expected = "a positive integer" if key == "step" else f"an integer {_COUNT_TEXT}"
            yield FieldError((*path, key), must_be(expected, value[key]))


def _index_errors(value: list[Any], path: KeyPath) -> Iterator[FieldError]:
    """Yield the first error of a list of indices and names."""
    seen = set()
    for number, item in enumerate(value):
        if not (_accepts_count(item) or (isinstance(item, str) and is_name(item))):
            yield FieldError((*path, number), must_be(f"an index {_COUNT_TEXT}, or a name", item))
            return
        if item in seen:
            yield FieldError((*path, number), must_be("different from the entries before it", item))
            return
        seen.add(item)


def _to_indices(value: Any) -> Sequence[RepeatIndex]:
    if isinstance(value, dict):
        return range(value["from"], value["to"], value.get("step", 1))
    return tuple(value) if isinstance(value, list) else range(value)


_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": limits.MAX_OPERATIONS}
REPEAT = _RepeatType(
    value=f"a count {_COUNT_TEXT}, {{from, to}}, or a list of different indices and names",
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
        local = {
            "propertyNames": {"pattern": VARIABLE.schema["pattern"]},
            "additionalProperties": reference("Value"),
        }
        return {
            "properties": {"with": local},
            "dependencies": {"as": ["repeat"]},
        }
