"""What draws: a device, as the engine sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import Constant, Elementwise, Normal, TruncatedNormal, Uniform
from paramgen.dtypes import DType
from paramgen.errors import DeviceError
from paramgen.sampling.matrix import Matrix
from paramgen.sampling.regions import StridedRegion

if TYPE_CHECKING:
    from paramgen.sampling.host import HostBackend

# Files are little-endian, and ml_dtypes' types are in the machine's order only.
if sys.byteorder != "little":
    raise DeviceError("paramgen draws on little-endian machines only; this one is big-endian")

Bytes = NDArray[np.uint8]
REGION_AXES = 4


class Backend(Protocol):
    """A device as one thread uses it: the elementwise distributions, and what orthogonal matrices are made of.

    Arrays are in the device's memory: NumPy's, or of the same kind. Matrices are float64 views whose elements may lie
    at any steps, but for `right` and `c` of accumulate, whose rows are contiguous.
    """

    device: str
    shared: bool
    """Whether several threads may use it at the same time."""
    tile: int
    """The largest matrix that factor and solve take."""
    band: int
    """The most rows or columns that are worth one task."""
    depth: int
    """The most terms of each sum that are worth one call."""

    @property
    def host(self) -> HostBackend:
        """Itself, or the CPU's."""

    def current(self) -> AbstractContextManager[None]:
        """Within it this thread works on the device, and whatever the device refuses is a DeviceError."""

    def buffer(self, size: int) -> Bytes:
        """Host memory that starts at a page and that the device copies to at full speed."""

    def through(self, buffer: Bytes, fill: Callable[[Bytes], None]) -> None:
        """What fill puts into the device's memory, in host memory."""

    def empty(self, size: int) -> Bytes: ...

    def shaped(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        """Bytes as an array; of a dtype that the device's arrays lack, of unsigned integers of the same width."""

    def copy(self, out: Bytes, source: Bytes) -> None:
        """From memory of any device of the same backend."""

    def finish(self) -> None:
        """Wait until all that was begun is done."""

    def fill(self, distribution: Elementwise, dtype: DType, seed: int, stream: int, start: int, out: Bytes) -> None:
        """Elements start … of a stream, as many as `out` holds the bytes of."""

    def fill_region(
        self, distribution: Elementwise, dtype: DType, seed: int, stream: int, region: StridedRegion, out: Bytes
    ) -> None:
        """The elements of a stream that are in a region, each to its place in `out`."""

    def take_region(self, source: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        """The elements of `source` that are in a region, each to its place in `out`."""

    def zeros(self, rows: int, columns: int) -> Matrix: ...

    def upload(self, matrix: Matrix) -> Matrix: ...

    def download(self, matrix: Matrix) -> Matrix: ...

    def diagonal(self, matrix: Matrix) -> Matrix:
        """A copy of it."""

    def normal(self, seed: int, stream: int, start: int, double: bool, z: Matrix) -> None:
        """Standard normal elements start … of a stream, in C order, of 64-bit words (double) or of 32-bit words."""

    def round(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        """gain·q in C order, in a dtype; in float32 before it is in a narrower one."""

    def accumulate(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        """Add (sign 1) to c, or subtract (-1), left[k, i]·right[k, j], one k after another; c is at most a band.

        With `upper`, what lies below c's diagonal is of no account.
        """

    def factor(self, g: Matrix, diagonal: Matrix, dependent: float) -> bool:
        """The Cholesky factor of a tile, in its upper part; False if an r[k, k]² is not above dependent·diagonal[k]."""

    def solve(self, r: Matrix, x: Matrix) -> None:
        """x becomes r⁻ᵀ·x, for a tile r, upper triangular: a column's sums run over k in order."""


def distribution_numbers(distribution: Elementwise) -> tuple[str, list[float]]:
    """A distribution's name in kernel.h, and its own numbers in the order that they have there."""
    match distribution:
        case Constant():
            return "PG_CONSTANT", [distribution.value]
        case Uniform():
            return "PG_UNIFORM", [distribution.bound]
        case Normal():
            return "PG_NORMAL", [distribution.mean, distribution.std]
        case TruncatedNormal():
            return "PG_TRUNCATED", [
                distribution.mean,
                distribution.std,
                distribution.low,
                distribution.high,
                distribution.below,
                distribution.above,
                distribution.within,
            ]


def axes_of(region: StridedRegion) -> list[tuple[int, int, int]]:
    """A region's axes, each its size, stride and place, those with near places last."""
    return sorted(zip(region.sizes, region.strides, region.out_strides, strict=True), key=lambda axis: -abs(axis[2]))


def padded(axes: list[tuple[int, int, int]]) -> list[list[int]]:
    """The sizes, the strides and the places of REGION_AXES axes, the first of which are of no account."""
    whole = [(1, 0, 0)] * (REGION_AXES - len(axes)) + axes
    assert len(whole) == REGION_AXES
    return [[axis[i] for axis in whole] for i in range(3)]
