"""The base models: strict mappings, selected by `type`, with readable errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo

from paramgen.catalog.fields import (
    ErrorSubject,
    Expectation,
    FieldError,
    FieldType,
    KeyPath,
    Schema,
    choice_type,
    validation_error,
)
from paramgen.catalog.synonyms import FIELD_SYNONYMS
from paramgen.messages import closest_match, did_you_mean, join_first, must_be, show

# Misspelt keys of one mapping that get a suggestion; a report has room for fewer.
MAX_SUGGESTIONS = 100


class SpecModel(BaseModel):
    """A strict, frozen mapping of a spec. `label` is what its errors call it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)
    label: ClassVar[str] = "the spec"

    @classmethod
    @cache
    def fields_by_key(cls) -> dict[str, FieldInfo]:
        """Return its fields by the keys that they have in a spec."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def field_names(cls) -> Iterable[str]:
        """Return the keys that it may have."""
        return cls.fields_by_key()

    @classmethod
    def closest_field(cls, key: str, data: Iterable[str]) -> str | None:
        """Return the field that an unknown key probably means. Fields already in `data` need a closer match."""
        known = cls.field_names()
        absent = closest_match(key, [name for name in known if name not in data], FIELD_SYNONYMS.get(cls.label, {}))
        return absent or closest_match(key, [name for name in known if name in data], cutoff=0.9)

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        """Yield errors that involve several fields."""
        yield from ()

    @classmethod
    def schema_rules(cls) -> Schema:
        """Return additional JSON Schema rules that involve several fields."""
        return {}

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        model = None
        errors: list[FieldError] = []
        try:
            model = handler(data)
        except ValidationError as error:
            errors = _translate_pydantic_errors(cls, error, data)
        if model is not None:
            errors += cls._null_errors(data)
        if isinstance(data, dict):
            errors += cls.check_keys(data)
        if errors:
            raise validation_error(cls._drop_missing_of_misspelt(errors, data), cls.label)
        return model

    @classmethod
    def _null_errors(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        """Yield an error for each null: pydantic accepts it as "not given", but in a spec a value was forgotten."""
        if None in data.values():
            for key in (key for key, value in data.items() if value is None):
                yield FieldError((key,), must_be(_expectation(cls, key).value, None))

    @classmethod
    def _drop_missing_of_misspelt(cls, errors: list[FieldError], data: dict[str, Any]) -> list[FieldError]:
        """Return the errors without those of missing fields that an unknown key resembles: they are one error."""
        if all(error.subject != ErrorSubject.MISSING_FIELD for error in errors):
            return errors
        unknown = (key for key in data if key not in cls.fields_by_key())
        misspelt = {cls.closest_field(key, data) for key in islice(unknown, MAX_SUGGESTIONS)}
        return [
            error for error in errors if error.subject != ErrorSubject.MISSING_FIELD or error.path[-1] not in misspelt
        ]

    @classmethod
    def missing_field_error(cls, name: str, label: str) -> FieldError:
        """Return the error of a missing field; `label` is what needs it."""
        purpose = re.split(r"[;:(]", cls.fields_by_key()[name].description or "")[0].strip(" .")
        detail = f" ({purpose})" if purpose != name else ""
        return FieldError((name,), f"missing field of {label}; add {name}{detail}", ErrorSubject.MISSING_FIELD)


class TypedSpecModel(SpecModel):
    """A mapping selected by its `type`, whose literals are its name and its aliases. `label` is the name."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Label a model by its type."""
        if "type" in cls.model_fields:
            cls.label = cls.names()[0]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return its type's name, then its aliases."""
        return get_args(cls.model_fields["type"].annotation)

    @property
    def type_name(self) -> str:
        """The type's own name, whichever alias was written."""
        return self.label


AnyTyped = TypeVar("AnyTyped", bound=TypedSpecModel)


def read_typed(table: Mapping[str, type[AnyTyped]], data: Any, expected: str, synonyms: Mapping[str, str]) -> AnyTyped:
    """Return the model of a mapping, selected from a table by its `type`. Raises ValidationError if it is not valid.

    `synonyms` say what to suggest for types that the table lacks.
    Only the selected model's validator is built. Building those of a whole table, as a pydantic union does, takes a
    tenth of a tiny build.
    """
    if not isinstance(data, dict):
        raise validation_error([FieldError((), must_be(expected, data))])
    if "type" not in data:
        raise validation_error([FieldError((), f"type is missing; write {expected}")])
    written = data["type"]
    model = table.get(written) if isinstance(written, str) else None
    if model is None:
        raise validation_error([FieldError(("type",), _explain_type(written, table, synonyms))])
    return model.model_validate(data)


def _explain_type(written: Any, table: Mapping[str, type[TypedSpecModel]], synonyms: Mapping[str, str]) -> str:
    if not isinstance(written, str):
        return must_be("the name of a type", written)
    guess = synonyms.get(written.lower()) or closest_match(written, table)
    names = (name for name, model in table.items() if name == model.names()[0])
    return f"unknown type {show(written)}{_suggestion(guess, names)}"


def _suggestion(guess: str | None, known: Iterable[str]) -> str:
    """Return the end of the error of an unknown word: the one that may be meant, or else some that are known."""
    return did_you_mean(guess) or f"; known: {join_first(known)}"


def unknown_key_errors(
    path: KeyPath, keys: Iterable[str], known: Sequence[str], message: str, synonyms: Mapping[str, str]
) -> Iterator[FieldError]:
    """Yield an error for each key at a path that is not known; `message` is its first part."""
    for index, key in enumerate(key for key in keys if key not in known):
        guess = closest_match(key, known, synonyms) if index < MAX_SUGGESTIONS else None
        yield FieldError((*path, key), message + _suggestion(guess, known), ErrorSubject.KEY)


def _translate_pydantic_errors(model: type[SpecModel], error: ValidationError, data: Any) -> list[FieldError]:
    """Return pydantic's errors of a model, one for each place, in the words of its fields."""
    errors: dict[KeyPath, FieldError] = {}
    for item in error.errors(include_url=False):
        loc, error_type = item["loc"], item["type"]
        if loc and loc[-1] == "[key]":
            errors[loc[:-1]] = FieldError(loc[:-1], item["msg"], ErrorSubject.KEY)
        elif error_type in list(ErrorSubject):
            errors[loc] = FieldError(loc, item["msg"], ErrorSubject(error_type))
        elif not loc:
            errors[loc] = FieldError(loc, must_be("a mapping", item["input"]))
        elif error_type == "extra_forbidden":
            guess = model.closest_field(str(loc[0]), data) if len(errors) < MAX_SUGGESTIONS else None
            known = _suggestion(guess, model.field_names())
            errors[loc] = FieldError(loc, f"unknown field of {model.label}{known}", ErrorSubject.KEY)
        elif error_type == "missing":
            errors[loc] = model.missing_field_error(str(loc[0]), model.label)
        else:
            if not _expectation(model, str(loc[0])).item:
                loc = loc[:1]  # what follows is a branch of a union
            errors.setdefault(loc, FieldError(loc, _explain_value(model, loc, error_type, item)))
    return list(errors.values())


def _explain_value(model: type[SpecModel], loc: KeyPath, error_type: str, item: Mapping[str, Any]) -> str:
    """Return the message of a wrong value of a field, or of one inside it."""
    value = item["input"]
    if error_type in ("too_long", "string_too_long"):
        unit = "characters" if error_type == "string_too_long" else "entries"
        return f"must have at most {item['ctx']['max_length']:,} {unit}, got {len(value):,}"
    if error_type in ("too_short", "string_too_short"):
        return "must not be empty"
    expectation = _expectation(model, str(loc[0]))
    expected = expectation.item if len(loc) > 1 else expectation.value
    expected = "a mapping" if error_type == "dict_type" and len(loc) > 1 else expected
    hint = expectation.hint(value) if isinstance(expectation, FieldType) else ""
    if error_type == "string_type" and isinstance(value, bool | int | float):
        hint = "; write it in quotes"
    return must_be(expected, value) + hint


def _expectation(model: type[SpecModel], name: str) -> Expectation:
    """Return the words for a field: those of its type, or else its literals and booleans."""
    field = model.fields_by_key()[name]
    members = (field.annotation, *get_args(field.annotation))  # of a union
    metadata = (part for member in members for part in getattr(member, "__metadata__", ()))
    for part in (*field.metadata, *metadata):
        if isinstance(part, Expectation):
            return part
    words = [word for member in members if get_origin(member) is Literal for word in get_args(member)]
    if not words:
        return Expectation("true or false")
    return choice_type([*words, "true", "false"] if bool in members else words, {})
