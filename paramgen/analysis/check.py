"""The check of weights without drawing them: well-formed, consistent, finite and plausible."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod, sqrt

import ml_dtypes
import numpy as np

from paramgen.analysis.file_report import RunningMoments, iter_chunks
from paramgen.catalog.distributions.base import Moments
from paramgen.dtypes import DType
from paramgen.errors import MalformedFileError, file_errors
from paramgen.messages import escape, show_path
from paramgen.planning.tensors import Tensor
from paramgen.progress import BytesCallback, Progress, as_progress
from paramgen.spec import stored_spec
from paramgen.storage.checkpoint import WEIGHTS_SUFFIX, Checkpoint, Inconsistency, find_weights
from paramgen.storage.header import TensorEntry
from paramgen.storage.index import INDEX_SUFFIX, SHARD_NAME
from paramgen.storage.locations import exists, is_directory, list_names
from paramgen.threads import count_threads, parallel_for
from paramgen.units import format_number, pluralize

# A mean or std of a sound tensor is farther than this from its promise once in 10^9 tensors.
MAX_STANDARD_ERRORS = 6.0
# Two thirds of the logarithm of these odds, in Bernstein's inequality.
RARE_VALUES = 14.0
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


def check(path: str, *, threads: int | None = None, progress: BytesCallback | None = None) -> Check:
    """Check a file, an index or a folder, in bounded memory.

    Findings are: a malformed file; an index that its files contradict; NaN, infinity; a matrix of zeros; a mean or std
    that the spec in the metadata does not promise. Raises FileError if a file cannot be read.
    """
    try:
        with Checkpoint(path, allow_inconsistencies=True) as checkpoint:
            findings = [*checkpoint.inconsistencies, *_find_ignored(checkpoint)]
            findings += _check_values(checkpoint, count_threads(threads), as_progress(progress))
            checkpoint.raise_if_changed()
            return Check(tuple(checkpoint.paths), tuple(findings))
    except MalformedFileError as error:
        weights = find_weights(path)
        problem = str(error).removeprefix(f"{show_path(weights)}: ")
        return Check((weights,), (Inconsistency(os.path.basename(weights), None, problem),))


def _find_ignored(checkpoint: Checkpoint) -> Iterator[Inconsistency]:
    """Yield the weights beside an index that it does not list, and an index beside a folder's single file."""
    if checkpoint.index is None:
        index = checkpoint.paths[0].removesuffix(WEIGHTS_SUFFIX) + INDEX_SUFFIX
        if is_directory(checkpoint.path) and exists(index):
            name = os.path.basename(checkpoint.paths[0])
            yield Inconsistency(os.path.basename(index), None, f"ignored: loaders prefer {escape(name)}")
        return
    folder, index_name = os.path.split(checkpoint.index.path)
    listed = set(checkpoint.index.files)
    single = index_name.removesuffix(INDEX_SUFFIX) + WEIGHTS_SUFFIX
    basenames = {match["basename"] for name in listed if (match := SHARD_NAME.fullmatch(name))}
    with file_errors(checkpoint.display_path):
        names = list_names(folder or ".")
    for name in names:
        match = SHARD_NAME.fullmatch(name)
        if name not in listed and (name == single or (match and match["basename"] in basenames)):
            yield Inconsistency(name, None, "not listed in the index")


def _check_values(checkpoint: Checkpoint, threads: int, progress: Progress) -> list[Inconsistency]:
    """Return what is wrong with the values of tensors, except those of less than a byte."""
    progress.phase("planning")
    planned = planned_tensors(checkpoint)
    readable = [name for name, stored in checkpoint.tensors.items() if stored.entry.dtype.numpy_name is not None]
    progress.phase("checking", sum(checkpoint.tensors[name].entry.nbytes for name in readable))
    problems: dict[str, str] = {}
    lock = threading.Lock()

    def check_tensor(name: str) -> None:
        moments = _read_moments(checkpoint, name, lock, progress)
        if problem := _judge(moments, checkpoint.tensors[name].entry, planned.get(name)):
            problems[name] = problem

    parallel_for(threads, check_tensor, readable)
    return [
        Inconsistency(os.path.basename(stored.file.path), name, problems[name])
        for name, stored in checkpoint.tensors.items()
        if name in problems
    ]


def _read_moments(checkpoint: Checkpoint, name: str, lock: threading.Lock, progress: Progress) -> RunningMoments:
    """Read a tensor's values in chunks, one thread at a time, and return their moments.

    Those of complex numbers are the moments of their real and imaginary parts.
    """
    tensor, moments = checkpoint.tensors[name], RunningMoments()
    chunks = iter_chunks(checkpoint, tensor, progress)
    while True:
        with lock:
            values = next(chunks, None)
        if values is None:
            return moments
        moments.add(values.view(np.float32) if tensor.entry.dtype.is_complex else values)


def planned_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the tensors of the spec in the metadata; none if this version cannot plan it."""
    if not checkpoint.files:
        return {}
    try:
        plan = stored_spec(checkpoint.files[0]).plan
    except MalformedFileError:
        return {}
    return {tensor.name: tensor for tensor in plan.tensors}


def _judge(values: RunningMoments, entry: TensorEntry, tensor: Tensor | None) -> str | None:
    """Return what is wrong with a tensor's values, None if nothing is."""
    if values.nan:
        return f"has {pluralize(values.nan, 'NaN')}"
    if values.inf:
        return f"has {pluralize(values.inf, 'infinite value')}"
    if tensor is not None and tensor.rearrangement.shape != entry.shape:
        tensor = None  # these are not the spec's values
    promise = _mix(tensor) if tensor is not None and tensor.size and not entry.dtype.is_complex else None
    if promise is None:
        is_weight = len(entry.shape) > 1 and min(entry.shape) > 1 and not entry.dtype.is_integer
        has_zeros = values.zeros == values.count and not (tensor is not None and _may_be_zero(tensor))
        return "all values of this matrix are zero" if is_weight and has_zeros else None
    if not values.count:
        return None
    mean, std = values.mean * (values.scale or 1.0), sqrt(values.squares / values.count) * (values.scale or 1.0)
    rounding = _rounding_error(entry.dtype, abs(promise.mean) + promise.std)
    mean_error, std_error = _sampling_errors(promise, values.count)
    for key, actual, expected, error in (
        ("mean", mean, promise.mean, mean_error),
        ("std", std, promise.std, std_error),
    ):
        if abs(actual - expected) > error + rounding:
            return f"{key} must be {format_number(expected)} by its spec, got {format_number(actual)}"
    return None


def _sampling_errors(promise: Moments, count: int) -> tuple[float, float]:
    """Return how far the mean and the std of sound values may be from their promise.

    Bernstein's inequality: the second terms are for few values of long-tailed distributions, such as rare ones among
    zeros. About std · sqrt(kurtosis) takes the place of the largest distance from the mean.
    """
    std, kurtosis = promise.std, promise.kurtosis
    mean_error = MAX_STANDARD_ERRORS * std / sqrt(count) + RARE_VALUES * std * sqrt(kurtosis) / count
    std_error = (
        MAX_STANDARD_ERRORS * std * sqrt((kurtosis - 1) / (4 * count)) + RARE_VALUES / 2 * std * kurtosis / count
    )
    return mean_error, std_error


def _may_be_zero(tensor: Tensor) -> bool:
    """Return True if a spec asks for zeros alone."""
    return all(source.resolved.distribution.max_magnitude(tensor.dtype.name) == 0 for source in tensor.sources)


def _rounding_error(dtype: DType, magnitude: float) -> float:
    """Return what rounding to a dtype may add to the mean or the std of values of about a magnitude."""
    if dtype.is_integer:
        return 0.0
    smallest = float(ml_dtypes.finfo(dtype.numpy_dtype()).smallest_subnormal)  # type: ignore[no-untyped-call]
    return magnitude * 2.0**-dtype.significant_bits + smallest


def _mix(tensor: Tensor) -> Moments | None:
    """Return the moments of a tensor's values by its spec; None if it has parts without moments."""
    first = second = 0.0
    kurtosis = 1.0
    for piece in tensor.rearrangement.slices:
        parameter = tensor.sources[piece.source].resolved
        moments = parameter.distribution.moments()
        if moments is None:
            return None
        share = prod(high - low for low, high in zip(piece.low, piece.high, strict=True)) / tensor.size
        if parameter.padding_index is not None:
            share *= 1 - 1 / parameter.shape[-1]
        first += share * moments.mean
        second += share * (moments.std**2 + moments.mean**2)
        kurtosis = max(kurtosis, moments.kurtosis)
    if len(tensor.sources) > 1 or tensor.sources[0].resolved.padding_index is not None:
        kurtosis = max(kurtosis, MIXTURE_KURTOSIS)
    return Moments(first, sqrt(max(second - first**2, 0.0)), kurtosis)
