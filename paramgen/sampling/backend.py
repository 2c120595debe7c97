"""The interfaces of a device that draws."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paramgen.catalog.distributions import ElementwiseDistribution
from paramgen.dtypes import DTYPES, DType
from paramgen.errors import DeviceError
from paramgen.sampling.regions import StridedRegion

if TYPE_CHECKING:
    from paramgen.sampling.host import HostBackend

# Files are little-endian, and ml_dtypes' types are in the machine's order only.
if sys.byteorder != "little":
    raise DeviceError("paramgen: needs a little-endian machine, got a big-endian one")

Bytes = NDArray[np.uint8]
Matrix = NDArray[np.float64]
REGION_AXES = 4
# The numbers of dtypes in C.
DTYPE_NUMBERS = {name: number for number, name in enumerate(DTYPES)}


class ElementSource(NamedTuple):
    """The elements of a parameter: values of a stream of random words."""

    distribution: ElementwiseDistribution
    dtype: DType
    seed: int
    stream: int


class MatrixKernels(ABC):
    """The steps of orthogonal matrices on a device.

    Matrices are float64 views with any strides, except `right` and `c` of add_product, whose rows are contiguous.
    """

    max_tile_rows: int
    """The most rows of a matrix that cholesky_tile and solve_triangular take."""
    max_task_size: int
    """The most rows or columns that are worth one task."""
    max_sum_terms: int
    """The most terms of a sum that are worth one call."""

    @property
    @abstractmethod
    def host_backend(self) -> HostBackend:
        """The CPU's backend (self on a CPU)."""

    @abstractmethod
    def zeros(self, rows: int, columns: int) -> Matrix:
        """Allocate a matrix of zeros."""

    @abstractmethod
    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the host in the device's memory."""

    @abstractmethod
    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the device in the host's memory."""

    @abstractmethod
    def diagonal(self, matrix: Matrix) -> Matrix:
        """Return a copy of a matrix's diagonal."""

    @abstractmethod
    def fill_normal(self, seed: int, stream: int, offset: int, is_double: bool, z: Matrix) -> None:
        """Draw standard normal elements offset … of a stream, in C order, from 64-bit (is_double) or 32-bit words."""

    @abstractmethod
    def store_scaled(self, q: Matrix, gain: float, dtype: DType, out: Bytes) -> None:
        """Store gain·q in C order; rounded to float32 first, if the dtype is narrower."""

    @abstractmethod
    def add_product(self, c: Matrix, left: Matrix, right: Matrix, sign: int, upper: bool = False) -> None:
        """Add (sign 1) to c, or subtract (-1), left[k, i]·right[k, j], one k after another; c is at most one task.

        With `upper`, entries below the diagonal of c are ignored.
        """

    @abstractmethod
    def cholesky_tile(self, g: Matrix, diagonal: Matrix, min_ratio: float) -> bool:
        """Replace the upper part of a tile by its Cholesky factor r.

        Return False if an r[k, k]² is not above min_ratio·diagonal[k].
        """

    @abstractmethod
    def solve_triangular(self, r: Matrix, x: Matrix) -> None:
        """Replace x by r⁻ᵀ·x, r an upper triangular tile; a column's sums run over k in order."""


class Backend(MatrixKernels):
    """A device as one thread uses it: its memory, elementwise distributions and matrices.

    Arrays are in the device's memory, of NumPy's type or a similar one. All methods that draw or compute are called
    within activate().
    """

    device: str
    is_thread_safe: bool
    """True if several threads may use it at the same time."""

    @abstractmethod
    def activate(self) -> AbstractContextManager[None]:
        """Make this thread use the device, in the default floating-point mode, and turn its errors into DeviceError."""

    @abstractmethod
    def buffer(self, size: int) -> Bytes:
        """Allocate page-aligned host memory that the device copies to at full speed."""

    @abstractmethod
    def draw_to_host(self, buffer: Bytes, draw: Callable[[Bytes], None]) -> None:
        """Call draw(memory of the device), and leave the result in a buffer of the host."""

    @abstractmethod
    def empty(self, size: int) -> Bytes:
        """Allocate memory of the device; MemoryError or DeviceError if there is too little."""

    @abstractmethod
    def as_array(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        """View bytes as an array; as unsigned integers of the same width, if the device's arrays lack the dtype."""

    @abstractmethod
    def copy(self, out: Bytes, source: Bytes) -> None:
        """Copy from the memory of any device of the same backend."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all started work is done."""

    @abstractmethod
    def fill(self, source: ElementSource, offset: int, out: Bytes) -> None:
        """Draw the elements of a source from `offset` on, as many as fit in `out`."""

    @abstractmethod
    def fill_region(self, source: ElementSource, region: StridedRegion, out: Bytes) -> None:
        """Draw a region of a source."""

    @abstractmethod
    def copy_region(self, data: Bytes, dtype: DType, region: StridedRegion, out: Bytes) -> None:
        """Copy a region of an array."""

    @abstractmethod
    def fill_region_from_table(self, table: Bytes, dtype: DType, run: int, region: StridedRegion, out: Bytes) -> None:
        """Copy a region of the array whose element i is element (i // run) mod n of a table of n elements."""


def c_name(distribution: type[ElementwiseDistribution]) -> str:
    """Return a distribution's name in C: PG_TRUNCATED_NORMAL of TruncatedNormal."""
    return f"PG{re.sub('[A-Z]', lambda capital: f'_{capital[0]}', distribution.__name__).upper()}"


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
