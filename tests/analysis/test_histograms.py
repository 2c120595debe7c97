"""Histograms and percentiles against NumPy's."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from paramgen.analysis.histograms import PERCENTILES, Histogram, histogram


def histogram_of(values: NDArray[Any], parts: int = 3) -> Histogram:
    finite = values.astype(np.float64)[np.isfinite(values.astype(np.float64))]
    return histogram(np.array_split(values, parts), float(finite.min()), float(finite.max()))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "int32", "uint8"])
def test_counts_and_percentiles_are_numpys(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    values = np.random.default_rng(1).normal(50, 30, 10_007).clip(0).astype(kind)
    result = histogram_of(values)
    counts, _ = np.histogram(values.astype(float), 16)
    np.testing.assert_allclose(result.counts, counts, atol=3)  # values on an edge may fall on either side
    expected = np.percentile(values.astype(float), PERCENTILES)
    exactness = 1e-12 if kind.itemsize < 4 else 1 / 2048
    np.testing.assert_allclose(list(result.percentiles.values()), expected, rtol=exactness)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2", "int8"])
def test_percentiles_of_narrow_dtypes_are_exact_for_both_signs(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    values = (np.random.default_rng(2).normal(0, 1, 5001) * 30).astype(kind)
    expected = np.percentile(values.astype(float), PERCENTILES)
    np.testing.assert_allclose(list(histogram_of(values).percentiles.values()), expected, rtol=1e-12)


def test_an_outlier_does_not_hide_the_others() -> None:
    values = np.append(np.arange(-500.0, 501), 1e300)
    found = histogram_of(values).percentiles
    np.testing.assert_allclose(list(found.values()), 0, atol=1e260)  # what float32 has beside 1e300
    values = np.append(np.arange(-500.0, 501), 1e30).astype(np.float32)
    expected = np.percentile(values.astype(float), PERCENTILES)
    np.testing.assert_allclose(list(histogram_of(values).percentiles.values()), expected, rtol=1 / 2048)
    values = np.append(np.arange(1.0, 1001), 3e38).astype(np.float32) * np.float32(1e-9)
    values[-1] = 3e38
    expected = np.percentile(values.astype(float), PERCENTILES)
    np.testing.assert_allclose(list(histogram_of(values).percentiles.values()), expected, rtol=1 / 2048)


def test_infinity_and_nan_are_left_out() -> None:
    result = histogram_of(np.array([1, np.nan, 2, np.inf, -np.inf, 3]))
    assert sum(result.counts) == 3
    assert (result.low, result.high) == (1, 3)
    assert result.percentiles[50] == 2


def test_equal_values_have_one_bin() -> None:
    result = histogram_of(np.full(10, 7.5, np.float32))
    assert sorted(result.counts) == [0] * 15 + [10]
    assert set(result.percentiles.values()) == {7.5}


def test_zeros_have_no_sign() -> None:
    assert [*map(str, histogram_of(np.array([-0.0, -0.0])).percentiles.values())] == ["0.0"] * 5


def test_the_largest_numbers_do_not_overflow() -> None:
    largest = np.finfo(np.float64).max
    assert histogram_of(np.array([-largest, largest])).counts == (1, *[0] * 14, 1)


def test_the_smallest_numbers_do_not_vanish() -> None:
    values = np.array([1, 2, 3, 4, 5]) * 1e-300
    assert histogram_of(values).percentiles[50] == pytest.approx(3e-300, rel=1 / 2048)
