"""Files made from the code: the schema, the tables of operations, the references.

python tools/generate.py            write them
python tools/generate.py --check    exit with status 1 if one is not up to date
"""

import inspect
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from pathlib import Path
from types import FunctionType, UnionType
from typing import Any, get_args

import mdformat
import numpy as np
import typer
from models import model_page
from pydantic.fields import FieldInfo

import paramgen
from paramgen.catalog import initializers, operations
from paramgen.catalog.axes import parse_row
from paramgen.catalog.distributions import ELEMENTWISE
from paramgen.catalog.entries import ENTRY_KEYS
from paramgen.catalog.frameworks import FRAMEWORKS
from paramgen.catalog.frameworks.tables import LAYOUTS
from paramgen.catalog.layouts import CONSTANTS, UnsupportedError
from paramgen.catalog.models import SpecModel
from paramgen.catalog.operations import Operation, ParameterDef, StandardOperation
from paramgen.cli import commands as cli
from paramgen.dtypes import DTYPES
from paramgen.language.schema import json_schema
from paramgen.sampling import functions, normal
from paramgen.sampling.backend import kernel_name

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Made by tools/generate.py from the code. Do not edit. -->\n\n"

POLYNOMIALS = {**normal.POLYNOMIALS, **functions.POLYNOMIALS}


class Symbol:
    """A symbolic size: arithmetic on it gives a formula."""

    def __init__(self, name: str, factor: object = 1):
        self.name = name
        self.factor = factor

    def __rmul__(self, other: object) -> "Symbol":
        return self if other == 1 else Symbol(self.name, other)

    def __mul__(self, other: object) -> "Symbol":
        if isinstance(other, Quotient) and other.divisor.name == self.name:
            return Symbol(other.dividend.name, self.factor)
        return self if other == 1 else Symbol(f"{self}·{other}")

    def __floordiv__(self, other: "Symbol") -> "Quotient":
        return Quotient(self, other)

    def __str__(self) -> str:
        return self.name if self.factor == 1 else f"{self.factor}·{self.name}"


class Quotient(Symbol):
    """A quotient of two sizes. Multiplied by its divisor, it is its dividend."""

    def __init__(self, dividend: Symbol, divisor: Symbol):
        super().__init__(f"{dividend}/{divisor}")
        self.dividend, self.divisor = dividend, divisor


class FilterSize:
    """All sizes of a filter: one entry in a shape, and their product in a formula."""

    class Sizes(Symbol):
        def __rmul__(self, other: object) -> Symbol:
            return Symbol("prod(filter_size)")

    def __iter__(self) -> Iterator[Symbol]:
        yield self.Sizes("*filter_size")

    def __len__(self) -> int:
        return 1


def symbolic(model: type[Operation], fields: dict[str, Any], operation: Operation) -> list[ParameterDef]:
    """Return the parameters of an operation with symbolic sizes."""
    sizes = {"num_hidden_units": Symbol("H"), "filter_size": FilterSize()}
    values = {
        name: sizes.get(name, Symbol(name)) if isinstance(value, int | list) else getattr(operation, name)
        for name, value in {**model.example, **fields}.items()
    }
    return list(model.model_construct(**values).parameter_defs())


def variants(model: type[StandardOperation]) -> Iterator[tuple[str, list[ParameterDef]]]:
    """Yield a heading and parameters for an operation and its variants; for a variant, only what differs."""
    shown: set[str] = set()
    for fields, operation in model.examples():
        new = {" ".join(cells(definition)): definition for definition in symbolic(model, fields, operation)}
        yield heading(fields), [definition for text, definition in new.items() if text not in shown]
        shown = shown or set(new)


def heading(fields: dict[str, Any]) -> str:
    """Return the field that makes an operation a variant; for a size, only its name."""
    for name, value in fields.items():
        if isinstance(value, dict):
            value = f"{{{', '.join(f'{key}: {one}' for key, one in value.items())}}}"  # noqa: PLW2901
        return f"`{name}`" if isinstance(value, int) else f"`{name}: {value}`"
    return ""


def cells(definition: ParameterDef) -> tuple[str, str, str, str, str]:
    """Return a parameter's cells: name, size, fan_in, fan_out and default initializer."""
    info = definition.info
    fans = ("-" if fan is None else str(fan) for fan in (info.fan_in, info.fan_out))
    ones = "*" if info.axes and info.axes.pattern.startswith("*one") else ""
    return f"`{definition.name}`", f"[{ones}{', '.join(map(str, info.shape))}]", *fans, describe(definition)


def field_rows(model: type[SpecModel], within: str = "") -> Iterator[str]:
    """Yield a row per field of a model, and per field of a mapping in it."""
    for name, field in model.model_fields.items():
        if name in ("name", "type", "dtype", "initializers"):
            continue
        default = "required" if field.is_required() else json.dumps(field.default).strip('"')
        yield f"| `{within}{name}` | {'-' if default == 'null' else default} | {field.description} |"
        for part in get_args(field.annotation) if isinstance(field.annotation, UnionType) else ():
            if isinstance(part, type) and issubclass(part, SpecModel):
                yield from field_rows(part, f"{name}.")


def code(names: tuple[str, ...]) -> str:
    own, *aliases = (f"`{name}`" for name in names)
    return f"{own} (alias {', '.join(aliases)})" if aliases else own


def describe(definition: ParameterDef) -> str:
    """Return a default initializer's name and numbers, without gains, which are 1."""
    described = definition.initializer.describe()
    numbers = {name: value for name, value in described.items() if isinstance(value, float) and name != "gain"}
    fields = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
    if isinstance(definition.initializer, initializers.Formula):
        fields = described["value"].strip("${}")
    return definition.initializer.type_name + (f" ({fields})" if fields else "")


SHARED_FIELDS = ("name", "dtype", "tie", "initializers")


def escape_tags(text: str | None) -> str:
    """Return a text in which Markdown sees no HTML."""
    return str(text).replace("<", "\\<")


def field_table(model: type[SpecModel], keys: Iterable[str]) -> str:
    """Return a table of some of a model's fields."""
    rows = ["| field | default | meaning |", "|---|---|---|"]
    for key in keys:
        field = model.fields_by_key()[key]
        default = "required" if field.is_required() else json.dumps(field.default).strip('"')
        rows.append(f"| `{key}` | {'-' if default in ('null', '{}') else default} | {escape_tags(field.description)} |")
    return "\n".join(rows) + "\n"


def operation_tables() -> str:
    parts = [
        NOTICE + "# Operations and initializers\n",
        "This page lists all operations, with fields, parameters and default initializers, and all initializers.\n",
        "| in the tables | meaning |\n|---|---|\n"
        "| size | canonical: an array in C order, last index fastest |\n"
        "| H | `num_hidden_units` |\n"
        "| \\*filter_size | the one, two or three sizes of a filter |\n"
        "| \\*1 | as many ones |\n"
        "| prod | the product of the sizes |\n"
        "| fan_in, fan_out | the numbers that scaling initializers use; a dash means none |\n"
        "| norm | that of the weights: [weight normalization](spec.md#weight-normalization) |\n",
        'The source is MathWorks\' page "Initialize Learnable Parameters for Model Function" (Deep Learning Toolbox).\n'
        "Operations that it lacks follow the modules of PyTorch, Keras, Flax and transformers.\n",
        "## Fields of every operation\n",
        "Operations also repeat, have local variables and conditions: see "
        "[Groups and repetitions](spec.md#groups-and-repetitions).\n",
        field_table(StandardOperation, SHARED_FIELDS),
        "`custom` takes no `initializers`: each of its parameters has its own.\n",
        "## Operations\n",
    ]
    for model in operations.OPERATIONS:
        parts.append(f"### {model.title}: {code(model.names())}\n\n{inspect.getdoc(model)}\n")
        parts.append(
            field_table(
                model, [key for key in model.fields_by_key() if key not in {*SHARED_FIELDS, *ENTRY_KEYS, "type"}]
            )
        )
        if not issubclass(model, StandardOperation):
            rows = ["| parameter's field | default | meaning |", "|---|---|---|"]
            for key, field in operations.CustomParameter.fields_by_key().items():
                rows.append(f"| `{key}` | {'required' if field.is_required() else '-'} | {field.description} |")
            parts.append("\n".join(rows) + "\n")
            continue
        rows = ["| | parameter | size | fan_in | fan_out | default initializer |", "|---|---|---|---|---|---|"]
        for title, definitions in variants(model):
            for definition in definitions:
                rows.append(f"| {' | '.join((title, *cells(definition)))} |")
                title = ""  # noqa: PLW2901 (only the first row has it)
        parts.append("\n".join(rows) + "\n")
    parts.append("## Initializers\n")
    rows = ["| initializer | fields and their defaults | values | source |", "|---|---|---|---|"]
    for model in initializers.INITIALIZERS:
        fields = [
            f"`{name}`" + (" (required)" if field.is_required() else default_of(field)).replace('"', "")
            for name, field in model.model_fields.items()
            if name != "type"
        ]
        rows.append(f"| {code(model.names())} | {', '.join(fields)} | {model.formula} | {model.reference} |")
    parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def default_of(field: FieldInfo) -> str:
    return "" if field.default is None else f" {json.dumps(field.default)}"


def layout_tables() -> str:
    """Return docs/layouts.md with new tables."""
    text = (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- tables -->\n")
    parts = []
    for model in operations.OPERATIONS:
        if not issubclass(model, StandardOperation):
            continue
        parts.append(f"### {model.title}: {code(model.names())}\n")
        plain: list[str] = []
        for fields, operation in model.examples():
            definitions = list(operation.parameter_defs())
            rows = [row for layout in FRAMEWORKS for row in layout_rows(layout, operation, definitions)]
            if rows == plain:
                continue
            plain = plain or rows
            canonical = [
                f"| canonical | `{definition.name}` | | `{definition.info.axes.pattern}` |"
                for definition in definitions
                if definition.info.axes
            ]
            title = [f"With {heading(fields)}:\n"] if fields else []
            head = ["| layout | tensor | of | axes |", "|---|---|---|---|"]
            parts += [*title, "\n".join([*head, *canonical, *rows]) + "\n"]
    return f"{before}<!-- tables -->\n\n" + "\n".join(parts) + "\n<!-- end -->\n" + rest.split("<!-- end -->\n")[1]


def layout_rows(layout: str, operation: Operation, definitions: list[ParameterDef]) -> Iterator[str]:
    """Yield a row per tensor: name, sources, axes. If the layout lacks the operation, yield the reason."""
    try:
        for row in map(parse_row, LAYOUTS[layout].applicable_rows(operation, definitions)):
            place = f" in `{row.collection.rstrip('.')}`" if row.collection else ""
            sources = " + ".join(source if source in CONSTANTS else f"`{source}`" for source in row.sources)
            dtype = f", {row.dtype}" if row.dtype else ""
            axes = dict.fromkeys(" ".join(tokens) for _, tokens in row.terms)
            found = ", ".join(f"`{one}`" for one in axes if one)
            yield f"| {layout} | `{row.name}`{place} | {sources}{dtype} | {found} |"
    except UnsupportedError as error:
        yield f"| {layout} | {error} | | |"


def command_reference() -> str:
    parts = [
        NOTICE + "# Command reference\n",
        "This page lists all commands, options and exit statuses.\n",
        "```console\n"
        "$ paramgen plan model.yaml\n"
        "$ paramgen build model.yaml -o model.safetensors\n"
        "$ paramgen inspect model.safetensors --stats\n"
        "```\n",
    ]
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        usage = " ".join(["paramgen", name, *(argument.metavar for argument in arguments), "[OPTIONS]"])
        rows = ["| argument or option | default | meaning |", "|---|---|---|"]
        for option in command.params:
            if option in arguments:
                rows.append(f"| `{option.metavar}` | required | {option.help} |")
            elif option.name != "help":
                metavar = "" if option.is_flag else f" {option.metavar}"
                words = ", ".join(f"`{word}{metavar}`" for word in option.opts)
                rows.append(f"| {words} | {option.default or '-'} | {option.help} |")
        parts += [f"## `{usage}`\n", f"{command.help}\n", *(["\n".join(rows) + "\n"] if len(rows) > 2 else [])]
    parts.append(
        "- `paramgen --version` prints the version. `--help`, also after a command, prints a summary of this page.\n"
        "- `--quiet` and `--json` together print only the JSON document. [File format](file-format.md) describes it.\n"
        "- A `--filter` that matches nothing is not an error.\n"
    )
    parts.append(
        "## Exit status\n\n"
        "| status | meaning |\n|---|---|\n"
        "| 0 | done |\n"
        "| 2 | an error in the command line or the spec, or a refused overwrite |\n"
        "| 3 | an error of the system or a file: missing, unreadable, malformed, no space, a closed pipe, an unusable "
        "GPU |\n"
        "| 129, 130, 143 | interrupted by SIGHUP, SIGINT, SIGTERM; the old file remains, unless the new one was "
        "already complete |\n"
    )
    return "\n".join(parts)


def python_reference() -> str:
    """Return docs/python.md: the signature and docstring of each public name."""
    public = {name: getattr(paramgen, name) for name in sorted(paramgen.__all__) if name != "__version__"}
    functions = {name: value for name, value in public.items() if inspect.isfunction(value)}
    errors = {name: value for name, value in public.items() if isinstance(value, type) and issubclass(value, Exception)}
    classes = {name: value for name, value in public.items() if name not in functions and name not in errors}
    parts = [
        NOTICE + "# Python\n",
        "This page describes the Python functions: the commands' work, and arrays without a file.\n",
        "```python\n"
        "import paramgen\n\n"
        'params = paramgen.sample("model.yaml")  # nested dicts of NumPy arrays\n'
        'paramgen.build("model.yaml", "params.safetensors")\n'
        'params = paramgen.load("params.safetensors")\n'
        "```\n",
        "A spec is the path of a YAML file, a mapping of the same form, or a `Spec`.\n",
        "## Functions\n",
    ]
    for name, function in functions.items():
        parts += [f"### {name}\n", f"`paramgen.{name}{signature(function)}`\n", documentation(function)]
    parts.append("## Classes\n")
    for name, value in classes.items():
        parts += [f"### {name}\n", documentation(value)]
        if is_dataclass(value):
            types = {
                field.name: str(field.type).replace(" |", " or")
                for field in dataclass_fields(value)
                if not field.name.startswith("_")
            }
            rows = [f"| `{field}` | `{annotation}` |" for field, annotation in types.items()]
            parts.append("\n".join(["| field | type |", "|---|---|", *rows]) + "\n")
        for method, member in vars(value).items():
            if not method.startswith("_") and isinstance(member, FunctionType | classmethod):
                function = getattr(value, method)
                parts += [f"`{name}.{method}{signature(function)}`\n".replace("(self, ", "(").replace("(self)", "()")]
                parts += [documentation(function)]
    parts.append("## Errors\n")
    rows = [
        f"| `{name}` | {', '.join(f'`{base.__name__}`' for base in error.__bases__)} | {inspect.getdoc(error)} |"
        for name, error in errors.items()
    ]
    parts.append("\n".join(["| error | is a | meaning |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def signature(function: Callable[..., Any]) -> str:
    """Return a function's parameters with their defaults, without annotations."""
    found = inspect.signature(function)
    parameters = [value.replace(annotation=value.empty) for value in found.parameters.values()]
    return str(found.replace(parameters=parameters, return_annotation=found.empty)).replace("'", '"')


def documentation(value: object) -> str:
    """Return a docstring in Markdown; its indented lines are Python."""
    text = inspect.getdoc(value) or ""
    return re.sub(r"(?m)(?:^    .*\n?)+", lambda found: f"```python\n{inspect.cleandoc(found[0])}\n```\n", text) + "\n"


def formatted(page: str) -> str:
    """Return a page as `mdformat` writes it with the project's settings."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mdformat"]
    return mdformat.text(page, options=options, extensions={"gfm", "tables"})


def polynomials() -> str:
    """Return the polynomials in C, whole and in halves, with as many digits as their type needs."""
    source = "tools/generate.py from normal.py and functions.py, not by hand"
    parts = [f"/* Made by {source}: Horner's rule, a multiply then an add. */\n"]
    for name, coefficients in POLYNOMIALS.items():
        single = coefficients[0].dtype == np.float32
        ctype, suffix = ("float", "f") if single else ("double", "")
        first, *rest = (f"{coefficient:.{8 if single else 16}e}{suffix}" for coefficient in coefficients)
        steps = [f"    p = p * v + {coefficient};\n" for coefficient in rest]
        half = len(coefficients) // 2 - 1
        begin, end = "".join(steps[:half]), "".join(steps[half:])
        parts.append(f"PG {ctype} pg_{name}_begin({ctype} v)\n{{\n    {ctype} p = {first};\n{begin}    return p;\n}}\n")
        parts.append(f"PG {ctype} pg_{name}_end({ctype} v, {ctype} p)\n{{\n{end}    return p;\n}}\n")
        parts.append(f"PG {ctype} pg_{name}({ctype} v) {{ return pg_{name}_end(v, pg_{name}_begin(v)); }}\n")
    return "\n".join(parts)


def kernel_tables() -> str:
    """Return the enums of distributions, of their numbers and of dtypes in C, and the groups of both."""
    fields = {field: number for model in ELEMENTWISE for number, field in enumerate(model.kernel_fields)}
    most = max(len(model.kernel_fields) for model in ELEMENTWISE)
    enums = [
        [kernel_name(model) for model in ELEMENTWISE],
        [*(f"PG_{field.upper()} = {number}" for field, number in fields.items()), f"PG_NUMBERS = {most}"],
        [f"PG_{name.upper()}" for name in DTYPES],
    ]
    notice = "/* Made by tools/generate.py from the tables of distributions and dtypes, not by hand. */"
    sizes = ", ".join(str(dtype.bits // 8) for dtype in DTYPES.values())
    groups = {
        "PG_IS_DISCRETE": [kernel_name(model) for model in ELEMENTWISE if model.is_discrete],
        "PG_IS_INTEGER": [f"PG_{name.upper()}" for name, dtype in DTYPES.items() if dtype.is_integer],
        "PG_IS_WIDE": [f"PG_{name.upper()}" for name, dtype in DTYPES.items() if dtype.bits == 64],
    }
    lines = [notice, *(f"enum {{ {', '.join(names)} }};" for names in enums), f"#define PG_ITEMSIZES {sizes}"]
    for name, members in groups.items():
        lines.append(f"#define {name}(x) ({' || '.join(f'(x) == {member}' for member in members)})")
    return "\n".join(lines) + "\n"


def stream_document() -> str:
    """Return docs/stream.md with the coefficients, as the shortest decimals that round to them."""
    text = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- coefficients -->\n")
    lists = []
    for name, coefficients in POLYNOMIALS.items():
        numbers = "\n".join(f"    {coefficient!s}" for coefficient in coefficients)
        lists.append(f"{name.upper()} ({coefficients[0].dtype})\n{numbers}\n")
    block = "```text\n" + "\n".join(lists) + "```\n"
    return f"{before}<!-- coefficients -->\n\n{block}\n<!-- end -->\n" + rest.split("<!-- end -->\n")[1]


def main() -> int:
    made = {
        "docs/stream.md": stream_document(),
        "paramgen/sampling/kernels/polynomials.h": polynomials(),
        "paramgen/sampling/kernels/tables.h": kernel_tables(),
        "schemas/paramgen.schema.json": json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n",
        "docs/operations.md": operation_tables(),
        "docs/layouts.md": layout_tables(),
        "docs/command-line.md": command_reference(),
        "docs/python.md": python_reference(),
        "docs/models.md": NOTICE + model_page(),
    }
    stale = []
    for name, text in made.items():
        path = ROOT / name
        text = formatted(text) if path.suffix == ".md" else text  # noqa: PLW2901
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if '--check' in sys.argv else 'written'}: {', '.join(stale)}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
