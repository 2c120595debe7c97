"""The errors that users can cause, each with its exit status on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from paramgen.messages import escape, show_text

MAX_SHOWN_ERRORS = 20
MAX_REASON_CHARS = 200


class ParamgenError(Exception):
    """The base of all errors that a user can cause. Its text says what is wrong, where, and what to do."""

    exit_status: ClassVar[int] = 2


class UsageError(ParamgenError, ValueError):
    """An invalid call or command line, including a refused overwrite (exit status 2)."""


class FileError(ParamgenError, OSError):
    """A missing, unreadable or malformed file, or an error of the system (exit status 3)."""

    exit_status = 3


class DigestError(ParamgenError):
    """A build whose digest is not the expected one (exit status 1)."""

    exit_status = 1


class DeviceError(ParamgenError, RuntimeError):
    """A device that cannot be used, with the reason (exit status 3)."""

    exit_status = 3


class WorkerError(ParamgenError, RuntimeError):
    """A cluster that cannot be used: its scheduler, or a worker, with the reason (exit status 3)."""

    exit_status = 3


class MalformedFileError(FileError):
    """A readable file that is not a valid safetensors file, or lacks the spec that is asked for (exit status 3)."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error in a spec: its message, path, and 1-based line and column (None for a mapping)."""

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        """Escape the text of the spec in all messages: it must not act on a terminal or add lines."""
        object.__setattr__(self, "message", escape(self.message))
        object.__setattr__(self, "path", escape(self.path))

    def text(self, source: str) -> str:
        """Return the error as a line: source, line and column, path, message."""
        place = f"{source}:{self.line}:{self.column}" if self.line is not None else source
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class SpecError(ParamgenError, ValueError):
    """All errors of a spec (exit status 2). `diagnostics` holds the first ones; `total` counts all of them."""

    def __init__(
        self, source: str, diagnostics: Sequence[Diagnostic], total: int | None = None, is_lower_bound: bool = False
    ):
        self.source = source = escape(source)
        self.diagnostics = tuple(diagnostics)
        self.total = len(self.diagnostics) if total is None else total
        lines = [diagnostic.text(source) for diagnostic in self.diagnostics[:MAX_SHOWN_ERRORS]]
        if self.total > len(lines):
            more = self.total - len(lines)
            lines.append(
                f"{source}: and {'at least ' if is_lower_bound else ''}{more:,} more error{'s' if more > 1 else ''}"
            )
        self.is_lower_bound = is_lower_bound
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        return SpecError, (self.source, self.diagnostics, self.total, self.is_lower_bound)


def describe_os_error(error: OSError) -> str:
    """Return the reason of an error of the system on one line."""
    return error.strerror or show_text(str(error), MAX_REASON_CHARS)


def check_path(path: str | os.PathLike[str]) -> str:
    """Return a path as text. Raises FileError for a text that no file can have as its name."""
    text = os.fsdecode(path)
    try:
        is_valid = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        raise FileError(f"{escape(text)}: not a valid file name")
    return text


@contextmanager
def file_errors(display_path: str) -> Iterator[None]:
    """Turn an OSError into a FileError that names the file and keeps the notes."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        file_error = FileError(f"{display_path}: {describe_os_error(error)}")
        for note in getattr(error, "__notes__", ()):
            file_error.add_note(note)
        raise file_error from None
