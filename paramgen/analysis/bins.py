"""Counts of values in bins whose range grows with the data, in one pass."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# The fine bins of a tensor: 128 kB of counts.
FINE_BINS = 2**14
# Of float64's numbers, those below 2^MIN_EXPONENT share a bin: its reciprocal is finite.
MIN_EXPONENT = -1000
# A power of two in this range is a normal number of float32, and so is its reciprocal.
FLOAT32_EXPONENTS = range(-100, 101)


class Bars(NamedTuple):
    """A histogram to draw: counts in bins of equal width from `start` on, which cover all values."""

    start: float
    width: float
    counts: tuple[int, ...]

    @property
    def edges(self) -> list[float]:
        """The edges of its bins, one more than there are bins."""
        return [self.start + self.width * number for number in range(len(self.counts) + 1)]


class RunningBins:
    """Counts of finite values in fine bins, whose width, a power of two, doubles until they cover the values.

    An edge is a multiple of the width, so bins are merged exactly, and no value changes its side. `low` and `high` are
    the extreme values.
    """

    def __init__(self) -> None:
        self.low = math.inf
        self.high = -math.inf
        self._is_integer = False
        self._exponent = MIN_EXPONENT
        self._first = 0
        self._counts = np.zeros(FINE_BINS, np.int64)

    @property
    def is_empty(self) -> bool:
        return self.low > self.high

    def add(self, values: NDArray[Any]) -> None:
        """Count an array's finite values."""
        if not len(values):
            return
        wide = values
        if values.dtype.type not in (np.float32, np.float64):
            is_narrow = values.dtype.kind not in "iu" and values.dtype.itemsize <= 2  # an ml_dtypes type has kind V
            wide = values.astype(np.float32 if is_narrow else np.float64)
        low, high = float(wide.min()), float(wide.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            wide = wide[np.isfinite(wide)]
            if not len(wide):
                return
            low, high = float(wide.min()), float(wide.max())
        self._is_integer = values.dtype.kind in "biu"
        exponent = _fine_exponent(low, high) if self.is_empty else self._exponent
        self._cover(low, high, max(exponent, 0) if self._is_integer and low == high else exponent)
        if wide.dtype == np.float32 and self._exponent not in FLOAT32_EXPONENTS:
            wide = wide.astype(np.float64)
        # Exact in both types: a power of two only changes the exponent.
        numbers = wide * wide.dtype.type(math.ldexp(1.0, -self._exponent))
        np.floor(numbers, out=numbers)
        indices = numbers.astype(np.int64)
        indices -= self._first
        self._counts += np.bincount(indices, minlength=FINE_BINS)

    def merge(self, other: RunningBins) -> None:
        """Add the counts of other bins."""
        if not other.is_empty:
            self._is_integer = other._is_integer
            self._cover(other.low, other.high, max(self._exponent, other._exponent))
            self._add_counts(other._counts, other._first, self._exponent - other._exponent)

    def _cover(self, low: float, high: float, exponent: int) -> None:
        """Extend the bins to a range; their width becomes at least 2^exponent."""
        low, high = min(self.low, low), max(self.high, high)
        if high > low:
            exponent = max(exponent, math.frexp(high / 2 - low / 2)[1] - 14)  # smaller ones cannot be enough
        while _bin(high, exponent) - _bin(low, exponent) >= FINE_BINS:
            exponent += 1
        first, last = _bin(low, exponent), _bin(high, exponent)
        is_inside = exponent == self._exponent and self._first <= first and last < self._first + FINE_BINS
        if not is_inside:
            counts, old_first, shift = self._counts, self._first, exponent - self._exponent
            self._first = first - (FINE_BINS - 1 - (last - first)) // 2
            self._exponent = exponent
            if not self.is_empty:
                self._counts = np.zeros(FINE_BINS, np.int64)
                self._add_counts(counts, old_first, shift)
        self.low, self.high = low, high

    def _add_counts(self, counts: NDArray[np.int64], first: int, shift: int) -> None:
        """Add counts of bins whose width is 2^-shift of this one's; `first` is the number of their first."""
        (used,) = np.nonzero(counts)
        np.add.at(self._counts, ((used + first) >> min(shift, 63)) - self._first, counts[used])

    def counts_between(self, low: float, high: float, bins: int) -> tuple[int, ...]:
        """Return the counts in bins of equal width; a fine bin on an edge belongs to the side that has its center."""
        scale = math.ldexp(1.0, -self._exponent)
        start, width = low * scale, (high * scale - low * scale) / bins
        centers = self._first + np.arange(FINE_BINS) + 0.5
        numbers = (centers - start) / width if width else np.zeros(FINE_BINS)
        indices = np.floor(numbers).clip(0, bins - 1).astype(np.int64)
        return tuple(int(number) for number in np.bincount(indices, weights=self._counts, minlength=bins))

    def bars(self, most: int) -> Bars:
        """Return at most that number of bars, at least 2, that cover the values. Edges are multiples of their width.

        Similar tensors so have the same edges. Those of integers are integers.
        """
        unit = 2 ** max(0, -self._exponent) if self._is_integer else 1
        first, last = (_bin(value, self._exponent) // unit for value in (self.low, self.high))
        step = next(step for step in _steps() if last // step - first // step < most)
        number, start = last // step - first // step + 1, first // step
        starts = (np.arange(start, start + number) * (step * unit) - self._first).clip(0)
        counts = np.add.reduceat(self._counts, starts)
        edge, width = (_edge(bars * step * unit, self._exponent) for bars in (start, 1))
        return Bars(edge, width, tuple(counts.tolist()))


def _fine_exponent(low: float, high: float) -> int:
    """Return the exponent of a width of bins for a first range, which may double before the bins do."""
    largest = max(abs(low), abs(high))
    if not largest:
        return MIN_EXPONENT
    finest = math.frexp(largest)[1] - 53  # a larger number of a bin is not exact
    return max(MIN_EXPONENT, finest, math.frexp(high / 2 - low / 2)[1] - 12 if high > low else MIN_EXPONENT)


def _steps() -> Iterator[int]:
    """Yield the powers of two, and three times each: 1, 2, 3, 4, 6, 8, 12 and so on."""
    yield 1
    for power in count():
        yield from (2 ** (power + 1), 3 * 2**power)


def _bin(value: float, exponent: int) -> int:
    """Return the number of the bin of a value."""
    return math.floor(math.ldexp(value, -exponent))


def _edge(number: int, exponent: int) -> float:
    """Return the lower edge of a bin, which may be just below float64's smallest number."""
    fraction, own_exponent = math.frexp(number)
    is_finite = own_exponent + exponent <= sys.float_info.max_exp
    return math.ldexp(number, exponent) if is_finite else math.copysign(sys.float_info.max, fraction)
