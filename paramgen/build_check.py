"""The check that an existing file is an unmodified build, which a new build may replace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from paramgen.catalog.distributions import WholeDistribution
from paramgen.errors import MalformedFileError
from paramgen.planning.files import PlannedFile
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.sampling.cost import cpu_seconds
from paramgen.sampling.devices import open_backend
from paramgen.sampling.sampler import Sampler
from paramgen.spec import Spec
from paramgen.storage.byte_source import ByteSource, read_range
from paramgen.storage.locations import open_bytes

if TYPE_CHECKING:
    from paramgen.planning.tensors import Parameter
    from paramgen.sampling.backend import Backend

SAMPLED_TENSORS = 1000
SAMPLED_ELEMENTS = 16
# Matrices and norms are drawn as a whole. Those that take longer are left out of the sample.
SAMPLED_SECONDS = 0.01


def is_unchanged_build(path: str, plan: Plan, *, sampled_seconds: float = SAMPLED_SECONDS) -> bool:
    """Return True if a file is an unmodified build of the spec in its metadata.

    The whole header is compared, and SAMPLED_ELEMENTS elements at the start, in the middle and at the end of up to
    SAMPLED_TENSORS tensors. A model that was trained further differs, even if its metadata was kept. If the file has
    `plan`'s header, its spec is not parsed again. Raises OSError if the file cannot be read.
    """
    with closing(open_bytes(path)) as source:
        if planned := _find_planned(source, plan):
            return _matches_values(source, planned, plan.seed, sampled_seconds)
        stored = _stored_plan(path)
        if stored and (planned := _find_planned(source, stored)):
            return _matches_values(source, planned, stored.seed, sampled_seconds)
        return False


def _find_planned(source: ByteSource, plan: Plan) -> PlannedFile | None:
    """Return the file of a plan that has a file's header and size, None if there is none."""
    for planned in plan.files:
        if planned.size == source.size and read_range(source, 0, len(planned.header)) == planned.header:
            return planned
    return None


def _stored_plan(path: str) -> Plan | None:
    """Return the plan of the spec in a file's metadata, or None if this version cannot plan it."""
    try:
        return Spec.from_file(path).plan
    except MalformedFileError:
        return None


def _matches_values(source: ByteSource, planned: PlannedFile, seed: int, sampled_seconds: float) -> bool:
    """Return True if a file's sampled values equal those that a build draws."""
    backend, sampler = open_backend("cpu"), Sampler(seed)
    samples = list(_choose_samples(planned, sampled_seconds))
    stored = source.read_ranges((sample.offset, sample.length) for sample in samples)
    return all(
        data == _draw(sample.tensor, sample.start, sample.stop, sampler, backend)
        for sample, data in zip(samples, stored, strict=True)
    )


class _Sample(NamedTuple):
    """Elements start … stop - 1 of a tensor, which are at `offset` of the file."""

    tensor: Tensor
    start: int
    stop: int
    offset: int

    @property
    def length(self) -> int:
        return self.tensor.dtype.nbytes(self.stop - self.start)


def _choose_samples(planned: PlannedFile, sampled_seconds: float) -> Iterator[_Sample]:
    tensors = {tensor.name: tensor for tensor in planned.tensors}
    step = -(-len(planned.entries) // SAMPLED_TENSORS)
    for entry in planned.entries[::step]:
        tensor = tensors[entry.name]
        if not all(_is_cheap(parameter, sampled_seconds) for parameter in tensor.sources):
            continue
        length = min(tensor.size, SAMPLED_ELEMENTS)
        for start in {0, (tensor.size - length) // 2, tensor.size - length}:
            offset = len(planned.header) + entry.start + tensor.dtype.nbytes(start)
            yield _Sample(tensor, start, start + length, offset)


def _is_cheap(parameter: Parameter, seconds: float) -> bool:
    is_whole = isinstance(parameter.resolved.distribution, WholeDistribution)
    return not is_whole or cpu_seconds(parameter) <= seconds


def _draw(tensor: Tensor, start: int, stop: int, sampler: Sampler, backend: Backend) -> bytes:
    out = np.empty(tensor.dtype.nbytes(stop - start), np.uint8)
    with backend.activate():
        sampler.draw(backend, tensor, start, stop, out)
    return out.tobytes()
