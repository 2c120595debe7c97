"""Every elementwise distribution in NumPy: the values of random words, or of elements' numbers, in a dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import (
    Bernoulli,
    Constant,
    ElementwiseDistribution,
    Integers,
    LogUniform,
    Normal,
    Sinusoidal,
    SsmDtBias,
    TruncatedNormal,
    Uniform,
    UniformInterval,
)
from paramgen.catalog.distributions.computed import IntervalDistribution
from paramgen.dtypes import DType
from paramgen.sampling.reference import elementary
from paramgen.sampling.reference.normal import normal_float32, normal_float64, truncated_normal
from paramgen.sampling.reference.philox import LOW, SHIFT, Words

# Plans have fewer rows. The mask only keeps larger element numbers defined.
ROW_MASK = 2**20 - 1


def _working_precision(words: Words) -> type[np.float32] | type[np.float64]:
    """Return the precision that words are computed in: float64 for 64-bit words, else float32."""
    return np.float64 if words.dtype == np.uint64 else np.float32


def symmetric_uniform(words: Words) -> NDArray[np.float64]:
    """Return x uniform on (-1, 1): (i + 1/2)/2^31 (2^63), i the word minus 2^31 (2^63)."""
    if words.dtype == np.uint64:
        return ((words ^ np.uint64(1 << 63)).view(np.int64).astype(np.float64) + 0.5) * 2.0**-63
    return ((words ^ np.uint32(1 << 31)).view(np.int32).astype(np.float64) + 0.5) * 2.0**-31


def standard_normal(words: Words) -> NDArray[Any]:
    """Return standard normal values."""
    return normal_float64(words) if words.dtype == np.uint64 else normal_float32(words)  # type: ignore[arg-type]


def _constant(distribution: Constant, words: Words) -> NDArray[Any]:
    return np.full(words.shape, distribution.value, _working_precision(words))


def _uniform(distribution: Uniform, words: Words) -> NDArray[Any]:
    return (np.float64(distribution.bound) * symmetric_uniform(words)).astype(_working_precision(words))


def _normal(distribution: Normal, words: Words) -> NDArray[Any]:
    real = _working_precision(words)
    return real(distribution.std) * standard_normal(words) + real(distribution.mean)


def _truncated_normal(distribution: TruncatedNormal, words: Words) -> NDArray[Any]:
    real = _working_precision(words)
    return real(distribution.std) * truncated_normal(distribution, words) + real(distribution.mean)


def _integers(distribution: Integers, words: Words) -> NDArray[Any]:
    """Return low + the upper half of word·(high - low + 1), modulo 2^32 (2^64)."""
    low, span = distribution.low, distribution.high - distribution.low
    if words.dtype == np.uint64:
        return _share64(words.view(np.uint64), span) + np.uint64(low % 2**64)
    share = (words.astype(np.uint64) * np.uint64(span) + words) >> SHIFT
    return share.astype(np.uint32) + np.uint32(low % 2**32)


def _share64(words: NDArray[np.uint64], span: int) -> NDArray[Any]:
    """Return the upper half of word·span + word, from products of halves, whose sums stay below 2^64."""
    low, high = words & LOW, words >> SHIFT
    span_low, span_high = np.uint64(span & 0xFFFFFFFF), np.uint64(span >> 32)
    first = high * span_low + high + ((low * span_low + low) >> SHIFT)
    second = low * span_high + (first & LOW)
    shares: NDArray[Any] = high * span_high + (first >> SHIFT) + (second >> SHIFT)
    return shares


def _bernoulli(distribution: Bernoulli, words: Words) -> NDArray[Any]:
    """Return one for the largest p·2^32 words (upper halves of 64-bit words), else zero."""
    upper = words >> SHIFT if words.dtype == np.uint64 else words
    return (upper.astype(np.uint64) >= np.uint64(distribution.zeros)).astype(words.dtype)


def uniform_interval(distribution: IntervalDistribution, words: Words) -> NDArray[np.float64]:
    """Return numbers uniform on (start, end), each computed from the nearer end."""
    is_upper = words >> np.asarray(8 * words.itemsize - 1, words.dtype) != 0
    scale = 2.0 ** (-8 * words.itemsize)
    step = (np.minimum(words, ~words).astype(np.float64) + 0.5) * scale * distribution.width
    return np.where(is_upper, distribution.end - step, distribution.start + step)


def log_uniform(distribution: LogUniform | SsmDtBias, words: Words) -> NDArray[np.float64]:
    """Return exp of uniform numbers, clamped to min … max."""
    values = elementary.exp(uniform_interval(distribution, words))
    values = np.where(values < distribution.min, distribution.min, values)
    return np.where(values > distribution.max, distribution.max, values)


def _interval(distribution: UniformInterval, words: Words) -> NDArray[Any]:
    return uniform_interval(distribution, words).astype(_working_precision(words))


def _log_uniform(distribution: LogUniform, words: Words) -> NDArray[Any]:
    return log_uniform(distribution, words).astype(_working_precision(words))


def _ssm_dt_bias(distribution: SsmDtBias, words: Words) -> NDArray[Any]:
    return elementary.inverse_softplus(log_uniform(distribution, words)).astype(_working_precision(words))


_SAMPLERS: dict[type, Callable[[Any, Words], NDArray[Any]]] = {
    Constant: _constant,
    Uniform: _uniform,
    Normal: _normal,
    TruncatedNormal: _truncated_normal,
    Integers: _integers,
    Bernoulli: _bernoulli,
    UniformInterval: _interval,
    LogUniform: _log_uniform,
    SsmDtBias: _ssm_dt_bias,
}


def values_of_words(distribution: ElementwiseDistribution, dtype: DType, words: Words) -> NDArray[Any]:
    """Return the values of words in a dtype; narrow ones round the float32 value to nearest, ties to even."""
    if dtype.is_complex:
        parts = _SAMPLERS[type(distribution)](distribution, words.view("<u4"))
        if isinstance(distribution, Constant):
            parts[1::2] = 0
        return parts.view(dtype.numpy_dtype())
    values = _SAMPLERS[type(distribution)](distribution, words)
    if dtype.is_integer:
        return values.astype(f"u{dtype.bits // 8}").view(dtype.numpy_dtype())
    if distribution.is_discrete:
        values = values.view(f"i{values.itemsize}").astype(_working_precision(words))
    if dtype.name == "float8_e8m0fnu":
        return _power_of_two(values).view(dtype.numpy_dtype())
    return values.astype(dtype.numpy_dtype())


def _power_of_two(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the exponents, plus 127, of the powers of two nearest to values of at least 2^-127.

    Of two equally near ones it is the larger. Below 2^-126 a float32 has no implicit bit, and its mantissa counts in
    steps of half the size. (ml_dtypes rounds up from 2^-127·sqrt(2) there.)
    """
    bits = values.view(np.uint32)
    half = np.where(bits < np.uint32(1 << 23), np.uint32(1 << 21), np.uint32(1 << 22))
    return ((bits + half) >> np.uint32(23)).astype(np.uint8)


def sinusoidal(distribution: Sinusoidal, element: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the values of elements of an array [positions, channels]."""
    row, channel = np.divmod(element, np.uint64(distribution.channels))
    channel = channel.astype(np.int64)
    if distribution.interleaved:
        j, quarters = channel >> 1, channel & 1
    else:
        half = distribution.channels // 2
        quarters = (channel >= half).astype(np.int64)
        j = channel - quarters * half
    position: NDArray[np.float64] = (row & np.uint64(ROW_MASK)).astype(np.float64) + distribution.first_position
    return elementary.sine(position * elementary.exp(-(j.astype(np.float64) * distribution.rate)), quarters)


def sinusoidal_elements(distribution: Sinusoidal, element: NDArray[np.uint64], dtype: DType) -> NDArray[Any]:
    """Return the values of elements; narrow dtypes round the float32 value."""
    values = sinusoidal(distribution, element)
    return values if dtype.name == "float64" else values.astype(np.float32).astype(dtype.numpy_dtype())
