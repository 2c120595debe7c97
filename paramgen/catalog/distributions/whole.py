"""Distributions that are drawn as a whole: orthogonal matrices, and the norms of other parameters."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

from paramgen.catalog.distributions.base import Distribution, WholeDistribution
from paramgen.dtypes import DType
from paramgen.units import format_number

LARGEST_ENTRY = 1 + 2.0**-20  # an entry of an orthogonal matrix may be above 1 by rounding


@dataclass(frozen=True, slots=True)
class MatrixRegion:
    """A matrix within an array: rows × columns elements, in C order, from element `first` on."""

    first: int
    rows: int
    columns: int

    @property
    def size(self) -> int:
        return self.rows * self.columns


class MatrixDistribution(WholeDistribution):
    """Random matrices with orthonormal rows or columns, times `gain`."""

    __slots__ = ()
    gain: float

    @abstractmethod
    def submatrices(self, shape: tuple[int, ...]) -> list[MatrixRegion]:
        """Return the matrices within an array; its other elements are zero."""

    def max_magnitude(self, dtype: str) -> float:
        return abs(self.gain) * LARGEST_ENTRY

    def summary(self) -> str:
        return "orthonormal" if self.gain == 1 else f"orthonormal × {format_number(self.gain)}"

    def brief(self) -> str:
        return "orthonormal" if self.gain == 1 else f"orthonormal × {self.gain:.3g}"


@dataclass(frozen=True, slots=True)
class Orthogonal(MatrixDistribution):
    """`gain` times a random matrix with orthonormal columns (rows, if it is wide).

    With several `matrices` the rows are split evenly into that many independent random matrices.
    """

    type = "orthogonal"
    gain: float
    matrices: int = 1

    def fields(self) -> dict[str, Any]:
        return {"gain": self.gain} | ({"matrices": self.matrices} if self.matrices > 1 else {})

    def submatrices(self, shape: tuple[int, ...]) -> list[MatrixRegion]:
        rows, columns = prod(shape[:-1]) // self.matrices, shape[-1]
        return [MatrixRegion(number * rows * columns, rows, columns) for number in range(self.matrices)]


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal(MatrixDistribution):
    """Zeros, except `gain` times a random matrix with orthonormal rows or columns at `matrix`."""

    type = "delta_orthogonal"
    gain: float
    matrix: MatrixRegion

    def fields(self) -> dict[str, Any]:
        return {"gain": self.gain}

    def submatrices(self, shape: tuple[int, ...]) -> list[MatrixRegion]:
        return [self.matrix]


@dataclass(frozen=True, slots=True)
class Direction:
    """Weights whose norms are a parameter: their distribution, dtype and shape. The norms have their stream."""

    distribution: Distribution
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Norm(WholeDistribution):
    """Norms of a direction's values, as its dtype holds them, over each axis that has size 1 in `shape`.

    The other axes are adjacent, and have the direction's sizes.
    """

    type = "norm"
    direction: Direction
    shape: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, int, int]:
        """Return the direction's sizes before, on and behind the axes that are left."""
        left = [axis for axis, size in enumerate(self.shape) if size > 1]
        first, end = (left[0], left[-1] + 1) if left else (len(self.shape), len(self.shape))
        sizes = self.direction.shape
        return prod(sizes[:first]), prod(sizes[first:end]), prod(sizes[end:])

    def max_magnitude(self, dtype: str) -> float:
        before, _, behind = self.grid
        direction = self.direction
        largest = direction.dtype.round_value(direction.distribution.max_magnitude(direction.dtype.name))
        return sqrt(before * behind * (largest * largest))

    def min_value(self) -> float:
        return 0.0

    def fields(self) -> dict[str, Any]:
        before, _, behind = self.grid
        return {"of": self.direction.distribution.describe(), "elements": before * behind}

    def summary(self) -> str:
        return f"norm of {self.direction.distribution.summary()}"

    def brief(self) -> str:
        return "norm"
