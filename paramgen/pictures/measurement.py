"""Statistics and histograms of tensors, read once in bounded memory, beside what a spec promises."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from paramgen.analysis.bins import Bars, RunningBins
from paramgen.analysis.check import planned_tensors
from paramgen.analysis.file_report import RunningMoments, Statistics, has_statistics, iter_chunks
from paramgen.name_tree import natural_key
from paramgen.pictures.patterns import find_pattern
from paramgen.pictures.promises import Promise, expected_shares, mix, promise_of
from paramgen.planning.tensors import Tensor
from paramgen.progress import BytesCallback, as_progress
from paramgen.storage.checkpoint import Checkpoint, StoredTensor
from paramgen.storage.header import TensorEntry
from paramgen.threads import count_threads, parallel_for

MAX_BARS = 40


@dataclass(frozen=True)
class Measurement:
    """Tensors in natural order, with statistics and bars by name; tensors without finite values have no bars.

    `pools` has the bins of all tensors of a pattern together, for the patterns that were asked for.
    """

    entries: Sequence[TensorEntry]
    planned: dict[str, Tensor]
    statistics: dict[str, Statistics | None] = field(default_factory=dict)
    bars: dict[str, Bars] = field(default_factory=dict)
    pools: dict[str, RunningBins] = field(default_factory=dict)

    @cached_property
    def _promises(self) -> dict[tuple[int, ...], Promise | None]:
        return {}

    def promise(self, entry: TensorEntry) -> Promise | None:
        """Return what the spec in the metadata promises of a tensor, None if nothing."""
        tensor = self.planned_tensor(entry)
        if tensor is None:
            return None
        if tensor.cache_key not in self._promises:
            self._promises[tensor.cache_key] = promise_of(tensor)
        return self._promises[tensor.cache_key]

    def planned_tensor(self, entry: TensorEntry) -> Tensor | None:
        """Return the spec's tensor with the name and the shape of a stored one, None if there is none."""
        tensor = self.planned.get(entry.name)
        return tensor if tensor is not None and tensor.shape == entry.shape else None

    def expected(self, entry: TensorEntry) -> list[float] | None:
        """Return the share of a tensor's values that the spec promises in each bar, None if it promises nothing."""
        promise = self.promise(entry)
        return None if promise is None else expected_shares(promise, self.bars[entry.name].edges, entry.dtype)

    def expected_in_pool(self, pattern: str, bars: Bars) -> list[float] | None:
        """Return the share that the spec promises in each bar of a pattern, None if it does not for all tensors."""
        entries = [entry for entry in self.entries if find_pattern(entry.name) == pattern]
        total = sum(entry.size for entry in entries)
        promises = []
        for entry in entries:
            promise = self.promise(entry)
            if promise is None:
                return None
            promises.append((entry.size / total, promise))
        return expected_shares(mix(promises), bars.edges, entries[0].dtype)


def measure(
    checkpoint: Checkpoint,
    tensors: Sequence[StoredTensor],
    *,
    pooled: Collection[str] = (),
    threads: int | None = None,
    progress: BytesCallback | None = None,
) -> Measurement:
    """Read tensors once: their statistics, a histogram of each, and one of each pattern in `pooled`.

    Complex and sub-byte dtypes have neither. A thread reads a chunk while others count. Raises FileError if a file
    changes meanwhile.
    """
    names = sorted((stored.entry.name for stored in tensors), key=natural_key)
    stored_tensors = {stored.entry.name: stored for stored in tensors}
    measurement = Measurement([stored_tensors[name].entry for name in names], planned_tensors(checkpoint))
    measurement.statistics.update(dict.fromkeys(names))  # in this order, whichever thread is first
    measurement.pools.update((pattern, RunningBins()) for pattern in pooled)
    report = as_progress(progress)
    report.phase("reading", sum(entry.nbytes for entry in measurement.entries if has_statistics(entry.dtype)))
    lock = threading.Lock()

    def measure_tensor(name: str) -> None:
        stored = stored_tensors[name]
        moments, bins = RunningMoments(), RunningBins()
        has_values = has_statistics(stored.entry.dtype)
        chunks = iter_chunks(checkpoint, stored, report) if has_values else iter(())
        while True:
            with lock:
                values = next(chunks, None)
            if values is None:
                break
            moments.add(values)
            bins.add(values)
        with lock:
            measurement.statistics[name] = moments.statistics() if has_values else None
            if not bins.is_empty:
                measurement.bars[name] = bins.bars(MAX_BARS)
                if pooled and (pool := measurement.pools.get(find_pattern(name))) is not None:
                    pool.merge(bins)

    parallel_for(count_threads(threads), measure_tensor, names)
    checkpoint.raise_if_changed()
    return measurement
