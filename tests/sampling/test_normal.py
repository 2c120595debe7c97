"""Accuracy of the normal distribution: against scipy over all of (0, 1), and the extreme words."""

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erfinv, ndtri

from paramgen.sampling.normal import log, normal_float32, normal_float64


def quantile(word: NDArray[np.unsignedinteger], bits: int) -> NDArray[np.float64]:
    """The exact value of each word to double precision: from the nearer end of (0, 1), or about the middle."""
    nearer = np.minimum(word, ~word)
    tail = (nearer.astype(np.float64) + 0.5) / 2.0**bits
    from_middle = ((word.dtype.type(2 ** (bits - 1) - 1) - nearer).astype(np.float64) + 0.5) / 2.0**bits
    z = np.where(from_middle < 0.25, -np.sqrt(2) * erfinv(2 * from_middle), ndtri(np.minimum(tail, 0.25)))
    return np.where(word == nearer, z, -z)


def some_words(bits: int) -> NDArray[np.uint64]:
    """Words all over: evenly, at both ends and about the middle, and at every power of two."""
    rng = np.random.default_rng(1)
    last = 2**bits - 1
    evenly = rng.integers(0, last, 400_000, np.uint64, endpoint=True)
    low = np.concatenate([evenly >> np.uint64(shift) for shift in range(4, bits, 5)])
    middle = np.uint64(1 << (bits - 1))
    powers = np.uint64(1) << np.arange(bits, dtype=np.uint64)
    some = np.concatenate([evenly, low, np.uint64(last) - low, middle + (low >> np.uint64(1)), powers])
    return np.concatenate([some & np.uint64(last), np.array([0, last, middle, middle - np.uint64(1)], np.uint64)])


def test_float32_is_within_its_tolerance() -> None:
    word = some_words(32).astype(np.uint32)
    z = normal_float32(word)
    exact = quantile(word, 32)
    assert z.dtype == np.float32
    assert np.abs((z - exact) / exact).max() < 1e-6  # the stream allows 4e-6


def test_float64_is_within_its_tolerance() -> None:
    word = some_words(64)
    z = normal_float64(word)
    exact = quantile(word, 64)
    assert np.abs((z - exact) / exact).max() < 1e-13  # the stream allows 1e-12; scipy itself is off by some 1e-15


@pytest.mark.parametrize(("bits", "tolerance"), [(32, 1e-6), (64, 1e-14)])
def test_extreme_words(bits: int, tolerance: float) -> None:
    extreme = [0, 2**bits - 1]
    z = normal_float32(np.array(extreme, np.uint32)) if bits == 32 else normal_float64(np.array(extreme, np.uint64))
    with mpmath.workdps(40):
        exact = float(
            -mpmath.findroot(lambda x: mpmath.ncdf(x) - mpmath.mpf(2) ** -(bits + 1), -6.34 if bits == 32 else -9.2)
        )
    assert z[0] == -z[1]
    assert abs(z[1] / exact - 1) < tolerance
    assert exact < (6.34 if bits == 32 else 9.2)


def test_it_is_odd() -> None:
    word = some_words(32).astype(np.uint32)
    np.testing.assert_array_equal(normal_float32(word), -normal_float32(~word))


@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 4), (np.float64, 4)])
def test_log_is_exact_to_units_in_the_last_place(dtype: type[np.floating], units: int) -> None:
    t = np.exp(np.random.default_rng(2).uniform(-44, 0, 100_000)).astype(dtype)
    exact = np.log(t.astype(np.longdouble))
    assert (np.abs(log(t) - exact) <= units * np.spacing(np.abs(exact).astype(dtype)) + np.finfo(dtype).eps / 4).all()


def test_log_of_one_is_zero() -> None:
    assert log(np.ones(1, np.float32))[0] == log(np.ones(1))[0] == 0
