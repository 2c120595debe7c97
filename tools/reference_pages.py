"""The references of commands and of Python: docs/command-line.md and docs/python.md."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from types import FunctionType
from typing import Any

import typer
from pages import render_table

import paramgen
from paramgen.cli import commands as cli
from paramgen.cli.examples import EXAMPLES

PUBLIC = {name: getattr(paramgen, name) for name in sorted(paramgen.__all__) if name != "__version__"}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
ERRORS = {name: value for name, value in PUBLIC.items() if isinstance(value, type) and issubclass(value, Exception)}
CLASSES = {name: value for name, value in PUBLIC.items() if name not in FUNCTIONS and name not in ERRORS}


def render_commands() -> str:
    """Return a section per command: its help and options."""
    sections = []
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        usage = " ".join(["paramgen", name, *(argument.metavar for argument in arguments), "[OPTIONS]"])
        rows = [(f"`{argument.metavar}`", "required", argument.help) for argument in arguments]
        for option in command.params:
            if option not in arguments and option.name != "help":
                metavar = "" if option.is_flag else f" {option.metavar}"
                spellings = ", ".join(f"`{spelling}{metavar}`" for spelling in option.opts)
                rows.append((spellings, option.default or "-", option.help))
        sections += [f"## `{usage}`\n", f"{command.help}\n"]
        sections += [render_table(["argument or option", "default", "meaning"], rows)] if rows else []
        sections.append("\n".join(["```sh", *EXAMPLES[name], "```\n"]))
    return "\n".join(sections)


def render_functions() -> str:
    """Return a section per public function: its signature and docstring."""
    return "\n".join(
        f"### {name}\n\n`paramgen.{name}{format_signature(function)}`\n\n{format_docstring(function)}"
        for name, function in FUNCTIONS.items()
    )


def render_classes() -> str:
    """Return a section per public class: its docstring, fields and methods."""
    sections = []
    for name, model in CLASSES.items():
        sections += [f"### {name}\n", format_docstring(model)]
        if is_dataclass(model):
            fields = [field for field in dataclass_fields(model) if not field.name.startswith("_")]
            rows = ((f"`{field.name}`", f"`{str(field.type).replace(' |', ' or')}`") for field in fields)
            sections.append(render_table(["field", "type"], rows))
        # Those without a docstring are in the class's.
        properties = [
            (key, value) for key, value in vars(model).items() if isinstance(value, property) and value.__doc__
        ]
        if properties:
            rows = ((f"`{key}`", str(inspect.getdoc(value))) for key, value in properties)
            sections.append(render_table(["property", "meaning"], rows))
        for method, member in vars(model).items():
            if not method.startswith("_") and isinstance(member, FunctionType | classmethod):
                function = getattr(model, method)
                sections += [f"`{name}.{method}{format_signature(function)}`\n", format_docstring(function)]
    return "\n".join(sections)


def render_errors() -> str:
    return render_table(
        ["error", "is a", "meaning"],
        (
            (f"`{name}`", ", ".join(f"`{base.__name__}`" for base in error.__bases__), inspect.getdoc(error))
            for name, error in ERRORS.items()
        ),
    )


def format_signature(function: Callable[..., Any]) -> str:
    """Return a function's parameters with their defaults, without `self` and annotations."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty)).replace("'", '"')


def format_docstring(documented: object) -> str:
    """Return a docstring in Markdown; its indented lines are Python."""
    text = inspect.getdoc(documented) or ""
    return re.sub(r"(?m)(?:^    .*\n?)+", lambda code: f"```python\n{inspect.cleandoc(code[0])}\n```\n", text) + "\n"
