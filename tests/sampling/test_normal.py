"""Tests of the normal distribution's accuracy: against SciPy over all of (0, 1), and at the extreme words."""

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erfinv, ndtri

from paramgen.catalog.distributions import TruncatedNormal
from paramgen.sampling.reference.normal import log, normal_float32, normal_float64, truncated_normal


def quantile(word: NDArray[np.unsignedinteger], bits: int) -> NDArray[np.float64]:
    """Return the value of each word to double precision, from the nearer end of (0, 1) or from the middle."""
    nearer = np.minimum(word, ~word)
    tail = (nearer.astype(np.float64) + 0.5) / 2.0**bits
    from_middle = ((word.dtype.type(2 ** (bits - 1) - 1) - nearer).astype(np.float64) + 0.5) / 2.0**bits
    z = np.where(from_middle < 0.25, -np.sqrt(2) * erfinv(2 * from_middle), ndtri(np.minimum(tail, 0.25)))
    return np.where(word == nearer, z, -z)


def some_words(bits: int) -> NDArray[np.uint64]:
    """Return words spread evenly, near both ends and the middle, and at every power of two."""
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


@pytest.mark.slow
def test_float64_is_within_its_tolerance() -> None:
    word = some_words(64)
    z = normal_float64(word)
    exact = quantile(word, 64)
    assert np.abs((z - exact) / exact).max() < 1e-13  # the stream allows 1e-12; scipy itself is off by some 1e-15


@pytest.mark.parametrize(("bits", "tolerance"), [(32, 1e-6), (64, 1e-14)])
def test_extreme_words_give_the_outermost_quantiles(bits: int, tolerance: float) -> None:
    extreme = [0, 2**bits - 1]
    z = normal_float32(np.array(extreme, np.uint32)) if bits == 32 else normal_float64(np.array(extreme, np.uint64))
    with mpmath.workdps(40):
        exact = float(
            -mpmath.findroot(lambda x: mpmath.ncdf(x) - mpmath.mpf(2) ** -(bits + 1), -6.34 if bits == 32 else -9.2)
        )
    assert z[0] == -z[1]
    assert abs(z[1] / exact - 1) < tolerance
    assert exact < (6.34 if bits == 32 else 9.2)


def test_normal_is_odd() -> None:
    word = some_words(32).astype(np.uint32)
    np.testing.assert_array_equal(normal_float32(word), -normal_float32(~word))


@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 4), (np.float64, 4)])
def test_log_is_exact_to_units_in_the_last_place(dtype: type[np.floating], units: int) -> None:
    t = np.exp(np.random.default_rng(2).uniform(-44, 0, 100_000)).astype(dtype)
    exact = np.log(t.astype(np.longdouble))
    assert (np.abs(log(t) - exact) <= units * np.spacing(np.abs(exact).astype(dtype)) + np.finfo(dtype).eps / 4).all()


def test_log_of_one_is_zero() -> None:
    assert log(np.ones(1, np.float32))[0] == log(np.ones(1))[0] == 0


LIMITS = [(-2.0, 2.0), (-1.0, 30.0), (-100.0, 100.0), (0.5, 0.6), (2.0, 9.0), (7.0, 9.0), (-12.0, -8.5), (-3.0, -1.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), LIMITS)
@pytest.mark.parametrize(("dtype", "bits", "tolerance"), [(np.float32, 32, 1e-6), (np.float64, 64, 1e-13)])
def test_truncated_values_are_within_their_tolerance(
    low: float, high: float, dtype: type, bits: int, tolerance: float
) -> None:
    """Compare with the nearer tail, inverted by mpmath; the stream allows errors of 4e-6 and 1e-12."""
    distribution = TruncatedNormal(0.0, 1.0, low, high)
    word = some_words(bits)[::40_000]
    word = np.concatenate([word, np.array([0, 1, 2**bits - 1, 2**bits - 2, 2 ** (bits - 1)], np.uint64)])
    z = truncated_normal(distribution, word.astype(f"uint{bits}"))
    assert z.dtype == dtype
    with mpmath.workdps(60):

        def above(x: float) -> mpmath.mpf:
            return mpmath.erfc(mpmath.mpf(x) / mpmath.sqrt(2)) / 2

        within = above(low) - above(high)
        for w, value in zip(word.tolist(), z.tolist(), strict=True):
            u = (mpmath.mpf(w) + 0.5) / mpmath.mpf(2) ** bits
            below, beyond = above(-low) + u * within, above(high) + (1 - u) * within
            sign, tail = (-1, below) if below < beyond else (1, beyond)
            exact = sign * mpmath.findroot(lambda x, tail=tail: mpmath.log(above(x) / tail), abs(value))
            assert abs(value - exact) <= tolerance * max(1, abs(exact)), w


@pytest.mark.parametrize("bits", [32, 64])
def test_truncated_values_are_monotone_and_within_their_limits(bits: int) -> None:
    distribution = TruncatedNormal(0.0, 1.0, -1.5, 2.5)
    word = np.sort(some_words(bits)[::7]).astype(f"uint{bits}")
    z = truncated_normal(distribution, word)
    assert z.min() >= -1.5
    assert z.max() <= 2.5
    assert (np.diff(z) >= (-1e-6 if bits == 32 else -1e-14)).all()
    middle = ndtri((distribution.below + 1 - distribution.above) / 2)
    assert z[word < 2 ** (bits - 1)].max() == pytest.approx(middle, abs=1e-3)
