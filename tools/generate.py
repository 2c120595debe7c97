"""Make the files that are made from the code: the schema, the tables of operations, the command reference.

python tools/generate.py            write them
python tools/generate.py --check    exit with 1 if one is not up to date
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer

from paramgen import cli
from paramgen.arrangement import CONSTANTS
from paramgen.frameworks import FRAMEWORKS
from paramgen.layouts import LAYOUTS, UnsupportedError
from paramgen.sampling import normal
from paramgen.spec import initializers, operations
from paramgen.spec.operations import CHANNEL_WISE, Convolution, Operation, Standard, Template
from paramgen.spec.schema import json_schema

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Made by tools/generate.py from the code; not edited by hand. -->\n\n"


class Symbol:
    """A size by its name, so that the table's own arithmetic writes its formulas."""

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
    """One size divided by another, which it is multiplied by again."""

    def __init__(self, dividend: Symbol, divisor: Symbol):
        super().__init__(f"{dividend}/{divisor}")
        self.dividend, self.divisor = dividend, divisor


class FilterSize:
    """All sizes of a filter: one entry of a shape, a product where they are multiplied."""

    class Sizes(Symbol):
        def __rmul__(self, other: object) -> Symbol:
            return Symbol("prod(filter_size)")

    def __iter__(self) -> Iterator[Symbol]:
        yield self.Sizes("*filter_size")


def symbolic(model: type[Operation], fields: list[str], **values: Any) -> list[Template]:
    """The parameters of an operation whose sizes are their names."""
    names = {"num_hidden_units": "H"}
    sizes: dict[str, Any] = {field: Symbol(names.get(field, field)) for field in fields}
    if "filter_size" in sizes:
        sizes["filter_size"] = FilterSize()
    return list(model.model_construct(**{**sizes, **values}).templates())


def variants(model: type[Standard]) -> Iterator[tuple[str, list[Template]]]:
    """The rows of an operation's table: a heading and its parameters."""
    fields = list(model.example)
    if model is operations.SeparableConv:
        yield "", symbolic(model, [*fields, "depth_multiplier"])
        return
    if not issubclass(model, Convolution):
        plain = symbolic(model, fields)
        yield "", plain
        if model is operations.GRU:
            mode = "recurrent-bias-after-multiplication"
            yield f"`reset_gate_mode: {mode}`", symbolic(model, fields, reset_gate_mode=mode)[-1:]
        elif model is operations.LSTM:
            yield "`projection_size`", symbolic(model, [*fields, "projection_size"])[1::2]
        elif model is operations.MultiheadAttention:
            fused = symbolic(model, fields, projections="fused")
            yield "`projections: fused`", [template for template in fused if template.key.startswith("qkv")]
        return
    grouped = ["filter_size", "num_groups", "num_channels_per_group", "num_filters_per_group"]
    channel_wise = symbolic(model, ["filter_size", "num_channels", "num_filters_per_group"], num_groups=CHANNEL_WISE)
    yield "", symbolic(model, fields)
    yield "`bias: shared`", symbolic(model, fields, bias="shared")[-1:]
    yield "grouped", symbolic(model, grouped)
    yield "`num_groups: channel-wise`", channel_wise


def code(names: tuple[str, ...]) -> str:
    own, *aliases = (f"`{name}`" for name in names)
    return f"{own} (alias {', '.join(aliases)})" if aliases else own


def described(template: Template) -> str:
    described = template.initializer.described()
    fields = ", ".join(f"{key} {value:g}" for key, value in described.items() if key != "type")
    return template.initializer.kind + (f" ({fields})" if fields and template.initializer.kind == "gaussian" else "")


def operation_tables() -> str:
    parts = [
        NOTICE + "# Operations and initializers\n",
        "Sizes are canonical: arrays in C order, last index fastest. H is `num_hidden_units`; `*filter_size` stands\n"
        "for the one, two or three sizes of a filter and prod for their product. fan_in and fan_out are what `glorot`\n"
        "and `he` use; a dash says that there are none. The tables follow MathWorks' page\n"
        '"Initialize Learnable Parameters for Model Function" (Deep Learning Toolbox).\n',
        "## Operations\n",
    ]
    for model in operations.TABLE:
        parts.append(f"### {model.title}: {code(model.names())}\n\n{model.__doc__}\n")
        rows = ["| field | default | meaning |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            if name in ("name", "type", "dtype", "initializers"):
                continue
            default = "required" if field.is_required() else json.dumps(field.default).strip('"')
            rows.append(f"| `{name}` | {'-' if default == 'null' else default} | {field.description} |")
        parts.append("\n".join(rows) + "\n")
        if not issubclass(model, Standard):
            rows = ["| parameter's field | default | meaning |", "|---|---|---|"]
            for name, field in operations.CustomParameter.model_fields.items():
                rows.append(f"| `{name}` | {'required' if field.is_required() else '-'} | {field.description} |")
            parts.append("\n".join(rows) + "\n")
            continue
        rows = ["| | parameter | size | fan_in | fan_out | default initializer |", "|---|---|---|---|---|---|"]
        for heading, templates in variants(model):
            for template in templates:
                target = template.target
                size = ", ".join(map(str, target.shape))
                fans = " | ".join("-" if fan is None else str(fan) for fan in (target.fan_in, target.fan_out))
                rows.append(f"| {heading} | `{template.name}` | [{size}] | {fans} | {described(template)} |")
                heading = ""  # noqa: PLW2901 (only the first row has it)
        parts.append("\n".join(rows) + "\n")
    parts.append(
        "Every operation also takes `name`, `dtype` and (but for `custom`) `initializers`: see [spec.md](spec.md).\n"
    )
    parts.append("## Initializers\n")
    rows = ["| initializer | fields and their defaults | values | source |", "|---|---|---|---|"]
    for model in initializers.TABLE:
        fields = [
            f"`{name}`" + (" (required)" if field.is_required() else f" {json.dumps(field.default)}".replace('"', ""))
            for name, field in model.model_fields.items()
            if name != "type"
        ]
        rows.append(f"| {code(model.names())} | {', '.join(fields)} | {model.values} | {model.source} |")
    parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


# What of an operation makes other tensors than its example: a heading, and the fields.
LAYOUT_VARIANTS: dict[type[Operation], list[tuple[str, dict[str, Any]]]] = {
    operations.Conv: [("`num_groups: channel-wise`", {"num_groups": CHANNEL_WISE, "num_filters": None})],
    operations.GRU: [
        (
            "`reset_gate_mode: recurrent-bias-after-multiplication`",
            {"reset_gate_mode": "recurrent-bias-after-multiplication"},
        ),
        ("`reset_gate_mode: before-multiplication`", {"reset_gate_mode": "before-multiplication"}),
    ],
    operations.LSTM: [("`projection_size`", {"projection_size": 50})],
    operations.MultiheadAttention: [("`projections: fused`", {"projections": "fused"})],
}


def layout_tables() -> str:
    """docs/layouts.md with its tables in their place."""
    text = (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- tables -->\n")
    parts = []
    for model in operations.TABLE:
        if not issubclass(model, Standard):
            continue
        parts.append(f"### {model.title}: {code(model.names())}\n")
        for heading, fields in [("", {}), *LAYOUT_VARIANTS.get(model, [])]:
            given = {**model.example, **fields}
            given = {key: value for key, value in given.items() if value is not None}
            operation = model.model_validate({"name": "x", "type": model.names()[0], **given})
            if heading:
                parts.append(f"With {heading}:\n")
            rows = ["| layout | tensor | of | axes |", "|---|---|---|---|"]
            for template in operation.templates():
                assert template.target.axes
                rows.append(f"| canonical | `{template.name}` | | `{template.target.axes.pattern}` |")
            for layout in FRAMEWORKS:
                try:
                    found = LAYOUTS[layout].rows_of(operation)
                except UnsupportedError as error:
                    rows.append(f"| {layout} | {error} | | |")
                    continue
                rows += [f"| {layout} | {' | '.join(row_cells(row))} |" for row in found]
            parts.append("\n".join(rows) + "\n")
    return f"{before}<!-- tables -->\n\n" + "\n".join(parts) + "\n<!-- end -->\n" + rest.split("<!-- end -->\n")[1]


def row_cells(row: str) -> tuple[str, str, str]:
    """A tensor's name, what it is made of, and its axes; of what is joined, the parts one after another."""
    name, _, right = row.partition(" = ")
    collection, _, name = name.rpartition(":")
    terms = [term.partition(" ") for term in right.split(" + ")]
    sources = " + ".join(
        source.replace(":i64", ", int64") if source.partition(":")[0] in CONSTANTS else f"`{source}`"
        for source, _, _ in terms
    )
    axes = dict.fromkeys(axes for _, _, axes in terms)
    place = f" in `{collection}`" if collection else ""
    return f"`{name}`{place}", sources, ", ".join(f"`{one}`" for one in axes if one)


def command_reference() -> str:
    parts = [NOTICE + "# Command reference\n"]
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
        "`paramgen --version` prints the version, `--help` (also after a command) a summary of this page. `--quiet`\n"
        "and `--json` together print the JSON document alone. A `--filter` that matches nothing is no error.\n"
    )
    parts.append(
        "## Exit status\n\n"
        "| status | meaning |\n|---|---|\n"
        "| 0 | done |\n"
        "| 2 | the command line or the spec's text is wrong, a refused overwrite included |\n"
        "| 3 | what the system or a file refused: missing, unreadable, malformed, no space, a closed pipe, a GPU that "
        "cannot be used |\n"
        "| 129, 130, 143 | interrupted by SIGHUP, SIGINT, SIGTERM; what was there before is as it was, unless the new "
        "file was whole already |\n"
    )
    return "\n".join(parts)


def polynomials() -> str:
    """normal.py's polynomials in C; as many digits as their type needs."""
    parts = ["/* Made by tools/generate.py from normal.py, not by hand: Horner's rule, a multiply then an add. */\n"]
    for name, coefficients in normal.POLYNOMIALS.items():
        single = coefficients[0].dtype == np.float32
        ctype, suffix = ("float", "f") if single else ("double", "")
        first, *rest = (f"{coefficient:.{8 if single else 16}e}{suffix}" for coefficient in coefficients)
        lines = "".join(f"    p = p * v + {coefficient};\n" for coefficient in rest)
        parts.append(f"PG {ctype} pg_{name}({ctype} v)\n{{\n    {ctype} p = {first};\n{lines}    return p;\n}}\n")
    return "\n".join(parts)


def stream_document() -> str:
    """docs/stream.md with the coefficients in their place: the shortest decimals that stand for their numbers."""
    text = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- coefficients -->\n")
    lists = []
    for name, coefficients in normal.POLYNOMIALS.items():
        numbers = [str(coefficient) for coefficient in coefficients]
        lists.append(f"    {name.upper()} ({coefficients[0].dtype})\n" + "".join(f"        {n}\n" for n in numbers))
    return (
        f"{before}<!-- coefficients -->\n\n" + "\n".join(lists) + "\n<!-- end -->\n" + rest.split("<!-- end -->\n")[1]
    )


def main() -> int:
    made = {
        "docs/stream.md": stream_document(),
        "paramgen/sampling/polynomials.h": polynomials(),
        "schemas/paramgen.schema.json": json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n",
        "docs/operations.md": operation_tables(),
        "docs/layouts.md": layout_tables(),
        "docs/command-line.md": command_reference(),
    }
    stale = []
    for name, text in made.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if '--check' in sys.argv else 'written'}: {', '.join(stale)}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
