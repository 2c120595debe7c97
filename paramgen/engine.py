"""The engine: a plan's file in blocks, drawn by several threads and handed out in order, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paramgen.buffers import BLOCK_BYTES, PAGE, SHORT_RUN_ELEMENTS, WIDE_BLOCK_FACTOR
from paramgen.formatting import human_bytes
from paramgen.ownership import is_ours
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.sampling.backend import Backend, Bytes
from paramgen.sampling.devices import AUTO, open_backends
from paramgen.sampling.sampler import OnBytes, Sampler, cpu_seconds
from paramgen.storage.writer import Write, output
from paramgen.threads import available_cpus, parallel_for, run_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Buffers beyond one per thread, so that no thread waits while a block is written.
AHEAD = 2


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
    parts: list[TensorSlice]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The result of a build: its files, counts, device and seconds.

    `total_parameters` leaves out buffers, such as running means. `total_bytes` counts tensor data without the header.
    `sha256` is None unless `digest` was set.
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


def split(plan: Plan, size: int) -> Iterator[FileBlock]:
    """Split the file into blocks of `size` bytes, a multiple of 8; the last is shorter."""
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    header, parts, used = b"", [], 0
    for first in range(0, len(plan.header), size):
        header = plan.header[first : first + size]
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
            parts.append(TensorSlice(tensor, start, stop, used))
            used += (stop - start) * width
            start = stop
            if used == size:
                yield FileBlock(size, header, parts)
                header, parts, used = b"", [], 0
    if used:
        yield FileBlock(used, header, parts)


class _Workers:
    """Threads that draw blocks, each into a buffer; `done` gets (number, block, buffer), or an error."""

    def __init__(self, blocks: Iterator[FileBlock], sampler: Sampler, backends: Sequence[Backend]):
        self.blocks = enumerate(blocks)
        self.sampler = sampler
        self.backends = backends
        self.unused = iter(backends)
        self.lock = threading.Lock()
        self.free: SimpleQueue[Bytes | None] = SimpleQueue()
        self.done: SimpleQueue[tuple[int, FileBlock, Bytes] | BaseException] = SimpleQueue()

    def work(self) -> None:
        try:
            _give_way()
            with self.lock:
                backend = next(self.unused)
            with backend.current():
                while (buffer := self.free.get()) is not None:
                    with self.lock:
                        task = next(self.blocks, None)
                    if task is None:
                        return
                    number, block = task
                    _draw_block(block, buffer, self.sampler, backend)
                    self.done.put((number, block, buffer))
        except BaseException as error:
            self.done.put(error)

    def stop(self) -> None:
        self.sampler.stop()
        for _ in self.backends:
            self.free.put(None)


def _give_way() -> None:
    """Deprioritize this thread, so that the one that writes never waits for a CPU while the disk is idle.

    Linux schedules each thread by itself, and this one ends with the build: the caller's threads keep their class.
    """
    with suppress(OSError, AttributeError):  # musl and some sandboxes refuse, macOS has no such calls
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class DrawnBlocks(NamedTuple):
    """The bytes of a build, and the device that draws them.

    `blocks` yields each block with its bytes, in the file's order. The bytes are valid until the next block is asked
    for: their buffer is drawn into again.
    """

    device: str
    blocks: Iterator[tuple[FileBlock, memoryview]]


@contextmanager
def stream(
    plan: Plan,
    *,
    device: str = AUTO,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: OnBytes = lambda count: None,
) -> Iterator[DrawnBlocks]:
    """Draw every tensor of a plan, and yield the file's bytes in order, in bounded memory.

        with stream(plan) as (device, blocks):
            for block, data in blocks:
                write(data)

    Threads draw ahead of the consumer, by AHEAD blocks at most, and end with the context. A CPU draws with `threads`
    threads, by default one for each that this process may use. `progress` gets the number of bytes drawn since the last
    call, from one thread at a time, and 0 after each block, from the consumer's. What it raises ends the stream.
    """
    threads = threads or available_cpus()
    total = file_bytes(plan)
    size = min(max(block_size(tensor, block_bytes) for tensor in plan.tensors), -(-total // PAGE) * PAGE)
    sampler = Sampler(plan.seed, threads, progress)
    parameters = {parameter.name: parameter for tensor in plan.tensors for parameter in tensor.sources}
    backends = open_backends(device, threads, size, sum(map(cpu_seconds, parameters.values())))
    devices = ",".join(dict.fromkeys(backend.device for backend in backends))
    with closing(_draw_blocks(split(plan, size), -(-total // size), size, sampler, backends)) as blocks:
        yield DrawnBlocks(devices, blocks)


def _draw_blocks(
    blocks: Iterator[FileBlock], count: int, size: int, sampler: Sampler, backends: list[Backend]
) -> Generator[tuple[FileBlock, memoryview], None, None]:
    """Draw `count` blocks of at most `size` bytes, each backend in its thread, and yield them in order.

    MemoryError if not one thread can be started.
    """
    ready: dict[int, tuple[FileBlock, Bytes]] = {}
    workers = _Workers(blocks, sampler, backends)
    with run_threads(workers.work, min(len(backends), count), workers.stop) as members:
        if not members:
            raise MemoryError("no thread can be started")
        for _ in range(min(members + AHEAD, count)):
            workers.free.put(backends[0].buffer(size))
        for number in range(count):
            while number not in ready:
                result = workers.done.get()
                if isinstance(result, BaseException):
                    raise result
                ready[result[0]] = result[1:]
            block, buffer = ready.pop(number)
            yield block, buffer.data[: block.size]
            workers.free.put(buffer)
            sampler.report(0)


def _draw_block(block: FileBlock, buffer: Bytes, sampler: Sampler, backend: Backend) -> None:
    """Draw a block into the beginning of a buffer."""

    def draw(out: Bytes) -> None:
        for part in block.parts:
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
    progress: OnBytes = lambda count: None,
) -> BuildResult:
    """Draw every tensor of a plan and write the file. `stream` describes the arguments that it shares."""
    began = time.perf_counter()
    sha256 = hashlib.sha256() if digest else None
    with (
        output(path, file_bytes(plan), force=force, is_ours=partial(is_ours, plan=plan)) as write,
        stream(plan, device=device, threads=threads, block_bytes=block_bytes, progress=progress) as drawn,
    ):
        for _, data in drawn.blocks:
            _consume(data, write, sha256)
    return BuildResult(
        (path,),
        plan.total_parameters,
        plan.total_bytes,
        sha256.hexdigest() if sha256 else None,
        drawn.device,
        time.perf_counter() - began,
    )


def _consume(data: memoryview, write: Write, sha256: Any) -> None:
    """Write a block and, in another thread, add it to the digest, if there is one."""
    if sha256 is None:
        write(data)
        return
    update = partial(sha256.update, data)
    with run_threads(update, 1, stop=lambda: None) as members:
        write(data)
    if not members:
        update()


def array_sampler(seed: int) -> Sampler:
    """Return a sampler for arrays, with a thread for each CPU."""
    return Sampler(seed, available_cpus())


def draw_array(tensor: Tensor, sampler: Sampler, backend: Backend) -> NDArray[Any]:
    """Return a tensor as an array in the backend's memory. Raises MemoryError if it does not fit."""
    with backend.current():
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
        parallel_for(sampler.threads if backend.shared else 1, draw, range(0, tensor.size, step))
        backend.finish()
    except BaseException:
        sampler.stop()
        raise
