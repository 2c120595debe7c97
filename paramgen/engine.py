"""The engine: plan → units → file, digests, or arrays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from paramgen.blocks import block_size, whole_file
from paramgen.buffers import BLOCK_BYTES
from paramgen.build_check import is_unchanged_build
from paramgen.digests import Digests, FileDigests, combine_digests, hash_weights
from paramgen.errors import DigestError, UsageError
from paramgen.execution import Executor, HashJob, LocalExecutor, OpenExecutor, WriteJob
from paramgen.messages import show_path
from paramgen.planning.files import PlannedFile, warn_about_headers
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.progress import BytesCallback, Progress, as_progress
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.devices import AUTO
from paramgen.sampling.sampler import Sampler
from paramgen.storage.manifest import open_manifest
from paramgen.storage.sink import Writer
from paramgen.storage.writer import ReservedFile, is_stream, open_output
from paramgen.threads import available_cpus, parallel_for
from paramgen.units import human_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The result of a build: its files, counts, device and seconds.

    `files` lists the paths of the written weights. `total_parameters` leaves out buffers, such as running means.
    `total_bytes` counts tensor data without headers. `sha256` is that of the file; of several files, that of their
    digests, joined in hexadecimal. Of a single file it is None, unless an argument asks for a digest.
    """

    files: tuple[str, ...]
    total_parameters: int
    total_bytes: int
    sha256: str | None
    device: str
    seconds: float


def build(
    plan: Plan,
    path: str,
    *,
    device: str = AUTO,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    open_executor: OpenExecutor = LocalExecutor,
    force: bool = False,
    digest: bool = False,
    expect: str | None = None,
    manifest: str | None = None,
    sync: bool = True,
    progress: BytesCallback | None = None,
) -> BuildResult:
    """Draw every tensor of a plan and write the file. `draw_blocks` describes the arguments that it shares.

    `open_executor` chooses where units are drawn. `manifest` is the path of a file for all digests. With `sync` it
    waits until the disk has the file. Raises DigestError, and leaves no file, if the SHA-256 is not `expect`.
    """
    if expect and is_stream(path):
        raise UsageError("an expected digest needs a file, which appears only if it is right; use paramgen digest")
    began = time.perf_counter()
    warn_about_headers(plan.files)
    report = as_progress(progress)
    report.phase("drawing", plan.total_bytes)
    executor = open_executor(device=device, threads=threads, block_bytes=block_bytes, progress=report)
    hashes = digest or expect is not None or manifest is not None
    with (
        write_manifest(manifest, plan, [path], force=force, sync=sync) as finish_manifest,
        open_output(
            path, plan.file_bytes, force=force, may_replace=partial(is_unchanged_build, plan=plan), sync=sync
        ) as output,
    ):
        used_device, digests = write_file(
            plan, plan.files[0], output, executor, report, hashes=hashes, with_tensors=manifest is not None
        )
        if digests and expect:
            check_digest(show_path(path), digests.sha256, expect)
        if digests:
            finish_manifest(Digests(digests.sha256, {os.path.basename(path): digests.sha256}, digests.tensors))
        report.phase("syncing")  # on exit from these contexts
    return BuildResult(
        files=(path,),
        total_parameters=plan.total_parameters,
        total_bytes=plan.total_bytes,
        sha256=digests.sha256 if digests else None,
        device=used_device,
        seconds=time.perf_counter() - began,
    )


def write_file(
    plan: Plan,
    file: PlannedFile,
    output: Writer,
    executor: Executor,
    report: Progress,
    *,
    hashes: bool,
    with_tensors: bool,
) -> tuple[str, FileDigests | None]:
    """Draw a file of a plan, and write it; return the devices, and the digests if `hashes` is set."""
    units = executor.split(file)
    sink = executor.share(output, [file])
    job = WriteJob(sink, hashes and len(units) == 1, with_tensors)
    with closing(executor.run(plan, job, units)) as results:
        done = list(results)
    devices = join_devices(finished.device for finished in done)
    if hashes and len(units) > 1:
        assert isinstance(sink, ReservedFile)
        report.phase("hashing")
        return devices, hash_weights(sink.path, file, with_tensors, lambda count: report(0))
    return devices, done[0].result.digests


def join_devices(devices: Iterable[str]) -> str:
    """Return the names of all devices that drew, joined by commas."""
    return ",".join(sorted(set(devices)))


def hash_files(
    plan: Plan,
    *,
    device: str = AUTO,
    threads: int | None = None,
    progress: BytesCallback | None = None,
) -> Digests:
    """Return the digests that a build's weight files and tensors would have; nothing is written."""
    found = draw_digests(plan, plan.files, LocalExecutor(device, threads, progress=progress))
    tensors = {name: digest for digests in found.values() for name, digest in digests.tensors.items()}
    digests = {name: digests.sha256 for name, digests in found.items()}
    return Digests(combine_digests(digests.values()), digests, tensors)


def draw_digests(plan: Plan, files: Sequence[PlannedFile], executor: Executor) -> dict[str, FileDigests]:
    """Return the digests that files of a plan would have, by name; nothing is written."""
    with closing(executor.run(plan, HashJob(), [*map(whole_file, files)])) as results:
        return {finished.unit.file: finished.result for finished in results}


def check_digest(display_path: str, sha256: str, expect: str) -> None:
    """Raise DigestError if a build's SHA-256 is not the expected one."""
    if sha256 != expect:
        raise DigestError(f"{display_path}: sha256 must be {expect}, got {sha256}; nothing was written")


@contextmanager
def write_manifest(
    path: str | None, plan: Plan, outputs: Sequence[str], *, force: bool, sync: bool
) -> Iterator[Callable[[Digests], None]]:
    """Yield a function that writes the manifest of a build's outputs. Without a path it does nothing.

    Its space is reserved at once. Raises UsageError if the path is that of an output.
    """
    if path is None:
        yield lambda digests: None
        return
    if os.path.realpath(path) in map(os.path.realpath, outputs):
        raise UsageError(f"{show_path(path)}: the build itself writes this file; choose another one for the manifest")
    digest = "0" * 64
    empty = Digests(
        digest, dict.fromkeys(map(os.path.basename, outputs), digest), {tensor.name: digest for tensor in plan.tensors}
    )
    with open_manifest(path, len(empty.manifest().encode()), force=force, sync=sync) as write:
        yield lambda digests: write(memoryview(digests.manifest().encode()))


def make_array_sampler(seed: int) -> Sampler:
    """Return a sampler for arrays, with a thread for each CPU."""
    return Sampler(seed, available_cpus())


def draw_array(tensor: Tensor, sampler: Sampler, backend: Backend) -> NDArray[Any]:
    """Return a tensor as an array in the backend's memory. Raises MemoryError if it does not fit."""
    with backend.activate():
        try:
            out = backend.empty(tensor.nbytes)
        except MemoryError:
            raise MemoryError(f"{tensor.name} needs {human_bytes(tensor.nbytes)}") from None
        draw_into(out, tensor, sampler, backend)
        return backend.as_array(out, tensor.dtype, tensor.rearrangement.shape)


def draw_into(out: Bytes, tensor: Tensor, sampler: Sampler, backend: Backend) -> None:
    """Draw a tensor into its bytes, block by block; several threads share the work if they can share the backend."""
    nbytes = tensor.dtype.nbytes
    step = block_size(tensor) // nbytes(1)

    def draw(start: int) -> None:
        stop = min(start + step, tensor.size)
        sampler.draw(backend, tensor, start, stop, out[nbytes(start) : nbytes(stop)])

    try:
        parallel_for(sampler.threads if backend.is_thread_safe else 1, draw, range(0, tensor.size, step))
        backend.synchronize()
    except BaseException:
        sampler.stop()
        raise
