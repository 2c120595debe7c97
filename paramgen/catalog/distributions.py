"""Distributions: initializers become these in the plan, with their numbers; all that samplers know.

Each is computed with correctly rounded +, -, ×, ÷ and sqrt only, so that the numbers too are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import Any, ClassVar

from paramgen.catalog.normal_tails import tails

# |quantile| of the standard normal at the extreme words, rounded up: of 2^-33 (32-bit words), of 2^-65 (64-bit words).
LARGEST_NORMAL = {"float64": 9.2}
LARGEST_NORMAL_32 = 6.34
# The least that a truncated normal distribution may keep of the normal one: its tails are float64 numbers.
LEAST_WITHIN = 1e-280
LARGEST_ENTRY = 1 + 2.0**-20  # an entry of an orthogonal matrix may be above 1 by rounding
LARGEST_TRUNCATED = 37.2  # |quantile| of 2^-65 times that, rounded up


@dataclass(frozen=True, slots=True)
class Constant:
    """Every element is `value`."""

    type: ClassVar[str] = "constant"
    value: float

    def largest(self, dtype: str) -> float:
        return abs(self.value)

    def fields(self) -> dict[str, Any]:
        return {"value": self.value}


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform on the open interval (-bound, bound)."""

    type: ClassVar[str] = "uniform"
    bound: float

    def largest(self, dtype: str) -> float:
        return self.bound

    def fields(self) -> dict[str, Any]:
        return {"low": -self.bound, "high": self.bound}


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with `mean` and standard deviation `std`."""

    type: ClassVar[str] = "normal"
    mean: float
    std: float

    def largest(self, dtype: str) -> float:
        return abs(self.mean) + LARGEST_NORMAL.get(dtype, LARGEST_NORMAL_32) * self.std

    def fields(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std}


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """mean + std·Z for a standard normal Z within `low` … `high`, which are in standard deviations.

    ValueError where next to nothing of the normal distribution lies between them.
    """

    type: ClassVar[str] = "truncated_normal"
    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (-inf < self.low < self.high < inf and self.within >= LEAST_WITHIN):
            raise ValueError(f"less than {LEAST_WITHIN:g} of a normal lies in {self.low:g} … {self.high:g}")

    @property
    def below(self) -> float:
        """P(Z < low)."""
        return tails(self.low, self.high)[0]

    @property
    def above(self) -> float:
        """P(Z > high)."""
        return tails(self.low, self.high)[1]

    @property
    def within(self) -> float:
        """P(low < Z < high)."""
        return tails(self.low, self.high)[2]

    def largest(self, dtype: str) -> float:
        farthest = min(max(abs(self.low), abs(self.high)), LARGEST_TRUNCATED)
        return abs(self.mean) + max(farthest, 1.0) * self.std  # std itself must be finite in the dtype, too

    def fields(self) -> dict[str, Any]:
        low, high = self.mean + self.std * self.low, self.mean + self.std * self.high
        return {"mean": self.mean, "std": self.std, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Orthogonal:
    """`gain` times a random matrix with orthonormal columns (rows, if it is wide): one unit of work.

    With several `matrices` the rows are divided into so many, each a random matrix of its own.
    """

    type: ClassVar[str] = "orthogonal"
    gain: float
    matrices: int = 1

    def largest(self, dtype: str) -> float:
        return abs(self.gain) * LARGEST_ENTRY

    def fields(self) -> dict[str, Any]:
        return {"gain": self.gain} | ({"matrices": self.matrices} if self.matrices > 1 else {})

    def submatrices(self, shape: tuple[int, ...]) -> list[MatrixRegion]:
        rows, columns = prod(shape[:-1]) // self.matrices, shape[-1]
        return [MatrixRegion(number * rows * columns, rows, columns) for number in range(self.matrices)]


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal:
    """Zeros, but `gain` times a random matrix with orthonormal rows or columns at `matrix`: one unit of work."""

    type: ClassVar[str] = "delta_orthogonal"
    gain: float
    matrix: MatrixRegion

    def largest(self, dtype: str) -> float:
        return abs(self.gain) * LARGEST_ENTRY

    def fields(self) -> dict[str, Any]:
        return {"gain": self.gain}

    def submatrices(self, shape: tuple[int, ...]) -> list[MatrixRegion]:
        return [self.matrix]


@dataclass(frozen=True, slots=True)
class MatrixRegion:
    """A matrix within an array: rows × columns elements, in C order, from element `first` on."""

    first: int
    rows: int
    columns: int

    @property
    def size(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class PeriodicConstant:
    """Zeros, but `value` at `count` runs of `length` elements, the first of which begins at `first`, each `step` on."""

    type: str
    value: float
    first: int
    length: int
    step: int
    count: int

    def largest(self, dtype: str) -> float:
        return abs(self.value)

    def fields(self) -> dict[str, Any]:
        return {} if self.type == "unit_forget_gate" else {"value": self.value}


def unit_forget_gate(num_hidden_units: int) -> PeriodicConstant:
    """Zeros, but ones at elements H … 2H - 1, the forget gate of an LSTM's bias."""
    return PeriodicConstant("unit_forget_gate", 1.0, num_hidden_units, num_hidden_units, num_hidden_units, 1)


Elementwise = Constant | Uniform | Normal | TruncatedNormal
Matrices = Orthogonal | DeltaOrthogonal
Distribution = Elementwise | Matrices | PeriodicConstant


def describe(distribution: Distribution) -> dict[str, Any]:
    """The distribution as the plan's JSON has it."""
    return {"type": distribution.type, **distribution.fields()}
