"""The output of a build at a URL: uploaded in parts without a local copy, and visible when it is complete."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

from paramgen.errors import FileError, UsageError
from paramgen.messages import join_or, show_path
from paramgen.storage.remote import Remote
from paramgen.storage.replacement import FORCE_OPTION, FOREIGN
from paramgen.storage.sink import InOrderWriter, Writer
from paramgen.threads import run_threads

# Stores whose file systems keep an upload invisible until it is committed.
WRITABLE_SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
# Azure's commits the blocks when the file is closed; the others close it first.
_COMMITTED_BY_CLOSE = ("az", "abfs", "abfss")
# S3 takes at most 10,000 parts of at least 5 MiB.
PART_BYTES = 2**24
MAX_PARTS = 9_000
# Blocks between the build and the uploading thread.
QUEUED_BLOCKS = 3


class PendingUpload(ABC):
    """A file on its way to a store: `commit` makes it visible, `discard` removes what was uploaded."""

    def __init__(self, remote: Remote, size: int):
        self._remote = remote
        self._size = size
        self._before = remote.state()

    def commit(self) -> None:
        """Make the file visible."""
        try:
            self._complete()
        except FileError:
            # The answer may have been lost, and then a second request finds no upload.
            state = self._remote.state()
            if state in (None, self._before) or state[0] != self._size:
                raise

    def discard(self, cause: BaseException) -> None:
        """Remove all that was uploaded; if that fails, add a note to `cause`, the error that ended the build."""
        try:
            self._abort()
        except FileError as error:
            cause.add_note(f"{error}; abort its incomplete upload by hand, or by a rule of the store")

    @abstractmethod
    def _complete(self) -> None:
        """Ask the store to make the file visible. Raises FileError."""

    @abstractmethod
    def _abort(self) -> None:
        """Ask the store to remove the upload. Raises FileError."""


class Upload(PendingUpload):
    """An upload by this process: `write` parts of it, and `finish`."""

    def __init__(self, remote: Remote, size: int):
        super().__init__(remote, size)
        self._closes_last = remote.scheme in _COMMITTED_BY_CLOSE
        self._file: Any = remote.call("open", remote.path, "wb", block_size=part_bytes(size), autocommit=False)

    def write(self, data: bytes) -> None:
        """Append bytes; a part is uploaded when it is full."""
        with self._remote.errors():
            self._file.write(data)

    def finish(self) -> None:
        """Upload the last part."""
        if not self._closes_last:
            with self._remote.errors():
                self._file.close()

    def _complete(self) -> None:
        with self._remote.errors():
            if self._closes_last:
                self._file.close()
            self._file.commit()

    def _abort(self) -> None:
        with suppress(AttributeError):  # files in memory
            self._file.closed = True  # else its finalizer would upload the rest
        with self._remote.errors():
            self._file.discard()


def part_bytes(size: int) -> int:
    """Return the size of the parts of an upload of `size` bytes."""
    return max(PART_BYTES, -(-size // MAX_PARTS))


def open_target(url: str) -> Remote:
    """Return a URL to write. Raises FileError for a store without invisible uploads."""
    scheme = url.partition("://")[0].lower()
    if scheme not in WRITABLE_SCHEMES:
        choices = join_or([f"{name}://" for name in WRITABLE_SCHEMES if name not in ("s3a", "gcs", "abfs", "abfss")])
        raise FileError(f"{show_path(url)}: cannot upload in parts to {scheme}://; choose {choices}")
    target = Remote(url, skip_instance_cache=True)
    target.call("start_transaction")  # without it, a file in memory is visible at once
    return target


@contextmanager
def upload(remote: Remote, size: int) -> Iterator[tuple[Writer, Upload]]:
    """Yield a function that appends to an upload of `size` bytes, and the upload, which is finished on success.

    Another thread uploads meanwhile. On an error, or a signal, it ends its request before the upload is discarded:
    stores may keep parts that arrive later.
    """
    target = Upload(remote, size)
    try:
        with _write_behind(target) as write:
            yield write, target
    except BaseException as error:
        target.discard(error)
        raise


@contextmanager
def open_remote_output(url: str, size: int, *, force: bool, may_replace: Callable[[str], bool]) -> Iterator[Writer]:
    """Yield a function that appends to a new file, which `storage.writer.open_output` describes.

    Another program's file that appears at the same moment is replaced: not every store has conditional writes.
    """
    target = open_target(url)
    if "/" not in target.path.strip("/") and target.scheme != "memory":
        raise UsageError(f"{target.display_path}: must name a file in the bucket, or a folder that ends in a slash")
    before = target.state()
    if before is not None and not force and not may_replace(url):
        raise UsageError(f"{target.display_path}: {FOREIGN}; to replace it, use {FORCE_OPTION}")
    with upload(target, size) as (write, finished):
        yield write
    try:
        if not force and target.state() != before:
            problem = "another program changed this file during the build"
            raise UsageError(f"{target.display_path}: {problem}; build again, or use {FORCE_OPTION}")
        finished.commit()
    except BaseException as error:
        finished.discard(error)
        raise


@contextmanager
def _write_behind(target: Upload) -> Iterator[Writer]:
    """Yield a function that hands copies of blocks to a thread, which writes and finally finishes the upload."""
    blocks: SimpleQueue[bytes | None] = SimpleQueue()
    free = threading.Semaphore(QUEUED_BLOCKS)
    stopped, ended = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while (block := blocks.get()) is not None and not stopped.is_set():
                target.write(block)
                free.release()
            if not stopped.is_set():
                target.finish()
        except BaseException as error:
            errors.append(error)
            free.release(QUEUED_BLOCKS + 1)
        finally:
            ended.set()

    class UploadWriter(InOrderWriter):
        """An upload."""

        def __call__(self, data: memoryview, /) -> None:
            free.acquire()
            if errors:
                raise errors[0]
            blocks.put(bytes(data))

    def stop() -> None:
        stopped.set()
        blocks.put(None)

    with run_threads([work], stop) as thread_count:
        if not thread_count:
            raise MemoryError("no thread can be started")
        yield UploadWriter()
        blocks.put(None)
        ended.wait()
        if errors:
            raise errors[0]
