"""The JSON Schema of the spec language, made from its models.

It is of draft 7, which the YAML language server reads. `if` and `then` select the definition of the written type, so
errors are reported for that type only. A schema cannot express what only the plan knows (names that collide, values
beyond a dtype), nor distinguish 4.0 from 4.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from paramgen.catalog import initializers, operations
from paramgen.catalog.fields import INDEX, RESERVED_NAME, SIZE, Schema
from paramgen.catalog.operations import CustomParameter, FilterNorm, MatrixNorm
from paramgen.catalog.schemas import reference, type_schema
from paramgen.catalog.spec_model import SpecModel, TypedSpecModel
from paramgen.language.evaluation import VALUE
from paramgen.language.groups import Group
from paramgen.language.parsed_spec import Override, SpecFields

EXPRESSION: Schema = {
    "description": "An expression over the spec's variables and those of the entries around it.",
    "type": "string",
    "pattern": r"^\$\{[^{}]+\}$",
}

PARTLY_EXPRESSION: Schema = {"type": "string", "pattern": r"\$\{[^{}]+\}"}


def json_schema() -> Schema:
    """Return the schema of a whole spec."""
    parts: list[type[SpecModel]] = [SpecFields, Override, Group, CustomParameter, FilterNorm, MatrixNorm]
    models = [*parts, *operations.OPERATIONS, *initializers.INITIALIZERS]
    _, generated = models_json_schema([(model, "validation") for model in models], ref_template="#/definitions/{model}")
    definitions: dict[str, Schema] = {
        model.__name__: _with_rules(_expressive(_tidy(generated["$defs"][model.__name__])), model) for model in models
    }
    for model in (*operations.OPERATIONS, *initializers.INITIALIZERS):
        definitions[model.__name__]["properties"]["type"] = _describe_type(model)
    spec = definitions.pop("SpecFields")
    definitions["Expression"] = EXPRESSION
    definitions["Value"] = {"description": "A variable's value.", **VALUE.schema}
    definitions["OperationType"] = _names_or_expression(operations.OPERATIONS)
    definitions["Operation"] = _by_type(operations.OPERATIONS)
    whole = [model for model in initializers.INITIALIZERS if _is_whole(definitions[model.__name__])]
    definitions["Initializer"] = {
        "description": "An initializer: a name, or a mapping with type and its fields.",
        "anyOf": [*_names_or_expression(whole)["anyOf"], {"type": "object"}],  # `then` alone completes no names
        "if": {"type": "object"},
        "properties": {"type": _names_or_expression(initializers.INITIALIZERS)},
        "then": _by_type(initializers.INITIALIZERS),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "paramgen spec",
        **spec,
        "description": "The parameters of a neural network: operations with their sizes and initializers.",
        "definitions": dict(sorted(definitions.items())),
    }


def _with_rules(definition: Schema, model: type[SpecModel]) -> Schema:
    """Return a model's schema with its rules; those under `properties` add to the schemas of its fields."""
    rules = model.schema_rules()
    for name, rule in rules.pop("properties", {}).items():
        definition["properties"].setdefault(name, {}).update(rule)
    return {**definition, **rules}


def _by_type(models: Sequence[type[TypedSpecModel]]) -> Schema:
    """Return the schema of a mapping whose type says which definition it follows."""
    return {
        "type": "object",
        "required": ["type"],
        "allOf": [{"if": type_schema(model.names()), "then": reference(model.__name__)} for model in models],
    }


def _names_or_expression(models: Sequence[type[TypedSpecModel]]) -> Schema:
    """Return the schema of a type. Editors show the description of each name."""
    summaries = {name: _summarize(model) for model in models for name in model.names()}
    names: Schema = {"enum": list(summaries), "enumDescriptions": list(summaries.values())}
    return {"anyOf": [names, reference("Expression")]}


def _describe_type(model: type[TypedSpecModel]) -> Schema:
    """Return the schema of a model's type. Editors insert its default; `if` has already compared it with the names."""
    return {"description": _summarize(model), "type": "string", "default": model.names()[0]}


def _summarize(model: type[TypedSpecModel]) -> str:
    """Return the first line of a model's description."""
    return (inspect.getdoc(model) or "").partition("\n")[0]


def _is_whole(definition: Schema) -> bool:
    """Return True if an initializer needs no field, so that its name is enough."""
    return definition["required"] == ["type"] and "oneOf" not in definition


def _tidy(schema: Schema) -> Schema:
    """Return pydantic's schema without titles, nulls and patterns of keys."""
    tidied: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            tidied[key] = {name: _tidy(field) for name, field in value.items()}
        elif key == "anyOf":
            branches = [_tidy(branch) for branch in value if branch != {"type": "null"}]
            tidied |= branches[0] if len(branches) == 1 else {"anyOf": branches}
        elif key in ("title", "patternProperties") or (key == "default" and value in (None, {})):
            continue
        else:
            tidied[key] = _tidy(value) if isinstance(value, dict) else value
    return tidied


def _expressive(schema: Any, is_alternative: bool = False) -> Any:
    """Return a schema that also accepts an expression for a number or a list of sizes, and in a name or a choice.

    The lists of `is_alternative` are those beside a number, which accepts one already.
    """
    if isinstance(schema, list):
        return [_expressive(entry, is_alternative) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    is_sizes = schema.get("items") in (SIZE.schema, INDEX.schema) and not is_alternative
    is_whole = is_sizes or schema.get("type") in ("integer", "number", "boolean")
    if (
        is_whole
        or schema.get("not") == {"const": RESERVED_NAME}
        or (schema.get("type") == "string" and "enum" in schema)
    ):
        outer = {key: schema[key] for key in ("description", "default") if key in schema}
        plain = {
            key: _expressive(value) if key == "items" else value for key, value in schema.items() if key not in outer
        }
        return {**outer, "anyOf": [plain, reference("Expression") if is_whole else PARTLY_EXPRESSION]}
    return {key: value if key == "type" else _expressive(value, key == "anyOf") for key, value in schema.items()}
