"""The check that an existing file is an unmodified build, which a new build may replace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from paramgen.catalog.distributions import WholeDistribution
from paramgen.errors import MalformedFileError
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor
from paramgen.sampling.cost import cpu_seconds
from paramgen.sampling.devices import open_backend
from paramgen.sampling.sampler import Sampler
from paramgen.spec import Spec

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
    with open(path, "rb") as file:
        descriptor = file.fileno()
        if not _matches_header(descriptor, plan):
            stored = _stored_plan(path)
            if stored is None or not _matches_header(descriptor, stored):
                return False
            plan = stored
        return _matches_values(descriptor, plan, sampled_seconds)


def _matches_header(descriptor: int, plan: Plan) -> bool:
    """Return True if a file has a plan's header and size."""
    is_whole = os.fstat(descriptor).st_size == len(plan.header) + plan.total_bytes
    return is_whole and os.pread(descriptor, len(plan.header), 0) == plan.header


def _stored_plan(path: str) -> Plan | None:
    """Return the plan of the spec in a file's metadata, or None if this version cannot plan it."""
    try:
        return Spec.from_file(path).plan
    except MalformedFileError:
        return None


def _matches_values(descriptor: int, plan: Plan, sampled_seconds: float) -> bool:
    """Return True if a file's sampled values equal those that a plan draws."""
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    backend, sampler = open_backend("cpu"), Sampler(plan.seed)
    step = -(-len(plan.entries) // SAMPLED_TENSORS)
    for entry in plan.entries[::step]:
        tensor = tensors[entry.name]
        if not all(_is_cheap(parameter, sampled_seconds) for parameter in tensor.sources):
            continue
        length = min(tensor.size, SAMPLED_ELEMENTS)
        for start in {0, (tensor.size - length) // 2, tensor.size - length}:
            expected = _draw(tensor, start, start + length, sampler, backend)
            offset = len(plan.header) + entry.start + tensor.dtype.nbytes(start)
            if os.pread(descriptor, len(expected), offset) != expected:
                return False
    return True


def _is_cheap(parameter: Parameter, seconds: float) -> bool:
    is_whole = isinstance(parameter.resolved.distribution, WholeDistribution)
    return not is_whole or cpu_seconds(parameter) <= seconds


def _draw(tensor: Tensor, start: int, stop: int, sampler: Sampler, backend: Backend) -> bytes:
    out = np.empty(tensor.dtype.nbytes(stop - start), np.uint8)
    with backend.activate():
        sampler.draw(backend, tensor, start, stop, out)
    return out.tobytes()
