"""Histograms and percentiles of a tensor's values, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.analysis.bins import RunningBins
from paramgen.analysis.file_report import Statistics, iter_chunks
from paramgen.dtypes import FLOAT32
from paramgen.progress import BytesCallback
from paramgen.storage.checkpoint import Checkpoint, StoredTensor

PERCENTILES = (1, 25, 50, 75, 99)
# Percentiles are counted by the first bits of float32: the sign, the exponent and 11 bits of the significand. They are
# exact for narrower dtypes, and within 1/2048 of themselves for others.
KEY_BITS = 20
DROPPED_BITS = 32 - KEY_BITS
# Below, float32 loses bits.
SMALLEST = 2.0**-100


@dataclass(frozen=True, slots=True)
class Histogram:
    """The finite values of a tensor in `counts` bins of equal width from `low` to `high`, and their percentiles."""

    low: float
    high: float
    counts: tuple[int, ...]
    percentiles: dict[int, float]


def compute_histogram(
    checkpoint: Checkpoint,
    tensor: StoredTensor,
    statistics: Statistics | None,
    *,
    bins: int = 16,
    progress: BytesCallback | None = None,
) -> Histogram | None:
    """Return a tensor's histogram; None if it has no statistics or no finite element."""
    if statistics is None or statistics["min"] is None or statistics["max"] is None:
        return None
    chunks = iter_chunks(checkpoint, tensor, progress)
    return histogram(chunks, float(statistics["min"]), float(statistics["max"]), bins)


def histogram(chunks: Iterable[NDArray[Any]], low: float, high: float, bins: int = 16) -> Histogram:
    """Return the histogram of the finite values in arrays; all are from `low` to `high`."""
    largest = max(abs(low), abs(high))
    # A power of two near the largest value, so that float32 has all magnitudes and differences do not overflow.
    is_float32 = SMALLEST <= largest <= FLOAT32.max
    scale = 1.0 if is_float32 or not largest else math.ldexp(1.0, math.frexp(largest)[1] - 1)
    counts, keys = RunningBins(), np.zeros(2**KEY_BITS, np.int64)
    for values in chunks:
        counts.add(values)
        wide = values.astype(np.float64)
        wide = wide[np.isfinite(wide)] / scale
        keys += np.bincount(_keys(wide.astype(np.float32)), minlength=len(keys))
    ranks = np.array(PERCENTILES) / 100 * (keys.sum() - 1)
    cumulative = np.cumsum(keys)
    below, above = (
        _key_values(np.searchsorted(cumulative, rank, "right")).astype(np.float64)
        for rank in (np.floor(ranks), np.ceil(ranks))
    )
    found = ((below + (above - below) * (ranks % 1)) * scale).clip(low, high)
    return Histogram(
        low, high, counts.counts_between(low, high, bins), dict(zip(PERCENTILES, map(float, found), strict=True))
    )


def _keys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the first bits of values as numbers in the values' order."""
    bits = values.view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(2**31))
    return (ordered >> DROPPED_BITS).astype(np.int64)


def _key_values(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the values of keys: those whose other bits are zero."""
    ordered = keys << DROPPED_BITS
    is_negative = keys < 2 ** (KEY_BITS - 1)
    bits = np.where(is_negative, ~(ordered | (2**DROPPED_BITS - 1)), ordered - 2**31).astype(np.uint32)
    return bits.view(np.float32) + np.float32(0)  # no negative zero
