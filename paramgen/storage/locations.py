"""Paths and URLs: the bytes of a file by ranges, and the names in a folder. fsspec opens URLs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from paramgen.errors import FileError
from paramgen.messages import show_path
from paramgen.storage.byte_source import ByteSource, changed_error, is_url, read_range, truncated_error


def open_bytes(path: str) -> ByteSource:
    """Open a regular file, or the object of a URL."""
    if is_url(path):
        from paramgen.storage.remote import RemoteFile

        return RemoteFile(path)
    return LocalFile(path)


def read_bytes(path: str, limit: int) -> bytes:
    """Return the first `limit` bytes of a file."""
    with closing(open_bytes(path)) as source:
        return read_range(source, 0, min(limit, source.size))


def is_directory(path: str) -> bool:
    """Return True if a path is a folder."""
    if is_url(path):
        from paramgen.storage.remote import Remote

        return path.endswith("/") or Remote(path).is_directory()
    return os.path.isdir(path)


def exists(path: str) -> bool:
    """Return True if a path exists."""
    if is_url(path):
        from paramgen.storage.remote import Remote

        return Remote(path).state() is not None
    return os.path.lexists(path)


def list_names(path: str) -> list[str]:
    """Return the names in a folder, sorted."""
    if is_url(path):
        from paramgen.storage.remote import Remote

        return Remote(path).list_names()
    return sorted(os.listdir(path))


class LocalFile:
    """A regular file of the system."""

    def __init__(self, path: str):
        self._path = path
        self._file = open(path, "rb", buffering=0, opener=_open)  # noqa: SIM115 (closed by close)
        try:
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{show_path(path)}: must be a regular file; name the weights")
            self._file.read(1)  # some files of the system have a size of 0, and cannot be read
            self.size = status.st_size
            self._state = _state(self._file.fileno())
        except BaseException:
            self.close()
            raise

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill a view with the bytes from `offset` on."""
        if self._file.closed:
            self._reopen()
        self._file.seek(offset)
        while view:
            count = self._file.readinto(view)
            if not count:
                raise truncated_error(self._path)
            view = view[count:]

    def read_ranges(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range (offset, length)."""
        for offset, length in ranges:
            yield read_range(self, offset, length)

    @contextmanager
    def open_header(self, *header: bytes) -> Iterator[str]:
        """Yield a path that leads to this file, even if its own path leads to another one by now."""
        yield f"/dev/fd/{self._file.fileno()}"

    def raise_if_changed(self) -> None:
        """Raise FileError if the file changed since it was opened."""
        if self._file.closed:
            self._reopen()
        if _state(self._file.fileno()) != self._state or _state(self._path) != self._state:
            raise changed_error(self._path)

    def _reopen(self) -> None:
        self._file = open(self._path, "rb", buffering=0, opener=_open)  # noqa: SIM115 (closed by close)
        if _state(self._file.fileno()) != self._state:
            raise changed_error(self._path)

    def suspend(self) -> None:
        """Close the file until it is read; a file that has changed by then raises FileError."""
        self._file.close()

    def close(self) -> None:
        self._file.close()


def _state(file: int | str) -> tuple[int, ...]:
    """Return numbers of a file that change if it is written or replaced."""
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe is refused, not waited for
