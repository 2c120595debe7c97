"""The interface of a device that draws."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import ElementwiseDistribution
from paramgen.dtypes import DType
from paramgen.errors import DeviceError
from paramgen.sampling.matrix import Matrix
from paramgen.sampling.regions import StridedRegion

if TYPE_CHECKING:
    from paramgen.sampling.host import HostBackend

# Files are little-endian, and ml_dtypes' types are in the machine's order only.
if sys.byteorder != "little":
    raise DeviceError("paramgen: needs a little-endian machine, got a big-endian one")

Bytes = NDArray[np.uint8]
REGION_AXES = 4


class Backend(Protocol):
    """A device as one thread uses it: elementwise distributions, and the steps of orthogonal matrices.

    Arrays are in the device's memory, of NumPy's type or a similar one. Matrices are float64 views with any strides,
    except `right` and `c` of add_product, whose rows are contiguous. All methods that draw or compute are called within
    activate().
    """

    device: str
    is_thread_safe: bool
    """True if several threads may use it at the same time."""
    max_tile_rows: int
    """The most rows of a matrix that cholesky_tile and solve_triangular take."""
    max_task_size: int
    """The most rows or columns that are worth one task."""
    max_sum_terms: int
    """The most terms of a sum that are worth one call."""

    @property
    def host_backend(self) -> HostBackend:
        """The CPU's backend: this one, if it is that."""

    def activate(self) -> AbstractContextManager[None]:
        """Make the device this thread's, set the default floating-point mode, and turn refusals into DeviceError."""

    def buffer(self, size: int) -> Bytes:
        """Allocate page-aligned host memory that the device copies to at full speed."""

    def draw_to_host(self, buffer: Bytes, draw: Callable[[Bytes], None]) -> None:
        """Call draw(memory of the device), and leave the result in a buffer of the host."""

    def empty(self, size: int) -> Bytes:
        """Allocate memory of the device; MemoryError or DeviceError if there is too little."""

    def as_array(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        """View bytes as an array; as unsigned integers of the same width, if the device's arrays lack the dtype."""

    def copy(self, out: Bytes, source: Bytes) -> None:
        """Copy from the memory of any device of the same backend."""

    def synchronize(self) -> None:
        """Wait for all work that was begun."""

    def fill(
        self, distribution: ElementwiseDistribution, dtype: DType, seed: int, stream: int, start: int, out: Bytes
    ) -> None:
        """Draw the elements of a stream from `start` on, as many as fit in `out`."""

    def fill_region(
        self,
        distribution: ElementwiseDistribution,
        dtype: DType,
        seed: int,
        stream: int,
        region: StridedRegion,
        out: Bytes,
    ) -> None:
        """Draw a region of a stream."""

    def copy_region(self, source: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        """Copy a region of an array."""

    def fill_region_from_table(self, table: Bytes, dtype: DType, run: int, region: StridedRegion, out: Bytes) -> None:
        """Copy a region of the array whose element i is element (i // run) mod n of a table of n elements."""

    def zeros(self, rows: int, columns: int) -> Matrix:
        """Allocate a matrix of zeros."""

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the host in the device's memory."""

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the device in the host's memory."""

    def diagonal(self, matrix: Matrix) -> Matrix:
        """Return a copy of a matrix's diagonal."""

    def fill_normal(self, seed: int, stream: int, start: int, is_double: bool, z: Matrix) -> None:
        """Draw standard normal elements start … of a stream, in C order, from 64-bit (double) or 32-bit words."""

    def store_scaled(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        """Store gain·q in C order; rounded to float32 first, if the dtype is narrower."""

    def add_product(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        """Add (sign 1) to c, or subtract (-1), left[k, i]·right[k, j], one k after another; c is at most one task.

        With `upper`, entries below the diagonal of c are ignored.
        """

    def cholesky_tile(self, g: Matrix, diagonal: Matrix, min_ratio: float) -> bool:
        """Replace the upper part of a tile by its Cholesky factor r.

        Return False if an r[k, k]² is not above min_ratio·diagonal[k].
        """

    def solve_triangular(self, r: Matrix, x: Matrix) -> None:
        """Replace x by r⁻ᵀ·x, r an upper triangular tile; a column's sums run over k in order."""


def c_name(distribution: type[ElementwiseDistribution]) -> str:
    """Return a distribution's name in C: PG_TRUNCATED_NORMAL of TruncatedNormal."""
    return f"PG{re.sub('[A-Z]', lambda found: f'_{found[0]}', distribution.__name__).upper()}"


def kernel_arguments(distribution: ElementwiseDistribution) -> tuple[str, list[float]]:
    """Return a distribution's name in C, and its numbers in C's order."""
    numbers = [float(getattr(distribution, field)) for field in distribution.kernel_fields]
    return c_name(type(distribution)), numbers


Axis = tuple[int, int, int]


def axes_by_out_stride(region: StridedRegion) -> list[Axis]:
    """Return a region's axes as (size, stride, out_stride), the smallest out_stride last."""
    return sorted(zip(region.sizes, region.strides, region.out_strides, strict=True), key=lambda axis: -abs(axis[2]))


def pad_to_region_axes(axes: list[Axis]) -> list[list[int]]:
    """Return the sizes, strides and out_strides of REGION_AXES axes, with axes of size 1 before the given ones."""
    padded = [(1, 0, 0)] * (REGION_AXES - len(axes)) + axes
    assert len(padded) == REGION_AXES
    return [[axis[i] for axis in padded] for i in range(3)]
