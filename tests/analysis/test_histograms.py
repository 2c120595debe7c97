"""Histograms and percentiles against NumPy's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from paramgen.analysis.histograms import PERCENTILES, Histogram, histogram


def histogram_of(values: NDArray[Any], parts: int = 3) -> Histogram:
    def read() -> Iterator[NDArray[Any]]:
        yield from np.array_split(values, parts)

    finite = values[np.isfinite(values)]
    return histogram(read, float(finite.min()), float(finite.max()))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32"])
def test_counts_and_percentiles_are_numpys(dtype: str) -> None:
    values = np.random.default_rng(1).normal(5, 30, 10_007).astype(dtype)
    result = histogram_of(values)
    counts, _ = np.histogram(values.astype(float), 16)
    np.testing.assert_allclose(result.counts, counts, atol=3)  # values on an edge may fall on either side
    expected = np.percentile(values, PERCENTILES)
    width = (result.high - result.low) / 4096
    np.testing.assert_allclose(list(result.percentiles.values()), expected, atol=2 * width)


def test_what_is_not_finite_is_left_out() -> None:
    result = histogram_of(np.array([1, np.nan, 2, np.inf, -np.inf, 3]))
    assert sum(result.counts) == 3
    assert (result.low, result.high) == (1, 3)


def test_equal_values_have_one_bin() -> None:
    result = histogram_of(np.full(10, 7.5, np.float32))
    assert sorted(result.counts) == [0] * 15 + [10]
    assert set(result.percentiles.values()) == {7.5}


def test_the_largest_numbers_do_not_overflow() -> None:
    largest = np.finfo(np.float64).max
    assert histogram_of(np.array([-largest, largest])).counts == (1, *[0] * 14, 1)
