"""Differences between the tensors of two files, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.analysis.verify import Change
from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.storage.header import TensorEntry
from paramgen.storage.reader import TensorFile


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A tensor with other values: how many differ, the largest differences, and the cosine of the two as vectors.

    `max_rel` is relative to the larger magnitude of the two. The cosine is None if one of them is zero or not finite.
    """

    name: str
    elements: int
    differing: int
    max_abs: float
    max_rel: float
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences of two files; dtypes and shapes are pairs (a, b)."""

    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    changed: tuple[Change, ...]
    values: tuple[ValueDifference, ...]

    @property
    def equal(self) -> bool:
        """True if nothing differs."""
        return not (self.only_in_a or self.only_in_b or self.changed or self.values)


def compare(
    a: TensorFile,
    b: TensorFile,
    *,
    ignore: Sequence[str] = (),
    tolerance: float = 0.0,
    progress: Callable[[int], None] = lambda count: None,
) -> Comparison:
    """Compare the tensors of two files by name.

    Tensors whose names match a glob of `ignore` are left out. Elements that differ by at most `tolerance`, relative to
    the larger magnitude, are equal.
    """
    ours, theirs = ({entry.name: entry for entry in _select(file.entries, ignore)} for file in (a, b))
    changed: list[Change] = []
    values: list[ValueDifference] = []
    for name, entry in ours.items():
        other = theirs.get(name)
        if other is None:
            continue
        if (entry.dtype, entry.shape) != (other.dtype, other.shape):
            changed.append(Change(name, (entry.dtype.name, other.dtype.name), (entry.shape, other.shape)))
            continue
        if found := _compare_values(a, entry, b, other, tolerance, progress):
            values.append(found)
    return Comparison(
        tuple(name for name in ours if name not in theirs),
        tuple(name for name in theirs if name not in ours),
        tuple(changed),
        tuple(values),
    )


def _select(entries: Sequence[TensorEntry], ignore: Sequence[str]) -> Iterator[TensorEntry]:
    for entry in entries:
        if not any(fnmatchcase(entry.name, pattern) for pattern in ignore):
            yield entry


def _compare_values(
    a: TensorFile, entry: TensorEntry, b: TensorFile, other: TensorEntry, tolerance: float, progress: Callable[[int], None]
) -> ValueDifference | None:
    """Return how the values of two tensors differ; None if they don't."""
    nbytes = entry.end - entry.begin
    chunk = CHUNK_ELEMENTS * 8
    moments = _Products()
    for start in range(0, nbytes, chunk):
        length = min(chunk, nbytes - start)
        left, right = (np.empty(length, np.uint8) for _ in range(2))
        a.read_into(entry, start, memoryview(left))
        b.read_into(other, start, memoryview(right))
        progress(2 * length)
        if entry.dtype.array is None:  # less than a byte each: bytes are compared
            moments.add(left, right, tolerance)
        else:
            moments.add(left.view(entry.dtype.numpy()), right.view(entry.dtype.numpy()), tolerance)
    if not moments.differing:
        return None
    return ValueDifference(
        entry.name, entry.size, moments.differing, moments.max_abs, moments.max_rel, moments.cosine
    )


class _Products:
    """Running differences and inner products of two arrays."""

    def __init__(self) -> None:
        self.differing = 0
        self.max_abs = self.max_rel = 0.0
        self.dot = self.left = self.right = 0.0

    def add(self, a: NDArray[Any], b: NDArray[Any], tolerance: float) -> None:
        wide = np.complex128 if a.dtype.kind == "c" else np.float64
        x, y = a.astype(wide), b.astype(wide)
        self.dot += float(np.vdot(x, y).real)
        self.left += float(np.vdot(x, x).real)
        self.right += float(np.vdot(y, y).real)
        if np.array_equal(a.view(np.uint8), b.view(np.uint8)):
            return
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(x - y)
            magnitude = np.maximum(np.abs(x), np.abs(y))
        differs = ~((difference <= tolerance * magnitude) | (np.isnan(x) & np.isnan(y)) | (x == y))
        self.differing += int(np.count_nonzero(differs))
        if differs.any():
            absolute = difference[differs]
            self.max_abs = max(self.max_abs, float(np.max(absolute, initial=0, where=~np.isnan(absolute))))
            relative = absolute / magnitude[differs]
            self.max_rel = max(self.max_rel, float(np.max(relative, initial=0, where=~np.isnan(relative))))

    @property
    def cosine(self) -> float | None:
        norms = math.sqrt(self.left) * math.sqrt(self.right) if min(self.left, self.right) > 0 else math.nan
        return self.dot / norms if math.isfinite(norms) and math.isfinite(self.dot) else None
