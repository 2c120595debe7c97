"""The build of a folder: weights in one file or in shards, their index, and the files that a spec adds."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, suppress

from paramgen.blocks import whole_file
from paramgen.buffers import BLOCK_BYTES
from paramgen.build_check import is_unchanged_build
from paramgen.digests import (
    HASHED_BYTES,
    Digests,
    FileDigests,
    combine_digests,
    hash_companion,
    hash_weights,
    sha256_of,
)
from paramgen.engine import (
    BuildResult,
    check_digest,
    draw_digests,
    join_devices,
    write_file,
    write_manifest,
)
from paramgen.errors import FileError, UsageError, check_path, file_errors
from paramgen.execution import Executor, LocalExecutor, OpenExecutor, WriteJob
from paramgen.messages import show_path
from paramgen.planning.companions import Companion, check_companions, companion_size, open_companion
from paramgen.planning.files import DEFAULT_BASENAME, PlannedFile, make_folder_layout, warn_about_headers
from paramgen.planning.plan import Plan
from paramgen.progress import BytesCallback, Progress, as_progress
from paramgen.sampling.devices import AUTO
from paramgen.spec import Spec, SpecSource, as_spec
from paramgen.storage.byte_source import is_url
from paramgen.storage.folder import FolderTarget, check_space, find_obsolete, is_folder, open_folder
from paramgen.storage.index import INDEX_SUFFIX
from paramgen.storage.locations import exists, list_names, open_bytes
from paramgen.storage.replacement import FORCE_OPTION, FOREIGN

NEEDS_FOLDER = "needs a folder; end the path in a slash"


def plan_output(
    spec: SpecSource, path: str | os.PathLike[str], max_shard_size: int | str | None, basename: str | None
) -> Plan:
    """Return the plan of a build to a path: of a single file, or of a folder with these options.

    Raises UsageError for an invalid option, or one that needs a folder.
    """
    plan, path = as_spec(spec).plan, check_path(path)
    if is_folder(path):
        return plan.split(make_folder_layout(basename, max_shard_size))
    for option, value in {"max_shard_size": max_shard_size, "basename": basename}.items():
        if value is not None:
            raise UsageError(f"{option}: {NEEDS_FOLDER}, got {show_path(path)}")
    return plan


def build_folder(
    plan: Plan,
    path: str,
    *,
    device: str = AUTO,
    threads: int | None = None,
    open_executor: OpenExecutor = LocalExecutor,
    force: bool = False,
    expect: str | None = None,
    manifest: str | None = None,
    resume: bool = False,
    redraw: bool = False,
    sync: bool = True,
    progress: BytesCallback | None = None,
) -> BuildResult:
    """Draw every tensor of a plan that `Plan.split` returned, and write the folder.

    Files appear when all are complete, and the index last. With `resume`, shards that an interrupted build finished are
    kept if their digests are those that it recorded, and with `redraw` only if they are also those of a new drawing.
    `engine.build` describes the other arguments.
    """
    began = time.perf_counter()
    basename = plan.folder.basename if plan.folder else DEFAULT_BASENAME
    names = [file.name for file in plan.files]
    report = as_progress(progress)
    new_names = plan.file_names
    check_companions(plan.companions)
    warn_about_headers(plan.files)
    with (
        _open_target(path, resume, sync) as target,
        write_manifest(
            manifest, plan, [os.path.join(path, name) for name in new_names], force=force, sync=sync
        ) as finish_manifest,
    ):
        obsolete = find_obsolete(path, basename, new_names)
        if not force:
            _check_replaceable(plan, path, [*names, *obsolete])
            _check_companions_replaceable(plan, path, [*names, *obsolete])
        executor = open_executor(device=device, threads=threads, block_bytes=BLOCK_BYTES, progress=report)
        used_device, weights = _finish_weights(plan, target, executor, manifest is not None, redraw, report)
        digests = {name: weights[name].sha256 for name in names}
        sha256 = combine_digests(digests.values())
        if expect:
            check_digest(show_path(path), sha256, expect)
        if plan.index_name:
            text = plan.index_text().encode()
            target.write(plan.index_name, text)
            digests[plan.index_name] = sha256_of(text)
        for companion in plan.companions:
            report.phase("writing")
            report.item(companion.name)
            digests[companion.name] = _write_companion(companion, target)
        report.phase("syncing")
        target.publish([*names, *(companion.name for companion in plan.companions)], plan.index_name, obsolete)
        tensors = {name: digest for file in names for name, digest in weights[file].tensors.items()}
        finish_manifest(Digests(sha256, digests, tensors))
    return BuildResult(
        files=tuple(os.path.join(path, name) for name in names),
        total_parameters=plan.total_parameters,
        total_bytes=plan.total_bytes,
        sha256=sha256,
        device=used_device,
        seconds=time.perf_counter() - began,
    )


def _open_target(path: str, resume: bool, sync: bool) -> AbstractContextManager[FolderTarget]:
    if not is_url(path):
        return open_folder(path, resume=resume, sync=sync)
    from paramgen.storage.remote_folder import open_remote_folder

    return open_remote_folder(path, resume=resume)


def _finish_weights(
    plan: Plan, target: FolderTarget, executor: Executor, with_tensors: bool, redraw: bool, report: Progress
) -> tuple[str, dict[str, FileDigests]]:
    """Draw and write the weights that are not finished; return the devices, and the digests of all by name."""
    digests = _hash_finished(plan, target, with_tensors, report)
    finished = [file for file in plan.files if file.name in digests]
    if redraw and finished:
        report.phase("checking", sum(file.data_bytes for file in finished))
        drawn = draw_digests(plan, finished, executor)
        digests = {name: found for name, found in digests.items() if found.sha256 == drawn[name].sha256}
    remaining = [file for file in plan.files if file.name not in digests]
    check_space(target.path, sum(file.size for file in remaining) + sum(map(companion_size, plan.companions)))
    if not remaining:
        return "cpu", digests
    report.phase("drawing", sum(file.data_bytes for file in remaining))
    device, written = _write_files(plan, remaining, target, executor, with_tensors, report)
    return device, digests | written


def _check_replaceable(plan: Plan, path: str, names: Sequence[str]) -> None:
    """Raise UsageError if the build would replace or remove weights that paramgen did not write."""
    present = set(list_names(path))
    for name in names:
        full_path = os.path.join(path, name)
        if name.endswith(INDEX_SUFFIX) or name not in present:
            continue
        with file_errors(show_path(full_path)):
            if not is_unchanged_build(full_path, plan):
                raise UsageError(f"{show_path(full_path)}: {FOREIGN}; to replace it, use {FORCE_OPTION}")


def _check_companions_replaceable(plan: Plan, path: str, weights: Sequence[str]) -> None:
    """Raise UsageError if a companion would replace a file that is neither equal, nor that of the weights beside it."""
    stored: dict[str, Companion] | None = None
    for companion in plan.companions:
        full_path = os.path.join(path, companion.name)
        if not exists(full_path) or _is_equal(full_path, companion):
            continue
        if stored is None:
            stored = _find_stored_companions([os.path.join(path, name) for name in weights])
        old = stored.get(companion.name)
        if old is None or old.content is None or not _is_equal(full_path, old):
            raise UsageError(f"{show_path(full_path)}: {FOREIGN}; to replace it, use {FORCE_OPTION}")


def _is_equal(path: str, companion: Companion) -> bool:
    """Return True if a file has the content of a companion."""
    size = companion_size(companion)
    with file_errors(show_path(path)), closing(open_bytes(path)) as source, open_companion(companion) as expected:
        ranges = ((start, min(HASHED_BYTES, size - start)) for start in range(0, size, HASHED_BYTES))
        return source.size == size and all(data == expected.read(len(data)) for data in source.read_ranges(ranges))


def _find_stored_companions(weights: Sequence[str]) -> dict[str, Companion]:
    """Return the companions, by name, that existing weights describe in their metadata."""
    for path in weights:
        if not path.endswith(INDEX_SUFFIX) and exists(path):
            with suppress(FileError):
                return {companion.name: companion for companion in Spec.from_file(path).plan.companions}
    return {}


def _write_companion(companion: Companion, target: FolderTarget) -> str:
    """Write a companion into the staging folder; return its digest."""
    with target.staging.open(companion.name, companion_size(companion)) as write:
        return hash_companion(companion, write)


def _hash_finished(plan: Plan, target: FolderTarget, with_tensors: bool, report: Progress) -> dict[str, FileDigests]:
    """Return the digests of the files that an interrupted build finished, if they are those that it recorded."""
    found = {}
    recorded = [file for file in plan.files if file.name in target.finished]
    if recorded:
        report.phase("hashing", sum(file.data_bytes for file in recorded))
    for file in recorded:
        path = target.find(file.name)
        if path and os.path.getsize(path) == file.size:
            report.item(file.name)
            digests = hash_weights(path, file, with_tensors, report)
            if digests.sha256 == target.finished[file.name]:
                found[file.name] = digests
    return found


def _write_files(
    plan: Plan,
    files: Sequence[PlannedFile],
    target: FolderTarget,
    executor: Executor,
    with_tensors: bool,
    report: Progress,
) -> tuple[str, dict[str, FileDigests]]:
    """Draw files into the staging folder; return the devices, and the digests by name. A single file may be split."""
    if len(files) == 1 and not is_url(target.path):
        with target.staging.open(files[0].name, files[0].size) as output:
            device, digests = write_file(
                plan, files[0], output, executor, report, hashes=True, with_tensors=with_tensors
            )
        assert digests
        target.record(files[0].name, digests.sha256)
        return device, {files[0].name: digests}
    written, devices = {}, set()
    job = WriteJob(executor.share(target.staging, files), hashes=True, with_tensors=with_tensors)
    with closing(executor.run(plan, job, [*map(whole_file, files)])) as results:
        for unit, (digests, receipt), device in results:
            assert digests
            target.staging.finish(unit.file, receipt)
            target.record(unit.file, digests.sha256)
            written[unit.file] = digests
            devices.add(device)
    return join_devices(devices), written
