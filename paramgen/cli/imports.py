"""The command `import`."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from paramgen.cli.options import JsonOption, parse_assignment
from paramgen.cli.output import print_json, print_yaml, write_text
from paramgen.cli.progress import show_progress
from paramgen.errors import UsageError, check_path
from paramgen.messages import show_path
from paramgen.units import pluralize

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A safetensors file, a folder, an index, a header in JSON, a config.json, or package.module:function.",
    ),
]
SpecOutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="SPEC", help="The spec to write; - is standard output, the default.")
]
FitOption = Annotated[
    bool,
    typer.Option("--fit", help="Read the data: each tensor gets its mean and std, bounds or constant."),
]
TinyOption = Annotated[
    bool, typer.Option("--tiny", help="Of a config.json, make the model small: few layers, small widths.")
]
ValuesOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--set",
        parser=parse_assignment,
        metavar="NAME=VALUE",
        help="Of a config.json, set a field, such as hidden_size=64 (repeatable).",
    ),
]
ClassOption = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="Of a config.json, the class; default: the one in architectures."),
]
ArgumentsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--arg",
        parser=parse_assignment,
        metavar="NAME=VALUE",
        help="An argument of the function, which is run (repeatable).",
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Of a config.json, run the code that it refers to.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


def import_(
    source: SourceArgument,
    output: SpecOutputOption = "-",
    fit: FitOption = False,
    tiny: TinyOption = False,
    values: ValuesOption = None,
    class_name: ClassOption = None,
    arguments: ArgumentsOption = None,
    trust_remote_code: TrustOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the spec of a model that exists."""
    from paramgen.importing.sources import ImportOptions, import_source

    if output != "-":
        _check_output(check_path(output), force)
    sys.path.insert(0, os.getcwd())  # for modules beside the user, as `python -m` has it
    options = ImportOptions(fit, tiny, dict(values or ()), class_name, dict(arguments or ()), trust_remote_code)
    with show_progress(quiet=not fit, as_json=as_json) as progress:
        imported = import_source(source, options, progress)
    if output != "-":
        write_text(output, imported.text, force)
    if as_json:
        print_json(
            {
                "tensors": imported.tensors,
                "patterns": imported.patterns,
                "lines": imported.lines,
                "source": imported.source,
                "uninitialized": list(imported.uninitialized),
            }
        )
    elif output == "-":
        print_yaml(imported.text)
    else:
        counts = f"{pluralize(imported.tensors, 'tensor')}, {pluralize(imported.patterns, 'pattern')}"
        print(f"{show_path(output)}: {counts}, {pluralize(imported.lines, 'line')}")


def _check_output(path: str, force: bool) -> None:
    """Raise UsageError if a spec would replace a file: people edit specs, so that none is known to be unchanged."""
    if os.path.isfile(path) and not force:
        raise UsageError(f"{show_path(path)}: exists; choose another name, or replace it with --force")
