"""The files that a spec adds to a folder of weights: their content, or the files that they copy."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from paramgen.errors import Diagnostic, SpecError, describe_os_error, file_errors
from paramgen.language.diagnostics import Problem, describe
from paramgen.language.parsed_spec import ParsedSpec
from paramgen.messages import must_be, show, show_path


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file that is copied: its path as written, relative to the spec's folder, and its place in the spec.

    `folder` is None if the spec does not come from a file.
    """

    written: str
    folder: str | None
    spec: str
    place: Diagnostic

    @property
    def path(self) -> str:
        """The file's path. Call `check_companions` before."""
        return os.path.join(self.folder or "", self.written)


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that a spec adds to a folder. Either its `content` or the file that it copies is not None."""

    name: str
    content: bytes | None
    copied: CopiedFile | None


def plan_companions(spec: ParsedSpec) -> tuple[Companion, ...]:
    """Return the companions of a valid spec in its order. Files to copy are not looked up."""
    return tuple(_plan_companion(spec, name, value) for name, value in spec.fields.files.items())


def _plan_companion(spec: ParsedSpec, name: str, value: Any) -> Companion:
    if isinstance(value, dict):
        return Companion(name, json_content(value), None)
    place = describe(Problem(("files", name), ""), spec.document, with_suggestion=False)
    return Companion(name, None, CopiedFile(value, spec.document.folder, spec.document.source, place))


def json_content(value: dict[str, Any]) -> bytes:
    """Return a mapping as JSON in UTF-8: two spaces, sorted keys, a final newline."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def companion_size(companion: Companion) -> int:
    """Return the bytes of a companion. Raises FileError if a file to copy cannot be read."""
    if companion.copied is None:
        return len(companion.content or b"")
    with file_errors(show_path(companion.copied.path)):
        return os.path.getsize(companion.copied.path)


@contextmanager
def open_companion(companion: Companion) -> Iterator[BinaryIO]:
    """Yield a file with the content of a companion. Raises FileError if a file to copy cannot be read."""
    if companion.copied is None:
        yield BytesIO(companion.content or b"")
        return
    path = companion.copied.path
    with file_errors(show_path(path)), open(path, "rb") as file:
        yield file


def check_companions(companions: Sequence[Companion]) -> None:
    """Raise SpecError with every companion that cannot be copied. A build calls this only if it writes a folder."""
    copied = [companion.copied for companion in companions if companion.copied]
    if errors := list(_find_errors(copied)):
        raise SpecError(copied[0].spec, errors)


def _find_errors(copied: Sequence[CopiedFile]) -> Iterator[Diagnostic]:
    for file in copied:
        if problem := _explain(file):
            yield Diagnostic(problem, file.place.path, file.place.line, file.place.column)


def _explain(file: CopiedFile) -> str:
    """Return the reason why a file cannot be copied, or ''."""
    if file.folder is None:
        message = f"cannot be copied, as the spec does not come from a file, got {show(file.written)}"
        return f"{message}; write a mapping, or save the spec in a folder with the file"
    expected = must_be("a regular file below the spec's folder", file.written)
    try:
        is_regular = stat.S_ISREG(os.stat(file.path).st_mode)
    except OSError as error:
        return f"{expected} ({describe_os_error(error)}); correct the path, or add the file"
    folder = os.path.realpath(file.folder)
    if os.path.commonpath([folder, os.path.realpath(file.path)]) != folder:
        return f"{expected}, a link that leaves it; replace it by a copy"
    return "" if is_regular else f"{expected}; name a single file"
