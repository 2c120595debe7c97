"""The JSON Schema of the spec language, made from its models.

A schema of draft 7, which the YAML language server reads; types are told apart by if and then, so that a mistake is
reported for the type that was written and for no other. What only the plan knows (names that collide, values beyond a
dtype) no schema can say; nor can it tell 4.0 from 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from paramgen import limits
from paramgen.catalog import initializers, operations
from paramgen.catalog.fields import NO_NAME, RESERVED
from paramgen.catalog.initializers import ParameterShape
from paramgen.catalog.models import Tagged
from paramgen.catalog.operations import CHANNEL_WISE, GROUPINGS, Convolution, CustomParameter, Standard
from paramgen.language.expressions import FUNCTIONS
from paramgen.language.groups import Group
from paramgen.language.model import Override, SpecFields

Schema = dict[str, Any]

STANDARD = [model for model in operations.TABLE if issubclass(model, Standard)]


def json_schema() -> Schema:
    """The schema of a whole spec."""
    models: list[type[BaseModel]] = [
        SpecFields,
        Override,
        Group,
        CustomParameter,
        *operations.TABLE,
        *initializers.TABLE,
    ]
    _, generated = models_json_schema([(model, "validation") for model in models], ref_template="#/definitions/{model}")
    definitions: dict[str, Schema] = {
        name: _expressive(_tidy(definition)) for name, definition in generated["$defs"].items()
    }
    definitions["Expression"] = EXPRESSION
    spec = definitions.pop("SpecFields")
    definitions["Operation"] = _by_type(operations.TABLE)
    definitions["Initializer"] = {
        "description": "An initializer: a name, or a mapping with type and its fields.",
        "if": {"type": "string"},
        "then": {
            "enum": [
                name for model in initializers.TABLE if _is_whole(definitions[model.__name__]) for name in model.names()
            ]
        },
        "else": _by_type(initializers.TABLE),
    }
    for model in STANDARD:
        definition = definitions[model.__name__]
        definition["properties"]["initializers"] |= _by_parameter(model)
        if issubclass(model, Convolution):
            definition |= CONVOLUTION_RULE
        if "bias" in model.model_fields:
            definition["allOf"] = [NO_BIAS_RULE]
    definitions["CustomParameter"]["allOf"] = CUSTOM_RULES
    parameters = definitions["Custom"]["properties"]["parameters"]
    names = {"pattern": next(iter(parameters.pop("patternProperties"))), "not": {"const": RESERVED}}
    spec["properties"]["operations"] = OPERATIONS
    spec["properties"]["variables"]["propertyNames"] = IS_VARIABLE
    definitions["Override"]["anyOf"] = [{"required": ["initializer"]}, {"required": ["dtype"]}]
    spec["required"] = ["operations"]
    definitions["Group"]["properties"]["operations"] |= OPERATIONS
    definitions["Group"]["dependencies"] = {"as": ["repeat"]}
    definitions["Group"]["properties"]["as"] |= IS_VARIABLE
    parameters["propertyNames"] = names
    parameters["additionalProperties"] = _reference("CustomParameter")
    spec["properties"]["defaults"] |= _closed(
        {name: _object(_by_parameter(model)) for model in STANDARD for name in model.names()}
    )
    spec["properties"]["defaults"]["allOf"] = [
        {"not": {"required": list(model.names())}} for model in STANDARD if len(model.names()) > 1
    ]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "paramgen spec",
        **spec,
        "description": "The parameters of a neural network: operations with their sizes and initializers.",
        "definitions": dict(sorted(definitions.items())),
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _object(schema: Schema) -> Schema:
    return {"type": "object", **schema}


def _closed(properties: dict[str, Schema]) -> Schema:
    return {"properties": properties, "additionalProperties": False}


def _by_type(models: Sequence[type[Tagged]]) -> Schema:
    """A mapping whose type says which definition it follows."""
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": [name for model in models for name in model.names()]}},
        "allOf": [{"if": _has_type(model.names()), "then": _reference(model.__name__)} for model in models],
    }


def _has_type(names: Iterable[str]) -> Schema:
    return {"required": ["type"], "properties": {"type": {"enum": list(names)}}}


def _is(names: Sequence[str]) -> Schema:
    """An initializer, as a name or a mapping, of one of the types."""
    return {"anyOf": [{"enum": list(names)}, _object(_has_type(names))]}


def _is_whole(definition: Schema) -> bool:
    """Whether an initializer needs no field, so that its name alone will do."""
    return bool(definition["required"] == ["type"])


def _by_parameter(model: type[Standard]) -> Schema:
    """Initializers by parameter, each without those that do not fit it."""
    return _closed({name: _fitting(target) for name, target in model.example_shapes().items()})


def _fitting(target: ParameterShape) -> Schema:
    unsupported = [
        name
        for model in initializers.TABLE
        if model.model_construct().why_unsupported(target) is not None
        for name in model.names()
    ]
    return {"allOf": [_reference("Initializer")], "not": _is(unsupported)}


def _grouping(name: str) -> Schema:
    needed, refused = GROUPINGS[name]
    return {"required": list(needed), "properties": dict.fromkeys(refused, False)}


IS_VARIABLE: Schema = {
    "pattern": f"^[^{NO_NAME}0-9-][^{NO_NAME}-]*$",
    "not": {"enum": list(FUNCTIONS)},
}

EXPRESSION: Schema = {
    "description": "An expression over the spec's variables, and the index of a repeated group.",
    "type": "string",
    "pattern": r"^\$\{[^{}]+\}$",
}

PARTLY_EXPRESSION: Schema = {"type": "string", "pattern": r"\$\{[^{}]+\}"}

OPERATIONS: Schema = {
    "description": "the operations, each with a name, a type and its sizes, and groups of them.",
    "type": "array",
    "minItems": 1,
    "items": {
        "if": {"type": "object", "required": ["operations"], "not": {"required": ["type"]}},
        "then": _reference("Group"),
        "else": _reference("Operation"),
    },
}

CONVOLUTION_RULE: Schema = {
    "if": {"required": ["num_groups"]},
    "then": {
        "if": {"properties": {"num_groups": {"const": CHANNEL_WISE}}},
        "then": _grouping(CHANNEL_WISE),
        "else": _grouping("grouped"),
    },
    "else": _grouping("ungrouped"),
}

NO_BIAS_RULE: Schema = {
    "if": {"required": ["bias"], "properties": {"bias": {"enum": ["none", False]}}},
    "then": {"properties": {"initializers": {"properties": {"bias": False}}}},
}


def _fans_rules() -> Iterator[Schema]:
    """What custom parameters need for initializers that scale with fans: those of the mode, written or default."""
    for model in initializers.TABLE:
        if issubclass(model, initializers.Scaled):
            for mode in get_args(initializers.Mode):
                fans = list(model.model_construct(mode=mode).fans())
                written = _object({**_has_type(model.names()), "required": ["type", "mode"]})
                written["properties"] = {**written["properties"], "mode": {"const": mode}}
                is_default = mode == model.model_fields["mode"].default
                unwritten = {"allOf": [_is(model.names()), {"not": _object({"required": ["mode"]})}]}
                has_mode = {"anyOf": [written, unwritten]} if is_default else written
                yield {"if": {"properties": {"initializer": has_mode}}, "then": {"required": fans}}


def _shape_rules() -> Iterator[Schema]:
    """How many dimensions custom parameters have for initializers that do not fit any number of them."""
    for model in initializers.TABLE:
        initializer, every = model.model_construct(), range(limits.MAX_DIMENSIONS + 1)
        fitting = [count for count in every if initializer.why_unsupported(ParameterShape((1,) * count, 1, 1)) is None]
        if not fitting:
            yield {"properties": {"initializer": {"not": _is(model.names())}}}
        elif len(fitting) < len(every):
            shape = {"minItems": fitting[0], "maxItems": fitting[-1]}
            yield {
                "if": {"properties": {"initializer": _is(model.names())}},
                "then": {"properties": {"shape": shape}},
            }


CUSTOM_RULES: list[Schema] = [*_fans_rules(), *_shape_rules()]


def _tidy(schema: Schema) -> Schema:
    """Pydantic's schema without titles and nulls, and with initializers referred to by name."""
    if initializers.SCHEMA.items() <= schema.items():
        return _reference("Initializer")
    tidied: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            tidied[key] = {name: _tidy(field) for name, field in value.items()}
        elif key == "anyOf":
            branches = [_tidy(branch) for branch in value if branch != {"type": "null"}]
            tidied |= branches[0] if len(branches) == 1 else {"anyOf": branches}
        elif key == "title" or (key == "default" and value in (None, {})):
            continue
        else:
            tidied[key] = _tidy(value) if isinstance(value, dict) else value
    return tidied


def _expressive(schema: Any) -> Any:
    """The schema with an expression in the place of any number, and as a part of any name or choice but types."""
    if isinstance(schema, list):
        return [_expressive(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    is_number = schema.get("type") in ("integer", "number")
    if is_number or schema.get("not") == {"const": RESERVED} or (schema.get("type") == "string" and "enum" in schema):
        outer = {key: schema[key] for key in ("description", "default") if key in schema}
        plain = {key: value for key, value in schema.items() if key not in outer}
        return {**outer, "anyOf": [plain, _reference("Expression") if is_number else PARTLY_EXPRESSION]}
    return {key: value if key == "type" else _expressive(value) for key, value in schema.items()}
