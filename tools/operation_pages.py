"""The tables of operations and layouts in docs/operations.md and docs/layout-tables.md."""

import inspect
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pages import render_table
from pydantic.fields import FieldInfo
from symbols import make_symbolic

from paramgen.catalog import initializers, operations
from paramgen.catalog.axes import parse_row
from paramgen.catalog.entries import ENTRY_KEYS
from paramgen.catalog.frameworks import FRAMEWORKS
from paramgen.catalog.frameworks.tables import LAYOUTS
from paramgen.catalog.layouts import CONSTANTS, UnsupportedError
from paramgen.catalog.operations import Operation, ParameterDef, StandardOperation
from paramgen.catalog.spec_model import SpecModel

SHARED_FIELDS = ("name", "dtype", "tie", "initializers")


def render_shared_fields() -> str:
    return render_fields(StandardOperation, SHARED_FIELDS)


def render_operations() -> str:
    """Return a section per operation: its fields, and its parameters in all variants."""
    sections = []
    for model in operations.OPERATIONS:
        own_fields = [key for key in model.fields_by_key() if key not in {*SHARED_FIELDS, *ENTRY_KEYS, "type"}]
        parameters = render_parameters(model) if issubclass(model, StandardOperation) else render_custom_parameter()
        sections += [render_title(model), f"{inspect.getdoc(model)}\n", render_fields(model, own_fields), parameters]
    return "\n".join(sections)


def render_layouts() -> str:
    """Return a section per operation: its tensors in each layout, for the variants that differ."""
    parts = []
    for model in operations.OPERATIONS:
        if not issubclass(model, StandardOperation):
            continue
        parts.append(render_title(model))
        shown: list[tuple[str, ...]] = []
        for fields, operation in model.examples():
            definitions = list(operation.parameter_defs())
            rows = [row for layout in FRAMEWORKS for row in list_tensors(layout, operation, definitions)]
            if rows == shown:
                continue
            shown = shown or rows
            canonical = [
                ("canonical", f"`{definition.name}`", "", f"`{definition.traits.axes.pattern}`")
                for definition in definitions
                if definition.traits.axes
            ]
            parts += [f"With {format_variant(fields)}:\n"] if fields else []
            parts.append(render_table(["layout", "tensor", "of", "axes"], [*canonical, *rows]))
    return "\n".join(parts)


def render_title(model: type[Operation]) -> str:
    return f"### {model.title}: {format_names(model.names())}\n"


def render_fields(model: type[SpecModel], keys: Iterable[str]) -> str:
    """Return a table of some of a model's fields."""
    fields = model.fields_by_key()
    return render_table(
        ["field", "default", "meaning"],
        ((f"`{key}`", format_default(fields[key]), escape_tags(fields[key].description)) for key in keys),
    )


def render_custom_parameter() -> str:
    """Return a table of the fields of a parameter of `custom`."""
    return render_table(
        ["parameter's field", "default", "meaning"],
        (
            (f"`{key}`", "required" if field.is_required() else "-", field.description)
            for key, field in operations.CustomParameter.fields_by_key().items()
        ),
    )


def render_parameters(model: type[StandardOperation]) -> str:
    """Return a table of an operation's parameters; of a variant, only those that differ."""
    rows: list[tuple[str, ...]] = []
    shown: set[tuple[str, ...]] = set()
    for fields, operation in model.examples():
        parameters = [format_parameter(definition) for definition in make_symbolic(model, fields, operation)]
        different = [cells for cells in parameters if cells not in shown]
        variants = [format_variant(fields), *[""] * len(different)]
        rows += [(variant, *cells) for variant, cells in zip(variants, different, strict=False)]
        shown = shown or set(parameters)
    return render_table(["", "parameter", "size", "fan_in", "fan_out", "default initializer"], rows)


def list_tensors(layout: str, operation: Operation, definitions: list[ParameterDef]) -> Iterator[tuple[str, ...]]:
    """Yield a row per tensor: name, sources, axes. If the layout lacks the operation, yield the reason."""
    try:
        for row in map(parse_row, LAYOUTS[layout].applicable_rows(operation, definitions)):
            collection = f" in `{row.collection.rstrip('.')}`" if row.collection else ""
            sources = " + ".join(source if source in CONSTANTS else f"`{source}`" for source in row.sources)
            dtype = f", {row.dtype}" if row.dtype else ""
            patterns = dict.fromkeys(" ".join(tokens) for _, tokens in row.terms)
            axes = ", ".join(f"`{pattern}`" for pattern in patterns if pattern)
            yield layout, f"`{row.name}`{collection}", f"{sources}{dtype}", axes
    except UnsupportedError as error:
        yield layout, str(error), "", ""


def format_variant(fields: dict[str, Any]) -> str:
    """Return the field that makes an operation a variant; for a size, only its name."""
    for name, value in fields.items():
        if isinstance(value, int):
            return f"`{name}`"
        if isinstance(value, dict):
            inner = ", ".join(f"{key}: {inner_value}" for key, inner_value in value.items())
            return f"`{name}: {{{inner}}}`"
        return f"`{name}: {value}`"
    return ""


def format_parameter(definition: ParameterDef) -> tuple[str, ...]:
    """Return a parameter's cells: name, size, fan_in, fan_out and default initializer."""
    traits = definition.traits
    fans = ("-" if fan is None else str(fan) for fan in (traits.fan_in, traits.fan_out))
    ones = "*" if traits.axes and traits.axes.pattern.startswith("*one") else ""
    shape = f"[{ones}{', '.join(map(str, traits.shape))}]"
    return f"`{definition.name}`", shape, *fans, format_initializer(definition)


def format_initializer(definition: ParameterDef) -> str:
    """Return a default initializer's name and numbers, without gains, which are 1."""
    described = definition.initializer.describe()
    numbers = {name: value for name, value in described.items() if isinstance(value, float) and name != "gain"}
    fields = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
    if isinstance(definition.initializer, initializers.Formula):
        fields = described["value"].strip("${}")
    return definition.initializer.type_name + (f" ({fields})" if fields else "")


def format_names(names: tuple[str, ...]) -> str:
    """Return a type's name, with its aliases in parentheses."""
    name, *aliases = (f"`{name}`" for name in names)
    return f"{name} (alias {', '.join(aliases)})" if aliases else name


def format_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return "-" if default in (None, {}) else json.dumps(default).strip('"')


def escape_tags(text: str | None) -> str:
    """Return a text in which Markdown sees no HTML."""
    return str(text).replace("<", "\\<")
