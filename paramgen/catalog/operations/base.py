"""The base of the operations: parameter definitions, names, dtypes, initializers by parameter."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from paramgen.catalog.axes import Axes, AxisSizes
from paramgen.catalog.entries import SpecEntry
from paramgen.catalog.fields import (
    RESERVED_NAME,
    DTypeName,
    ErrorSubject,
    Expectation,
    FieldError,
    Name,
    Schema,
    reserved_name_error,
)
from paramgen.catalog.initializers import (
    INITIALIZER_EXPECTED,
    INITIALIZERS,
    AnyInitializer,
    Glorot,
    Initializer,
    Ones,
    Orthogonal,
    ParameterTraits,
    Zeros,
)
from paramgen.catalog.schemas import closed_schema, initializer_schema, merge_rules, reference
from paramgen.catalog.spec_model import TypedSpecModel, unknown_key_errors
from paramgen.catalog.synonyms import PARAMETER_SYNONYMS
from paramgen.messages import must_be

GLOROT = Glorot(type="glorot")
ORTHOGONAL = Orthogonal(type="orthogonal")
ONES = Ones(type="ones")
ZEROS = Zeros(type="zeros")


@dataclass(slots=True)  # not frozen: a frozen dataclass takes four times as long to make
class ParameterDef:
    """A parameter of an operation, before the spec's initializers: name, size, fans and default initializer.

    `initializer_key` is its name in `initializers` and `defaults`; several parameters may share it. `initializer_path`
    is the place of its initializer in a spec, below the operation. `direction` names the earlier parameter whose norm
    this magnitude is.
    """

    name: str
    traits: ParameterTraits
    initializer: Initializer
    initializer_key: str
    dtype: str | None = None
    initializer_path: tuple[str | int, ...] = ()
    direction: str | None = None


def define_weights(
    name: str,
    axes: str,
    sizes: AxisSizes,
    fan_in: tuple[int, ...],
    fan_out: tuple[int, ...],
    initializer: Initializer = GLOROT,
    suffix: str = "",
) -> ParameterDef:
    """Return weights with named axes, in the notation of axes.py, and fans that are given as factors."""
    named = Axes(axes, sizes)
    traits = ParameterTraits(named.shape, prod(fan_in), prod(fan_out), axes=named, fan_factors=(fan_in, fan_out))
    return ParameterDef(name + suffix, traits, initializer, name)


def define_vector(
    name: str,
    axes: str,
    sizes: AxisSizes,
    initializer: Initializer = ZEROS,
    num_hidden_units: int | None = None,
    suffix: str = "",
) -> ParameterDef:
    """Return a bias, offset or scale: one axis, and one of size 1."""
    named = Axes(f"{axes} 1", sizes)
    traits = ParameterTraits(named.shape, None, None, True, num_hidden_units, named)
    return ParameterDef(name + suffix, traits, initializer, name)


class Operation(TypedSpecModel, SpecEntry):
    """Base of the operations: a name, a type, and parameters."""

    title: ClassVar[str]
    example: ClassVar[dict[str, Any]]
    example_variants: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Fields that give the example other parameters, or other tensors in a layout; None removes a field."""
    name: Name = Field(description="name of the operation; its tensors are <name>.<parameter>.")
    dtype: DTypeName | None = Field(default=None, description="element type of its parameters; default: the spec's.")
    tie: Annotated[
        dict[str, str], Expectation(value="a mapping of parameters to names of other parameters", item="a name")
    ] = Field(
        default_factory=dict,
        description="parameters to share: a parameter's name, and the canonical name of the one that it shares.",
    )

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        if data.get("name") == RESERVED_NAME:
            yield reserved_name_error(("name",), ErrorSubject.VALUE)

    @classmethod
    def field_names(cls) -> Iterable[str]:
        """Return the keys that it may have, first those that only this operation has."""
        return sorted(super().field_names(), key=StandardOperation.fields_by_key().__contains__)

    def parameter_defs(self) -> Iterator[ParameterDef]:
        """Yield the parameters, in the order of the table."""
        raise NotImplementedError

    def explicit_initializers(self) -> Mapping[str, Initializer]:
        """Return the initializers that the operation sets, by the parameters' keys."""
        return {}

    @classmethod
    def examples(cls) -> Iterator[tuple[dict[str, Any], Self]]:
        """Yield the example and its variants, each with the fields that distinguish it."""
        for fields in ({}, *cls.example_variants):
            given = {"name": "example", "type": cls.names()[0], **cls.example, **fields}
            yield fields, cls.model_validate({key: value for key, value in given.items() if value is not None})

    @classmethod
    def example_traits(cls) -> dict[str, ParameterTraits]:
        """Return example traits by key. They stand in for all sizes in schema rules."""
        traits_of: dict[str, ParameterTraits] = {}
        for _, example in cls.examples():
            for definition in example.parameter_defs():
                traits_of.setdefault(definition.initializer_key, definition.traits)
        return traits_of


def _schema_of_fitting_initializers(traits: ParameterTraits) -> Schema:
    names = [
        name for model in INITIALIZERS if not model.model_construct().fits_dimensions(traits) for name in model.names()
    ]
    return {"allOf": [reference("Initializer")], "not": initializer_schema(names)}


def _omission_rule(parameter: str, by_default: bool) -> Schema:
    """Return the rule that a parameter has no initializer if the field with its name omits it."""
    written = {} if by_default else {"required": [parameter]}
    return {
        "if": {**written, "properties": {parameter: {"enum": ["none", False]}}},
        "then": {"properties": {"initializers": {"properties": {parameter: False}}}},
    }


NO_MAGNITUDE_RULE: Schema = {
    "if": {"not": {"required": ["weight_norm"]}},
    "then": {"properties": {"initializers": {"properties": {"magnitude": False}}}},
}


class StandardOperation(Operation):
    """An operation with named parameters, whose default initializers a spec may replace."""

    initializers: Annotated[
        dict[str, AnyInitializer],
        Expectation(value="a mapping of parameter names to initializers", item=INITIALIZER_EXPECTED),
    ] = Field(default_factory=dict, description="initializers by parameter name, instead of the defaults.")

    @classmethod
    @cache
    def parameter_names(cls) -> tuple[str, ...]:
        """Return the keys of its parameters, whatever its fields."""
        return tuple(cls.example_traits())

    @classmethod
    def parameter_synonyms(cls) -> Mapping[str, str]:
        """Return the names that other frameworks give its parameters, with its own."""
        return PARAMETER_SYNONYMS.get(cls.names()[0], {})

    def explicit_initializers(self) -> Mapping[str, Initializer]:
        return self.initializers

    @classmethod
    def initializers_schema(cls) -> Schema:
        """Return the JSON Schema of initializers by parameter, each without the types that do not fit it."""
        return closed_schema(
            {name: _schema_of_fitting_initializers(traits) for name, traits in cls.example_traits().items()}
        )

    @classmethod
    def schema_rules(cls) -> Schema:
        rules: Schema = {"properties": {"initializers": cls.initializers_schema()}}
        optional = [name for name in cls.parameter_names() if name in cls.model_fields]
        omitted = [_omission_rule(name, cls.model_fields[name].default is False) for name in optional]
        if "weight_norm" in cls.model_fields:
            omitted.append(NO_MAGNITUDE_RULE)
        return merge_rules(super().schema_rules(), rules | ({"allOf": omitted} if omitted else {}))

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        initializers = data.get("initializers")
        if isinstance(initializers, dict):
            known, message = cls.parameter_names(), f"unknown parameter of {cls.label}"
            yield from unknown_key_errors(("initializers",), initializers, known, message, cls.parameter_synonyms())


def check_multiple(data: dict[str, Any], whole: str, parts: str) -> Iterator[FieldError]:
    """Yield an error if one size is not a multiple of the other."""
    size, count = data.get(whole), data.get(parts)
    if type(size) is int and type(count) is int and size > 0 and 0 < count < 2**63 and size % count:
        yield FieldError((whole,), must_be(f"a multiple of {parts} ({count})", size))
