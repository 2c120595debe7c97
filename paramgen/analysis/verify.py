"""Verification: the tensors of a plan drawn again and compared with a file, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.blocks import TensorSlice
from paramgen.dtypes import DType
from paramgen.engine import draw_blocks
from paramgen.errors import file_errors
from paramgen.messages import show_path
from paramgen.planning.plan import Plan
from paramgen.progress import BytesCallback, as_progress
from paramgen.sampling.devices import AUTO
from paramgen.storage.checkpoint import Checkpoint
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
    progress: BytesCallback | None = None,
) -> Verification:
    """Draw every tensor of a plan again, and compare it with the weights byte for byte.

    With `only_tensors` headers, names of files and index may differ. Raises FileError if a file changes meanwhile.
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
    comparison = _Comparison(checkpoint, set(common) - wrong_dtype.keys() - wrong_shape.keys())
    if comparison.names:
        report = as_progress(progress)
        report.phase("verifying", plan.total_bytes)
        with draw_blocks(plan, device=device, threads=threads, progress=report) as drawn:
            for block, data in drawn.blocks:
                for part in block.slices:
                    comparison.compare(part, data)
    other = () if only_tensors else tuple(_compare_files(checkpoint, plan))
    checkpoint.raise_if_changed()
    return Verification(
        tuple(checkpoint.paths),
        len(plan.tensors),
        len(comparison.differing),
        tuple(name for name in expected if name not in stored),
        tuple(name for name in stored if name not in expected),
        wrong_dtype,
        wrong_shape,
        other,
        comparison.first,
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


class _Comparison:
    """Compares slices of tensors with a checkpoint; `names` are those of the tensors that can be compared."""

    def __init__(self, checkpoint: Checkpoint, names: set[str]):
        self.names = names
        self.differing: set[str] = set()
        self.first: Difference | None = None
        self._checkpoint = checkpoint
        self._buffer = np.empty(READ_BYTES, np.uint8)

    def compare(self, part: TensorSlice, data: memoryview) -> None:
        """Compare a slice of a block with the same elements of the file."""
        name, width = part.tensor.name, part.tensor.dtype.nbytes(1)
        if name not in self.names:
            return
        stored = self._checkpoint.tensors[name]
        size = (part.stop - part.start) * width
        for start in range(0, size, READ_BYTES):
            actual = self._buffer[: min(READ_BYTES, size - start)]
            self._checkpoint.read_into(stored, part.start * width + start, actual.data)
            expected = np.frombuffer(data, np.uint8, len(actual), part.offset + start)
            if _are_equal(expected, actual):
                continue
            if not self.differing:
                self.first = _first_difference(part, start // width, expected, actual)
            self.differing.add(name)
            return


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
