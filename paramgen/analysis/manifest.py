"""The comparison of weights with a manifest: nothing is drawn."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import closing

from paramgen.analysis.verify import Verification
from paramgen.errors import file_errors
from paramgen.messages import show_path
from paramgen.progress import BytesCallback, Progress, as_progress
from paramgen.storage.checkpoint import Checkpoint, StoredTensor
from paramgen.storage.locations import exists, open_bytes
from paramgen.storage.manifest import Manifest
from paramgen.threads import count_threads, parallel_for

READ_BYTES = 2**20


def verify_manifest(
    checkpoint: Checkpoint, manifest: Manifest, *, threads: int | None = None, progress: BytesCallback | None = None
) -> Verification:
    """Compare the digests of weights, and of a folder's other files, with those of a manifest.

    The tensors of files with another digest are compared one by one. Raises FileError if a file changes meanwhile.
    """
    stored, expected = checkpoint.tensors, manifest.tensors
    paths = _find_files(checkpoint, manifest)
    digests: dict[str, str | None] = {}
    lock = threading.Lock()
    report = as_progress(progress)

    def count_bytes(count: int) -> None:
        with lock:
            report(count)

    def hash_one(name: str) -> None:
        report.item(name)
        digests[name] = _hash_file(paths[name], count_bytes) if exists(paths[name]) else None

    report.phase("hashing", sum(os.path.getsize(path) for path in paths.values() if os.path.isfile(path)))
    parallel_for(count_threads(threads), hash_one, paths)
    wrong = {path for name, path in paths.items() if digests[name] != manifest.files[name]}
    suspects = [name for name, tensor in stored.items() if name in expected and tensor.file.path in wrong]
    if suspects:
        report.phase("comparing", sum(stored[name].entry.nbytes for name in suspects))
    differing = [name for name in suspects if _hash_tensor(checkpoint, stored[name], report) != expected[name]]
    checkpoint.raise_if_changed()
    return Verification(
        files=tuple(checkpoint.paths),
        tensors=len(expected),
        differing=len(differing),
        missing=tuple(name for name in expected if name not in stored),
        extra=tuple(name for name in stored if name not in expected),
        other=tuple(_describe_files(checkpoint, manifest, paths, digests)),
    )


def _find_files(checkpoint: Checkpoint, manifest: Manifest) -> dict[str, str]:
    """Return the paths of a manifest's files, by name; a single file may have another name."""
    if len(checkpoint.files) == len(manifest.files) == 1:
        return dict.fromkeys(manifest.files, checkpoint.files[0].path)
    return {name: os.path.join(checkpoint.folder, name) for name in manifest.files}


def _describe_files(
    checkpoint: Checkpoint, manifest: Manifest, paths: dict[str, str], digests: dict[str, str | None]
) -> Iterator[str]:
    """Yield what is wrong with whole files, a line each."""
    for name, digest in digests.items():
        if digest is None:
            yield f"{show_path(paths[name])}: absent"
        elif digest != manifest.files[name]:
            yield f"{show_path(paths[name])}: sha256 must be {manifest.files[name]}, got {digest}"
    for file in checkpoint.files:
        if file.path not in paths.values():
            yield f"{file.display_path}: not in the manifest"


def _hash_file(path: str, progress: BytesCallback) -> str:
    sha256 = hashlib.sha256()
    with file_errors(show_path(path)), closing(open_bytes(path)) as source:
        buffer = memoryview(bytearray(min(READ_BYTES, source.size)))
        for start in range(0, source.size, READ_BYTES):
            data = buffer[: min(READ_BYTES, source.size - start)]
            source.read_into(start, data)
            sha256.update(data)
            progress(len(data))
    return sha256.hexdigest()


def _hash_tensor(checkpoint: Checkpoint, tensor: StoredTensor, progress: Progress) -> str:
    sha256 = hashlib.sha256()
    progress.item(tensor.entry.name)
    buffer = memoryview(bytearray(min(READ_BYTES, tensor.entry.nbytes)))
    for start in range(0, tensor.entry.nbytes, READ_BYTES):
        data = buffer[: min(READ_BYTES, tensor.entry.nbytes - start)]
        checkpoint.read_into(tensor, start, data)
        sha256.update(data)
        progress(len(data))
    return sha256.hexdigest()
