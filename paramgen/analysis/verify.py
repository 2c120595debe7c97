"""Verification: the tensors of a plan drawn again and compared with a file, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paramgen.blocks import FileRange, TensorSlice
from paramgen.buffers import BLOCK_BYTES
from paramgen.dtypes import DType
from paramgen.errors import file_errors
from paramgen.execution import Blocks, LocalExecutor, OpenExecutor
from paramgen.messages import show_path
from paramgen.planning.plan import Plan
from paramgen.progress import BytesCallback, as_progress
from paramgen.sampling.devices import AUTO
from paramgen.storage.byte_source import is_url, storage_options, use_storage_options
from paramgen.storage.checkpoint import Checkpoint
from paramgen.storage.landmark import Landmark, read_landmark
from paramgen.storage.locations import exists, is_directory, read_bytes

# Bytes that are read and compared at once; they stay in the processor's cache.
READ_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element that differs: its tensor, its index, and both values."""

    tensor: str
    index: tuple[int, ...]
    expected: float | int | str
    found: float | int | str


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification.

    `differing` counts tensors with other values; `missing` ones are only in the plan, `extra` ones only in the files.
    `wrong_dtype` and `wrong_shape` have (expected, found). `other` has what else differs, such as a header, in words.
    """

    files: tuple[str, ...]
    tensors: int
    differing: int = 0
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    wrong_dtype: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    wrong_shape: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    other: tuple[str, ...] = ()
    first_difference: Difference | None = None

    @property
    def holds(self) -> bool:
        """True if nothing differs."""
        return not (self.differing or self.missing or self.extra or self.wrong_dtype or self.wrong_shape or self.other)


def verify(
    checkpoint: Checkpoint,
    plan: Plan,
    *,
    only_tensors: bool = False,
    device: str = AUTO,
    threads: int | None = None,
    open_executor: OpenExecutor = LocalExecutor,
    progress: BytesCallback | None = None,
) -> Verification:
    """Draw every tensor of a plan again, and compare it with the weights byte for byte.

    With `only_tensors` headers, names of files and index may differ. `open_executor` chooses where tensors are drawn.
    Raises FileError if a file changes meanwhile.
    """
    stored = checkpoint.tensors
    expected = {tensor.name: (tensor.dtype, tensor.rearrangement.shape) for tensor in plan.tensors}
    common = [name for name in expected if name in stored]
    wrong_dtype = {
        name: (expected[name][0].name, stored[name].entry.dtype.name)
        for name in common
        if expected[name][0] != stored[name].entry.dtype
    }
    wrong_shape = {
        name: (expected[name][1], stored[name].entry.shape)
        for name in common
        if expected[name][1] != stored[name].entry.shape
    }
    differing: set[str] = set()
    first: Difference | None = None
    if set(common) - wrong_dtype.keys() - wrong_shape.keys():
        report = as_progress(progress)
        report.phase("verifying", plan.total_bytes)
        executor = open_executor(device=device, threads=threads, block_bytes=BLOCK_BYTES, progress=report)
        units = [unit for file in plan.files for unit in executor.split(file)]
        job = CompareJob(checkpoint.path, storage_options.get(), checkpoint)
        with closing(executor.run(plan, job, units)) as results:
            found = {finished.unit: finished.result for finished in results}
        differing = set().union(*(comparison.differing for comparison in found.values()))
        first = next((found[unit].first for unit in units if found[unit].first), None)
    other = () if only_tensors else tuple(_compare_files(checkpoint, plan))
    checkpoint.raise_if_changed()
    return Verification(
        tuple(checkpoint.paths),
        len(plan.tensors),
        len(differing),
        tuple(name for name in expected if name not in stored),
        tuple(name for name in stored if name not in expected),
        wrong_dtype,
        wrong_shape,
        other,
        first,
    )


def _compare_files(checkpoint: Checkpoint, plan: Plan) -> Iterator[str]:
    """Yield what differs beside the tensors: headers, and a folder's index and companions."""
    if len(plan.files) == len(checkpoint.files) == 1:  # a single file may have any name
        pairs = {checkpoint.files[0].path: plan.files[0]}
    else:
        pairs = {os.path.join(checkpoint.folder, planned.name): planned for planned in plan.files}
    for file in checkpoint.files:
        planned = pairs.pop(file.path, None)
        if planned is None:
            yield f"{file.display_path}: not a file of this build"
        elif file.read_header() != planned.header:
            yield f"{file.display_path}: the header is not what paramgen writes"
    for path in pairs:
        yield f"{show_path(path)}: absent"
    yield from _compare_companions(checkpoint, plan)
    if checkpoint.index and checkpoint.index.text != plan.index_text().encode():
        yield f"{show_path(checkpoint.index.path)}: the index is not what paramgen writes"


def _compare_companions(checkpoint: Checkpoint, plan: Plan) -> Iterator[str]:
    """Yield which files beside the weights are not what the spec describes; those that it copies are unknown."""
    for companion in plan.companions:
        if companion.content is None or not is_directory(checkpoint.path):
            continue
        path = os.path.join(checkpoint.folder, companion.name)
        if not exists(path):
            yield f"{show_path(path)}: absent"
            continue
        with file_errors(show_path(path)):
            if read_bytes(path, len(companion.content) + 1) != companion.content:
                yield f"{show_path(path)}: not what the spec describes"


class Comparison(NamedTuple):
    """The names of a unit's tensors that differ, and the first element."""

    differing: set[str]
    first: Difference | None


class CompareJob:
    """Compares units with a checkpoint, which another process opens by its path or URL."""

    def __init__(self, path: str, options: Mapping[str, Any], checkpoint: Checkpoint | None = None):
        self._path = path
        self._options = options
        self._checkpoint = checkpoint
        self._buffer = np.empty(READ_BYTES, np.uint8)

    def __reduce__(self) -> tuple[type[CompareJob], tuple[str, dict[str, Any]]]:
        return CompareJob, (self._path, dict(self._options))

    def landmark(self) -> AbstractContextManager[Landmark | None]:
        """Yield the first file of the weights, None for a URL, which is the same everywhere."""
        assert self._checkpoint
        path = self._checkpoint.paths[0]
        return nullcontext(None if is_url(path) else read_landmark(path))

    def run(self, unit: FileRange, blocks: Blocks) -> Comparison:
        """Compare the tensors of a unit that the checkpoint has with the same type."""
        if self._checkpoint is None:
            with use_storage_options(self._options):
                self._checkpoint = Checkpoint(self._path)
        differing: set[str] = set()
        first: Difference | None = None
        for block, data in blocks:
            for part in block.slices:
                difference = self._compare(self._checkpoint, part, data)
                if difference:
                    first = first or difference
                    differing.add(part.tensor.name)
        return Comparison(differing, first)

    def _compare(self, checkpoint: Checkpoint, part: TensorSlice, data: memoryview) -> Difference | None:
        """Compare a slice of a block with the same elements of the file; return the first difference."""
        tensor = part.tensor
        stored = checkpoint.tensors.get(tensor.name)
        if not stored or (stored.entry.dtype, stored.entry.shape) != (tensor.dtype, tensor.shape):
            return None
        width = tensor.dtype.nbytes(1)
        size = (part.stop - part.start) * width
        for start in range(0, size, READ_BYTES):
            actual = self._buffer[: min(READ_BYTES, size - start)]
            checkpoint.read_into(stored, part.start * width + start, actual.data)
            expected = np.frombuffer(data, np.uint8, len(actual), part.offset + start)
            if not _are_equal(expected, actual):
                return _first_difference(part, start // width, expected, actual)
        return None


def _are_equal(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Return True if two arrays are equal; words are compared eight times as fast as bytes."""
    words = len(a) // 8 * 8
    return bool(
        np.array_equal(a[words:], b[words:]) and np.array_equal(a[:words].view(np.uint64), b[:words].view(np.uint64))
    )


def _first_difference(
    part: TensorSlice, start: int, expected: NDArray[np.uint8], actual: NDArray[np.uint8]
) -> Difference:
    """Return the first element that differs in two arrays of bytes, which begin at element `start` of the part."""
    dtype = part.tensor.dtype
    width = dtype.nbytes(1)
    number = int(np.flatnonzero(expected != actual)[0]) // width
    index = np.unravel_index(part.start + start + number, part.tensor.rearrangement.shape)
    values = (_value(array[number * width :][:width], dtype) for array in (expected, actual))
    return Difference(part.tensor.name, tuple(map(int, index)), *values)


def _value(data: NDArray[np.uint8], dtype: DType) -> float | int | str:
    """Return an element as JSON has it; numbers without a form there as text."""
    value: Any = data.view(dtype.numpy_dtype())[0]
    if dtype.is_integer:
        return int(value)
    return float(value) if not dtype.is_complex and np.isfinite(value) else str(value)
