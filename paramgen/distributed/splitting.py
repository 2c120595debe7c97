"""Units of files: ranges of about the same size, with the parameters that are drawn whole in one piece."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from paramgen.blocks import FileRange, find_entries
from paramgen.buffers import BLOCK_BYTES, WIDE_BLOCK_FACTOR
from paramgen.catalog.distributions import WholeDistribution
from paramgen.planning.files import PlannedFile
from paramgen.planning.tensors import Tensor
from paramgen.sampling.cost import cpu_seconds

# Units are multiples of the largest block. A worker draws this many bytes in about a tenth of a second.
UNIT_STEP = WIDE_BLOCK_FACTOR * BLOCK_BYTES
UNIT_BYTES = 16 * UNIT_STEP
# Tensors that are drawn whole and take longer are units of their own.
OWN_UNIT_SECONDS = 0.25
# A shorter unit before one of those is joined with it: an exchange with a worker takes longer than to draw it.
SHORT_BYTES = 2**20


def unit_size(file: PlannedFile, workers: int) -> int:
    """Return a size of units with which each worker draws several of a file's."""
    share = file.size // (4 * workers)
    return min(UNIT_BYTES, max(1, -(-share // UNIT_STEP)) * UNIT_STEP)


def split_file(file: PlannedFile, size: int) -> list[FileRange]:
    """Split a file at multiples of `size` bytes, but no tensor that is drawn whole."""
    tensors = {tensor.name: tensor for tensor in file.tensors}
    cuts, divisible_from = [0], size
    for entry in file.entries:
        tensor = tensors[entry.name]
        start, stop = len(file.header) + entry.start, len(file.header) + entry.stop
        if not _is_whole(tensor):
            continue
        cuts += range(-(-divisible_from // size) * size, start, size)
        if _estimate_seconds(tensor) > OWN_UNIT_SECONDS:
            if start - cuts[-1] > SHORT_BYTES:
                cuts.append(start)
            cuts.append(stop)
        elif (start - 1) // size < (stop - 1) // size and start > cuts[-1]:
            cuts.append(start)
        divisible_from = max(stop, cuts[-1] + 1)
    cuts += range(-(-divisible_from // size) * size, file.size, size)
    if cuts[-1] < file.size:
        cuts.append(file.size)
    return [FileRange(file.name, start, stop) for start, stop in pairwise(cuts)]


def order_units(files: Mapping[str, PlannedFile], units: Iterable[FileRange]) -> list[FileRange]:
    """Return units in the order in which they should start: those that take longest first."""
    tensors = {name: {tensor.name: tensor for tensor in file.tensors} for name, file in files.items()}

    def estimate(unit: FileRange) -> float:
        file = files[unit.file]
        entries = find_entries(file, unit.start, unit.stop)
        seconds = 0.0
        for entry in entries:
            start, stop = len(file.header) + entry.start, len(file.header) + entry.stop
            share = (min(stop, unit.stop) - max(start, unit.start)) / max(entry.nbytes, 1)
            seconds += share * _estimate_seconds(tensors[unit.file][entry.name])
        return seconds

    return sorted(units, key=estimate, reverse=True)


def _is_whole(tensor: Tensor) -> bool:
    return any(isinstance(source.resolved.distribution, WholeDistribution) for source in tensor.sources)


def _estimate_seconds(tensor: Tensor) -> float:
    return sum(map(cpu_seconds, tensor.sources))
