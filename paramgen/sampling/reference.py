"""Drawing in NumPy: from distributions to arrays, any range of a parameter alone. Readable first; the oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paramgen.chunks import CHUNK_ELEMENTS
from paramgen.distributions import Constant, Normal, Orthogonal, Uniform, UnitForgetGate
from paramgen.sampling.normal import normal_float32, normal_float64
from paramgen.sampling.orthogonal import DOUBLE, SINGLE, orthogonal
from paramgen.sampling.philox import words, words64

if TYPE_CHECKING:
    from paramgen.plan import Tensor

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


def _constant(law: Constant, stream: Stream, shape: tuple[int, ...], start: int, count: int) -> NDArray[Any]:
    return np.full(count, law.value, stream.float)


def _uniform(law: Uniform, stream: Stream, shape: tuple[int, ...], start: int, count: int) -> NDArray[Any]:
    return (np.float64(law.bound) * stream.signed(start, count)).astype(stream.float)


def _normal(law: Normal, stream: Stream, shape: tuple[int, ...], start: int, count: int) -> NDArray[Any]:
    return stream.float(law.std) * stream.normal(start, count) + stream.float(law.mean)


def _orthogonal(law: Orthogonal, stream: Stream, shape: tuple[int, ...], start: int, count: int) -> NDArray[Any]:
    rows, columns = prod(shape[:-1]), shape[-1]
    try:
        z = np.empty(rows * columns)
    except ValueError:  # beyond what NumPy can address
        raise MemoryError(f"a matrix of {rows} × {columns}") from None
    for first in range(0, z.size, CHUNK_ELEMENTS):
        stop = min(first + CHUNK_ELEMENTS, z.size)
        z[first:stop] = stream.normal(first, stop - first)
    q = orthogonal(z.reshape(rows, columns), law.gain, DOUBLE if stream.double else SINGLE)
    return q.reshape(-1)[start : start + count].astype(stream.float)


def _unit_forget_gate(
    law: UnitForgetGate, stream: Stream, shape: tuple[int, ...], start: int, count: int
) -> NDArray[Any]:
    index = np.arange(start, start + count)
    return ((index >= law.num_hidden_units) & (index < 2 * law.num_hidden_units)).astype(stream.float)


_SAMPLERS: dict[type, Callable[[Any, Stream, tuple[int, ...], int, int], NDArray[Any]]] = {
    Constant: _constant,
    Uniform: _uniform,
    Normal: _normal,
    Orthogonal: _orthogonal,
    UnitForgetGate: _unit_forget_gate,
}


def draw(tensor: Tensor, seed: int, start: int, stop: int) -> NDArray[Any]:
    """Elements start … stop - 1 (C order) of a tensor, as a one-dimensional array of its dtype.

    Narrow types are the float32 value rounded to nearest, ties to even.
    """
    stream = Stream(seed, tensor.stream, tensor.dtype.name == "float64")
    values = _SAMPLERS[type(tensor.distribution)](tensor.distribution, stream, tensor.shape, start, stop - start)
    return values.astype(tensor.dtype.numpy(), copy=False)
