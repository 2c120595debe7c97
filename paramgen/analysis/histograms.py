"""Histograms and percentiles of a tensor's values, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Percentiles are exact to a bin's width.
FINE_BINS = 4096
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True, slots=True)
class Histogram:
    """The finite values of a tensor in `counts` bins of equal width from `low` to `high`, and their percentiles."""

    low: float
    high: float
    counts: tuple[int, ...]
    percentiles: dict[int, float]


def histogram(
    read: Callable[[], Iterator[NDArray[Any]]], low: float, high: float, bins: int = 16, fine_bins: int = FINE_BINS
) -> Histogram:
    """Return the histogram of the finite values in the arrays that `read` yields; all are from `low` to `high`.

    `fine_bins` is a multiple of `bins`. Percentiles are interpolated within a fine bin.
    """
    scale = max(abs(low), abs(high)) or 1.0  # high - low could overflow
    start, width = low / scale, (high / scale - low / scale) / fine_bins
    fine = np.zeros(fine_bins, np.int64)
    for values in read():
        wide = values.astype(np.float64)
        wide = wide[np.isfinite(wide)] / scale
        numbers = (wide - start) / width if width else np.zeros(len(wide))
        fine += np.bincount(numbers.astype(np.int64).clip(0, fine_bins - 1), minlength=fine_bins)
    cumulative = np.concatenate([[0], np.cumsum(fine)])
    edges = start + width * np.arange(fine_bins + 1)
    positions = np.interp(np.array(PERCENTILES) / 100 * cumulative[-1], cumulative, edges) * scale
    percentiles = dict(zip(PERCENTILES, map(float, positions.clip(low, high)), strict=True))
    return Histogram(low, high, tuple(map(int, fine.reshape(bins, -1).sum(axis=1))), percentiles)
