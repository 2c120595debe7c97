"""The engine, which draws the blocks of a plan's file by several threads, and delivers them in order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paramgen.blocks import FileBlock, block_size, split_into_blocks
from paramgen.buffers import BLOCK_BYTES, PAGE_BYTES
from paramgen.build_check import is_unchanged_build
from paramgen.digests import Digests, FileHasher, combine_digests
from paramgen.errors import DigestError, UsageError
from paramgen.messages import show_path
from paramgen.planning.files import PlannedFile, warn_about_headers
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.progress import BytesCallback, as_progress
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.cost import cpu_seconds
from paramgen.sampling.devices import AUTO, open_backends
from paramgen.sampling.sampler import Sampler
from paramgen.storage.manifest import open_manifest
from paramgen.storage.writer import Write, is_stream, open_output
from paramgen.threads import available_cpus, count_threads, parallel_for, run_threads
from paramgen.units import human_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Buffers besides one per thread, so that no thread waits while a block is written.
EXTRA_BUFFERS = 2


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


class _FilledBuffer(NamedTuple):
    """A buffer that holds the bytes of a block, with the block's number in the file."""

    number: int
    block: FileBlock
    buffer: Bytes


class _Workers:
    """Threads that draw blocks into free buffers; each puts into `results` what it drew, or the error that ended it."""

    def __init__(self, blocks: Iterator[FileBlock], sampler: Sampler, count: int):
        self.free_buffers: SimpleQueue[Bytes | None] = SimpleQueue()
        self.results: SimpleQueue[_FilledBuffer | BaseException] = SimpleQueue()
        self._blocks = enumerate(blocks)
        self._blocks_lock = threading.Lock()
        self._sampler = sampler
        self._count = count

    def draw_blocks(self, backend: Backend) -> None:
        """Draw blocks until none is left, or there is None instead of a buffer."""
        try:
            _lower_priority()
            with backend.activate():
                while (buffer := self.free_buffers.get()) is not None:
                    with self._blocks_lock:
                        numbered_block = next(self._blocks, None)
                    if numbered_block is None:
                        return
                    number, block = numbered_block
                    _draw_block(block, buffer, self._sampler, backend)
                    self.results.put(_FilledBuffer(number, block, buffer))
        except BaseException as error:
            self.results.put(error)

    def stop(self) -> None:
        self._sampler.stop()
        for _ in range(self._count):
            self.free_buffers.put(None)


def _lower_priority() -> None:
    """Lower this thread's priority, so that the writing thread never waits for a CPU while the disk is idle.

    Linux sets the scheduling class per thread, and this one ends with the build. The caller's threads keep their class.
    """
    with suppress(OSError, AttributeError):  # musl and some sandboxes refuse, macOS has no such calls
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class DrawnBlocks(NamedTuple):
    """The bytes of a build, and the device that draws them.

    `blocks` yields each block with its bytes, in the file's order. The bytes are valid until the next iteration, which
    reuses their buffer.
    """

    device: str
    blocks: Iterator[tuple[FileBlock, memoryview]]


@contextmanager
def draw_blocks(
    plan: Plan,
    *,
    files: Sequence[PlannedFile] | None = None,
    device: str = AUTO,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: BytesCallback | None = None,
) -> Iterator[DrawnBlocks]:
    """Draw the tensors of a plan's files, by default all of them, and yield their bytes in order, in bounded memory.

        with draw_blocks(plan) as (device, blocks):
            for block, data in blocks:
                write(data)

    Threads draw ahead of the consumer, EXTRA_BUFFERS blocks at most, and end with the context. A CPU draws with
    `threads` threads, by default one for each CPU that this process may use. `progress(count)` is called with newly
    drawn bytes, by one thread at a time, and with 0 after each block. If it raises, the drawing ends. A Progress also
    learns which tensor is drawn; its phases are the caller's.
    """
    threads = count_threads(threads)
    files = plan.files if files is None else files
    tensors = [tensor for file in files for tensor in file.tensors]
    largest = max(file.size for file in files)
    size = min(max(block_size(tensor, block_bytes) for tensor in tensors), -(-largest // PAGE_BYTES) * PAGE_BYTES)
    count = sum(-(-file.size // size) for file in files)
    sampler = Sampler(plan.seed, threads, progress)
    parameters = {parameter.name: parameter for tensor in tensors for parameter in tensor.sources}
    backends = open_backends(device, threads, size, sum(map(cpu_seconds, parameters.values())))
    devices = ",".join(dict.fromkeys(backend.device for backend in backends))
    file_blocks = chain.from_iterable(split_into_blocks(file, size) for file in files)
    with closing(_iter_blocks(file_blocks, count, size, sampler, backends[:count])) as blocks:
        yield DrawnBlocks(devices, blocks)


def _iter_blocks(
    blocks: Iterator[FileBlock], count: int, size: int, sampler: Sampler, backends: list[Backend]
) -> Generator[tuple[FileBlock, memoryview], None, None]:
    """Draw `count` blocks of at most `size` bytes, each backend in its thread, and yield them in order.

    Raises MemoryError if not one thread can be started.
    """
    out_of_order: dict[int, _FilledBuffer] = {}  # drawn, but not yet their turn
    workers = _Workers(blocks, sampler, len(backends))
    functions = [partial(workers.draw_blocks, backend) for backend in backends]
    with run_threads(functions, workers.stop) as thread_count:
        if not thread_count:
            raise MemoryError("no thread can be started")
        for _ in range(min(thread_count + EXTRA_BUFFERS, count)):
            workers.free_buffers.put(backends[0].buffer(size))
        for number in range(count):
            while number not in out_of_order:
                result = workers.results.get()
                if isinstance(result, BaseException):
                    raise result
                out_of_order[result.number] = result
            _, block, buffer = out_of_order.pop(number)
            yield block, buffer.data[: block.size]
            workers.free_buffers.put(buffer)
            sampler.report_progress(0)


def _draw_block(block: FileBlock, buffer: Bytes, sampler: Sampler, backend: Backend) -> None:
    """Draw a block into the beginning of a buffer."""

    def draw(out: Bytes) -> None:
        for part in block.slices:
            length = part.tensor.dtype.nbytes(part.stop - part.start)
            sampler.draw(backend, part.tensor, part.start, part.stop, out[part.offset : part.offset + length])

    backend.draw_to_host(buffer[: block.size], draw)
    buffer[: len(block.header)] = np.frombuffer(block.header, np.uint8)


def build(
    plan: Plan,
    path: str,
    *,
    device: str = AUTO,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    force: bool = False,
    digest: bool = False,
    expect: str | None = None,
    manifest: str | None = None,
    sync: bool = True,
    progress: BytesCallback | None = None,
) -> BuildResult:
    """Draw every tensor of a plan and write the file. `draw_blocks` describes the arguments that it shares.

    `manifest` is the path of a file for all digests. With `sync` it waits until the disk has the file. Raises
    DigestError, and leaves no file, if the SHA-256 is not `expect`.
    """
    if expect and is_stream(path):
        raise UsageError("an expected digest needs a file, which appears only if it is right; use paramgen digest")
    began = time.perf_counter()
    warn_about_headers(plan.files)
    hasher = FileHasher(with_tensors=manifest is not None) if digest or expect or manifest else None
    report = as_progress(progress)
    report.phase("drawing", plan.total_bytes)
    with (
        write_manifest(manifest, plan, [path], force=force, sync=sync) as finish_manifest,
        open_output(
            path, plan.file_bytes, force=force, may_replace=partial(is_unchanged_build, plan=plan), sync=sync
        ) as write,
        draw_blocks(plan, device=device, threads=threads, block_bytes=block_bytes, progress=report) as drawn,
    ):
        for block, data in drawn.blocks:
            write_and_hash(block, data, write, hasher)
        if hasher and expect:
            check_digest(show_path(path), hasher.sha256, expect)
        if hasher:
            finish_manifest(Digests(hasher.sha256, {os.path.basename(path): hasher.sha256}, hasher.tensors))
        report.phase("syncing")  # on exit from these contexts
    return BuildResult(
        files=(path,),
        total_parameters=plan.total_parameters,
        total_bytes=plan.total_bytes,
        sha256=hasher.sha256 if hasher else None,
        device=drawn.device,
        seconds=time.perf_counter() - began,
    )


def hash_files(
    plan: Plan,
    *,
    files: Sequence[PlannedFile] | None = None,
    device: str = AUTO,
    threads: int | None = None,
    progress: BytesCallback | None = None,
) -> Digests:
    """Return the digests that a build's weight files and tensors would have; nothing is written."""
    hashers: dict[str, FileHasher] = {}
    with draw_blocks(plan, files=files, device=device, threads=threads, progress=progress) as drawn:
        for block, data in drawn.blocks:
            hasher = hashers.setdefault(block.file.name, FileHasher(with_tensors=True))
            write_and_hash(block, data, None, hasher)
    tensors = {name: digest for hasher in hashers.values() for name, digest in hasher.tensors.items()}
    digests = {name: hasher.sha256 for name, hasher in hashers.items()}
    return Digests(combine_digests(digests.values()), digests, tensors)


def check_digest(display_path: str, sha256: str, expect: str) -> None:
    """Raise DigestError if a build's SHA-256 is not the expected one."""
    if sha256 != expect:
        raise DigestError(f"{display_path}: sha256 must be {expect}, got {sha256}; nothing was written")


def write_and_hash(block: FileBlock, data: memoryview, write: Write | None, hasher: FileHasher | None) -> None:
    """Write a block and, at the same time, add it to the digests; either may be None.

    A thread for each task and block is the simplest: starting it takes 0.05 ms, and hashing a block 2 ms.
    """
    tasks = hasher.tasks(block, data) if hasher else []
    own = tasks.pop() if write is None else partial(write, data)
    with run_threads(tasks, stop=lambda: None) as thread_count:
        own()
    for task in tasks[thread_count:]:
        task()


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
