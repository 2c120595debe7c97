"""The types of fields: the values that each takes, the words for them in errors, and their JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from paramgen import limits
from paramgen.catalog.synonyms import dtype_error
from paramgen.dtypes import DTYPES
from paramgen.messages import closest_match, did_you_mean, must_be, show

Schema = dict[str, Any]
KeyPath = tuple[str | int, ...]


class ErrorSubject(StrEnum):
    """The subject of an error: a value, a key, or a missing field."""

    VALUE = "value"
    KEY = "key"
    MISSING_FIELD = "missing_field"


class FieldError(NamedTuple):
    """An error at a path below the mapping that is checked."""

    path: KeyPath
    message: str
    subject: ErrorSubject = ErrorSubject.VALUE


def validation_error(errors: Collection[FieldError], title: str = "") -> ValidationError:
    """Return a ValidationError that holds these errors."""
    details = [
        InitErrorDetails(type=PydanticCustomError(error.subject.value, error.message), loc=error.path, input=None)
        for error in errors
    ]
    return ValidationError.from_exception_data(title, details)


@dataclass(frozen=True)
class Expectation:
    """The words for a field's value in errors, "must be a positive integer", and for an item of a list or mapping."""

    value: str
    item: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)  # typing hashes annotations, and a schema has no hash
class FieldType(Expectation):
    """A type of field. `convert` makes the model's value of a valid one; `hint` ends the error of another.

    `items` is the type of a list's items, or of a single one where a list is not needed. With `is_deferred`,
    expressions in the field are evaluated later, once per index.
    """

    schema: Schema
    accepts: Callable[[Any], bool] = lambda value: True
    convert: Callable[[Any], Any] = lambda value: value
    hint: Callable[[Any], str] = lambda value: ""
    items: FieldType | None = None
    is_deferred: bool = False

    def errors(self, value: Any, path: KeyPath = ()) -> Iterator[FieldError]:
        """Yield the errors of a value at a path, and of its items."""
        if not self.accepts(value):
            yield FieldError(path, must_be(self.value, value) + self.hint(value))
        elif self.items is not None and isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self.items.errors(item, (*path, index))
        elif self.items is not None:
            yield from self.items.errors(value, path)

    def read(self, value: Any) -> Any:
        """Return the model's value. Raises ValidationError if it is not valid."""
        if errors := list(self.errors(value)):
            raise validation_error(errors)
        return self.convert(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read fields that are annotated with this type."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        """Give pydantic the JSON Schema."""
        return dict(self.schema)


class DTypeNameType(FieldType):
    """The type of a parameter's dtype: too many names to list them all in an error."""

    def errors(self, value: Any, path: KeyPath = ()) -> Iterator[FieldError]:
        """Yield the error of a value that does not name a dtype."""
        message = dtype_error(value) if isinstance(value, str) else must_be(self.value, value)
        if message:
            yield FieldError(path, message)


def number_type(value: str, schema: Schema, accepts: Callable[[float], bool] = lambda value: True) -> FieldType:
    """Return the type of a finite number."""

    def accepts_number(written: Any) -> bool:
        if not isinstance(written, int | float) or isinstance(written, bool):
            return False
        try:
            return math.isfinite(written) and accepts(written)
        except OverflowError:  # an integer beyond the largest float
            return False

    return FieldType(value=value, accepts=accepts_number, schema={"type": "number", **schema}, convert=float)


def choice_type(names: Collection[str], synonyms: Mapping[str, str]) -> FieldType:
    """Return the type of a name out of some; synonyms are suggested, but not accepted."""
    return FieldType(
        value=f"one of {', '.join(names)}",
        accepts=lambda value: isinstance(value, str) and value in names,
        hint=lambda value: did_you_mean(closest_match(value, names, synonyms)) if isinstance(value, str) else "",
        schema={"type": "string", "enum": list(names)},
    )


def bounded_size_type(largest: int) -> FieldType:
    """Return the type of a size with a limit."""
    return FieldType(
        value=f"an integer from 1 to {largest:,}",
        accepts=lambda value: type(value) is int and 0 < value <= largest,
        schema={**SIZE.schema, "maximum": largest},
    )


SIZE = FieldType(
    value="a positive integer",
    accepts=lambda value: type(value) is int and 0 < value < 2**63,
    hint=lambda value: "; the largest is 2^63 - 1" if type(value) is int and value > 0 else "",
    schema={"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2**63},
)
INDEX = FieldType(
    value="an integer of at least 0",
    accepts=lambda value: type(value) is int and 0 <= value < 2**63,
    schema={"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63},
)
SIZES: Schema = {"type": "array", "items": SIZE.schema}
FILTER_SIZE = FieldType(
    value="a positive integer or a list of 1 to 3 of them",
    accepts=lambda value: type(value) is int or (isinstance(value, list | tuple) and 1 <= len(value) <= 3),
    items=SIZE,
    schema={"anyOf": [SIZE.schema, {**SIZES, "minItems": 1, "maxItems": 3}]},
    convert=lambda value: tuple(value) if isinstance(value, list | tuple) else (value,),
)
SHAPE = FieldType(
    value=f"a list of at most {limits.MAX_DIMENSIONS} integers of at least 0",
    accepts=lambda value: isinstance(value, list | tuple) and len(value) <= limits.MAX_DIMENSIONS,
    items=INDEX,
    schema={"type": "array", "items": INDEX.schema, "maxItems": limits.MAX_DIMENSIONS},
    convert=tuple,
)

Size = Annotated[int, SIZE]
NonNegativeInt = Annotated[int, INDEX]
FilterSize = Annotated[tuple[int, ...], FILTER_SIZE]
Shape = Annotated[tuple[int, ...], SHAPE]
FINITE = number_type("a finite number", {})
FiniteNumber = Annotated[float, FINITE]
NonNegative = Annotated[float, number_type("finite and at least 0", {"minimum": 0}, lambda value: value >= 0)]
Positive = Annotated[float, number_type("finite and above 0", {"exclusiveMinimum": 0}, lambda value: value > 0)]
INTEGER = FieldType(
    value="an integer from -2^63 to 2^64 - 1",
    accepts=lambda value: type(value) is int and -(2**63) <= value < 2**64,
    schema={"type": "integer", "minimum": -(2**63), "exclusiveMaximum": 2**64},
)
Integer = Annotated[int, INTEGER]
Probability = Annotated[
    float, number_type("a number from 0 to 1", {"minimum": 0, "maximum": 1}, lambda value: 0 <= value <= 1)
]
DTypeName = Annotated[
    str,
    DTypeNameType(
        value="the name of a dtype, such as float32",
        accepts=lambda value: isinstance(value, str) and value in DTYPES,
        schema={"type": "string", "enum": list(DTYPES)},
    ),
]

RESERVED_NAME = "__metadata__"
# Not every engine of JSON Schema reads \p{L}. The pattern lists what is neither letter nor digit in ASCII, Latin-1 and
# general punctuation.
NON_NAME_CHARACTERS = r"\x00-,./:-@\[-\^`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u2000-\u206f\u3000-\u3004"


_NAME_PART = f"[^{NON_NAME_CHARACTERS}-][^{NON_NAME_CHARACTERS}]*"


def is_identifier_text(text: str) -> bool:
    """Return True if a string has only Unicode letters, decimal digits and _ (no ², ① or combining marks)."""
    if text.isascii():
        return text.replace("_", "a").isalnum() or not text
    return all(c.isalpha() or c.isdecimal() or c == "_" for c in text)


@lru_cache  # a million repetitions have the same few names
def is_name(text: str) -> bool:
    """Return True if a string can name an operation, a group or a parameter."""
    parts = text.split(".")
    return len(text) <= limits.MAX_NAME_LENGTH and all(
        part and part[0] != "-" and is_identifier_text(part.replace("-", "_")) for part in parts
    )


def _name_hint(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return "; write it in quotes"
    if not isinstance(value, str) or not value:
        return ""
    if len(value) > limits.MAX_NAME_LENGTH:
        return f"; use at most {limits.MAX_NAME_LENGTH} characters"
    bad = next((c for c in value if c not in "-." and not is_identifier_text(c)), "")
    if not bad:
        return "; begin it, and each part after a dot, with a letter, digit or _"
    if bad == " ":
        return "; remove the space"
    return f"; remove '{bad}'" if bad.isascii() and bad.isprintable() else f"; remove U+{ord(bad):04X}"


NAME = FieldType(
    value="a name of letters, digits, _, - and dots",
    accepts=lambda value: isinstance(value, str) and is_name(value),
    hint=_name_hint,
    schema={
        "type": "string",
        "pattern": rf"^{_NAME_PART}(\.{_NAME_PART})*$",
        "maxLength": limits.MAX_NAME_LENGTH,
        "not": {"const": RESERVED_NAME},
    },
)
Name = Annotated[str, NAME]


def reserved_name_error(path: KeyPath, subject: ErrorSubject) -> FieldError:
    """Return the error of a name that the file format keeps for itself."""
    return FieldError(path, f"{show(RESERVED_NAME)} is reserved for the file's metadata; choose another name", subject)
