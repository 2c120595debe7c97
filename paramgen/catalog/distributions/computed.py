"""Distributions that compute their values: intervals, logarithms of uniform values, sinusoids and tables of numbers."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, isfinite, sqrt
from typing import Any, ClassVar

from paramgen.catalog.distributions.base import (
    Distribution,
    ElementwiseDistribution,
    Moments,
    exact_range,
)
from paramgen.exact_math import log
from paramgen.units import format_number

# exp and log of kernel.h are specified for normal numbers; this keeps their arguments well inside.
SMALLEST_LOGARITHMIC, LARGEST_LOGARITHMIC = 1e-300, 1e300
# Sine and cosine are specified for angles up to about this; frequencies are at most 1.
LARGEST_POSITION = 2**20
# A frequency exp(-t) is a normal number for smaller t.
LARGEST_EXPONENT = 700.0


class IntervalDistribution(ElementwiseDistribution):
    """Numbers uniform on the open interval (start, end), or a function of these."""

    __slots__ = ()
    kernel_fields: ClassVar[tuple[str, ...]] = ("start", "end", "width")

    @property
    @abstractmethod
    def start(self) -> float: ...

    @property
    @abstractmethod
    def end(self) -> float: ...

    @property
    def width(self) -> float:
        """Return end - start."""
        return self.end - self.start

    def _share(self, x: float) -> float:
        """Return the share of the interval below x."""
        return min(max((x - self.start) / self.width, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class UniformInterval(IntervalDistribution):
    """Uniform on the open interval (low, high), where the two are not opposite numbers."""

    type = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.low < self.high and isfinite(self.width)):
            raise ValueError(f"the interval {self.low:g} … {self.high:g} is empty or too wide")

    @property
    def start(self) -> float:
        return self.low

    @property
    def end(self) -> float:
        return self.high

    def max_magnitude(self, dtype: str) -> float:
        return max(abs(self.low), abs(self.high))

    def min_value(self) -> float:
        return self.low

    def moments(self) -> Moments:
        return Moments((self.low + self.high) / 2, (self.high - self.low) / sqrt(12), 1.8)

    def cumulative(self, x: float) -> float:
        return self._share(x)

    def fields(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}

    def summary(self) -> str:
        return f"uniform {format_number(self.low)} … {format_number(self.high)}"

    def brief(self) -> str:
        return f"{self.low:.3g} … {self.high:.3g}"


@dataclass(frozen=True, slots=True)
class LogUniform(IntervalDistribution):
    """exp of a uniform number between log `low` and log `high`; kernels hold it within `min` … `max`."""

    type = "log_uniform"
    kernel_fields = ("start", "end", "width", "min", "max")
    low: float
    high: float

    def __post_init__(self) -> None:
        _check_logarithmic(self.low, self.high)

    @property
    def start(self) -> float:
        return log(self.low)

    @property
    def end(self) -> float:
        return log(self.high)

    @property
    def min(self) -> float:
        return self.low

    @property
    def max(self) -> float:
        return self.high

    def max_magnitude(self, dtype: str) -> float:
        return self.high

    def min_value(self) -> float:
        return self.low

    def moments(self) -> Moments:
        first, second, third, fourth = (
            (self.high**power - self.low**power) / (power * log(self.high / self.low)) for power in (1, 2, 3, 4)
        )
        variance = second - first**2
        if variance < 1e-6 * second:  # the differences below would lose their digits
            return Moments(first, (self.high - self.low) / sqrt(12), 1.8)
        central = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
        return Moments(first, sqrt(variance), central / variance**2)

    def cumulative(self, x: float) -> float:
        return self._share(log(x)) if x > 0 else 0.0

    def fields(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}

    def summary(self) -> str:
        return f"log-uniform {format_number(self.low)} … {format_number(self.high)}"

    def brief(self) -> str:
        return f"log {self.low:.3g} … {self.high:.3g}"


@dataclass(frozen=True, slots=True)
class SsmDtBias(IntervalDistribution):
    """Inverse softplus of a number that is log-uniform between `low` and `high`, or `floor` if that is larger."""

    type = "ssm_dt_bias"
    kernel_fields = ("start", "end", "width", "min", "max")
    low: float
    high: float
    floor: float

    def __post_init__(self) -> None:
        _check_logarithmic(self.low, self.high)
        if not SMALLEST_LOGARITHMIC <= self.floor <= self.high:
            raise ValueError(f"the floor {self.floor:g} is not between 0 and {self.high:g}")

    @property
    def start(self) -> float:
        return log(self.low)

    @property
    def end(self) -> float:
        return log(self.high)

    @property
    def min(self) -> float:
        """Return the smallest number whose inverse softplus is taken."""
        return max(self.low, self.floor)

    @property
    def max(self) -> float:
        return self.high

    def max_magnitude(self, dtype: str) -> float:
        return max(self.high, abs(log(self.min)))  # inverse softplus lies between log x and x

    def cumulative(self, x: float) -> float:
        step = log(1 + exp(x))
        return self._share(log(step)) if step >= self.min else 0.0

    def fields(self) -> dict[str, Any]:
        return {"min": self.low, "max": self.high, "floor": self.floor}

    def summary(self) -> str:
        return f"inverse softplus of {format_number(self.min)} … {format_number(self.high)}"

    def brief(self) -> str:
        return f"dt {self.min:.3g} … {self.high:.3g}"


@dataclass(frozen=True, slots=True)
class Sinusoidal(ElementwiseDistribution):
    """sin and cos of position·frequency for an array [positions, channels] in C order; no words are used.

    Row i has the position i + first_position, and frequency j is exp(-j·rate). With `interleaved`, sin and cos
    alternate; otherwise all sines come first.
    """

    type = "sinusoidal"
    kernel_fields = ("channels", "interleaved", "first_position", "rate")
    has_complex_values = False
    channels: int
    interleaved: bool
    first_position: float
    rate: float

    def max_magnitude(self, dtype: str) -> float:
        return 1.0

    def fields(self) -> dict[str, Any]:
        return {"interleaved": self.interleaved, "first_position": self.first_position, "rate": self.rate}

    def summary(self) -> str:
        return "sin and cos of positions"

    def brief(self) -> str:
        return "sin and cos"


@dataclass(frozen=True, slots=True)
class Table(Distribution):
    """Given numbers, each repeated `run` times, and all of them again as often as needed.

    Element i is number (i // run) mod n of the n numbers. They are kept as the bytes of an array of doubles, which are
    hashed once.
    """

    type = "table"
    data: bytes
    run: int = 1

    @classmethod
    def of(cls, numbers: Iterable[float], run: int = 1) -> Table:
        """Return the table of some numbers."""
        return cls(array("d", numbers).tobytes(), run)

    @property
    def numbers(self) -> array[float]:
        """Return the numbers."""
        return array("d", self.data)

    def max_magnitude(self, dtype: str) -> float:
        return max(map(abs, self.numbers))

    def min_value(self) -> float:
        return min(self.numbers)

    def integer_range(self) -> tuple[int, int] | None:
        if not all(number.is_integer() for number in self.numbers):
            return None
        return int(min(self.numbers)), int(max(self.numbers))

    def fields(self) -> dict[str, Any]:
        numbers = self.numbers
        return {"low": min(numbers), "high": max(numbers), "length": len(numbers), "run": self.run}

    def summary(self) -> str:
        fields = self.fields()
        return f"{fields['length']:,} in {format_number(fields['low'])} … {format_number(fields['high'])}"

    def brief(self) -> str:
        fields = self.fields()
        return f"{fields['low']:.3g} … {fields['high']:.3g}"


@dataclass(frozen=True, slots=True)
class PeriodicConstant(Distribution):
    """Zeros, except `count` runs of `length` elements of `value`; they begin at `first`, one every `step` elements."""

    type: str  # type: ignore[misc]  # several initializers share this class
    value: float
    first: int
    length: int
    step: int
    count: int

    def max_magnitude(self, dtype: str) -> float:
        return abs(self.value)

    def min_value(self) -> float:
        return min(0.0, self.value)

    def integer_range(self) -> tuple[int, int] | None:
        return exact_range(min(0.0, self.value), max(0.0, self.value))

    def fields(self) -> dict[str, Any]:
        return {} if self.type == "unit_forget_gate" else {"value": self.value}

    def summary(self) -> str:
        if self.type == "unit_forget_gate":
            return "ones for the forget gate"
        return f"{format_number(self.value)} in zeros"

    def brief(self) -> str:
        return f"0 and {self.value:.3g}"


def unit_forget_gate(num_hidden_units: int) -> PeriodicConstant:
    """Return zeros, except ones at elements H … 2H - 1, the forget gate of an LSTM's bias."""
    return PeriodicConstant("unit_forget_gate", 1.0, num_hidden_units, num_hidden_units, num_hidden_units, 1)


def _check_logarithmic(low: float, high: float) -> None:
    if not SMALLEST_LOGARITHMIC <= low < high <= LARGEST_LOGARITHMIC:
        raise ValueError(f"{low:g} … {high:g} is not an interval of {SMALLEST_LOGARITHMIC:g} … 1e300")
