"""The type and the evaluation of `files`, which a spec adds to a folder: mappings, or paths of files to copy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from paramgen import limits
from paramgen.catalog.fields import ErrorSubject, FieldError, FieldType, KeyPath
from paramgen.language.diagnostics import LimitExceededError
from paramgen.language.evaluation import EMPTY_SCOPE, EvaluationFailure, Evaluator
from paramgen.language.expressions import has_expression
from paramgen.language.values import ExpressionError
from paramgen.messages import must_be, show

MAX_FILE_NAME_BYTES = 255
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_WEIGHTS = r"\.safetensors(\.index\.json)?$"
_NAME_PATTERN = rf"^(?![.])(?!.*{_WEIGHTS})[^/\\{_CONTROL}]+$"
_PATH_PATTERN = rf"^(?!/)(?!(.*/)?\.\.(/|$))[^{_CONTROL}]+$"
_FILE = "a mapping, which is written as JSON, or the path of a file to copy"


@dataclass(frozen=True, kw_only=True, eq=False)
class _FilesType(FieldType):
    """The type of `files`, whose errors are at the names, at the paths, and inside the mappings."""

    def errors(self, value: Any, path: KeyPath = ()) -> Iterator[FieldError]:
        if not isinstance(value, dict):
            yield FieldError(path, must_be(self.value, value))
            return
        names: dict[str, str] = {}
        for name, content in value.items():
            other = names.setdefault(name.casefold(), name)
            if problem := _explain_name(name, other):
                yield FieldError((*path, name), problem, ErrorSubject.KEY)
            elif isinstance(content, str):
                if problem := _explain_path(content):
                    yield FieldError((*path, name), problem)
            elif isinstance(content, dict):
                yield from _json_errors(content, (*path, name))
            else:
                yield FieldError((*path, name), must_be(_FILE, content))


def evaluate_files(files: Any, evaluator: Evaluator) -> tuple[Any, dict[KeyPath, EvaluationFailure]]:
    """Evaluate the expressions in `files` as far as they have values; return it, and the failures by path.

    Unlike elsewhere in a spec, no key has a meaning: below `name`, too, a number stays a number.
    """
    failures: dict[KeyPath, EvaluationFailure] = {}
    characters = 0

    def evaluate(value: Any, path: KeyPath) -> Any:
        nonlocal characters
        if isinstance(value, dict):
            return {key: evaluate(entry, (*path, key)) for key, entry in value.items()}
        if isinstance(value, list):
            return [evaluate(entry, (*path, number)) for number, entry in enumerate(value)]
        if not has_expression(value):
            return value
        try:
            found = evaluator.value(value, EMPTY_SCOPE, path)
        except ExpressionError as error:
            failures[path] = EvaluationFailure(value, error)
            return value
        parts = found if isinstance(found, tuple) else (found,)
        characters += sum(len(part) for part in parts if isinstance(part, str))
        if characters > limits.MAX_FILES_CHARACTERS:
            message = f"the strings that expressions give exceed {limits.MAX_FILES_CHARACTERS:,} characters (the limit)"
            raise LimitExceededError(path, message)
        return list(found) if isinstance(found, tuple) else found

    return evaluate(files, ("files",)), failures


def _explain_name(name: str, other: str) -> str:
    """Return the error of a file's name, '' if it is valid; `other` is the first name that is equal ignoring case."""
    if name != other:
        return f"must differ from {show(other)} in more than case, got {show(name)}; rename one"
    if re.search(_WEIGHTS, name.casefold()):
        return f"{must_be('a name that weights cannot have', name)}; remove it, as paramgen writes the weights"
    hint = ""
    if found := re.search(rf"[/\\{_CONTROL}]", name):
        hint = f"; remove {_show_character(found[0])}"
    elif name.startswith("."):
        hint = "; begin it with something other than a dot"
    elif len(name.encode()) > MAX_FILE_NAME_BYTES:
        hint = f"; use at most {MAX_FILE_NAME_BYTES} bytes"
    return must_be("the name of a file in the folder", name) + hint if hint or not name else ""


def _explain_path(path: str) -> str:
    """Return the error of the path of a file to copy, '' if it is valid."""
    if has_expression(path):
        return _explain_expression(path)
    hint = ""
    if found := re.search(f"[{_CONTROL}]", path):
        hint = f"; remove {_show_character(found[0])}"
    elif path.startswith("/"):
        hint = "; write it relative to that folder"
    elif ".." in path.split("/"):
        hint = "; remove '..'"
    return must_be("the path of a file below the spec's folder", path) + hint if hint or not path else ""


def _json_errors(value: Any, path: KeyPath) -> Iterator[FieldError]:
    """Yield the errors of the values inside a mapping that JSON, or the spec in a file's metadata, cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        yield FieldError(path, f"{must_be('a finite number', value)}; write a string or null")
    elif has_expression(value):
        yield FieldError(path, _explain_expression(value))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _json_errors(item, (*path, key))


def _explain_expression(text: str) -> str:
    """Return the error of a value that would be evaluated again when the stored spec is read."""
    return f"must not give another expression, got {show(text)}; copy a file that has this text"


def _show_character(character: str) -> str:
    return f"'{character}'" if character.isprintable() else f"U+{ord(character):04X}"


FILES = _FilesType(
    value="a mapping of file names to mappings or paths",
    schema={
        "type": "object",
        "propertyNames": {"pattern": _NAME_PATTERN, "maxLength": MAX_FILE_NAME_BYTES},
        "additionalProperties": {"anyOf": [{"type": "object"}, {"type": "string", "pattern": _PATH_PATTERN}]},
    },
)
