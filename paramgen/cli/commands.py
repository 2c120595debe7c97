"""The `paramgen` command: its subcommands, and errors as lines on stderr and exit statuses."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from paramgen.cli import completion
from paramgen.cli.build import build
from paramgen.cli.checks import check, diff, digest, verify
from paramgen.cli.examples import EXAMPLES
from paramgen.cli.explain import explain
from paramgen.cli.imports import import_
from paramgen.cli.init import init
from paramgen.cli.reports import devices, inspect, plan, schema
from paramgen.cli.validation import validate
from paramgen.errors import ParamgenError, describe_os_error
from paramgen.messages import closest_match, did_you_mean, escape

# In the order of --help. A command imports what takes time to import, and raises its errors. It may return an exit
# status other than 0.
COMMANDS = (init, build, plan, explain, validate, digest, inspect, verify, check, diff, import_, devices, schema)

# The base of all errors of a command line; typer exports only this subclass.
ClickException: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="Generate a neural network's parameters: the same spec and seed, the same bytes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in COMMANDS:
    _name = _command.__name__.rstrip("_")
    # \b keeps the lines as they are.
    app.command(_name, epilog="\n  ".join(["\b\nExamples:", *EXAMPLES[_name]]))(_command)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from paramgen import __version__
        from paramgen.planning.streams import STREAM_VERSION
        from paramgen.sampling.cpu.devices import cpu_backend

        print(f"paramgen {__version__}, stream {STREAM_VERSION}, CPU kernels {cpu_backend().name}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the versions, and the CPU kernels.",
        ),
    ] = False,
) -> None:
    pass


def run() -> int:
    """Run the command of sys.argv; return its exit status. Errors that a user can cause are reported on stderr."""
    try:
        status = _invoke(sys.argv[1:])
        sys.stdout.flush()
    except ClickException as error:
        return _fail(2, _usage_message(error))
    except ParamgenError as error:
        return _fail(error.exit_status, "\n".join([str(error), *getattr(error, "__notes__", ())]))
    except BrokenPipeError:  # the reader of the output has closed it
        return _fail(3)
    except OSError as error:
        where = "standard output" if error.filename is None else escape(os.fsdecode(error.filename))
        return _fail(3, f"{where}: {describe_os_error(error)}")
    except MemoryError as error:
        return _fail(3, f"out of memory: {error}")
    return status


def _invoke(arguments: list[str]) -> int:
    """Run a command without typer's own handlers: they end the process if a pipe is closed."""
    command = typer.main.get_command(app)
    if completion.VARIABLE in os.environ:  # a shell asks for completions
        command.main(prog_name="paramgen")
    try:
        with command.make_context("paramgen", arguments) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as exit_request:
        return exit_request.exit_code


def _fail(status: int, message: str = "") -> int:
    """Print a message, drop output that cannot be written, and return the exit status."""
    with suppress(OSError):
        if message:
            print(message, file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # else Python flushes the buffer at exit and fails again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _usage_message(error: Any) -> str:
    """Return the message of a wrong command line."""
    message = error.format_message().rstrip(".")
    if "\n" in message:  # the help, for a command line without a command
        return str(message)
    command = error.ctx.command_path if error.ctx else "paramgen"
    if hasattr(error, "possibilities"):
        guess = closest_match(error.option_name, error.possibilities or ())
        message = f"no such option: {error.option_name}{did_you_mean(guess)}"
    elif type(error) is typer.BadParameter and error.param:
        message = f"{error.param.opts[0]}: {error.message}"
    else:
        message = message[0].lower() + message[1:].replace(". Did you mean '", "; did you mean ").replace("'?", "?")
    help_note = "" if "; " in message else f"; see {command} --help"
    return f"{command}: {escape(message)}{help_note}"
