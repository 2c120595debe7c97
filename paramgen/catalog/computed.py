"""Distributions whose values are computed: intervals, logarithms of uniform values, sinusoids and tables of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, ClassVar

# An integer beyond it may have been rounded to a float.
LARGEST_EXACT_INTEGER = 2**53 - 1
# exp and log of kernel.h are specified for normal numbers; this keeps their arguments well inside.
SMALLEST_LOGARITHMIC, LARGEST_LOGARITHMIC = 1e-300, 1e300
# Sine and cosine are specified for angles up to about this; frequencies are at most 1.
LARGEST_POSITION = 2**20
# A frequency exp(-t) is a normal number for smaller t.
LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, slots=True)
class UniformInterval:
    """Uniform on the open interval (lower, upper), where the two are not opposite numbers."""

    type: ClassVar[str] = "uniform"
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (self.lower < self.upper and isfinite(self.width)):
            raise ValueError(f"the interval {self.lower:g} … {self.upper:g} is empty or too wide")

    @property
    def width(self) -> float:
        """Return upper - lower."""
        return self.upper - self.lower

    def largest(self, dtype: str) -> float:
        return max(abs(self.lower), abs(self.upper))

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        return {"low": self.lower, "high": self.upper}


@dataclass(frozen=True, slots=True)
class LogUniform:
    """exp of a uniform number between log `least` and log `most`."""

    type: ClassVar[str] = "log_uniform"
    least: float
    most: float

    def __post_init__(self) -> None:
        _check_logarithmic(self.least, self.most)

    @property
    def lower(self) -> float:
        """Return log least."""
        return log(self.least)

    @property
    def upper(self) -> float:
        """Return log most."""
        return log(self.most)

    @property
    def width(self) -> float:
        """Return the difference of the logarithms."""
        return self.upper - self.lower

    def largest(self, dtype: str) -> float:
        return self.most

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        return {"low": self.least, "high": self.most}


@dataclass(frozen=True, slots=True)
class SsmDtBias:
    """Inverse softplus of a number that is log-uniform between `low` and `most`, or `floor` if that is larger."""

    type: ClassVar[str] = "ssm_dt_bias"
    low: float
    most: float
    floor: float

    def __post_init__(self) -> None:
        _check_logarithmic(self.low, self.most)
        if not SMALLEST_LOGARITHMIC <= self.floor <= self.most:
            raise ValueError(f"the floor {self.floor:g} is not between 0 and {self.most:g}")

    @property
    def least(self) -> float:
        """Return the smallest number whose inverse softplus is taken."""
        return max(self.low, self.floor)

    @property
    def lower(self) -> float:
        """Return log low."""
        return log(self.low)

    @property
    def upper(self) -> float:
        """Return log most."""
        return log(self.most)

    @property
    def width(self) -> float:
        """Return the difference of the logarithms."""
        return self.upper - self.lower

    def largest(self, dtype: str) -> float:
        return max(self.most, abs(log(self.least)))  # inverse softplus lies between log x and x

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        return {"min": self.low, "max": self.most, "floor": self.floor}


@dataclass(frozen=True, slots=True)
class Sinusoidal:
    """sin and cos of position·frequency for an array [positions, channels] in C order; no words are used.

    Row i has the position i + first_position, and frequency j is exp(-j·rate). With `interleaved`, sin and cos
    alternate; otherwise all sines come first.
    """

    type: ClassVar[str] = "sinusoidal"
    channels: int
    interleaved: bool
    first_position: float
    rate: float

    def largest(self, dtype: str) -> float:
        return 1.0

    def integer_range(self) -> None:
        return None

    def fields(self) -> dict[str, Any]:
        return {"interleaved": self.interleaved, "first_position": self.first_position, "rate": self.rate}


@dataclass(frozen=True, slots=True)
class Table:
    """Given numbers, each repeated `run` times, and all of them again as often as needed.

    Element i is number (i // run) mod n of the n numbers. They are kept as the bytes of an array of doubles, which are
    hashed once.
    """

    type: ClassVar[str] = "table"
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

    def largest(self, dtype: str) -> float:
        return max(map(abs, self.numbers))

    def integer_range(self) -> tuple[int, int] | None:
        if not all(number.is_integer() and abs(number) <= LARGEST_EXACT_INTEGER for number in self.numbers):
            return None
        return int(min(self.numbers)), int(max(self.numbers))

    def fields(self) -> dict[str, Any]:
        numbers = self.numbers
        return {"low": min(numbers), "high": max(numbers), "length": len(numbers), "run": self.run}


@lru_cache(maxsize=256)
def log(x: float) -> float:
    """Return the natural logarithm, correctly rounded."""
    from decimal import Context, Decimal

    # A logarithm near zero of a double near one has at least 1e-16, and loses 16 of the digits.
    return float(Decimal(x).ln(Context(prec=50)))


def _check_logarithmic(least: float, most: float) -> None:
    if not SMALLEST_LOGARITHMIC <= least < most <= LARGEST_LOGARITHMIC:
        raise ValueError(f"{least:g} … {most:g} is not an interval of {SMALLEST_LOGARITHMIC:g} … 1e300")
