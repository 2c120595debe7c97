"""The command line: parse, call, print; nothing else. What is heavy is imported by the command that needs it."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from paramgen.errors import ParamgenError

if TYPE_CHECKING:
    from paramgen.plan import Plan

app = typer.Typer(
    help="Generate a neural network's parameters: the same spec and seed, the same bytes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SpecPath = Annotated[str, typer.Argument(metavar="SPEC", help="The spec, a YAML file.")]
FilePath = Annotated[str, typer.Argument(metavar="FILE", help="A safetensors file.")]


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < 2**64):
        raise typer.BadParameter(f"'{text}' is not an integer from 0 to 2^64 - 1.")
    return int(text)


Seed = Annotated[
    int | None, typer.Option(parser=_seed, metavar="N", help="Seed in place of the spec's, 0 to 2^64 - 1.")
]
DTypeOption = Annotated[
    Literal["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"] | None,
    typer.Option(
        metavar="DTYPE",
        help="Element type in place of the spec's (those of operations stand): "
        "float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.",
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
    force: Annotated[bool, typer.Option("--force", help="Replace a file that paramgen did not write.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a spec's parameters and write them to a safetensors file."""
    with _reported():
        from paramgen.errors import UsageError

        if as_json and output == "-":
            raise UsageError("--json and -o - both write to standard output; choose one")
        plan = _plan(spec, seed, dtype)
        from paramgen import engine
        from paramgen.progress import Progress
        from paramgen.text import counted, escape, human_bytes, human_count

        with Progress(plan.total_bytes, shown=not quiet) as progress:
            result = engine.build(plan, output, force=force, digest=as_json, progress=progress.advance)
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
            to_stdout = output == "-"
            print(
                f"{'standard output' if to_stdout else escape(output)}: {counted(len(plan.tensors), 'tensor')}, "
                f"{human_count(result.total_parameters)} parameters, {human_bytes(result.total_bytes)}, "
                f"seed {plan.seed}, in {result.seconds:.2f} s",
                file=sys.stderr if to_stdout else sys.stdout,
            )


@app.command()
def plan(spec: SpecPath, seed: Seed = None, dtype: DTypeOption = None, as_json: Json = False) -> None:
    """Show what a build would write, and draw nothing."""
    with _reported():
        made = _plan(spec, seed, dtype)
        if as_json:
            _print_json(made.described())
            return
        from paramgen.report import print_plan

        print_plan(made)


@app.command()
def inspect(
    file: FilePath,
    stats: Annotated[bool, typer.Option("--stats", help="Read the data: mean, std, min, max, zeros, NaNs.")] = False,
    name: Annotated[str | None, typer.Option("--filter", metavar="GLOB", help="Only tensors of such names.")] = None,
    as_json: Json = False,
) -> None:
    """Show the tensors of a safetensors file."""
    with _reported():
        from paramgen import inspection
        from paramgen.storage.reader import TensorFile

        with TensorFile(file) as opened:
            document = inspection.inspect(opened, inspection.select(opened, name), stats)
        if as_json:
            _print_json(document)
            return
        from paramgen.report import print_inspection

        print_inspection(document, len(opened.entries))


@app.command()
def schema() -> None:
    """Print the JSON Schema of specs, for editors and validators."""
    with _reported():
        from paramgen.spec.schema import json_schema

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


def _plan(path: str, seed: int | None, dtype: str | None) -> Plan:
    from paramgen.plan import make_plan
    from paramgen.spec.model import interpret, read_document

    return make_plan(interpret(*read_document(path), seed=seed, dtype=dtype))


def _print_json(document: Any) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what a user can cause into its lines on stderr and its exit status."""
    try:
        yield
        sys.stdout.flush()
    except ParamgenError as error:
        print(error, file=sys.stderr)
        _leave(error.exit_status)
    except BrokenPipeError:  # whoever read our output has seen enough
        _leave(3)
    except OSError as error:
        print(f"standard output: {error.strerror or error}", file=sys.stderr)
        _leave(3)
    except MemoryError as error:
        print(f"out of memory: {error}", file=sys.stderr)
        _leave(3)


def _leave(status: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(status)


class _Interrupted(BaseException):
    """SIGINT or SIGTERM came: unwind, cleaning up on the way."""


def _interrupt(number: int, frame: object) -> NoReturn:
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise _Interrupted(number)


def main() -> None:
    """The entry point of the `paramgen` command."""
    gc.disable()  # nothing here makes garbage in cycles, and large specs are many objects to look through
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for plugins costs a tenth of a tiny build
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 (for the life of the process)
    if sys.stdout is None:
        print("standard output is closed", file=sys.stderr)
        sys.exit(3)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(prog_name="paramgen")
    except _Interrupted as interrupted:
        sys.exit(128 + interrupted.args[0])
