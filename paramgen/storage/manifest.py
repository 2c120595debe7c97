"""Manifests: the digests of a build's files and tensors, in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from paramgen.errors import FileError, MalformedFileError, file_errors
from paramgen.messages import must_be, show_path, show_text
from paramgen.storage.index import is_file_name
from paramgen.storage.locations import read_bytes
from paramgen.storage.sink import Write
from paramgen.storage.writer import open_output

MAX_MANIFEST_BYTES = 1_000_000_000
_DIGEST = re.compile("[0-9a-f]{64}")


class Manifest(NamedTuple):
    """The digests that a manifest states, in hexadecimal, by the names of files and tensors."""

    files: dict[str, str]
    tensors: dict[str, str]


def read_manifest(path: str) -> Manifest:
    """Read a manifest. Raises FileError if it cannot be read, and MalformedFileError if it is not one."""
    display_path = show_path(path)
    with file_errors(display_path):
        data = read_bytes(path, MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise MalformedFileError(f"{display_path}: must have at most {MAX_MANIFEST_BYTES:,} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedFileError(f"{display_path}: not a manifest: must be valid JSON") from None
    parts = []
    for key in Manifest._fields:
        part = document.get(key) if isinstance(document, dict) else None
        if not isinstance(part, dict):
            raise MalformedFileError(f"{display_path}: not a manifest: needs {key}, from names to digests")
        for name, digest in part.items():
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                problem = must_be("a SHA-256 in 64 hexadecimal digits", digest)
                raise MalformedFileError(f"{display_path}: {key}: {show_text(name)}: {problem}")
            if key == "files" and not is_file_name(name):
                raise MalformedFileError(f"{display_path}: {key}: {must_be('the name of a file', name)}")
        parts.append(part)
    return Manifest(*parts)


@contextmanager
def open_manifest(path: str, size: int, *, force: bool, sync: bool) -> Iterator[Write]:
    """Yield a function that appends to a new manifest, which replaces an older one when it is complete."""
    with open_output(path, size, force=force, may_replace=_is_manifest, sync=sync) as write:
        yield write


def _is_manifest(path: str) -> bool:
    try:
        read_manifest(path)
    except FileError:
        return not read_bytes(path, 1)
    return True
