"""The command line: parse, call, print. Each command imports what takes time to import."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from paramgen.catalog.frameworks import LAYOUT_NAMES
from paramgen.catalog.synonyms import FRAMEWORK_SYNONYMS, dtype_hint
from paramgen.cli import signals
from paramgen.dtypes import DTYPES
from paramgen.errors import ParamgenError, UsageError
from paramgen.formatting import closest_match, did_you_mean, escape, escape_json, must_be, one_of, show_text
from paramgen.sampling.devices import AUTO, parse_device
from paramgen.threads import MAX_THREADS

if TYPE_CHECKING:
    from paramgen.planning.plan import Plan

# Endings by which other tools choose another format; a safetensors file under such a name is not found or misread.
FOREIGN_ENDINGS = {
    ".bin",
    ".ckpt",
    ".h5",
    ".hdf5",
    ".keras",
    ".msgpack",
    ".npy",
    ".npz",
    ".onnx",
    ".pkl",
    ".pt",
    ".pth",
}

# Joining this many parts halves the time of a million tensors.
JOINED_PARTS = 4096

app = typer.Typer(
    help="Generate a neural network's parameters: the same spec and seed, the same bytes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# The base of all errors of a command line; typer exports only this subclass.
COMMAND_LINE_ERROR: Any = typer.BadParameter.__base__


def run() -> int:
    """Run the command of sys.argv; return its exit status."""
    try:
        return int(app(prog_name="paramgen", standalone_mode=False) or 0)
    except COMMAND_LINE_ERROR as error:
        print(_explain(error), file=sys.stderr)
        return 2


def _explain(error: Any) -> str:
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


SpecPath = Annotated[str, typer.Argument(metavar="SPEC", help="The spec, a YAML file.")]
FilePath = Annotated[str, typer.Argument(metavar="FILE", help="A safetensors file.")]


def _integer(text: str, least: int, most: int, shown: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise typer.BadParameter(must_be(f"an integer from {least} to {shown}", text))
    return int(text)


def _seed(text: str) -> int:
    return _integer(text, 0, 2**64 - 1, "2^64 - 1")


def _threads(text: str) -> int:
    return _integer(text, 1, MAX_THREADS, f"{MAX_THREADS:,}")


def _device(text: str) -> str:
    try:
        if text != AUTO:
            parse_device(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def _one_of(words: Collection[str], hint: Callable[[str], str]) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in words:
            raise typer.BadParameter(must_be(f"one of {', '.join(words)}", text) + hint(text))
        return text

    return choose


def _layout_hint(text: str) -> str:
    return did_you_mean(closest_match(text, LAYOUT_NAMES, FRAMEWORK_SYNONYMS))


def _assignment(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(must_be("NAME=VALUE", text))
    from paramgen.language.evaluation import parse_value

    try:
        return name, parse_value(value)
    except ValueError as error:
        raise typer.BadParameter(f"{show_text(name)}: {error}") from None


Seed = Annotated[int | None, typer.Option(parser=_seed, metavar="N", help="Replace the spec's seed: 0 to 2^64 - 1.")]
DTypeOption = Annotated[
    str | None,
    typer.Option(
        parser=_one_of(DTYPES, dtype_hint),
        metavar="DTYPE",
        help=f"Replace the spec's dtype, but not that of operations: {one_of(list(DTYPES))}.",
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        parser=_one_of(LAYOUT_NAMES, _layout_hint),
        metavar="LAYOUT",
        help=f"Replace the spec's layout: {one_of(LAYOUT_NAMES)}. Same values.",
    ),
]
Variables = Annotated[
    list[Any] | None,
    typer.Option(
        "--set",
        parser=_assignment,
        metavar="NAME=VALUE",
        help="Set a spec variable (repeatable).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.command()
def build(
    spec: SpecPath,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="The file to write; - is standard output.")
    ] = "params.safetensors",
    seed: Seed = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: Variables = None,
    device: Annotated[
        str,
        typer.Option(
            parser=_device,
            metavar="DEVICE",
            help="Device: cpu, gpu (all), gpu:0,gpu:1, or auto (a GPU if faster). Same bytes.",
        ),
    ] = AUTO,
    threads: Annotated[
        int | None,
        typer.Option(
            parser=_threads,
            metavar="N",
            help="Number of CPU threads, 1 to 1,024; default: one for each CPU. Same bytes.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that paramgen did not write.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a spec's parameters and write them to a safetensors file."""
    with _report_errors():
        from paramgen.storage.writer import STDOUT_NAMES

        to_stdout = output in STDOUT_NAMES
        if as_json and to_stdout:
            raise UsageError(f"--json and -o {output} both write to standard output; choose one")
        if quiet:
            warnings.simplefilter("ignore")
        _warn_of_ending(output)
        plan = _plan(spec, variables, seed=seed, dtype=dtype, layout=layout)
        from paramgen import engine
        from paramgen.cli.progress import ProgressBar

        _keep_freed_memory()
        with ProgressBar(plan.total_bytes, shown=not quiet) as progress:

            def advance(count: int) -> None:
                signals.check()
                progress.advance(count)

            result = engine.build(
                plan,
                output,
                device=device,
                threads=threads,
                force=force,
                digest=as_json,
                progress=advance,
            )
        if as_json:
            _print_json(
                {
                    "files": list(result.files),
                    "total_parameters": result.total_parameters,
                    "total_bytes": result.total_bytes,
                    "sha256": result.sha256,
                    "device": result.device,
                    "seconds": round(result.seconds, 6),
                }
            )
        elif not quiet:
            print(
                f"{'standard output' if to_stdout else escape(output)}: {plan.summary()}, "
                f"seed {plan.seed}, in {result.seconds:.2f} s",
                file=sys.stderr if to_stdout else sys.stdout,
            )


@app.command()
def plan(
    spec: SpecPath,
    seed: Seed = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: Variables = None,
    as_json: Json = False,
) -> None:
    """Show what a build would write, without drawing it."""
    with _report_errors():
        made = _plan(spec, variables, seed=seed, dtype=dtype, layout=layout)
        if as_json:
            _print_parts(made.document())
            return
        from paramgen.cli.tables import print_plan

        print_plan(made)


@app.command()
def inspect(
    file: FilePath,
    stats: Annotated[
        bool, typer.Option("--stats", help="Read the data: mean, std, min, max, zeros, NaNs, infinities.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option("--filter", metavar="GLOB", help="Only tensors whose whole name matches, with * ? and []."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the tensors of a safetensors file."""
    with _report_errors():
        from paramgen.analysis import inspect as inspection
        from paramgen.storage.reader import TensorFile

        with TensorFile(file) as opened:
            entries = inspection.select(opened, name)
            statistics = [inspection.stats(opened, entry) for entry in entries] if stats else None
        if as_json:
            _print_parts(inspection.document(opened, entries, statistics))
            return
        from paramgen.cli.tables import print_inspection

        print_inspection(opened, entries, statistics)


@app.command()
def devices(as_json: Json = False) -> None:
    """List devices; explain why a GPU is unusable."""
    with _report_errors():
        from paramgen.sampling.devices import BACKEND_MODULES, load_backend

        found = [device for name in BACKEND_MODULES for device in load_backend(name).list_devices()]
        if as_json:
            _print_json([asdict(device) for device in found])
            return
        from paramgen.cli.tables import print_devices

        print_devices(found)


@app.command()
def schema() -> None:
    """Print the JSON Schema of specs, for editors and validators."""
    with _report_errors():
        from paramgen.language.schema import json_schema

        _print_json(json_schema())


def _version(wanted: bool) -> None:
    if wanted:
        from paramgen import __version__

        print(f"paramgen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _keep_freed_memory() -> None:
    """Make glibc reuse large freed blocks, without which a build by NumPy takes half as long again.

    Above a threshold, glibc returns them to the system, and each large temporary array has to be paged in. Freeing one
    larger block, which is never touched, raises this threshold for the process.
    """
    import numpy as np

    np.empty(2**24, np.uint8)


def _plan(path: str, variables: list[tuple[str, Any]] | None, **replaced: Any) -> Plan:
    from paramgen.spec import read_and_plan

    return read_and_plan(path, variables=dict(variables or ()), **replaced).plan


def _warn_of_ending(output: str) -> None:
    stem, ending = os.path.splitext(output)
    if ending.lower() in FOREIGN_ENDINGS:
        warnings.warn(
            f"{escape(output)}: a safetensors file should not end in {ending}; choose {escape(stem)}.safetensors",
            stacklevel=2,
        )


def _print_json(document: Any) -> None:
    _print_parts([json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)])


def _print_parts(document: Iterable[str]) -> None:
    """Print JSON in UTF-8, whatever the terminal's encoding, with unprintable characters escaped."""
    parts = iter(document)
    while batch := "".join(islice(parts, JOINED_PARTS)):
        sys.stdout.buffer.write(escape_json(batch).encode())
    sys.stdout.buffer.write(b"\n")


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn an error that a user can cause into its lines on stderr and its exit status."""
    try:
        yield
        sys.stdout.flush()
    except ParamgenError as error:
        _leave(error.exit_status, "\n".join([str(error), *getattr(error, "__notes__", ())]))
    except BrokenPipeError:  # the reader of the output has closed it
        _leave(3)
    except OSError as error:
        _leave(3, f"standard output: {error.strerror or error}")
    except MemoryError as error:
        _leave(3, f"out of memory: {error}")


def _leave(status: int, message: object = None) -> NoReturn:
    with suppress(OSError):
        if message is not None:
            print(message, file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # else Python flushes the buffer at exit and fails again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(status)
