"""Writing a file so that it appears under its name only when it is whole, and is otherwise as it was before."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from paramgen.chunks import PAGE
from paramgen.errors import FileError, MalformedFileError, UsageError
from paramgen.storage.reader import TensorFile
from paramgen.text import escape, human_bytes

STDOUT = "-"
OURS = "paramgen_stream"
# Smaller files are written through the page cache: there is no time to be gained.
DIRECT_BYTES = 2**24
RESERVED_BYTES = 2**28

Write = Callable[[memoryview], None]


@contextmanager
def output(path: str, size: int, force: bool) -> Iterator[Write]:
    """A function that appends bytes to what is to be `path`: `size` bytes in all, reserved before the first.

    A regular file is written beside its place and renamed on success (a symbolic link is followed); standard output
    ("-"), pipes and devices are written in order. A file that paramgen did not write is replaced only by force.
    """
    if path == STDOUT:
        if sys.stdout.isatty():
            raise UsageError("standard output is a terminal; redirect it to a file or a pipe")
        sys.stdout.flush()
        with _refusals("standard output"):
            yield _writer(sys.stdout.fileno())
        return
    shown = escape(path) or "''"
    with _refusals(shown):
        status = _status(path)
        if status is None or stat.S_ISREG(status.st_mode):
            if not os.path.basename(path):
                raise UsageError(f"{shown}: is not the name of a file")
            if status is not None and not force and not _is_ours(path):
                raise UsageError(
                    f"{shown}: is not a file that paramgen wrote; --force (in Python, force=True) replaces it"
                )
            with _replacement(os.path.realpath(path), size, status) as descriptor:
                yield _FileWriter(descriptor, direct=size >= DIRECT_BYTES)
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                yield _writer(descriptor)
            finally:
                os.close(descriptor)


@contextmanager
def _refusals(shown: str) -> Iterator[None]:
    try:
        yield
    except (FileError, UsageError):
        raise
    except OSError as error:
        raise FileError(f"{shown}: {error.strerror or error}") from None


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _is_ours(path: str) -> bool:
    try:
        with TensorFile(path) as file:
            return OURS in file.metadata
    except MalformedFileError:
        return False


class _FileWriter:
    """Appends to a file at positions of its own, past the page cache as far as file and data are aligned to that.

    Direct writes take a fifth of the processor time of buffered ones, which is what drawing needs.
    """

    def __init__(self, descriptor: int, direct: bool):
        self.descriptor = descriptor
        self.offset = 0
        self.direct = direct and self.switch(True)

    def switch(self, on: bool) -> bool:
        """Whether the file system allows it."""
        flag = getattr(os, "O_DIRECT", 0)
        flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
        with suppress(OSError):
            fcntl.fcntl(self.descriptor, fcntl.F_SETFL, flags | flag if on else flags & ~flag)
            return on and flag != 0
        return False

    def __call__(self, data: memoryview) -> None:
        while data:
            whole = len(data) // PAGE * PAGE
            if self.direct and (self.offset % PAGE or not whole):
                self.direct = self.switch(False)
            try:
                written = os.pwrite(self.descriptor, data[:whole] if self.direct else data, self.offset)
            except OSError as error:
                # EFAULT: memory that a driver has pinned, out of direct writes' reach
                if not self.direct or error.errno not in (errno.EINVAL, errno.EFAULT):
                    raise
                self.direct = self.switch(False)
                continue
            data = data[written:]
            self.offset += written


def _writer(descriptor: int) -> Write:
    def write(data: memoryview) -> None:
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # a pipe that somebody made non-blocking
                select.select([], [descriptor], [])

    return write


@contextmanager
def _replacement(target: str, size: int, replaced: os.stat_result | None) -> Iterator[int]:
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".paramgen-{os.urandom(6).hex()}.tmp")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            raise OSError(errno.ENOENT, "its folder does not exist; create it first") from None
        try:
            if replaced is not None:
                os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode))
            _reserve(descriptor, folder, size)
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _reserve(descriptor: int, folder: str, size: int) -> None:
    """Make sure of the space: reserve it where the system can, else see whether it is there."""
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    if size > free:
        raise FileError(f"{escape(folder)}: no space for {human_bytes(size)}, {human_bytes(free)} are free")
    if hasattr(os, "posix_fallocate"):
        try:
            # In slices: where the file system cannot, the C library writes to every block, and signals are to be heard.
            for start in range(0, size, RESERVED_BYTES):
                os.posix_fallocate(descriptor, start, min(RESERVED_BYTES, size - start))
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # some file systems cannot; the file itself is safe
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
