"""The command `validate`: all errors of several specs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from paramgen.cli import completion
from paramgen.cli.options import load_spec
from paramgen.errors import ParamgenError
from paramgen.units import pluralize

SpecsArgument = Annotated[
    list[str],
    typer.Argument(metavar="SPEC", help="A spec, a YAML file (repeatable).", autocompletion=completion.complete_spec),
]


def validate(specs: SpecsArgument) -> int:
    """Report all errors of specs, without drawing anything."""
    from paramgen.planning.companions import check_companions

    statuses = set()
    for path in specs:
        try:
            check_companions(load_spec(path, None).plan.companions)
        except ParamgenError as error:
            statuses.add(error.exit_status)
            print(error, file=sys.stderr)
    if not statuses:
        print(f"{pluralize(len(specs), 'spec')}: valid")
    return max(statuses, default=0)
