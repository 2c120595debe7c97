"""The output of a build in a folder of a store: all files are uploaded, and then appear one after another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from paramgen.errors import UsageError
from paramgen.messages import show_path
from paramgen.storage.folder import FolderTarget
from paramgen.storage.remote import Remote
from paramgen.storage.shared_upload import SCHEMES, SharedStore, SharedUpload
from paramgen.storage.sink import Write, Writer
from paramgen.storage.upload import PendingUpload, open_target, upload


class RemoteStaging:
    """Uploads, by name. Only this process commits them."""

    def __init__(self, remote: Remote, uploads: dict[str, PendingUpload]):
        self._remote = remote
        self._uploads = uploads

    @contextmanager
    def open(self, name: str, size: int) -> Iterator[Writer]:
        """Yield a function that appends bytes to a new file of `size` bytes."""
        with upload(self._remote.join(name), size) as (write, finished):
            yield write
        self._uploads[name] = finished

    def open_range(self, name: str, start: int, size: int) -> AbstractContextManager[Write]:
        """Yield a function that appends bytes to a new file of `size` bytes; its only range is the whole file."""
        return self.open(name, size)

    def landmark(self) -> AbstractContextManager[None]:
        """Yield None: no other process writes."""
        return nullcontext()

    def share(self, sizes: Mapping[str, int]) -> SharedStore | None:
        """Begin uploads whose parts other processes send; return None for stores other than S3."""
        if self._remote.scheme not in SCHEMES:
            return None
        ids = {}
        for name, size in sizes.items():
            begun = self._uploads[name] = SharedUpload(self._remote.join(name), size)
            ids[name] = begun.id
        return SharedStore(self._remote.url, ids)

    def receipt(self, name: str) -> None:
        """Return None: this process wrote the upload."""

    def finish(self, name: str, receipt: Any) -> None:
        """Take the parts that another process sent."""
        upload = self._uploads[name]
        if isinstance(upload, SharedUpload):
            upload.finish(receipt)


class RemoteFolderTarget(FolderTarget):
    """A folder of a store. Finished files are invisible uploads until `publish`, which needs a request for each."""

    def __init__(self, url: str):
        super().__init__(url, staging="", finished={}, sync=False)
        self._remote = open_target(url)
        self._uploads: dict[str, PendingUpload] = {}
        self.staging = RemoteStaging(self._remote, self._uploads)

    def record(self, name: str, digest: str) -> None:
        """Do nothing: an interrupted build leaves nothing to continue from."""

    def find(self, name: str) -> str | None:
        """Return None: no finished file can be read."""
        return None

    def discard(self, cause: BaseException) -> None:
        """Remove all uploads that are not published."""
        for name in list(self._uploads):
            self._uploads.pop(name).discard(cause)

    def _rename(self, name: str) -> None:
        self._uploads[name].commit()
        del self._uploads[name]

    def _remove(self, names: Collection[str]) -> None:
        for target in map(self._remote.join, names):
            with target.errors(), suppress(FileNotFoundError):
                target.filesystem.rm_file(target.path)

    def _remove_staging(self) -> None:
        pass


@contextmanager
def open_remote_folder(url: str, *, resume: bool) -> Iterator[RemoteFolderTarget]:
    """Yield the target of a build; on an error, what it uploaded is removed."""
    if resume:
        problem = "a store keeps nothing of an interrupted build"
        raise UsageError(f"{show_path(url)}: {problem}; build again without --resume (resume=False in Python)")
    target = RemoteFolderTarget(url)
    try:
        yield target
    except BaseException as error:
        target.discard(error)
        raise
