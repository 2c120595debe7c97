"""The output of a sharded build: a folder whose files are finished in a folder inside it, and then published.

A loader never sees a mixture of old and new shards: the old index is removed first, and the new one appears last.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, Protocol

from paramgen.errors import DigestError, FileError, UsageError, file_errors
from paramgen.messages import show_path
from paramgen.storage.byte_source import is_url
from paramgen.storage.index import INDEX_SUFFIX
from paramgen.storage.landmark import Landmark, create_landmark
from paramgen.storage.locations import list_names
from paramgen.storage.replacement import UNSUPPORTED_ERRNOS, free_bytes, sync_folder
from paramgen.storage.sink import Output, Write, Writer
from paramgen.storage.writer import ReservedFile, open_output
from paramgen.units import human_bytes, pluralize

STAGING = ".paramgen-resume"
DIGESTS = "digests"
_DIGEST_LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")


class Staging(Output, Protocol):
    """The place in which the finished files of a build wait."""

    def open(self, name: str, size: int) -> AbstractContextManager[Writer]:
        """Yield a function that appends bytes to a new file of `size` bytes."""

    def finish(self, name: str, receipt: Any) -> None:
        """Take a file that another process wrote, and the receipt of its sink."""


class StagingFolder(NamedTuple):
    """The folder in which finished files wait."""

    path: str
    sync: bool

    def open(self, name: str, size: int) -> AbstractContextManager[Writer]:
        """Yield a function that appends bytes to a new file of `size` bytes."""
        return open_output(os.path.join(self.path, name), size, force=True, may_replace=_never, sync=self.sync)

    def open_range(self, name: str, start: int, size: int) -> AbstractContextManager[Write]:
        """Yield a function that appends bytes to a new file of `size` bytes; its only range is the whole file."""
        return self.open(name, size)

    def landmark(self) -> AbstractContextManager[None]:
        """Yield None: no other process writes."""
        return nullcontext()

    def share(self, sizes: Mapping[str, int]) -> SharedFolder:
        """Return the folder as several processes write it."""
        return SharedFolder(self.path, self.sync)

    def receipt(self, name: str) -> None:
        """Return None: a file on disk has none."""

    def finish(self, name: str, receipt: Any) -> None:
        """Do nothing: a finished file has its name."""


class SharedFolder(NamedTuple):
    """A staging folder in which several processes, perhaps of several machines, finish files.

    A file is written under a name that no build removes as abandoned: some systems lock files for one machine only.
    """

    path: str
    sync: bool

    @contextmanager
    def open_range(self, name: str, start: int, size: int) -> Iterator[Write]:
        """Yield a function that appends bytes to a new file of `size` bytes; its only range is the whole file."""
        target = os.path.join(self.path, name)
        with file_errors(show_path(target)):
            partial = f"{target}.{os.urandom(6).hex()}"
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            try:
                with ReservedFile(partial, self.sync).open_range(name, 0, size) as write:
                    yield write
                os.rename(partial, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(partial)
                raise

    def landmark(self) -> AbstractContextManager[Landmark]:
        """Yield a new file in this folder."""
        return create_landmark(self.path)

    def receipt(self, name: str) -> None:
        """Return None: a file on disk has none."""


class FolderTarget:
    """A folder that a build writes: finished files wait in `staging` until `publish`."""

    def __init__(self, path: str, staging: str, finished: dict[str, str], sync: bool):
        self.path = path
        self.finished = finished
        """The digest of each finished file."""
        self.staging: Staging = StagingFolder(staging, sync)
        self._staging = staging
        self._sync = sync

    def write(self, name: str, data: bytes) -> None:
        """Finish a small file."""
        with self.staging.open(name, len(data)) as write:
            write(memoryview(data))

    def record(self, name: str, digest: str) -> None:
        """Record that a file is finished, so that another build can continue from it."""
        path = os.path.join(self._staging, DIGESTS)
        with file_errors(show_path(path)), open(path, "a", encoding="utf-8") as file:
            file.write(f"{digest}  {name}\n")
            file.flush()
            if self._sync:
                os.fsync(file.fileno())
        self.finished[name] = digest

    def find(self, name: str) -> str | None:
        """Return the path of a finished file: unpublished, or published by a build that was interrupted then."""
        paths = (os.path.join(folder, name) for folder in (self._staging, self.path))
        return next((path for path in paths if os.path.isfile(path)), None)

    def publish(self, files: Sequence[str], index: str | None, obsolete: Sequence[str]) -> None:
        """Give the finished files their names, and remove the obsolete ones of an older build.

        Old indexes are removed before any shard appears. The new index appears after all other files, and what loaders
        would prefer to it is removed after that.
        """
        with file_errors(show_path(self.path)):
            if index is not None:
                self._remove([name for name in (*obsolete, index) if name.endswith(INDEX_SUFFIX)])
            for name in files:
                self._rename(name)
            self._sync_folder()
            if index is not None:
                self._rename(index)
                self._sync_folder()
            self._remove(obsolete)
            self._remove_staging()
            self.finished.clear()
            self._sync_folder()

    def _rename(self, name: str) -> None:
        staged, target = (os.path.join(folder, name) for folder in (self._staging, self.path))
        with suppress(FileNotFoundError):
            os.chmod(staged, stat.S_IMODE(os.stat(target).st_mode))
        try:
            os.replace(staged, target)
        except FileNotFoundError:
            if not os.path.exists(target):  # else a build published it, and was interrupted then
                raise

    def _remove(self, names: Collection[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, name))
        if names:
            self._sync_folder()

    def _remove_staging(self) -> None:
        _remove_staging(self._staging)

    def _sync_folder(self) -> None:
        if self._sync:
            sync_folder(self.path)


def is_folder(path: str) -> bool:
    """Return True if a build to this path writes a folder: an existing one, or a path or URL that ends in a slash."""
    return path.endswith("/") or (not is_url(path) and os.path.isdir(path))


@contextmanager
def open_folder(path: str, *, resume: bool, sync: bool) -> Iterator[FolderTarget]:
    """Yield the target of a build, locked against other builds; the folder is created if it does not exist.

    On an error finished files remain in STAGING for a build with `resume`. Without it, those of an earlier build are
    removed at once.
    """
    path = path.rstrip("/") or "/"
    staging = os.path.join(path, STAGING)
    with file_errors(show_path(path)), _created_folder(path):
        descriptor = _lock(staging)
        finished: dict[str, str] = {}
        try:
            if not resume:
                _clear(staging)
            finished = _read_digests(staging)
            target = FolderTarget(path, staging, finished, sync)
            yield target
        except BaseException as error:
            if finished and not isinstance(error, DigestError):
                kept = pluralize(len(finished), "finished shard")
                error.add_note(f"{show_path(path)}: {kept} kept; build again with --resume to continue")
            else:
                _remove_staging(staging)
            raise
        finally:
            os.close(descriptor)


@contextmanager
def _created_folder(path: str) -> Iterator[None]:
    """Create a folder if there is none; on an error, remove it again if it is empty."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise UsageError(f"{show_path(path)}: must be a folder, got a file") from None
        yield
        return
    except FileNotFoundError:
        raise OSError(errno.ENOENT, "its parent folder does not exist; create it first") from None
    try:
        yield
    except BaseException:
        _remove_empty(path)
        raise


def check_space(path: str, size: int) -> None:
    """Raise FileError if a folder's file system has less space than `size` bytes."""
    free = None if is_url(path) else free_bytes(path)
    if free is not None and size > free:
        raise FileError(f"{show_path(path)}: needs {human_bytes(size)} of free space, got {human_bytes(free)}")


def find_obsolete(path: str, basename: str, new: Collection[str]) -> list[str]:
    """Return the weights and indexes of a folder that a build with other files replaces, in no particular order."""
    pattern = re.compile(re.escape(basename) + r"(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
    with suppress(FileNotFoundError):
        return [name for name in list_names(path) if pattern.fullmatch(name) and name not in new]
    return []


def _lock(staging: str) -> int:
    """Create and lock the staging folder; the descriptor holds the lock."""
    while True:
        with suppress(FileExistsError):
            os.mkdir(staging)
        try:
            descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            _remove_empty(staging)
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            folder = show_path(os.path.dirname(staging))
            raise UsageError(f"{folder}: another build is writing into this folder; wait until it ends") from None
        except OSError as error:
            if error.errno not in UNSUPPORTED_ERRNOS:
                os.close(descriptor)
                _remove_empty(staging)
                raise
        if os.fstat(descriptor).st_nlink:  # else another build removed it before the lock
            return descriptor
        os.close(descriptor)


def _clear(staging: str) -> None:
    """Remove the files of an earlier build."""
    with os.scandir(staging) as entries:
        for entry in entries:
            os.unlink(entry.path)


def _read_digests(staging: str) -> dict[str, str]:
    """Return the recorded digests by file name; a line that was cut off is ignored."""
    with suppress(FileNotFoundError), open(os.path.join(staging, DIGESTS), encoding="utf-8", errors="replace") as file:
        return {name: digest for digest, name in _DIGEST_LINE.findall(file.read())}
    return {}


def _remove_staging(staging: str) -> None:
    """Remove the staging folder as far as the system allows; the next build removes the rest."""
    shutil.rmtree(staging, ignore_errors=True)


def _remove_empty(folder: str) -> None:
    with suppress(OSError):
        os.rmdir(folder)


def _never(path: str) -> bool:
    return False
