"""The engine, which draws the blocks of a plan's file by several threads, and delivers them in order."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paramgen.buffers import BLOCK_BYTES, PAGE_BYTES, SHORT_RUN_ELEMENTS, WIDE_BLOCK_FACTOR
from paramgen.build_check import is_unchanged_build
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.cost import cpu_seconds
from paramgen.sampling.devices import AUTO, open_backends
from paramgen.sampling.matrix_drawer import BytesCallback
from paramgen.sampling.sampler import Sampler
from paramgen.storage.writer import Write, open_output
from paramgen.threads import available_cpus, parallel_for, run_threads
from paramgen.units import human_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Buffers besides one per thread, so that no thread waits while a block is written.
EXTRA_BUFFERS = 2


class TensorSlice(NamedTuple):
    """Elements start … stop - 1 of a tensor; their bytes begin at `offset` of a block."""

    tensor: Tensor
    start: int
    stop: int
    offset: int


class FileBlock(NamedTuple):
    """A range of the file's bytes: some of the header, then slices of tensors. Drawing it needs nothing else."""

    size: int
    header: bytes
    slices: list[TensorSlice]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The result of a build: its files, counts, device and seconds.

    `files` lists the paths of the written files, at present one. `total_parameters` leaves out buffers, such as running
    means. `total_bytes` counts tensor data without the header. `sha256` is None unless `digest` was set.
    """

    files: tuple[str, ...]
    total_parameters: int
    total_bytes: int
    sha256: str | None
    device: str
    seconds: float


def file_bytes(plan: Plan) -> int:
    """Return the size of a plan's file."""
    return len(plan.header) + plan.total_bytes


def block_size(tensor: Tensor, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the block size: larger if a transposing layout would otherwise waste random words."""
    wide = WIDE_BLOCK_FACTOR * block_bytes
    is_short = tensor.dtype.nbytes(tensor.rearrangement.max_source_step) * SHORT_RUN_ELEMENTS > block_bytes
    return wide if is_short and tensor.nbytes > wide else block_bytes


def split_into_blocks(plan: Plan, size: int) -> Iterator[FileBlock]:
    """Split the file into blocks of `size` bytes, a multiple of 8; the last is shorter."""
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    header, slices, used = b"", [], 0
    for start in range(0, len(plan.header), size):
        header = plan.header[start : start + size]
        used = len(header)
        if used == size:
            yield FileBlock(size, header, [])
            header, used = b"", 0
    for entry in plan.entries:
        tensor = tensors[entry.name]
        width = tensor.dtype.bits // 8
        start = 0
        while start < tensor.size:
            stop = min(tensor.size, start + (size - used) // width)
            slices.append(TensorSlice(tensor, start, stop, used))
            used += (stop - start) * width
            start = stop
            if used == size:
                yield FileBlock(size, header, slices)
                header, slices, used = b"", [], 0
    if used:
        yield FileBlock(used, header, slices)


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
    device: str = AUTO,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: BytesCallback = lambda count: None,
) -> Iterator[DrawnBlocks]:
    """Draw every tensor of a plan, and yield the file's bytes in order, in bounded memory.

        with draw_blocks(plan) as (device, blocks):
            for block, data in blocks:
                write(data)

    Threads draw ahead of the consumer, EXTRA_BUFFERS blocks at most, and end with the context. A CPU draws with
    `threads` threads, by default one for each CPU that this process may use. `progress(count)` is called with newly
    drawn bytes, by one thread at a time, and with 0 after each block. If it raises, the drawing ends.
    """
    threads = threads or available_cpus()
    total = file_bytes(plan)
    size = min(max(block_size(tensor, block_bytes) for tensor in plan.tensors), -(-total // PAGE_BYTES) * PAGE_BYTES)
    count = -(-total // size)
    sampler = Sampler(plan.seed, threads, progress)
    parameters = {parameter.name: parameter for tensor in plan.tensors for parameter in tensor.sources}
    backends = open_backends(device, threads, size, sum(map(cpu_seconds, parameters.values())))
    devices = ",".join(dict.fromkeys(backend.device for backend in backends))
    with closing(_iter_blocks(split_into_blocks(plan, size), count, size, sampler, backends[:count])) as blocks:
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
    progress: BytesCallback = lambda count: None,
) -> BuildResult:
    """Draw every tensor of a plan and write the file. `draw_blocks` describes the arguments that it shares."""
    began = time.perf_counter()
    sha256 = hashlib.sha256() if digest else None
    with (
        open_output(path, file_bytes(plan), force=force, may_replace=partial(is_unchanged_build, plan=plan)) as write,
        draw_blocks(plan, device=device, threads=threads, block_bytes=block_bytes, progress=progress) as drawn,
    ):
        for _, data in drawn.blocks:
            _write_and_hash(data, write, sha256)
    return BuildResult(
        files=(path,),
        total_parameters=plan.total_parameters,
        total_bytes=plan.total_bytes,
        sha256=sha256.hexdigest() if sha256 else None,
        device=drawn.device,
        seconds=time.perf_counter() - began,
    )


def _write_and_hash(data: memoryview, write: Write, sha256: Any) -> None:
    """Write a block and, at the same time, add it to the digest, if there is one.

    A thread for each block is the simplest: starting it takes 0.05 ms, and hashing a block 2 ms.
    """
    if sha256 is None:
        write(data)
        return
    update = partial(sha256.update, data)
    with run_threads([update], stop=lambda: None) as thread_count:
        write(data)
    if not thread_count:
        update()


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
