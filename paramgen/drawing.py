"""Drawing: several threads draw the blocks of a plan's files, and deliver them in order."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import chain
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from paramgen.blocks import FileBlock, FileRange, block_size, count_blocks, find_entries, split_into_blocks, whole_file
from paramgen.buffers import BLOCK_BYTES, PAGE_BYTES
from paramgen.planning.files import PlannedFile
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.progress import BytesCallback
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.cost import cpu_seconds
from paramgen.sampling.devices import AUTO, open_backends
from paramgen.sampling.sampler import Sampler
from paramgen.threads import count_threads, run_threads

# Buffers besides one per thread, so that no thread waits while a block is written.
EXTRA_BUFFERS = 2


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
    ranges: Sequence[FileRange] | None = None,
    device: str = AUTO,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    seconds: float | None = None,
    progress: BytesCallback | None = None,
) -> Iterator[DrawnBlocks]:
    """Draw ranges of a plan's files, by default all bytes, and yield them in order, in bounded memory.

        with draw_blocks(plan) as (device, blocks):
            for block, data in blocks:
                write(data)

    Threads draw ahead of the consumer, EXTRA_BUFFERS blocks at most, and end with the context. A CPU draws with
    `threads` threads, by default one for each CPU that this process may use. "auto" chooses the device for work of
    `seconds` on one thread, by default that of the ranges. `progress(count)` is called with newly drawn bytes, by one
    thread at a time, and with 0 after each block. If it raises, the drawing ends.
    """
    threads = count_threads(threads)
    ranges = list(map(whole_file, plan.files)) if ranges is None else ranges
    files = {file.name: file for file in plan.files}
    tensors = [tensor for part in ranges for tensor in _find_tensors(files[part.file], part)]
    largest = max(part.size for part in ranges)
    sizes = (block_size(tensor, block_bytes) for tensor in tensors)
    size = min(max(sizes, default=block_bytes), -(-largest // PAGE_BYTES) * PAGE_BYTES)
    count = sum(count_blocks(part, size) for part in ranges)
    sampler = Sampler(plan.seed, threads, progress)
    backends = open_backends(device, threads, size, estimate_seconds(tensors) if seconds is None else seconds)
    devices = ",".join(dict.fromkeys(backend.device for backend in backends))
    file_blocks = chain.from_iterable(
        split_into_blocks(files[part.file], size, part.start, part.stop) for part in ranges
    )
    with closing(_iter_blocks(file_blocks, count, size, sampler, backends[:count])) as blocks:
        yield DrawnBlocks(devices, blocks)


def estimate_seconds(tensors: Iterable[Tensor]) -> float:
    """Estimate the seconds that one CPU thread takes to draw tensors; a tied parameter counts once."""
    parameters = {parameter.name: parameter for tensor in tensors for parameter in tensor.sources}
    return sum(map(cpu_seconds, parameters.values()))


def _find_tensors(file: PlannedFile, part: FileRange) -> Sequence[Tensor]:
    """Return the tensors that have bytes in a range of a file."""
    if part.size == file.size:
        return file.tensors
    names = {entry.name for entry in find_entries(file, part.start, part.stop)}
    return [tensor for tensor in file.tensors if tensor.name in names]


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
