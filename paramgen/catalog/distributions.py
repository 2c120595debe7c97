"""Distributions: what initializers become in the plan, with their numbers. Samplers know nothing else.

Their numbers are computed with correctly rounded +, -, ×, ÷ and sqrt only, so they are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod, sqrt
from typing import Any, ClassVar, assert_never

from paramgen.catalog.computed import (
    LARGEST_EXACT_INTEGER,
    LogUniform,
    Sinusoidal,
    SsmDtBias,
    Table,
    UniformInterval,
)
from paramgen.catalog.normal_tails import tails
from paramgen.dtypes import DType
from paramgen.formatting import format_number

# |quantile| of the standard normal at the extreme words, rounded up: of 2^-33 (32-bit words), of 2^-65 (64-bit words).
LARGEST_NORMAL = {"float64": 9.2}
LARGEST_NORMAL_32 = 6.34
# Smallest allowed probability mass between the limits: the tails are float64 numbers.
SMALLEST_MASS = 1e-280
LARGEST_ENTRY = 1 + 2.0**-20  # an entry of an orthogonal matrix may be above 1 by rounding
FLOAT32_ERROR = 4e-6  # of a normal value, relative to the largest
LOW_HALF = 2**32 - 1
LARGEST_TRUNCATED = 37.2  # |quantile| of 2^-65 times that, rounded up


@dataclass(frozen=True, slots=True)
class Constant:
    """Every element is `value`."""

    type: ClassVar[str] = "constant"
    value: float

    def largest(self, dtype: str) -> float:
        return abs(self.value)

    def integer_range(self) -> tuple[int, int] | None:
        return _integer_range(self.value, self.value)

    def fields(self) -> dict[str, Any]:
        return {"value": self.value}


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform on the open interval (-bound, bound)."""

    type: ClassVar[str] = "uniform"
    bound: float

    def largest(self, dtype: str) -> float:
        return self.bound

    def integer_range(self) -> None:
        return None

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

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std}


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """mean + std·Z for a standard normal Z within `low` … `high`, which are in standard deviations.

    Raise ValueError if there is almost no probability mass between them.
    """

    type: ClassVar[str] = "truncated_normal"
    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (-inf < self.low < self.high < inf and self.within >= SMALLEST_MASS):
            raise ValueError(f"almost no probability mass between low={self.low:g} and high={self.high:g}")

    @property
    def below(self) -> float:
        """Return P(Z < low)."""
        return tails(self.low, self.high)[0]

    @property
    def above(self) -> float:
        """Return P(Z > high)."""
        return tails(self.low, self.high)[1]

    @property
    def within(self) -> float:
        """Return P(low < Z < high)."""
        return tails(self.low, self.high)[2]

    def largest(self, dtype: str) -> float:
        farthest = min(max(abs(self.low), abs(self.high)), LARGEST_TRUNCATED)
        return abs(self.mean) + max(farthest, 1.0) * self.std  # std itself must be finite in the dtype, too

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        low, high = self.mean + self.std * self.low, self.mean + self.std * self.high
        return {"mean": self.mean, "std": self.std, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Integers:
    """The integers from `low` to `high`, both included, equally likely."""

    type: ClassVar[str] = "integers"
    low: int
    high: int

    def largest(self, dtype: str) -> float:
        return max(abs(self.low), abs(self.high))

    def integer_range(self) -> tuple[int, int]:
        return self.low, self.high

    def fields(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}

    # Kernels take low and high - low, modulo 2^64, in halves that a float holds exactly.

    @property
    def start_low(self) -> float:
        return float(self.low & LOW_HALF)

    @property
    def start_high(self) -> float:
        return float(self.low >> 32 & LOW_HALF)

    @property
    def span_low(self) -> float:
        return float(self.high - self.low & LOW_HALF)

    @property
    def span_high(self) -> float:
        return float(self.high - self.low >> 32 & LOW_HALF)


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """One with probability `p`, else zero."""

    type: ClassVar[str] = "bernoulli"
    p: float

    def largest(self, dtype: str) -> float:
        return 1.0

    def integer_range(self) -> tuple[int, int]:
        return 0, 1

    def fields(self) -> dict[str, Any]:
        return {"p": self.p}

    @property
    def zeros(self) -> float:
        """Return how many of the 2^32 words become zero, the smallest ones."""
        return float(2**32 - round(self.p * 2**32))


@dataclass(frozen=True, slots=True)
class Orthogonal:
    """`gain` times a random matrix with orthonormal columns (rows, if it is wide): one unit of work.

    With several `matrices` the rows are split evenly into that many independent random matrices.
    """

    type: ClassVar[str] = "orthogonal"
    gain: float
    matrices: int = 1

    def largest(self, dtype: str) -> float:
        return abs(self.gain) * LARGEST_ENTRY

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        return {"gain": self.gain} | ({"matrices": self.matrices} if self.matrices > 1 else {})

    def submatrices(self, shape: tuple[int, ...]) -> list[MatrixRegion]:
        rows, columns = prod(shape[:-1]) // self.matrices, shape[-1]
        return [MatrixRegion(number * rows * columns, rows, columns) for number in range(self.matrices)]


@dataclass(frozen=True, slots=True)
class DeltaOrthogonal:
    """Zeros, except `gain` times a random matrix with orthonormal rows or columns at `matrix`: one unit of work."""

    type: ClassVar[str] = "delta_orthogonal"
    gain: float
    matrix: MatrixRegion

    def largest(self, dtype: str) -> float:
        return abs(self.gain) * LARGEST_ENTRY

    def integer_range(self) -> None:
        return None

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
    """Zeros, except `count` runs of `length` elements of `value`; they begin at `first`, one every `step` elements."""

    type: str
    value: float
    first: int
    length: int
    step: int
    count: int

    def largest(self, dtype: str) -> float:
        return abs(self.value)

    def integer_range(self) -> tuple[int, int] | None:
        return _integer_range(min(0.0, self.value), max(0.0, self.value))

    def fields(self) -> dict[str, Any]:
        return {} if self.type == "unit_forget_gate" else {"value": self.value}


@dataclass(frozen=True, slots=True)
class Direction:
    """Weights whose norms are a parameter: their distribution, dtype and shape. The norms have their stream."""

    distribution: Distribution
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Norm:
    """Norms of a direction's values, as its dtype holds them, over each axis that has size 1 in `shape`.

    The other axes are adjacent, and have the direction's sizes.
    """

    type: ClassVar[str] = "norm"
    direction: Direction
    shape: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, int, int]:
        """Return the direction's sizes before, on and behind the axes that are left."""
        left = [axis for axis, size in enumerate(self.shape) if size > 1]
        first, end = (left[0], left[-1] + 1) if left else (len(self.shape), len(self.shape))
        sizes = self.direction.shape
        return prod(sizes[:first]), prod(sizes[first:end]), prod(sizes[end:])

    def largest(self, dtype: str) -> float:
        before, _, behind = self.grid
        of = self.direction
        one = of.dtype.round(of.distribution.largest(of.dtype.name))
        return sqrt(before * behind * (one * one))

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        before, _, behind = self.grid
        return {"of": describe(self.direction.distribution), "elements": before * behind}


def unit_forget_gate(num_hidden_units: int) -> PeriodicConstant:
    """Return zeros, except ones at elements H … 2H - 1, the forget gate of an LSTM's bias."""
    return PeriodicConstant("unit_forget_gate", 1.0, num_hidden_units, num_hidden_units, num_hidden_units, 1)


DISCRETE = (Integers, Bernoulli)
ElementwiseDistribution = (
    Constant
    | Uniform
    | Normal
    | TruncatedNormal
    | Integers
    | Bernoulli
    | UniformInterval
    | LogUniform
    | SsmDtBias
    | Sinusoidal
)
MatrixDistribution = Orthogonal | DeltaOrthogonal
Distribution = ElementwiseDistribution | MatrixDistribution | PeriodicConstant | Table | Norm


def _integer_range(low: float, high: float) -> tuple[int, int] | None:
    exact = all(value.is_integer() and abs(value) <= LARGEST_EXACT_INTEGER for value in (low, high))
    return (int(low), int(high)) if exact else None


def why_unsupported(distribution: Distribution, dtype: DType) -> str | None:
    """Return why a dtype cannot hold the values of a distribution, as the predicate of a sentence, or None."""
    low: float
    high: float
    if dtype.is_complex and isinstance(distribution, (*DISCRETE, Orthogonal, DeltaOrthogonal, Sinusoidal, Norm)):
        return f"has real values, which is not what {dtype.name} is for; choose a floating-point dtype"
    if dtype.is_integer:
        found = distribution.integer_range()
        if found is None:
            return f"has values that {dtype.name} cannot hold exactly; choose a floating-point dtype"
        low, high = found
    else:
        high = distribution.largest(dtype.name)
        low = -high if dtype.smallest < 0 else _lowest(distribution)
    if high > dtype.largest:
        fix = "choose smaller values" if dtype.name == "float64" else "choose a wider dtype or smaller values"
        return f"must be at most {_text(dtype.largest)} to fit {dtype.name}, got values up to {_text(high)}; {fix}"
    if low < dtype.smallest:
        problem = f"must be at least {_text(dtype.smallest)} to fit {dtype.name}, got values down to {_text(low)}"
        return f"{problem}; choose another dtype or larger values"
    if isinstance(distribution, DISCRETE) and not dtype.is_integer and high > 2**dtype.precision:
        return f"must be exact in {dtype.name}, got values up to {_text(high)}; choose an integer dtype or a wider one"
    return None


def _lowest(distribution: Distribution) -> float:
    """Return a lower bound of the values in a dtype narrower than float32."""
    low = 0.0
    match distribution:
        case Constant(value):
            low = value
        case Normal(mean, std):
            low = mean - LARGEST_NORMAL_32 * std - FLOAT32_ERROR * distribution.largest("float32")
        case TruncatedNormal(mean, std, bound):
            low = mean + std * bound - FLOAT32_ERROR * distribution.largest("float32")
        case Integers(bound) | UniformInterval(bound) | LogUniform(bound):
            low = bound
        case Table():
            low = min(distribution.numbers)
        case Bernoulli() | PeriodicConstant() | Norm():
            low = 0.0
        case Uniform() | Orthogonal() | DeltaOrthogonal() | SsmDtBias() | Sinusoidal():
            low = -distribution.largest("float32")
        case _:
            assert_never(distribution)
    return low


def _text(value: float) -> str:
    if value == inf:
        return "infinity"
    return f"{value:,}" if isinstance(value, int) else format_number(value)


def describe(distribution: Distribution) -> dict[str, Any]:
    """Return the distribution as it appears in the plan's JSON."""
    return {"type": distribution.type, **distribution.fields()}
