"""The output of a build: a regular file, which is replaced when the new one is complete, or a stream."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

from paramgen.buffers import PAGE_BYTES
from paramgen.errors import UsageError, file_errors
from paramgen.messages import show_path
from paramgen.storage.byte_source import is_url
from paramgen.storage.landmark import Landmark, create_landmark
from paramgen.storage.replacement import FORCE_OPTION, FOREIGN, replace_atomically
from paramgen.storage.sink import InOrderWriter, Write, Writer

STDOUT_NAMES = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
# Smaller files are written through the page cache; direct writes would save no time.
DIRECT_BYTES = 2**24


@contextmanager
def open_output(
    path: str, size: int, *, force: bool, may_replace: Callable[[str], bool], sync: bool = True
) -> Iterator[Writer]:
    """Reserve `size` bytes and yield a function that appends to the new file.

    A regular file is written beside its place and renamed on success; a symbolic link is followed. Standard output (a
    name of STDOUT_NAMES), pipes and devices are written in order. An existing file is replaced if `may_replace(path)`
    permits it, or by `force`. Without `sync` the page cache keeps the data until the system writes it.
    """
    if is_url(path):
        from paramgen.storage.upload import open_remote_output

        with open_remote_output(path, size, force=force, may_replace=may_replace) as write:
            yield write
        return
    if path in STDOUT_NAMES:
        with file_errors("standard output"), _open_stdout() as write:
            yield write
        return
    display_path = show_path(path)
    with file_errors(display_path):
        existing = _stat_or_none(path)
        if existing is not None and not stat.S_ISREG(existing.st_mode):
            output = _open_stream(path)
        elif not os.path.basename(path):
            raise UsageError(f"{display_path}: not a file name; name the file to write")
        elif existing is None or force or may_replace(path):
            output = _open_new_file(path, size, existing, force, sync)
        else:
            raise UsageError(f"{display_path}: {FOREIGN}; to replace it, use {FORCE_OPTION}")
        with output as write:
            yield write


def is_stream(path: str) -> bool:
    """Return True if a path is standard output, or an existing pipe or device: what is written there stays."""
    if path in STDOUT_NAMES or is_url(path):
        return not is_url(path)
    with file_errors(show_path(path)):
        existing = _stat_or_none(path)
    return existing is not None and not stat.S_ISREG(existing.st_mode)


def _stat_or_none(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


@contextmanager
def _open_stdout() -> Iterator[Writer]:
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal; redirect it to a file or a pipe")
    sys.stdout.flush()
    yield _StreamWriter(sys.stdout.fileno())


@contextmanager
def _open_stream(path: str) -> Iterator[Writer]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        yield _StreamWriter(descriptor)
    finally:
        os.close(descriptor)


class _StreamWriter(InOrderWriter):
    """A pipe or a device."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def __call__(self, data: memoryview, /) -> None:
        while data:
            try:
                data = data[os.write(self.descriptor, data) :]
            except BlockingIOError:  # a non-blocking pipe that is full
                select.select([], [self.descriptor], [])


@contextmanager
def _open_new_file(path: str, size: int, existing: os.stat_result | None, force: bool, sync: bool) -> Iterator[Writer]:
    with (
        replace_atomically(os.path.realpath(path), size, existing, force, sync) as (temporary, descriptor),
        _open_writer(descriptor, 0, sync and size >= DIRECT_BYTES) as writer,
    ):
        writer.reserved = ReservedFile(temporary, sync)
        yield writer


class ReservedFile(NamedTuple):
    """A new file of full size, in which several processes write ranges before it gets its name."""

    path: str
    sync: bool

    @contextmanager
    def open_range(self, name: str, start: int, size: int) -> Iterator[Write]:
        """Yield a function that appends to `size` bytes of the file, from byte `start` on."""
        with file_errors(show_path(self.path)):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                with _open_writer(descriptor, start, self.sync and size >= DIRECT_BYTES) as write:
                    yield write
                if self.sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def landmark(self) -> AbstractContextManager[Landmark]:
        """Yield a new file beside this one."""
        return create_landmark(os.path.dirname(self.path))

    def receipt(self, name: str) -> None:
        """Return None: a file on disk has none."""


@contextmanager
def _open_writer(descriptor: int, offset: int, direct: bool) -> Iterator[_FileWriter]:
    direct_descriptor = _open_direct(descriptor) if direct else None
    try:
        yield _FileWriter(descriptor, direct_descriptor, offset)
    finally:
        if direct_descriptor is not None:
            os.close(direct_descriptor)


def _open_direct(descriptor: int) -> int | None:
    """Open a file again for direct writes; return None if the system or the file system has none."""
    with suppress(OSError):
        if hasattr(os, "O_DIRECT"):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT)
    return None


class _FileWriter(InOrderWriter):
    """A file that is appended to from an offset on, whose whole pages are written past the page cache.

    Such direct writes take a fifth of the CPU time of buffered ones, which leaves more for drawing.
    """

    def __init__(self, descriptor: int, direct_descriptor: int | None, offset: int):
        self.descriptor = descriptor
        self.direct_descriptor = direct_descriptor
        self.offset = offset
        self.reserved: ReservedFile | None = None

    def share(self, sizes: Mapping[str, int]) -> ReservedFile | None:
        """Return the file as several processes write it."""
        return self.reserved

    def __call__(self, data: memoryview, /) -> None:
        while data:
            written = self._write_direct(data) or os.pwrite(self.descriptor, data, self.offset)
            data = data[written:]
            self.offset += written

    def _write_direct(self, data: memoryview) -> int:
        """Write whole pages; return the number of bytes written, 0 if they need a buffered write."""
        whole_bytes = len(data) // PAGE_BYTES * PAGE_BYTES
        if self.direct_descriptor is None or self.offset % PAGE_BYTES or not whole_bytes:
            return 0
        try:
            return os.pwrite(self.direct_descriptor, data[:whole_bytes], self.offset)
        except OSError as error:
            # EINVAL: the file system has no direct writes. EFAULT: they cannot read memory that a driver has pinned.
            if error.errno not in (errno.EINVAL, errno.EFAULT):
                raise
            self.direct_descriptor = None
            return 0
