"""The build of a folder: weights in one file or in shards, their index, and the files that a spec adds."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence

from paramgen.build_check import is_unchanged_build
from paramgen.engine import BuildResult, check_digest, draw_blocks, write_and_hash
from paramgen.errors import UsageError, file_errors
from paramgen.messages import show_path
from paramgen.planning.files import PlannedFile
from paramgen.planning.plan import Plan
from paramgen.sampling.devices import AUTO
from paramgen.sampling.matrices import BytesCallback
from paramgen.storage.folder import FolderTarget, check_space, find_obsolete, hash_file, open_folder
from paramgen.storage.index import INDEX_SUFFIX
from paramgen.storage.replacement import FORCE_OPTION


def build_folder(
    plan: Plan,
    path: str,
    *,
    device: str = AUTO,
    threads: int | None = None,
    force: bool = False,
    expect: str | None = None,
    resume: bool = False,
    sync: bool = True,
    progress: BytesCallback = lambda count: None,
) -> BuildResult:
    """Draw every tensor of a plan and write the folder. Files appear when all are complete, and the index last.

    With `resume`, shards that an interrupted build finished are kept if their digests are those that it recorded.
    """
    began = time.perf_counter()
    index_name = f"{plan.folder.basename}{INDEX_SUFFIX}" if len(plan.files) > 1 else None
    names = [file.name for file in plan.files]
    with open_folder(path, resume=resume, sync=sync) as target:
        obsolete = find_obsolete(path, plan.folder.basename, [*names, *filter(None, [index_name])])
        if not force:
            _check_replaceable(plan, path, [*names, *obsolete])
        remaining = [file for file in plan.files if not _is_finished(target, file)]
        check_space(path, sum(file.size for file in remaining))
        used_device = _write_files(plan, remaining, target, device, threads, progress) if remaining else "cpu"
        digests = [target.finished[name] for name in names]
        sha256 = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        if expect:
            check_digest(show_path(path), sha256, expect)
        if index_name:
            target.write(index_name, plan.index_text().encode())
        target.publish(names, index_name, obsolete)
    return BuildResult(
        files=tuple(os.path.join(path, name) for name in names),
        total_parameters=plan.total_parameters,
        total_bytes=plan.total_bytes,
        sha256=sha256,
        device=used_device,
        seconds=time.perf_counter() - began,
    )


def _check_replaceable(plan: Plan, path: str, names: Sequence[str]) -> None:
    """Raise UsageError if the build would replace or remove weights that paramgen did not write."""
    for name in names:
        full_path = os.path.join(path, name)
        if name.endswith(INDEX_SUFFIX) or not os.path.lexists(full_path):
            continue
        with file_errors(show_path(full_path)):
            if not is_unchanged_build(full_path, plan):
                problem = "exists and was not written by paramgen, or was changed since"
                raise UsageError(f"{show_path(full_path)}: {problem}; to replace it, use {FORCE_OPTION}")


def _is_finished(target: FolderTarget, file: PlannedFile) -> bool:
    """Return True if an interrupted build finished a file, and its bytes have the digest that it recorded."""
    digest, finished = target.finished.get(file.name), target.find(file.name)
    if not digest or not finished or os.path.getsize(finished) != file.size:
        return False
    return hash_file(finished) == digest


def _write_files(
    plan: Plan,
    files: Sequence[PlannedFile],
    target: FolderTarget,
    device: str,
    threads: int | None,
    progress: BytesCallback,
) -> str:
    """Draw and write files one after another; return the device."""
    with draw_blocks(plan, files=files, device=device, threads=threads, progress=progress) as drawn:
        blocks = iter(drawn.blocks)
        for file in files:
            sha256, written = hashlib.sha256(), 0
            with target.open(file.name, file.size) as write:
                while written < file.size:
                    _, data = next(blocks)
                    write_and_hash(data, write, sha256)
                    written += len(data)
            target.record(file.name, sha256.hexdigest())
    return drawn.device
