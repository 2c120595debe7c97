"""Bins that grow with the data: every value on its side of each edge, in any order of chunks."""

import math
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paramgen.analysis.bins import Bars, RunningBins

RANDOM = np.random.default_rng(0)


def bars_of(*chunks: NDArray[Any], most: int = 40) -> Bars:
    bins = RunningBins()
    for chunk in chunks:
        bins.add(chunk)
    return bins.bars(most)


def count(values: NDArray[Any], bars: Bars) -> list[int]:
    """Count by comparing values with edges."""
    numbers = [float(value) for value in values]
    return [sum(low <= number < high for number in numbers) for low, high in pairwise(bars.edges)]


CASES = {
    "float32": RANDOM.normal(0, 0.02, 3000).astype(np.float32),
    "float64": RANDOM.normal(5, 1e-9, 3000),
    "bfloat16": RANDOM.normal(0, 0.02, 3000).astype(ml_dtypes.bfloat16),
    "float8": RANDOM.normal(0, 1, 3000).astype(ml_dtypes.float8_e4m3fn),
    "uint8": RANDOM.integers(0, 256, 3000).astype(np.uint8),
    "int16": RANDOM.integers(-3000, 3000, 3000).astype(np.int16),
    "bool": RANDOM.integers(0, 2, 300).astype(bool),
    "zeros": np.zeros(10, np.float32),
    "an integer": np.zeros(1, np.int64),
    "equal": np.full(10, 0.3, np.float32),
    "zeros, then a large value": np.append(np.zeros(99), 1e300),
    "equal, then close ones": np.append(np.ones(99), 1 + 1e-12),
    "subnormal": np.array([5e-324, 1e-320, 0]),
    "small": np.array([1e-45, 1e-40], np.float32),
    "large": np.array([3e38, -3e38, 0], np.float32),
}


@pytest.mark.parametrize("values", CASES.values(), ids=[*CASES])
def test_every_value_is_between_the_edges_of_its_bar(values: NDArray[Any]) -> None:
    for parts in (1, 3):
        bars = bars_of(*np.array_split(values, parts))
        assert list(bars.counts) == count(values, bars)
        assert sum(bars.counts) == len(values) and 1 <= len(bars.counts) <= 40


# A product with a power of two is exact unless it underflows.
NUMBERS = st.floats(-1e150, 1e150).map(lambda number: number if abs(number) > 1e-150 else 0.0)


@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=9), min_size=1, max_size=6),
    st.integers(2, 50),
)
def test_chunks_of_any_values_are_counted(chunks: list[list[float]], most: int) -> None:
    bars = bars_of(*map(np.array, chunks), most=most)
    assert list(bars.counts) == count(np.concatenate(chunks), bars)
    assert len(bars.counts) <= most


@given(st.lists(st.lists(NUMBERS, min_size=1, max_size=9), min_size=1, max_size=6), st.randoms())
def test_merged_bins_do_not_depend_on_the_order(chunks: list[list[float]], random: Any) -> None:
    results = set()
    for _ in range(3):
        random.shuffle(chunks)
        pool = RunningBins()
        for chunk in chunks:
            bins = RunningBins()
            bins.add(np.array(chunk))
            pool.merge(bins)
        results.add(pool.bars(40))
    (bars,) = results
    assert list(bars.counts) == count(np.concatenate(chunks), bars)


def test_integers_have_whole_edges() -> None:
    bars = bars_of(np.arange(-10, 10, dtype=np.int8))
    assert bars == Bars(-10.0, 1.0, (1,) * 20)
    assert math.isclose(bars_of(np.arange(1000)).width % 1, 0)


def test_infinity_and_nan_are_left_out() -> None:
    assert sum(bars_of(np.array([np.nan, 1, np.inf]), np.array([-np.inf]), np.array([2.0])).counts) == 2


def test_the_largest_numbers_do_not_overflow() -> None:
    largest = np.finfo(np.float64).max
    assert sum(bars_of(np.array([-largest, 0, largest])).counts) == 3
