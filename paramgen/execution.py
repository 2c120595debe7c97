"""The execution of a build: units of work, what is done with their bytes, and the executor that runs them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from paramgen.blocks import FileBlock, FileRange, whole_file
from paramgen.buffers import BLOCK_BYTES
from paramgen.digests import FileDigests, FileHasher
from paramgen.drawing import draw_blocks
from paramgen.planning.files import PlannedFile
from paramgen.planning.plan import Plan
from paramgen.progress import BytesCallback, Progress
from paramgen.sampling.devices import AUTO
from paramgen.storage.landmark import Landmark
from paramgen.storage.sink import Output, Sink, Write
from paramgen.threads import run_threads

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Blocks = Iterator[tuple[FileBlock, memoryview]]


class Job(Protocol[Result_co]):
    """The processing of the bytes of units. It is the same for all units of a build, and can be pickled."""

    def run(self, unit: FileRange, blocks: Blocks) -> Result_co:
        """Process the blocks of a unit. Running a unit again must have the same effect."""

    def landmark(self) -> AbstractContextManager[Landmark | None]:
        """Yield a file that every process that runs units must find; None if they share none."""


class Finished(NamedTuple, Generic[Result]):
    """A unit, what its job returned, and the device that drew it."""

    unit: FileRange
    result: Result
    device: str


class Executor(Protocol):
    """Runs units of work: ranges of files."""

    def split(self, file: PlannedFile) -> list[FileRange]:
        """Return the units of a file that may be written at any position."""

    def share(self, output: Output, files: Sequence[PlannedFile]) -> Sink:
        """Return the sink by which units write files of an output. Raises UsageError if they cannot reach it."""

    def run(self, plan: Plan, job: Job[Result], units: Sequence[FileRange]) -> Generator[Finished[Result], None, None]:
        """Draw each unit, run the job on it, and yield the results as units finish."""


class OpenExecutor(Protocol):
    """Makes an executor with the options of a build, which `draw_blocks` describes."""

    def __call__(self, *, device: str, threads: int | None, block_bytes: int, progress: Progress) -> Executor: ...


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """Runs units in order, by threads of this process, which draw ahead of the job."""

    device: str = AUTO
    threads: int | None = None
    block_bytes: int = BLOCK_BYTES
    progress: BytesCallback | None = None
    seconds: float | None = None

    def split(self, file: PlannedFile) -> list[FileRange]:
        """Return the whole file."""
        return [whole_file(file)]

    def share(self, output: Output, files: Sequence[PlannedFile]) -> Sink:
        """Return the output itself."""
        return output

    def run(self, plan: Plan, job: Job[Result], units: Sequence[FileRange]) -> Generator[Finished[Result], None, None]:
        """Draw each unit, run the job on it, and yield the results in order."""
        with draw_blocks(
            plan,
            ranges=units,
            device=self.device,
            threads=self.threads,
            block_bytes=self.block_bytes,
            seconds=self.seconds,
            progress=self.progress,
        ) as drawn:
            for unit in units:
                yield Finished(unit, job.run(unit, _take(drawn.blocks, unit.size)), drawn.device)


def _take(blocks: Blocks, nbytes: int) -> Blocks:
    """Yield the next blocks, of `nbytes` in total."""
    while nbytes:
        block, data = next(blocks)
        yield block, data
        nbytes -= block.size


class Written(NamedTuple):
    """The digests of a unit, if they were asked for, and the receipt of its sink."""

    digests: FileDigests | None
    receipt: Any


@dataclass(frozen=True, slots=True)
class WriteJob:
    """Writes units to a sink. With `hashes`, the digests of each unit are computed meanwhile."""

    sink: Sink
    hashes: bool
    with_tensors: bool

    def run(self, unit: FileRange, blocks: Blocks) -> Written:
        """Write the blocks of a unit."""
        hasher = FileHasher(self.with_tensors) if self.hashes else None
        with self.sink.open_range(unit.file, unit.start, unit.size) as write:
            for block, data in blocks:
                _write_and_hash(block, data, write, hasher)
        return Written(hasher.digests if hasher else None, self.sink.receipt(unit.file))

    def landmark(self) -> AbstractContextManager[Landmark | None]:
        """Yield the landmark of the sink."""
        return self.sink.landmark()


class HashJob:
    """Computes the digests of units, which are whole files, and of their tensors."""

    def run(self, unit: FileRange, blocks: Blocks) -> FileDigests:
        """Return the digests of a unit."""
        hasher = FileHasher(with_tensors=True)
        for block, data in blocks:
            _write_and_hash(block, data, None, hasher)
        return hasher.digests

    def landmark(self) -> AbstractContextManager[None]:
        """Yield None: nothing is written."""
        return nullcontext()


def _write_and_hash(block: FileBlock, data: memoryview, write: Write | None, hasher: FileHasher | None) -> None:
    """Write a block and, at the same time, add it to the digests; either may be None.

    A thread for each task and block is the simplest: starting it takes 0.05 ms, and hashing a block 2 ms.
    """
    tasks = hasher.tasks(block, data) if hasher else []
    own = tasks.pop() if write is None else partial(write, data)
    with run_threads(tasks, stop=lambda: None) as thread_count:
        own()
    for task in tasks[thread_count:]:
        task()
