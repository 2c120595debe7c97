"""Initializers that describe the values of a file: constants, moments, bounds, and small tables of integers."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from paramgen.analysis.file_report import RunningMoments, iter_chunks
from paramgen.errors import FileError
from paramgen.importing.model import ImportedTensor
from paramgen.messages import show_text
from paramgen.progress import BytesCallback, Progress, as_progress
from paramgen.storage.checkpoint import Checkpoint, StoredTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 3
# Numbers of tensors with more elements are not listed, but described by their bounds.
MAX_LISTED = 1024
MAX_COMPARED = 65_536
# Bounds of fewer values do not distinguish a uniform distribution from a normal one.
MIN_UNIFORM = 100
# Numbers are equal within this many standard errors, or this ratio.
STANDARD_ERRORS = 3.0
RATIO = 0.0025


def fit_tensors(
    checkpoint: Checkpoint, tensors: Sequence[ImportedTensor], progress: BytesCallback | None
) -> tuple[ImportedTensor, ...]:
    """Return tensors with initializers that describe their values; `progress` is called with the bytes read."""
    report = as_progress(progress)
    report.phase("reading", sum(checkpoint.tensors[tensor.name].entry.nbytes for tensor in tensors))
    fits = {tensor.name: _fit(checkpoint, checkpoint.tensors[tensor.name], report) for tensor in tensors}
    shared = _share(fits, {name: checkpoint.tensors[name].entry.size for name in fits})
    return tuple(replace(tensor, initializer=shared[tensor.name]) for tensor in tensors)


def _fit(checkpoint: Checkpoint, tensor: StoredTensor, progress: Progress) -> dict[str, Any]:
    entry = tensor.entry
    if entry.dtype.numpy_name is None:
        raise FileError(f"{tensor.file.display_path}: {show_text(entry.name)}: has no values of {entry.dtype.name}")
    if not entry.size:
        return {"type": "zeros"}
    moments = RunningMoments()
    for values in iter_chunks(checkpoint, tensor, progress):
        moments.add(values.view(values.real.dtype) if entry.dtype.is_complex else values)
    if entry.dtype.is_integer:
        read = lambda: checkpoint.read(tensor, 0, entry.size).reshape(entry.shape)  # noqa: E731
        return _describe_integers(moments, entry.dtype.name, read if entry.size <= MAX_COMPARED else None)
    if moments.nan or moments.inf:
        raise FileError(
            f"{tensor.file.display_path}: {show_text(entry.name)}: has NaN or infinities; see paramgen check"
        )
    return _describe_floats(moments, entry.dtype.name)


def _describe_integers(moments: RunningMoments, dtype: str, read: Callable[[], NDArray[Any]] | None) -> dict[str, Any]:
    """Return the initializer of integers: equal ones, equal steps, a short list, or any between bounds."""
    low, high = int(moments.low or 0), int(moments.high or 0)
    if low == high:
        return _constant(low)
    if dtype == "bool":
        return {"type": "bernoulli", "p": round_digits(moments.mean * moments.scale)}
    is_exact = max(abs(low), abs(high)) <= 2**53
    listed = _list_integers(read()) if read is not None and is_exact else None
    return listed or {"type": "integers", "low": low, "high": high}


def _list_integers(array: NDArray[Any]) -> dict[str, Any] | None:
    """Return the initializer that gives exactly these integers, None if it would be long."""
    rows = array.reshape(-1, array.shape[-1]).tolist()
    first = rows[0]
    if all(row == first for row in rows):
        step = first[1] - first[0]
        if first == [first[0] + step * k for k in range(len(first))]:
            fields = {"start": first[0]} if first[0] else {}
            return {"type": "arange", **fields, **({"step": step} if step != 1 else {})}
        return {"type": "values", "values": first} if len(first) <= MAX_LISTED else None
    return {"type": "values", "values": array.tolist()} if array.size <= MAX_LISTED else None


def _describe_floats(moments: RunningMoments, dtype: str) -> dict[str, Any]:
    """Return the initializer of real numbers: equal ones, uniform between bounds, or normal."""
    statistics = moments.statistics()
    mean, std, low, high = (statistics[key] for key in ("mean", "std", "min", "max"))
    assert mean is not None and std is not None and low is not None and high is not None
    if low == high or not std:
        return _constant(low)
    if dtype == "float8_e8m0fnu":  # powers of two: no distribution has only positive values
        return _constant(2.0 ** round(math.log2(mean)))
    error = std / math.sqrt(moments.count)
    is_centred = abs(mean) <= max(STANDARD_ERRORS * error, RATIO * std)
    width = (high - low) / (std * math.sqrt(12))
    if moments.count >= MIN_UNIFORM and abs(width - 1) < 0.01 + 1.5 / math.sqrt(moments.count):
        if is_centred:
            return {"type": "uniform", "bound": round_digits(max(-low, high))}
        return {"type": "uniform", "low": round_digits(low), "high": round_digits(high)}
    fields = {} if is_centred else {"mean": round_digits(mean)}
    return {"type": "gaussian", **fields, "std": round_digits(std)}


def _constant(number: float) -> dict[str, Any]:
    names = {0.0: "zeros", 1.0: "ones"}
    return {"type": names[number]} if number in names else {"type": "constant", "value": number}


def round_digits(number: float) -> float:
    """Return a number with DIGITS significant digits."""
    return float(f"{number:.{DIGITS}g}")


def _share(fits: Mapping[str, dict[str, Any]], sizes: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Let tensors share numbers that differ only as samples do. Larger tensors know them better, and come first."""
    shared = dict(fits)
    for kind, error in (("std", lambda size: STANDARD_ERRORS / math.sqrt(2 * size)), ("bound", lambda size: 10 / size)):
        names = [name for name, fit in fits.items() if kind in fit and fit["type"] in ("gaussian", "uniform")]
        known: list[float] = []
        for name in sorted(names, key=lambda name: -sizes[name]):
            number = fits[name][kind]
            closest = min(_neighbours(known, number), key=lambda other: abs(other - number), default=None)
            if closest is not None and abs(closest - number) <= number * (RATIO + error(sizes[name])):
                shared[name] = {**fits[name], kind: closest}
            elif number not in known:
                insort(known, number)
    return shared


def _neighbours(ordered: Sequence[float], number: float) -> Iterator[float]:
    position = bisect_left(ordered, number)
    yield from ordered[max(0, position - 1) : position + 1]
