"""Uploads to S3 that one process begins and completes, and whose parts other processes send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from paramgen.storage.byte_source import storage_options, use_storage_options
from paramgen.storage.remote import Remote
from paramgen.storage.sink import Write
from paramgen.storage.upload import PendingUpload, part_bytes

SCHEMES = ("s3", "s3a")


class Part(NamedTuple):
    """A part of an upload, as the store confirmed it."""

    number: int
    etag: str


class SharedUpload(PendingUpload):
    """An upload whose parts other processes send."""

    def __init__(self, remote: Remote, size: int):
        super().__init__(remote, size)
        self._parts: tuple[Part, ...] = ()
        self.id = str(_call(remote, "create_multipart_upload")["UploadId"])

    def finish(self, parts: tuple[Part, ...]) -> None:
        """Take the parts that another process sent."""
        self._parts = parts

    def _complete(self) -> None:
        parts = [{"PartNumber": part.number, "ETag": part.etag} for part in self._parts]
        _call(self._remote, "complete_multipart_upload", UploadId=self.id, MultipartUpload={"Parts": parts})

    def _abort(self) -> None:
        _call(self._remote, "abort_multipart_upload", UploadId=self.id)


@dataclass(frozen=True, slots=True)
class SharedStore:
    """A folder of S3 in which several processes send the parts of uploads, given by file name and id."""

    url: str
    ids: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=lambda: dict(storage_options.get()))
    _sent: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    @contextmanager
    def open_range(self, name: str, start: int, size: int) -> Iterator[Write]:
        """Yield a function that appends to the upload of a file of `size` bytes; its only range is the whole file."""
        with use_storage_options(self.options):
            remote = Remote(self.url, skip_instance_cache=True).join(name)
        length, buffer = part_bytes(size), bytearray()
        parts: list[Part] = []

        def send() -> None:
            number = len(parts) + 1
            sent = _call(remote, "upload_part", UploadId=self.ids[name], PartNumber=number, Body=bytes(buffer))
            parts.append(Part(number, sent["ETag"]))
            buffer.clear()

        def write(data: memoryview) -> None:
            while data:
                taken = data[: length - len(buffer)]
                buffer.extend(taken)
                data = data[len(taken) :]
                if len(buffer) == length:
                    send()

        yield write
        if buffer or not parts:
            send()
        self._sent[name] = tuple(parts)

    def receipt(self, name: str) -> tuple[Part, ...]:
        """Return the parts that this process sent of a file."""
        return self._sent.pop(name)

    def landmark(self) -> AbstractContextManager[None]:
        """Yield None: a URL is the same everywhere."""
        return nullcontext()


def _call(remote: Remote, method: str, **keywords: Any) -> dict[str, Any]:
    """Call a method of S3's client for the object of a URL."""
    bucket, key, _ = remote.call("split_path", remote.path)
    answer: dict[str, Any] = remote.call("call_s3", method, Bucket=bucket, Key=key, **keywords)
    return answer
