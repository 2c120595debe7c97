"""Landmarks: files by which another process shows that it shares a path with this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from paramgen.errors import file_errors
from paramgen.messages import show_path
from paramgen.storage.replacement import open_temporary

READ_BYTES = 4096


class Landmark(NamedTuple):
    """A file, its size and its first bytes, as this process reads them."""

    path: str
    size: int
    head: bytes

    def is_visible(self) -> bool:
        """Return True if this process finds the same file at the path."""
        with suppress(OSError):
            return read_landmark(self.path) == self
        return False


def read_landmark(path: str) -> Landmark:
    """Return the landmark that an existing file is."""
    with open(path, "rb") as file:
        return Landmark(path, os.fstat(file.fileno()).st_size, file.read(READ_BYTES))


@contextmanager
def create_landmark(folder: str) -> Iterator[Landmark]:
    """Create a file with a random name and random content in a folder; it is removed at the end."""
    with file_errors(show_path(folder)), open_temporary(folder) as (path, descriptor):
        os.write(descriptor, os.urandom(32))
        os.fsync(descriptor)
        try:
            yield read_landmark(path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
