"""Files that are read by ranges: their interface, their errors, and the options of URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from paramgen.errors import FileError
from paramgen.messages import show_path

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

storage_options: ContextVar[Mapping[str, Any]] = ContextVar("storage_options", default=MappingProxyType({}))


@contextmanager
def use_storage_options(options: Mapping[str, Any] | None) -> Iterator[None]:
    """Open URLs with these options of fsspec's file system inside the block. None keeps those of an outer block."""
    if options is None:
        yield
        return
    token = storage_options.set(options)
    try:
        yield
    finally:
        storage_options.reset(token)


def is_url(path: str) -> bool:
    """Return True if a path is a URL, such as s3://bucket/name."""
    return _URL.match(path) is not None


class ByteSource(Protocol):
    """A file whose bytes are read by ranges. Its methods raise OSError."""

    size: int

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill a view with the bytes from `offset` on. Raises FileError if the file ends before."""

    def read_ranges(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range (offset, length)."""

    def open_header(self, *header: bytes) -> AbstractContextManager[str]:
        """Yield the path of a local file of the same size that begins with the parts of `header`, as this one does."""

    def raise_if_changed(self) -> None:
        """Raise FileError if the file changed since it was opened."""

    def suspend(self) -> None:
        """Free what an open file takes until it is read again."""

    def close(self) -> None: ...


def read_range(source: ByteSource, offset: int, length: int) -> bytes:
    """Return `length` bytes from `offset` on."""
    data = bytearray(length)
    source.read_into(offset, memoryview(data))
    return bytes(data)


def truncated_error(path: str) -> FileError:
    return FileError(f"{show_path(path)}: the file is truncated; copy or download it again")


def changed_error(path: str) -> FileError:
    return FileError(f"{show_path(path)}: the file changed while it was read; try again")
