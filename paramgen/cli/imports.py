"""The command `import`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from paramgen.cli import signals
from paramgen.cli.options import JsonOption
from paramgen.cli.output import print_json, print_yaml
from paramgen.errors import UsageError, check_path
from paramgen.messages import show_path
from paramgen.units import pluralize

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A safetensors file, a folder, an index, or a header saved as JSON.")
]
SpecOutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="SPEC", help="The spec to write; - is standard output, the default.")
]
FitOption = Annotated[
    bool,
    typer.Option("--fit", help="Read the data: each tensor gets its mean and std, bounds or constant."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


def import_(
    source: SourceArgument,
    output: SpecOutputOption = "-",
    fit: FitOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the spec of a model that exists."""
    from paramgen.importing.sources import import_weights

    if output != "-":
        _check_output(check_path(output), force)
    imported = import_weights(source, fit=fit, progress=signals.check_each)
    if output != "-":
        _write(output, imported.text, force)
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


def _write(path: str, text: str, force: bool) -> None:
    from paramgen.storage.writer import open_output

    data = text.encode()
    with open_output(path, len(data), force=force, may_replace=lambda path: False) as write:
        write(memoryview(data))
