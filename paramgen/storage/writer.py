"""The output of a build: a regular file, which is replaced when the new one is complete, or a stream."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from paramgen.buffers import PAGE_BYTES
from paramgen.errors import FileError, UsageError
from paramgen.formatting import escape
from paramgen.storage.replacement import FORCE, replacement

STDOUT_NAMES = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
# Smaller files are written through the page cache; direct writes would save no time.
DIRECT_BYTES = 2**24

Write = Callable[[memoryview], None]


@contextmanager
def output(path: str, size: int, *, force: bool, is_ours: Callable[[str], bool]) -> Iterator[Write]:
    """Yield a function that appends bytes to the new file of `size` bytes, which are reserved first.

    A regular file is written beside its place and renamed on success (a symbolic link is followed); standard output
    (a name of STDOUT_NAMES), pipes and devices are written in order. A file that is not ours is replaced only by force.
    """
    if path in STDOUT_NAMES:
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal; redirect it to a file or a pipe")
        with _as_file_error("standard output"):
            sys.stdout.flush()
            yield _writer(sys.stdout.fileno())
        return
    shown = escape(path) or "''"
    with _as_file_error(shown):
        status = _status(path)
        if status is None or stat.S_ISREG(status.st_mode):
            if not os.path.basename(path):
                raise UsageError(f"{shown}: not a file name")
            if status is not None and not force and not is_ours(path):
                problem = "exists and was not written by paramgen, or was changed since"
                raise UsageError(f"{shown}: {problem}; to replace it, use {FORCE}")
            with (
                replacement(os.path.realpath(path), size, status, force) as descriptor,
                _file_writer(descriptor, size) as write,
            ):
                yield write
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                yield _writer(descriptor)
            finally:
                os.close(descriptor)


@contextmanager
def _as_file_error(shown: str) -> Iterator[None]:
    """Turn an OSError into a FileError that names the file and keeps the notes."""
    try:
        yield
    except (FileError, UsageError):
        raise
    except OSError as error:
        refusal = FileError(f"{shown}: {error.strerror or error}")
        for note in getattr(error, "__notes__", ()):
            refusal.add_note(note)
        raise refusal from None


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


class _FileWriter:
    """An append-only file, written past the page cache as far as file and data are aligned to pages.

    Direct writes take a fifth of the processor time of buffered ones, which is what drawing needs.
    """

    def __init__(self, descriptor: int, direct: int | None):
        self.descriptor = descriptor
        self.direct = direct
        self.offset = 0

    def __call__(self, data: memoryview) -> None:
        while data:
            whole = 0 if self.direct is None or self.offset % PAGE_BYTES else len(data) // PAGE_BYTES * PAGE_BYTES
            try:
                if self.direct is not None and whole:
                    written = os.pwrite(self.direct, data[:whole], self.offset)
                else:
                    written = os.pwrite(self.descriptor, data, self.offset)
            except OSError as error:
                # EFAULT: direct writes cannot read memory that a driver has pinned.
                if not whole or error.errno not in (errno.EINVAL, errno.EFAULT):
                    raise
                self.direct = None
            else:
                data = data[written:]
                self.offset += written


@contextmanager
def _file_writer(descriptor: int, size: int) -> Iterator[_FileWriter]:
    direct = _open_direct(descriptor) if size >= DIRECT_BYTES else None
    try:
        yield _FileWriter(descriptor, direct)
    finally:
        if direct is not None:
            os.close(direct)


def _open_direct(descriptor: int) -> int | None:
    """Open a file again for direct writes; return None if the system or the file system has none."""
    with suppress(OSError):
        if hasattr(os, "O_DIRECT"):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT)
    return None


def _writer(descriptor: int) -> Write:
    def write(data: memoryview) -> None:
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # a non-blocking pipe that is full
                select.select([], [descriptor], [])

    return write
