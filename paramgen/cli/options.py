"""The arguments and options that commands share, and the plan that they lead to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paramgen.catalog.frameworks import LAYOUT_NAMES
from paramgen.catalog.synonyms import FRAMEWORK_SYNONYMS, dtype_error
from paramgen.cli import completion
from paramgen.errors import UsageError
from paramgen.messages import closest_match, did_you_mean, escape, join_or, must_be, show_text
from paramgen.sampling.devices import parse_device
from paramgen.threads import MAX_THREADS

if TYPE_CHECKING:
    from paramgen.spec import Spec


def integer_parser(minimum: int, maximum: int, maximum_text: str | None = None) -> Callable[[str], int]:
    def parse_integer(text: str) -> int:
        is_integer = text.isascii() and text.isdecimal() and len(text) <= len(str(maximum))
        if not (is_integer and minimum <= int(text) <= maximum):
            raise typer.BadParameter(must_be(f"an integer from {minimum} to {maximum_text or f'{maximum:,}'}", text))
        return int(text)

    return parse_integer


def _parse_device(text: str) -> str:
    try:
        parse_device(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def _parse_dtype(text: str) -> str:
    if message := dtype_error(text):
        raise typer.BadParameter(message)
    return text


def _parse_layout(text: str) -> str:
    if text not in LAYOUT_NAMES:
        guess = did_you_mean(closest_match(text, LAYOUT_NAMES, FRAMEWORK_SYNONYMS))
        raise typer.BadParameter(must_be(f"one of {', '.join(LAYOUT_NAMES)}", text) + guess)
    return text


def parse_assignment(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(must_be("NAME=VALUE", text))
    from paramgen.language.evaluation import parse_value

    try:
        return name, parse_value(value)
    except ValueError as error:
        raise typer.BadParameter(f"{show_text(name)}: {error}") from None


def _parse_shard_size(text: str) -> int:
    from paramgen.planning.shards import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, got {show_text(text)}") from None


def _parse_basename(text: str) -> str:
    from paramgen.planning.files import BASENAME_EXPECTED, is_basename

    if not is_basename(text):
        raise typer.BadParameter(must_be(BASENAME_EXPECTED, text))
    return text


def _parse_dask(text: str) -> str:
    from paramgen.distributed.addresses import parse_address

    try:
        parse_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def _parse_storage_option(text: str) -> tuple[list[str], Any]:
    """Return the keys and the value of an option: dots separate keys, and a value is JSON or a text."""
    name, separator, value = text.partition("=")
    if not separator or not all(name.split(".")):
        raise typer.BadParameter("must be KEY=VALUE; dots separate nested keys")  # the value may be a secret
    try:
        return name.split("."), json.loads(value)
    except ValueError:
        return name.split("."), value


def nest_storage_options(options: list[tuple[list[str], Any]] | None) -> dict[str, Any] | None:
    """Return the options of a command line as fsspec takes them, None if there are none."""
    nested: dict[str, Any] = {}
    for (*parents, last), value in options or ():
        level = nested
        for key in parents:
            level = level.setdefault(key, {})
            if not isinstance(level, dict):
                raise UsageError(f"--storage-option: {show_text(key)} has a value and keys below it; remove one")
        level[last] = value
    return nested or None


SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="The spec, a YAML file; - is standard input.", autocompletion=completion.complete_spec
    ),
]
WeightsArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A safetensors file, index or folder: a path or a URL.",
        autocompletion=completion.complete_weights,
    ),
]
OutputOption = Annotated[
    str,
    typer.Option("--output", "-o", metavar="OUT", help="The file or folder/ to write: a path, a URL, or - for stdout."),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        parser=integer_parser(0, 2**64 - 1, "2^64 - 1"), metavar="N", help="Replace the spec's seed: 0 to 2^64 - 1."
    ),
]
DTypeOption = Annotated[
    str | None,
    typer.Option(
        parser=_parse_dtype,
        metavar="DTYPE",
        help="Replace the spec's default dtype: float32, bfloat16, …",
        autocompletion=completion.complete_dtype,
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        parser=_parse_layout,
        metavar="LAYOUT",
        help=f"Replace the spec's layout: {join_or(LAYOUT_NAMES)}. Same values.",
        autocompletion=completion.complete_layout,
    ),
]
VariablesOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--set",
        parser=parse_assignment,
        metavar="NAME=VALUE",
        help="Set a spec variable (repeatable).",
        autocompletion=completion.complete_variable,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        parser=_parse_device,
        metavar="DEVICE",
        help="Device: cpu, gpu (all), gpu:0,gpu:1, or auto (a GPU if faster). Same bytes.",
        autocompletion=completion.complete_device,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        parser=integer_parser(1, MAX_THREADS),
        metavar="N",
        help=f"Number of CPU threads, 1 to {MAX_THREADS:,}; default: one for each CPU. Same bytes.",
    ),
]
ShardSizeOption = Annotated[
    int | None,
    typer.Option(
        "--max-shard-size",
        parser=_parse_shard_size,
        metavar="SIZE",
        help="In a folder, split the weights into files of at most this size, such as 5GB.",
    ),
]
BasenameOption = Annotated[
    str | None,
    typer.Option(
        "--basename",
        parser=_parse_basename,
        metavar="NAME",
        help="In a folder, the name of the weights; default: model.",
    ),
]
StorageOptions = Annotated[
    list[Any] | None,
    typer.Option(
        "--storage-option",
        parser=_parse_storage_option,
        metavar="KEY=VALUE",
        help="For a URL, an option of fsspec's file system, such as profile=work (repeatable).",
    ),
]
DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        parser=_parse_dask,
        metavar="ADDRESS",
        help="Draw by the Dask workers of this scheduler, or by N processes: local:N. Same bytes.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def load_spec(path: str, variables: list[tuple[str, Any]] | None, **replacements: Any) -> Spec:
    """Return the spec in a file, with other variables, and another seed, dtype or layout if not None."""
    from paramgen.spec import read_and_plan

    return read_and_plan(path, variables=dict(variables or ()), **replacements)


def silence_dask(dask: str | None) -> None:
    """Keep Dask from logging to the terminal; paramgen reports errors itself."""
    if dask is not None:
        import logging

        logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)


def check_folder_options(output: str, options: Mapping[str, object]) -> None:
    """Raise UsageError if one of the options is set, and the output is not a folder."""
    from paramgen.storage.folder import is_folder

    name = next((name for name, value in options.items() if value), None)
    if name and not is_folder(output):
        raise UsageError(f"{name} needs a folder; write -o {escape(output)}/")
