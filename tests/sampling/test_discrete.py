"""Integers and Bernoulli values against Python's integers, at the extreme words, and in every dtype that holds them."""

import numpy as np
import pytest
from helpers import draw, make_tensor
from hypothesis import given
from hypothesis import strategies as st

import paramgen
from paramgen.catalog.distributions import Bernoulli, Integers
from paramgen.dtypes import DTYPES
from paramgen.planning.streams import stream_id
from paramgen.sampling.reference.distributions import _bernoulli, _integers, _share64
from paramgen.sampling.reference.philox import draw_words, draw_words64

COUNT = 20_000
WORDS = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2**32, 2**64 - 1]


@given(word=st.sampled_from(WORDS) | st.integers(0, 2**64 - 1), span=st.sampled_from(WORDS) | st.integers(0, 2**64 - 1))
def test_multiplying_64_bits_is_exact(word: int, span: int) -> None:
    assert _share64(np.array([word], np.uint64), span)[0] == word * (span + 1) >> 64


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("bool", 0, 1),
        ("int8", -128, 127),
        ("uint8", 250, 255),
        ("int16", -300, 7),
        ("uint16", 0, 2**16 - 1),
        ("int32", -(2**31), 2**31 - 1),
        ("uint32", 2**32 - 3, 2**32 - 1),
        ("int64", -(2**63), 2**63 - 1),
        ("uint64", 2**63 + 5, 2**64 - 1),
        ("float64", -(2**53), 2**53),
        ("float32", -(2**24), 2**24),
        ("float16", -2048, 2048),
        ("bfloat16", -3, 250),
        ("float8_e4m3fnuz", -16, 16),
        ("float8_e8m0fnu", 1, 2),
    ],
)
def test_integers_follow_the_formula(dtype: str, low: int, high: int) -> None:
    bits, draw = (64, draw_words64) if DTYPES[dtype].bits == 64 else (32, draw_words)
    expected = [low + (int(word) * (high - low + 1) >> bits) for word in draw(9, stream_id("w"), 0, COUNT)]
    initializer = {"type": "integers", "low": low, "high": high}
    found = paramgen.initialize(initializer, [COUNT], seed=9, name="w", dtype=dtype)
    assert found.dtype == DTYPES[dtype].numpy_dtype()
    exact = found.astype(np.float64) if DTYPES[dtype].significant_bits else found
    assert [int(value) for value in exact.tolist()] == expected
    assert low <= min(expected) and max(expected) <= high


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
def test_extreme_words_give_the_limits(kind: type[np.uint32] | type[np.uint64]) -> None:
    bits = np.dtype(kind).itemsize * 8
    extreme = np.array([0, 2**bits - 1], kind)
    assert _integers(Integers(3, 9), extreme).tolist() == [3, 9]
    assert _integers(Integers(0, 2**bits - 1), extreme).tolist() == [0, 2**bits - 1]
    assert _bernoulli(Bernoulli(0.0), extreme).tolist() == [0, 0]
    assert _bernoulli(Bernoulli(1.0), extreme).tolist() == [1, 1]
    assert _bernoulli(Bernoulli(2.0**-32), extreme).tolist() == [0, 1]


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in ("complex64", "float8_e8m0fnu")])
def test_ones_are_the_largest_words(dtype: str, p: float) -> None:
    wide = DTYPES[dtype].bits == 64
    upper = draw_words(9, stream_id("w"), 0, 2 * COUNT)[1::2] if wide else draw_words(9, stream_id("w"), 0, COUNT)
    expected = [int(word) >= 2**32 - round(p * 2**32) for word in upper]
    found = paramgen.initialize({"type": "bernoulli", "p": p}, [COUNT], seed=9, name="w", dtype=dtype)
    assert found.astype(np.float64).tolist() == expected
    assert abs(np.mean(expected) - p) <= 5 * np.sqrt(p * (1 - p) / COUNT)


def test_a_fair_coin_is_an_integer_of_two() -> None:
    for dtype in ("bool", "int64", "float32"):
        coin, integer = (
            draw(make_tensor(one, dtype, (COUNT,)), 1, 0, COUNT) for one in (Bernoulli(0.5), Integers(0, 1))
        )
        assert coin.tobytes() == integer.tobytes()


def test_integers_are_equally_likely() -> None:
    found = paramgen.initialize({"type": "integers", "low": -2, "high": 4}, [70_000], name="w", dtype="int8")
    counts = np.bincount(found.astype(np.int64) + 2, minlength=7)
    assert len(counts) == 7
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9  # chi-squared of 6 degrees of freedom: 1e-4


def test_complex_parts_are_float32_elements() -> None:
    """Test that element i has the float32 elements 2i and 2i + 1 as its parts, and that constants are real."""
    for initializer in ({"type": "gaussian", "std": 0.02}, {"type": "uniform", "bound": 0.3}, "truncated_normal"):
        whole = paramgen.initialize(initializer, [COUNT], name="w", dtype="complex64")
        parts = paramgen.initialize(initializer, [2 * COUNT], name="w")
        assert whole.view(np.float32).tobytes() == parts.tobytes()
    assert paramgen.initialize("ones", [2], name="w", dtype="complex64").tolist() == [1, 1]
    assert paramgen.initialize("identity", [2, 2], name="w", dtype="complex64").tolist() == [[1, 0], [0, 1]]
