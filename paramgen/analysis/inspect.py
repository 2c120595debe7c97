"""The tensors of a file, and their statistics in bounded memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.frameworks import is_buffer
from paramgen.storage.header import TensorEntry
from paramgen.storage.reader import TensorFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Statistics = dict[str, Any] | None


def select(file: TensorFile, pattern: str | None) -> list[TensorEntry]:
    """Return the tensors whose name matches a glob (all without one), by name."""
    entries = [entry for entry in file.entries if pattern is None or fnmatchcase(entry.name, pattern)]
    return sorted(entries, key=attrgetter("name"))


def document(
    file: TensorFile, entries: Sequence[TensorEntry], statistics: Sequence[Statistics] | None
) -> Iterator[str]:
    """Yield the document of `inspect --json` in parts, a line for each tensor; the totals are of the given entries."""
    head = {
        "files": [file.path],
        "metadata": file.metadata,
        "total_parameters": sum(entry.size for entry in entries if not is_buffer(entry.name)),
        "total_bytes": sum(entry.end - entry.begin for entry in entries),
    }
    yield json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ',\n  "tensors": ['
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    path = encode(file.path)
    for number, (name, dtype, shape, begin, end) in enumerate(entries):
        found = f', "stats": {encode(statistics[number])}' if statistics else ""
        yield (
            f'{"," if number else ""}\n    {{"name": {encode(name)}, "dtype": "{dtype.name}", "shape": {list(shape)}, '
            f'"parameters": {prod(shape)}, "bytes": {end - begin}, "file": {path}{found}}}'
        )
    yield "\n  ]\n}"


def stats(file: TensorFile, entry: TensorEntry, *, chunk_elements: int = CHUNK_ELEMENTS) -> Statistics:
    """Return mean, std (of the population), min and max of the finite elements; count zeros, NaNs and infinities.

    mean to max are None if no element is finite; all is None for complex and sub-byte types.
    """
    if entry.dtype.numpy_name is None or entry.dtype.name == "complex64":
        return None
    moments = Moments()
    for start in range(0, entry.size, chunk_elements):
        moments.add(file.read(entry, start, min(start + chunk_elements, entry.size)))
    return moments.describe()


class Moments:
    """Running count, mean and variance, merged chunk by chunk.

    T. Chan, G. Golub, R. LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances"
    (1979), on values over a power of two near the largest, so that no square overflows or vanishes.
    """

    def __init__(self) -> None:
        self.count = 0
        self.scale = 0.0
        self.mean = 0.0
        self.squares = 0.0
        self.low: float | int | None = None
        self.high: float | int | None = None
        self.zeros = self.nan = self.inf = 0

    def add(self, values: NDArray[Any]) -> None:
        """Add a chunk of real values of any dtype."""
        import numpy as np

        wide = values.astype(np.float64)
        finite = np.isfinite(wide)
        if not finite.all():
            nan = int(np.isnan(wide).sum())
            self.nan += nan
            self.inf += len(wide) - int(finite.sum()) - nan
            values, wide = values[finite], wide[finite]
        self.zeros += len(wide) - int(np.count_nonzero(wide))
        if not len(wide):
            return
        integer = values.dtype.kind in "biu"
        low, high = (int(values.min()), int(values.max())) if integer else (float(wide.min()), float(wide.max()))
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        largest = float(max(abs(low), abs(high)))
        scale = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 0.0
        scaled = wide / scale if scale else wide
        mean = float(scaled.mean())
        self._merge(len(wide), scale, mean, float(np.square(scaled - mean).sum()))

    def _merge(self, count: int, scale: float, mean: float, squares: float) -> None:
        common = max(self.scale, scale)
        if common:
            ours, theirs = self.scale / common, scale / common
            self.mean, mean = self.mean * ours, mean * theirs
            self.squares, squares = self.squares * ours * ours, squares * theirs * theirs
        total = self.count + count
        delta = mean - self.mean
        self.mean += delta * (count / total)
        self.squares += squares + delta * delta * (self.count * (count / total))
        self.count, self.scale = total, common

    def describe(self) -> dict[str, Any]:
        scale = self.scale or 1.0
        return {
            "mean": self.mean * scale if self.count else None,
            "std": math.sqrt(self.squares / self.count) * scale if self.count else None,
            "min": self.low,
            "max": self.high,
            "zeros": self.zeros,
            "nan": self.nan,
            "inf": self.inf,
        }
