"""Completions of the command line: files, variables, names of tensors, and choices.

A completion is offered only if a shell takes it as it is: shells insert it into the command line, and zsh evaluates
what it reads. Nothing is offered, and no error shown, for a file that cannot be read.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Any

import typer

from paramgen.errors import ParamgenError

SPEC_SUFFIXES = (".yaml", ".yml")
WEIGHTS_SUFFIXES = (".safetensors", ".safetensors.index.json")
MAX_COMPLETIONS = 1000
# By this variable a shell asks for completions; it holds the shell's name.
VARIABLE = "_PARAMGEN_COMPLETE"

_PLAIN = re.compile(r"[\w./+,@%=-]+")
_PLAIN_HELP = re.compile(r"[\w ./+,@%=-]+")

Completions = Iterable[tuple[str, str]]
Completer = Callable[[typer.Context, str], list[tuple[str, str]]]


def _completer(function: Callable[[typer.Context, str], Completions]) -> Completer:
    """Make a completer of one that may fail, or yield what a shell would not take as it is."""

    @wraps(function)
    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        with suppress(ParamgenError, OSError, MemoryError), warnings.catch_warnings(action="ignore"):
            for value, text in function(ctx, incomplete):
                if _PLAIN.fullmatch(value.removesuffix("*")) and value.startswith(incomplete):
                    found.append((_escape(value), text if _PLAIN_HELP.fullmatch(text) else ""))
                if len(found) == MAX_COMPLETIONS:
                    break
        return found

    return complete


def _escape(value: str) -> str:
    """Escape the asterisk of a glob for bash, which would expand it; other shells quote what they insert."""
    return value.replace("*", "\\*") if os.environ.get(VARIABLE) == "complete_bash" else value


@_completer
def complete_spec(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield specs and folders."""
    return _find_files(incomplete, SPEC_SUFFIXES)


@_completer
def complete_weights(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield files of weights, indexes and folders."""
    return _find_files(incomplete, WEIGHTS_SUFFIXES)


@_completer
def complete_weights_or_spec(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield files of weights, indexes, specs and folders."""
    return _find_files(incomplete, WEIGHTS_SUFFIXES + SPEC_SUFFIXES)


def _find_files(incomplete: str, suffixes: tuple[str, ...]) -> Completions:
    """Return files with these suffixes, and folders; of a single folder its content, as shells add a space."""
    folder, prefix = os.path.split(incomplete)
    found = []
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and (prefix or not entry.name.startswith(".")):
                if entry.is_dir():
                    found.append((os.path.join(folder, entry.name, ""), "folder"))
                elif entry.name.endswith(suffixes):
                    found.append((os.path.join(folder, entry.name), ""))
    if len(found) == 1 and found[0][1]:
        return [*_find_files(found[0][0], suffixes)] or found
    return sorted(found)


@_completer
def complete_variable(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield NAME= and NAME=VALUE of a spec's variables: their common beginning, after which no shell adds a space."""
    from paramgen.language.parsed_spec import read_document

    path = _find_source(ctx, "spec")
    data = read_document(path).data if path else {}
    variables = data.get("variables") if isinstance(data, dict) else None
    for name, value in variables.items() if isinstance(variables, dict) else ():
        text = _show_value(value)
        yield f"{name}=", f"now {text}"
        yield f"{name}={text}", "as in the spec"


def _show_value(value: Any) -> str:
    """Return a variable's value as --set takes it."""
    if isinstance(value, list):
        return f"[{','.join(map(_show_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


@_completer
def complete_pattern(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield the names of tensors, and of a group of them a glob that matches all."""
    for name, is_group in _find_names(ctx, incomplete):
        yield (f"{name}*", "group") if is_group else (name, "")


@_completer
def complete_name(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield the names of tensors up to the next dot."""
    for name, is_group in _find_names(ctx, incomplete):
        yield name, "group" if is_group else ""


def _find_names(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, bool]]:
    """Yield the names of tensors that begin with a text, up to the next dot, and True for those of a group.

    A single group is replaced by what is in it.
    """
    names = [name for name in _read_names(ctx) if name.startswith(incomplete)]
    while True:
        groups = dict.fromkeys(name[: name.find(".", len(incomplete)) + 1] or name for name in names)
        only = next(iter(groups)) if len(groups) == 1 else ""
        if not only.endswith("."):
            break
        incomplete = only
    for name in groups:
        yield name, name.endswith(".")


def _read_names(ctx: typer.Context) -> Iterable[str]:
    """Return the names of the tensors of the weights or the spec on the command line."""
    if path := _find_source(ctx, "path"):
        from paramgen.storage.checkpoint import Checkpoint

        with Checkpoint(path) as checkpoint:
            return list(checkpoint.tensors)
    if path := _find_source(ctx, "spec"):
        from paramgen.spec import read_and_plan

        return [tensor.name for tensor in read_and_plan(path).plan.tensors]
    return []


def _find_source(ctx: typer.Context, parameter: str) -> str | None:
    """Return the path on the command line, if the command has this parameter, and a file or folder exists there.

    The option without its value, which is to be completed, keeps arguments from being parsed: they are in ctx.args.
    """
    if parameter not in ctx.params:
        return None
    path = ctx.params[parameter] or next(iter(ctx.args), "")
    return path if os.path.isfile(path) or os.path.isdir(path) else None  # reading a pipe would wait


@_completer
def complete_dtype(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield the dtypes of specs."""
    from paramgen.dtypes import DTYPES

    return [(name, "") for name in DTYPES]


@_completer
def complete_layout(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield the layouts."""
    from paramgen.catalog.frameworks import LAYOUT_NAMES

    return [(name, "") for name in LAYOUT_NAMES]


@_completer
def complete_device(ctx: typer.Context, incomplete: str) -> Completions:
    """Yield the devices that can be used."""
    from paramgen.sampling.devices import AUTO, BACKEND_MODULES, load_backend

    yield AUTO, "a GPU if it is faster"
    for name in BACKEND_MODULES:
        for device in load_backend(name).list_devices():
            if device.usable:
                yield device.name, device.description
