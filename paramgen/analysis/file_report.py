"""The tensors of weights on disk, and their statistics in bounded memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypedDict

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.frameworks import is_buffer
from paramgen.dtypes import DType
from paramgen.json_text import quote_json, stream_json
from paramgen.progress import BytesCallback, as_progress
from paramgen.storage.checkpoint import Checkpoint, StoredTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Statistics(TypedDict):
    """The statistics of a tensor, of its finite elements except for two counts."""

    mean: float | None
    std: float | None
    min: float | int | None
    max: float | int | None
    zeros: int
    nan: int
    inf: int


def select_tensors(checkpoint: Checkpoint, pattern: str | None) -> list[StoredTensor]:
    """Return the tensors whose names match a glob, or all, sorted by name."""
    names = (name for name in checkpoint.tensors if pattern is None or fnmatchcase(name, pattern))
    return [checkpoint.tensors[name] for name in sorted(names)]


def iter_json(
    checkpoint: Checkpoint, tensors: Sequence[StoredTensor], statistics: Sequence[Statistics | None] | None
) -> Iterator[str]:
    """Yield the document of `inspect --json` in parts, with a line and a share of the totals for each given tensor."""
    head = {
        "files": checkpoint.paths,
        "metadata": checkpoint.metadata,
        "total_parameters": sum(entry.size for entry, _ in tensors if not is_buffer(entry.name)),
        "total_bytes": sum(entry.nbytes for entry, _ in tensors),
    }
    return stream_json(head, "tensors", _tensor_lines(checkpoint, tensors, statistics))


def _tensor_lines(
    checkpoint: Checkpoint, tensors: Sequence[StoredTensor], statistics: Sequence[Statistics | None] | None
) -> Iterator[str]:
    """Yield a line of JSON for each tensor. Formatting takes a third of the time of the json module."""
    paths = {file: quote_json(file.path) for file in checkpoint.files}
    for number, (entry, file) in enumerate(tensors):
        stats = f', "stats": {json.dumps(statistics[number], allow_nan=False)}' if statistics else ""
        yield (
            f'{{"name": {quote_json(entry.name)}, "dtype": "{entry.dtype.name}", "shape": {list(entry.shape)}, '
            f'"parameters": {entry.size}, "bytes": {entry.nbytes}, "file": {paths[file]}{stats}}}'
        )


def compute_statistics(
    checkpoint: Checkpoint,
    tensor: StoredTensor,
    *,
    chunk_elements: int = CHUNK_ELEMENTS,
    progress: BytesCallback | None = None,
) -> Statistics | None:
    """Return the statistics of a tensor; std is that of the population.

    mean, std, min and max are None without finite elements. Complex and sub-byte dtypes have no statistics.
    """
    if not has_statistics(tensor.entry.dtype):
        return None
    moments = RunningMoments()
    for values in iter_chunks(checkpoint, tensor, progress, chunk_elements):
        moments.add(values)
    return moments.statistics()


def iter_chunks(
    checkpoint: Checkpoint,
    tensor: StoredTensor,
    progress: BytesCallback | None = None,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> Iterator[NDArray[Any]]:
    """Yield a tensor's elements in arrays of at most `chunk_elements`, and report each that was used as progress."""
    report = as_progress(progress)
    report.item(tensor.entry.name)
    size = tensor.entry.size
    for start in range(0, size, chunk_elements):
        values = checkpoint.read(tensor, start, min(start + chunk_elements, size))
        yield values
        report(values.nbytes)


def has_statistics(dtype: DType) -> bool:
    """Return True if tensors of a dtype have statistics: real numbers of at least a byte."""
    return dtype.numpy_name is not None and not dtype.is_complex


# Elements whose moments are computed at once: 128 kB in float64.
MOMENT_ELEMENTS = 2**14


class RunningMoments:
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
        """Add real values of any dtype, in blocks that stay in the processor's cache."""
        for start in range(0, len(values), MOMENT_ELEMENTS):
            self._add_block(values[start : start + MOMENT_ELEMENTS])

    def _add_block(self, values: NDArray[Any]) -> None:
        import numpy as np

        wide = values.astype(np.float64)
        lowest, highest = wide.min(), wide.max()
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            finite = np.isfinite(wide)
            nan = int(np.isnan(wide).sum())
            self.nan += nan
            self.inf += len(wide) - int(finite.sum()) - nan
            values, wide = values[finite], wide[finite]
            if not len(wide):
                return
            lowest, highest = wide.min(), wide.max()
        if lowest <= 0 <= highest:
            self.zeros += len(wide) - int(np.count_nonzero(wide))
        integer = values.dtype.kind in "biu"
        low, high = (int(values.min()), int(values.max())) if integer else (float(lowest), float(highest))
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        largest = float(max(abs(low), abs(high)))
        scale = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 0.0
        if scale:
            wide /= scale
        mean = float(wide.mean())
        wide -= mean
        np.square(wide, out=wide)
        self._merge(len(wide), scale, mean, float(wide.sum()))

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

    def statistics(self) -> Statistics:
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
