"""What the models of the spec language share: strictness, named sizes, and errors in the words of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from paramgen import limits
from paramgen.dtypes import DTYPES
from paramgen.formatting import did_you_mean, is_word, near, one_of, show, suggestion

# So many misspelt keys of one mapping are compared with what they may mean; the report has room for fewer.
MAX_SUGGESTIONS = 100

# The types of our own errors: of a value, of a key, of what is not there.
WRONG: Final = "wrong"
UNKNOWN: Final = "unknown"
MISSING: Final = "absent"
ErrorKind = Literal["wrong", "unknown", "absent"]
# A path below the mapping that is checked, a message, and its type.
FieldError = tuple[tuple[str | int, ...], str, ErrorKind]


@dataclass(frozen=True)
class Expected:
    """What a field holds, for its error: "-5 is not a positive integer"; `entry` says it of a list's entries."""

    what: str
    entry: str = ""


def _tuple_of(smallest: int, largest: int, or_single: bool) -> BeforeValidator:
    """Reads a list of so many sizes (or a single one) as a tuple; leaves anything else for pydantic to refuse."""

    def read(value: Any) -> Any:
        if or_single and type(value) is int:
            return (value,)
        return tuple(value) if isinstance(value, list) and smallest <= len(value) <= largest else value

    return BeforeValidator(read)


_SIZE: dict[str, Any] = {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2**63}
_SIZES: dict[str, Any] = {"type": "array", "items": _SIZE}

_Size = Annotated[int, Field(gt=0, lt=2**63)]
Size = Annotated[_Size, Expected("a positive integer")]
FilterSize = Annotated[
    tuple[_Size, ...],
    _tuple_of(1, 3, or_single=True),
    WithJsonSchema({"anyOf": [_SIZE, {**_SIZES, "minItems": 1, "maxItems": 3}]}),
    Expected("a positive integer or a list of 1 to 3 of them", "a positive integer"),
]
Shape = Annotated[
    tuple[_Size, ...],
    _tuple_of(0, limits.MAX_DIMENSIONS, or_single=False),
    WithJsonSchema({**_SIZES, "maxItems": limits.MAX_DIMENSIONS}),
    Expected(f"a list of at most {limits.MAX_DIMENSIONS} positive integers", "a positive integer"),
]
Number = Annotated[float, Field(allow_inf_nan=False), Expected("a finite number")]
RESERVED = "__metadata__"
NAME_EXPECTED = (
    f"a name: letters, digits, _ and -, not beginning with - (no dots), at most {limits.MAX_NAME_LENGTH} characters"
)
# The schema's pattern must be read by every engine (Python's knows no classes like \p{L}): it refuses what in ASCII,
# Latin-1 and general punctuation is neither letter nor digit.
NO_NAME = r"\x00-,./:-@\[-\^`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u2000-\u206f\u3000-\u3004"
Name = Annotated[
    str,
    Field(pattern=r"^[\p{L}\p{Nd}_][\p{L}\p{Nd}_-]*$", max_length=limits.MAX_NAME_LENGTH),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^[^{NO_NAME}-][^{NO_NAME}]*$",
            "maxLength": limits.MAX_NAME_LENGTH,
            "not": {"const": RESERVED},
        }
    ),
    Expected(NAME_EXPECTED),
]


def _read_dtype(name: Any) -> str:
    if isinstance(name, str) and name in DTYPES:
        return name
    raise ValueError


DTypeName = Annotated[
    str,
    PlainValidator(_read_dtype),
    WithJsonSchema({"type": "string", "enum": list(DTYPES)}),
    Expected(f"a dtype: {one_of(list(DTYPES))}"),
]


def is_name(text: str) -> bool:
    """Return whether a text is a name, as Name has it."""
    return bool(text) and text[0] != "-" and is_word(text.replace("-", "_")) and len(text) <= limits.MAX_NAME_LENGTH


class Model(BaseModel):
    """A strict, frozen mapping of a spec. `label` is what its errors call it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)
    label: ClassVar[str] = "the spec"

    @classmethod
    @cache
    def fields_by_key(cls) -> dict[str, FieldInfo]:
        """Its fields by the keys that they have in a spec."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def field_names(cls) -> Iterable[str]:
        """The keys that it may have."""
        return cls.fields_by_key()

    @classmethod
    def meant(cls, key: str, data: Iterable[str]) -> str | None:
        """The field that an unknown key may be; one that is there already only where they are almost the same."""
        known = cls.field_names()
        absent = near(key, [name for name in known if name not in data])
        return absent or near(key, [name for name in known if name in data], 0.9)

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        """What the keys of the mapping alone show to be wrong, whatever its values."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        complaints: list[FieldError] = []
        model = None
        try:
            model = handler(data)
        except ValidationError as error:
            complaints = _explain(cls, error, data)
        else:
            if None in data.values():  # pydantic takes it for a field left out; here it is a value forgotten
                nulls = [key for key, value in data.items() if value is None]
                complaints = [((key,), f"null is not {_expected(cls, key).what}", WRONG) for key in nulls]
        keys = data if isinstance(data, dict) else {}
        if isinstance(data, dict):
            complaints += cls.check_keys(data)
        if not complaints:
            return model
        meant = set()
        if any(kind == MISSING for _, _, kind in complaints):
            # A misspelt field and a missing one that it is near to are one mistake.
            unknown = (key for key in keys if key not in cls.fields_by_key())
            meant = {cls.meant(key, keys) for key in islice(unknown, MAX_SUGGESTIONS)}
        details = [
            InitErrorDetails(type=PydanticCustomError(kind, message), loc=path, input=None)
            for path, message, kind in complaints
            if kind != MISSING or path[-1] not in meant
        ]
        raise ValidationError.from_exception_data(cls.label, details)

    @classmethod
    def missing(cls, name: str, label: str) -> FieldError:
        """The complaint that a field is missing; `label` is what needs it."""
        return (name,), f"missing; {label} needs it: {cls.fields_by_key()[name].description}", MISSING


class Tagged(Model):
    """A mapping chosen by its `type`, whose literals are its name and its aliases."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Its type's name, then its aliases."""
        return get_args(cls.model_fields["type"].annotation)

    @property
    def type_name(self) -> str:
        """Its type's own name, whichever alias was written."""
        return self.names()[0]


AnyTagged = TypeVar("AnyTagged", bound=Tagged)


def read_tagged(table: Mapping[str, type[AnyTagged]], data: Any, expected: str) -> AnyTagged:
    """Return the model of a mapping, chosen from a table by its `type`; ValidationError if it is not valid.

    Only the chosen model's validator is built. Building those of a whole table, as for a pydantic union, takes a tenth
    of a tiny build.
    """
    if not isinstance(data, dict):
        raise _error((), f"{show(data)} is not {expected}")
    if "type" not in data:
        raise _error((), f"has no type; expected {expected}")
    written = data["type"]
    model = table.get(written) if isinstance(written, str) else None
    if model is None:
        names = [name for name, other in table.items() if name == other.names()[0]]
        guess = suggestion(written, table) if isinstance(written, str) else ""
        raise _error(("type",), f"{show(written)} is none of the types {', '.join(names)}{guess}")
    return model.model_validate(data)


def _error(path: tuple[str | int, ...], message: str) -> ValidationError:
    details = InitErrorDetails(type=PydanticCustomError(WRONG, message), loc=path, input=None)
    return ValidationError.from_exception_data("", [details])


def reserved(path: tuple[str | int, ...], kind: ErrorKind) -> FieldError:
    """The complaint of a name that the file format keeps for itself."""
    return path, f"{show(RESERVED)} is the file's own name for its metadata; choose another", kind


def unknown_keys(
    path: tuple[str | int, ...], keys: Iterable[str], known: Sequence[str], what: str
) -> Iterator[FieldError]:
    """Complaints of the keys at a path that are not known; `what` is what each is."""
    for index, key in enumerate(key for key in keys if key not in known):
        guess = suggestion(key, known) if index < MAX_SUGGESTIONS else ""
        yield (*path, key), f"{what}; one of {', '.join(known)}{guess}", UNKNOWN


def explained(item: Any, known: str) -> str:
    """What one of pydantic's errors says of a value; `known` says what would be right there."""
    value = item["input"]
    message = f"{show(value)} is not {known}"
    if item["type"] == "less_than" and item["ctx"]["lt"] == 2**63:
        return f"{message} below 2^63"
    if item["type"] == "string_type" and isinstance(value, (bool, int, float)):
        return f"{message}; write it in quotes to make it one"
    if item["type"] == "string_pattern_mismatch":
        bad = next((c for c in value if c != "-" and not is_word(c)), "")
        return f"{message}: U+{ord(bad):04X} is none of these" if bad else message
    return message


def _explain(model: type[Model], error: ValidationError, data: Any) -> list[FieldError]:
    """Pydantic's errors of a model, one for each place, in the words of its fields."""
    complaints: dict[tuple[str | int, ...], FieldError] = {}
    for item in error.errors(include_url=False):
        loc, kind = item["loc"], item["type"]
        if kind in (WRONG, UNKNOWN, MISSING):
            complaints[loc] = loc, item["msg"], cast(ErrorKind, kind)
        elif not loc:
            complaints[loc] = loc, f"{show(item['input'])} is not a mapping; {model.label} is one", WRONG
        elif kind == "extra_forbidden":
            guess = model.meant(str(loc[0]), data) if len(complaints) < MAX_SUGGESTIONS else None
            known = did_you_mean(guess) if guess else f"; it has {', '.join(model.field_names())}"
            complaints[loc] = loc, f"unknown field of {model.label}{known}", UNKNOWN
        elif kind == "missing":
            complaints[loc] = model.missing(str(loc[0]), model.label)
        elif loc[-1] == "[key]":
            complaints[loc[:-1]] = loc[:-1], explained(item, NAME_EXPECTED), UNKNOWN
        else:
            expected = _expected(model, str(loc[0]))
            if not expected.entry:
                loc = loc[:1]  # what follows is a branch of a union
            known = expected.entry if len(loc) > 1 else expected.what
            known = "a mapping" if kind == "dict_type" and len(loc) > 1 else known
            complaints.setdefault(loc, (loc, explained(item, known), WRONG))
    return list(complaints.values())


def _expected(model: type[Model], name: str) -> Expected:
    """The Expected of a field: in its own metadata, or of a type inside its annotation, or else its literals."""
    field = model.fields_by_key()[name]
    pending = [*field.metadata, field.annotation]
    words: list[str] = []
    while pending:
        item = pending.pop(0)
        if isinstance(item, Expected):
            return item
        if item is bool:
            words += "true", "false"
        elif isinstance(item, str):
            words.append(item)
        pending[:0] = *getattr(item, "__metadata__", ()), *get_args(item)
    return Expected("true or false" if words == ["true", "false"] else f"one of {', '.join(words)}")
