"""Parts of the JSON Schema that the rules of several models are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paramgen.catalog.fields import Schema


def reference(name: str) -> Schema:
    """Return the schema of a definition by its name."""
    return {"$ref": f"#/definitions/{name}"}


def object_schema(schema: Schema) -> Schema:
    """Return the schema of a mapping that fits another schema."""
    return {"type": "object", **schema}


def closed_schema(properties: dict[str, Schema]) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    return {"properties": properties, "additionalProperties": False}


def merge_rules(rules: Schema, more: Schema) -> Schema:
    """Return two models' rules together: those of properties, and the others, which must differ."""
    return {**rules, **more, "properties": {**rules.get("properties", {}), **more.get("properties", {})}}


def type_schema(names: Iterable[str]) -> Schema:
    """Return the schema of a mapping whose `type` is one of some names."""
    return {"required": ["type"], "properties": {"type": {"enum": list(names)}}}


def initializer_schema(names: Sequence[str]) -> Schema:
    """Return the schema of an initializer, a name or a mapping, of one of some types."""
    return {"anyOf": [{"enum": list(names)}, object_schema(type_schema(names))]}
