"""The reference: every elementwise distribution in NumPy, readable before fast; the oracle of the kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.computed import LogUniform, Sinusoidal, SsmDtBias, UniformInterval
from paramgen.catalog.distributions import Constant, Elementwise, Normal, TruncatedNormal, Uniform
from paramgen.dtypes import DType
from paramgen.sampling import functions, matrix
from paramgen.sampling.host import HostBackend, view_of_region
from paramgen.sampling.normal import normal_float32, normal_float64, truncated_normal
from paramgen.sampling.philox import join_halves, words, words64, words_at

if TYPE_CHECKING:
    from paramgen.sampling.backend import Bytes
    from paramgen.sampling.regions import StridedRegion

Words = NDArray[np.uint32] | NDArray[np.uint64]


def _float(words: Words) -> type[np.float32] | type[np.float64]:
    """Return the precision that words are computed in: float64 for 64-bit words, else float32."""
    return np.float64 if words.dtype == np.uint64 else np.float32


def symmetric_uniform(words: Words) -> NDArray[np.float64]:
    """Return x uniform on (-1, 1): (i + 1/2)/2^31 (2^63), i the word minus 2^31 (2^63)."""
    if words.dtype == np.uint64:
        return ((words ^ np.uint64(1 << 63)).view(np.int64).astype(np.float64) + 0.5) * 2.0**-63
    return ((words ^ np.uint32(1 << 31)).view(np.int32).astype(np.float64) + 0.5) * 2.0**-31


def normal(words: Words) -> NDArray[Any]:
    """Return standard normal values."""
    return normal_float64(words) if words.dtype == np.uint64 else normal_float32(words)  # type: ignore[arg-type]


def _constant(distribution: Constant, words: Words) -> NDArray[Any]:
    return np.full(words.shape, distribution.value, _float(words))


def _uniform(distribution: Uniform, words: Words) -> NDArray[Any]:
    return (np.float64(distribution.bound) * symmetric_uniform(words)).astype(_float(words))


def _normal(distribution: Normal, words: Words) -> NDArray[Any]:
    return _float(words)(distribution.std) * normal(words) + _float(words)(distribution.mean)


def _truncated(distribution: TruncatedNormal, words: Words) -> NDArray[Any]:
    return _float(words)(distribution.std) * truncated_normal(distribution, words) + _float(words)(distribution.mean)


def _interval(distribution: UniformInterval, words: Words) -> NDArray[Any]:
    return functions.interval(distribution, words).astype(_float(words))


def _log_uniform(distribution: LogUniform, words: Words) -> NDArray[Any]:
    return functions.log_uniform(distribution, words).astype(_float(words))


def _ssm_dt_bias(distribution: SsmDtBias, words: Words) -> NDArray[Any]:
    return functions.inverse_softplus(functions.log_uniform(distribution, words)).astype(_float(words))


_SAMPLERS: dict[type, Callable[[Any, Words], NDArray[Any]]] = {
    Constant: _constant,
    Uniform: _uniform,
    Normal: _normal,
    TruncatedNormal: _truncated,
    UniformInterval: _interval,
    LogUniform: _log_uniform,
    SsmDtBias: _ssm_dt_bias,
}


def _sinusoidal(distribution: Sinusoidal, element: NDArray[np.uint64], dtype: DType) -> NDArray[Any]:
    """Return the values of elements; rounded to float32 first, if the dtype is narrower."""
    values = functions.sinusoidal(distribution, element)
    return values if dtype.name == "float64" else values.astype(np.float32)


class Reference(HostBackend):
    """NumPy as a backend."""

    name = "reference"

    accumulate = staticmethod(matrix.accumulate)
    factor = staticmethod(matrix.factor)
    solve = staticmethod(matrix.solve)
    reflect = staticmethod(matrix.reflect)

    def fill(self, distribution: Elementwise, dtype: DType, seed: int, stream: int, start: int, out: Bytes) -> None:
        """Draw a range of a stream; narrow dtypes round the float32 value to nearest, ties to even."""
        draw = words64 if dtype.name == "float64" else words
        values = out.view(dtype.numpy())
        for first in range(0, len(values), CHUNK_ELEMENTS):
            part = values[first : first + CHUNK_ELEMENTS]
            if isinstance(distribution, Sinusoidal):
                element = np.uint64(start + first) + np.arange(len(part), dtype=np.uint64)
                part[...] = _sinusoidal(distribution, element, dtype)
                continue
            part[...] = _SAMPLERS[type(distribution)](distribution, draw(seed, stream, start + first, len(part)))

    def fill_region(
        self, distribution: Elementwise, dtype: DType, seed: int, stream: int, region: StridedRegion, out: Bytes
    ) -> None:
        element: NDArray[Any] = np.full((), region.offset, np.uint64)
        for size, stride in zip(region.sizes, region.strides, strict=True):
            element = element[..., None] + np.arange(size, dtype=np.uint64) * np.uint64(stride)
        if isinstance(distribution, Sinusoidal):
            view_of_region(out.view(dtype.numpy()), region)[...] = _sinusoidal(distribution, element, dtype)
            return
        if dtype.name == "float64":
            pairs: NDArray[Any] = np.uint64(2) * element[..., None] + np.arange(2, dtype=np.uint64)
            drawn: Words = join_halves(words_at(seed, stream, pairs))
        else:
            drawn = words_at(seed, stream, element)
        values = _SAMPLERS[type(distribution)](distribution, drawn.reshape(-1)).reshape(region.sizes)
        view_of_region(out.view(dtype.numpy()), region)[...] = values
