"""Files behind URLs, read by fsspec (the extra remote): options, errors on one line, and reads by ranges."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from paramgen.errors import MAX_REASON_CHARS, FileError, ParamgenError, UsageError
from paramgen.messages import redact_urls, show_path, show_text
from paramgen.storage.byte_source import changed_error, is_url, storage_options, truncated_error

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# The first read of a file, which has the whole header of most.
FIRST_BYTES = 2**18
# Reads in order fetch this many bytes at once, in PARALLEL_READS requests.
READ_AHEAD_BYTES = 2**24
PARALLEL_READS = 4
# Facts about a remote file, of which each store has some, that change if it is replaced.
_VERSION_KEYS = (
    *("size", "ETag", "etag", "generation", "created", "mtime"),
    *("LastModified", "last_modified", "Last-Modified"),
)
_MIN_SECRET_CHARS = 4


class Remote:
    """A URL and the file system that opens it. All errors are FileErrors of one line, without credentials."""

    def __init__(self, url: str, **more: Any):
        self.url = url
        self.display_path = show_path(url)
        self._options = dict(storage_options.get())
        try:
            import fsspec

            fsspec.get_filesystem_class(self.scheme)
        except ImportError:
            fix = "run pip install 'paramgen[remote]'"
            raise UsageError(f"{self.display_path}: {self.scheme}:// needs the extra remote; {fix}") from None
        except ValueError:
            raise FileError(f"{self.display_path}: fsspec has no file system {self.scheme}://; check the URL") from None
        with self.errors():
            # Listings are never cached: another process may write, and so does a build.
            self.filesystem: AbstractFileSystem
            self.filesystem, self.path = fsspec.core.url_to_fs(url, use_listings_cache=False, **self._options, **more)

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0].lower()

    def join(self, name: str) -> Remote:
        """Return the URL of a name below this one, which is a folder's; they share their connections."""
        child = copy(self)
        child.url, child.path = self.url + name, f"{self.path.rstrip('/')}/{name}"
        child.display_path = show_path(child.url)
        return child

    def call(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Call a method of the file system."""
        with self.errors():
            return getattr(self.filesystem, method)(*arguments, **keywords)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn any error of a store into a FileError. Backends have classes of their own, some of them undocumented."""
        try:
            yield
        except (MemoryError, ParamgenError):
            raise
        except Exception as error:
            raise FileError(f"{self.display_path}: {self._describe(error)}") from None

    def _describe(self, error: Exception) -> str:
        text = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
        if isinstance(error, FileNotFoundError) and " " not in text:  # only the path
            text = "does not exist"
        text = " ".join(text.split()) or type(error).__name__
        for secret in _list_secrets(self._options):
            text = text.replace(secret, "***")
        return show_text(redact_urls(text), MAX_REASON_CHARS)

    def state(self) -> tuple[Any, ...] | None:
        """Return facts that change if the file is replaced, None if it does not exist."""
        info = self._info()
        return None if info is None or info["type"] != "file" else _version(info)

    def is_directory(self) -> bool:
        """Return True if there are files below the URL, and none of its own name."""
        info = self._info()
        return info is not None and info["type"] == "directory"

    def list_names(self) -> list[str]:
        """Return the names in a folder, sorted; a store does not distinguish an absent one from an empty one."""
        with self.errors():
            try:
                paths = self.filesystem.ls(self.path, detail=False)
            except FileNotFoundError:
                return []
        return sorted({os.path.basename(path) for path in paths if not path.endswith("/")})

    def _info(self) -> dict[str, Any] | None:
        with self.errors():
            try:
                return dict(self.filesystem.info(self.path))
            except FileNotFoundError:
                return None


class RemoteFile:
    """An object of a store. Reads in order are served from one larger read ahead; other reads fetch their range."""

    def __init__(self, url: str):
        self._remote = Remote(url)
        info = self._remote.call("info", self._remote.path)
        size = info.get("size")
        if info["type"] != "file" or size is None or info.get("partial") is False:
            raise FileError(f"{self._remote.display_path}: must be a file of known size that can be read by ranges")
        if self._remote.scheme in ("http", "https"):
            self._check_ranges(size)
        self.size: int = size
        self._version = _version(info)
        self._lock = threading.Lock()
        self._window, self._start, self._next = b"", 0, 0

    def _check_ranges(self, size: int) -> None:
        """Raise FileError if a server ignores ranges: else each read would transfer the whole file into memory."""
        if size > 1:
            with self._remote.errors(), self._remote.filesystem.open(self._remote.path, size=size) as file:
                file.seek(size - 1)
                file.read(1)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill a view with the bytes from `offset` on."""
        stop = offset + len(view)
        if not view:
            return
        if stop > self.size:
            raise truncated_error(self._remote.url)
        with self._lock:
            if not (self._start <= offset and stop <= self._start + len(self._window)):
                if offset and not self._next <= offset < self._next + READ_AHEAD_BYTES:
                    view[:] = self._fetch(offset, stop)
                    self._next = stop
                    return
                ahead = READ_AHEAD_BYTES if offset else FIRST_BYTES
                self._window = b""  # before the next one is fetched, so that there is only one in memory
                self._window = self._fetch(offset, min(max(stop, offset + ahead), self.size))
                self._start = offset
            view[:] = memoryview(self._window)[offset - self._start : stop - self._start]
            self._next = stop

    def read_ranges(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range (offset, length), fetched at the same time."""
        pairs = [(offset, offset + length) for offset, length in ranges]
        yield from self._fetch_ranges(pairs)

    def _fetch(self, start: int, stop: int) -> bytes:
        step = max(2**20, -(-(stop - start) // PARALLEL_READS))
        parts = self._fetch_ranges([(first, min(first + step, stop)) for first in range(start, stop, step)])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fetch_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        if not ranges:
            return []
        starts, stops = zip(*ranges, strict=True)
        paths = [self._remote.path] * len(ranges)
        parts: list[bytes] = self._remote.call("cat_ranges", paths, list(starts), list(stops), on_error="raise")
        for part, (start, stop) in zip(parts, ranges, strict=True):
            if len(part) > stop - start:
                raise FileError(f"{self._remote.display_path}: the server ignores ranges; download the file")
            if len(part) < stop - start:
                raise truncated_error(self._remote.url)
        return parts

    @contextmanager
    def open_header(self, *header: bytes) -> Iterator[str]:
        """Yield a sparse temporary file, because the official parser needs a local one."""
        with tempfile.TemporaryFile(buffering=0) as file:
            for part in header:
                file.write(part)
            file.truncate(self.size)
            yield f"/dev/fd/{file.fileno()}"

    def raise_if_changed(self) -> None:
        """Raise FileError if the object was replaced since it was opened."""
        if self._remote.state() != self._version:
            raise changed_error(self._remote.url)

    def suspend(self) -> None:
        """Free the memory of reads ahead."""
        self._window = b""

    def close(self) -> None:
        self._window = b""


def _version(info: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(info.get(key) for key in _VERSION_KEYS)


def _list_secrets(options: Any) -> Iterator[str]:
    """Yield the texts in options that messages must not show: all but URLs, whose credentials are removed apart."""
    if isinstance(options, Mapping):
        for value in options.values():
            yield from _list_secrets(value)
    elif isinstance(options, str) and len(options) >= _MIN_SECRET_CHARS and not is_url(options):
        yield options
