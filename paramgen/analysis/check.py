"""The check of weights without drawing them: well-formed, consistent, finite and plausible."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from paramgen.analysis.file_report import RunningMoments, has_statistics
from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.distributions.base import Moments
from paramgen.errors import MalformedFileError
from paramgen.planning.tensors import Tensor
from paramgen.spec import Spec
from paramgen.storage.checkpoint import Checkpoint, Inconsistency
from paramgen.storage.index import SHARD_NAME
from paramgen.threads import available_cpus, parallel_for
from paramgen.units import format_number, pluralize

# A mean or std of a sound tensor is farther than this from its promise once in 10^9 tensors.
MAX_STANDARD_ERRORS = 6.0
# Joined parameters and padding make long tails; a tenth of the values may be ten times as large as the others.
MIXTURE_KURTOSIS = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: the files, and what was found in them."""

    files: tuple[str, ...]
    findings: tuple[Inconsistency, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def check(path: str, *, threads: int | None = None, progress: Callable[[int], None] = lambda count: None) -> Check:
    """Check a file, an index or a folder, in bounded memory.

    Findings are: a malformed file; an index that its files contradict; NaN, infinity; a matrix of zeros; a mean or std
    that the spec in the metadata does not promise. Raises FileError if a file cannot be read.
    """
    try:
        with Checkpoint(path, allow_inconsistencies=True) as checkpoint:
            findings = [*checkpoint.inconsistencies, *_find_unlisted(checkpoint)]
            findings += _check_values(checkpoint, threads or available_cpus(), progress)
            checkpoint.raise_if_changed()
            return Check(tuple(checkpoint.paths), tuple(findings))
    except MalformedFileError as error:
        return Check((path,), (Inconsistency(os.path.basename(path), None, str(error)),))


def _find_unlisted(checkpoint: Checkpoint) -> Iterator[Inconsistency]:
    """Yield the shards beside an index that it does not list."""
    if checkpoint.index is None:
        return
    listed = set(checkpoint.index.files)
    basenames = {match["basename"] for name in listed if (match := SHARD_NAME.fullmatch(name))}
    for name in sorted(os.listdir(os.path.dirname(checkpoint.index.path) or ".")):
        match = SHARD_NAME.fullmatch(name)
        if match and match["basename"] in basenames and name not in listed:
            yield Inconsistency(name, None, "not listed in the index")


def _check_values(checkpoint: Checkpoint, threads: int, progress: Callable[[int], None]) -> list[Inconsistency]:
    """Return what is wrong with the values of tensors; those of complex and sub-byte dtypes have no statistics."""
    planned = _planned_tensors(checkpoint)
    problems: dict[str, str] = {}
    lock = threading.Lock()

    def check_tensor(name: str) -> None:
        entry = checkpoint.tensors[name].entry
        if has_statistics(entry.dtype):
            problem = _judge(_read_moments(checkpoint, name, lock), entry.shape, planned.get(name))
            if problem:
                problems[name] = problem
        with lock:
            progress(entry.nbytes)

    parallel_for(threads, check_tensor, checkpoint.tensors)
    return [
        Inconsistency(os.path.basename(stored.file.path), name, problems[name])
        for name, stored in checkpoint.tensors.items()
        if name in problems
    ]


def _read_moments(checkpoint: Checkpoint, name: str, lock: threading.Lock) -> RunningMoments:
    """Read a tensor's values in chunks, one thread at a time, and return their moments."""
    stored = checkpoint.tensors[name]
    nbytes, moments = stored.entry.dtype.nbytes, RunningMoments()
    for start in range(0, stored.entry.size, CHUNK_ELEMENTS):
        stop = min(start + CHUNK_ELEMENTS, stored.entry.size)
        data = np.empty(nbytes(stop - start), np.uint8)
        with lock:
            checkpoint.read_into(stored, nbytes(start), data.data)
        moments.add(data.view(stored.entry.dtype.numpy_dtype()))
    return moments


def _planned_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the tensors of the spec in the metadata; none if this version cannot plan it."""
    if not checkpoint.files:
        return {}
    try:
        plan = Spec.from_file(checkpoint.files[0].path).plan
    except MalformedFileError:
        return {}
    return {tensor.name: tensor for tensor in plan.tensors}


def _judge(values: RunningMoments, shape: tuple[int, ...], tensor: Tensor | None) -> str | None:
    """Return what is wrong with a tensor's values, None if nothing is."""
    if values.nan:
        return f"has {pluralize(values.nan, 'NaN')}"
    if values.inf:
        return f"has {pluralize(values.inf, 'infinite value')}"
    if tensor is None or tensor.rearrangement.shape != shape:
        is_matrix = len(shape) > 1 and min(shape) > 1
        return "all values of this matrix are zero" if is_matrix and values.zeros == prod(shape) else None
    promise = _mix(tensor)
    if promise is None or not values.count:
        return None
    mean, std = values.mean * (values.scale or 1.0), sqrt(values.squares / values.count) * (values.scale or 1.0)
    rounding = 2.0**-tensor.dtype.significant_bits if not tensor.dtype.is_integer else 0.0
    mean_error = MAX_STANDARD_ERRORS * promise.std / sqrt(values.count) + rounding * (abs(promise.mean) + promise.std)
    std_error = MAX_STANDARD_ERRORS * promise.std * sqrt((promise.kurtosis - 1) / (4 * values.count))
    for key, actual, expected, error in (
        ("mean", mean, promise.mean, mean_error),
        ("std", std, promise.std, std_error + rounding * (abs(promise.mean) + promise.std)),
    ):
        if abs(actual - expected) > error:
            return f"{key} must be {format_number(expected)} by its spec, got {format_number(actual)}"
    return None


def _mix(tensor: Tensor) -> Moments | None:
    """Return the moments of a tensor's values by its spec; None if it has parts without moments."""
    first = second = 0.0
    kurtosis = 1.0
    for source in tensor.sources:
        moments = source.resolved.distribution.moments()
        if moments is None:
            return None
        share = source.resolved.size / tensor.size
        if source.resolved.padding_index is not None:
            share *= 1 - 1 / source.resolved.shape[-1]
        first += share * moments.mean
        second += share * (moments.std**2 + moments.mean**2)
        kurtosis = max(kurtosis, moments.kurtosis)
    is_mixture = len(tensor.sources) > 1 or tensor.sources[0].resolved.padding_index is not None
    return Moments(
        first, sqrt(max(second - first**2, 0.0)), max(kurtosis, MIXTURE_KURTOSIS) if is_mixture else kurtosis
    )
