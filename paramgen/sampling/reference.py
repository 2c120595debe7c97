"""Drawing in NumPy: any range of a stream, for every elementwise distribution. Readable first; the oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paramgen.chunks import CHUNK_ELEMENTS
from paramgen.distributions import Constant, Normal, TruncatedNormal, Uniform
from paramgen.dtypes import DType
from paramgen.sampling import matrix
from paramgen.sampling.host import HostBackend
from paramgen.sampling.normal import normal_float32, normal_float64, truncated
from paramgen.sampling.philox import words, words64

if TYPE_CHECKING:
    from paramgen.sampling.backend import Bytes, Elementwise

# glibc returns a freed block above a threshold to the system, so that each large temporary is paged in anew, at three
# times the cost of its arithmetic; freeing one larger block, never touched, raises that threshold for the process.
np.empty(2**24, np.uint8)


@dataclass(frozen=True, slots=True)
class Stream:
    """A parameter's random numbers, in float64 or in float32 (which the narrower types round)."""

    seed: int
    number: int
    double: bool

    @property
    def float(self) -> type[np.float32] | type[np.float64]:
        return np.float64 if self.double else np.float32

    def words(self, start: int, count: int) -> NDArray[np.uint64] | NDArray[np.uint32]:
        return (words64 if self.double else words)(self.seed, self.number, start, count)

    def signed(self, start: int, count: int) -> NDArray[np.float64]:
        """x = 2u - 1, uniform on (-1, 1): (i + 1/2)/2^31 (2^63) for the word i as a signed integer about its middle."""
        if self.double:
            wide = words64(self.seed, self.number, start, count) ^ np.uint64(1 << 63)
            return (wide.view(np.int64).astype(np.float64) + 0.5) * 2.0**-63
        word = words(self.seed, self.number, start, count) ^ np.uint32(1 << 31)
        return (word.view(np.int32).astype(np.float64) + 0.5) * 2.0**-31

    def normal(self, start: int, count: int) -> NDArray[Any]:
        """Standard normal values."""
        if self.double:
            return normal_float64(words64(self.seed, self.number, start, count))
        return normal_float32(words(self.seed, self.number, start, count))


def _constant(law: Constant, stream: Stream, start: int, count: int) -> NDArray[Any]:
    return np.full(count, law.value, stream.float)


def _uniform(law: Uniform, stream: Stream, start: int, count: int) -> NDArray[Any]:
    return (np.float64(law.bound) * stream.signed(start, count)).astype(stream.float)


def _normal(law: Normal, stream: Stream, start: int, count: int) -> NDArray[Any]:
    return stream.float(law.std) * stream.normal(start, count) + stream.float(law.mean)


def _truncated(law: TruncatedNormal, stream: Stream, start: int, count: int) -> NDArray[Any]:
    return stream.float(law.std) * truncated(law, stream.words(start, count)) + stream.float(law.mean)


_SAMPLERS: dict[type, Callable[[Any, Stream, int, int], NDArray[Any]]] = {
    Constant: _constant,
    Uniform: _uniform,
    Normal: _normal,
    TruncatedNormal: _truncated,
}


class Reference(HostBackend):
    """NumPy as a backend."""

    name = "reference"

    accumulate = staticmethod(matrix.accumulate)
    factor = staticmethod(matrix.factor)
    solve = staticmethod(matrix.solve)
    reflect = staticmethod(matrix.reflect)

    def fill(self, law: Elementwise, dtype: DType, seed: int, stream: int, start: int, out: Bytes) -> None:
        """Narrow types are the float32 value rounded to nearest, ties to even."""
        source = Stream(seed, stream, dtype.name == "float64")
        values = out.view(dtype.numpy())
        for first in range(0, len(values), CHUNK_ELEMENTS):
            part = values[first : first + CHUNK_ELEMENTS]
            part[...] = _SAMPLERS[type(law)](law, source, start + first, len(part))
