"""The base of the distributions, and the judgement whether a dtype can hold their values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import Any, ClassVar, NamedTuple

from paramgen.dtypes import DType
from paramgen.units import format_number

# A larger integer may have been rounded to a float. Integers, which are not floats, have no such limit.
LARGEST_EXACT_INTEGER = 2**53 - 1


class Moments(NamedTuple):
    """The mean, the standard deviation and the kurtosis (3 for a normal distribution) of independent values."""

    mean: float
    std: float
    kurtosis: float = 3.0


class Distribution(ABC):
    """The values of a parameter, with all numbers known. Subclasses are frozen, so equal ones are interchangeable."""

    __slots__ = ()
    type: ClassVar[str]
    has_complex_values: ClassVar[bool] = True
    """False if a complex dtype is refused: the values are real by definition."""
    is_discrete: ClassVar[bool] = False
    """True if the values are integers, which a dtype must hold exactly."""

    @abstractmethod
    def max_magnitude(self, dtype: str) -> float:
        """Return a number that no value in a dtype exceeds in magnitude."""

    def min_value(self) -> float:
        """Return a number that no value in float32 or a narrower dtype is below."""
        return -self.max_magnitude("float32")

    def moments(self) -> Moments | None:
        """Return the moments of its values; None if they depend on each other or on their place."""
        return None

    def cumulative(self, x: float) -> float | None:
        """Return the probability of values below x, for display; None if the values are not drawn from a density."""
        return None

    def integer_range(self) -> tuple[int, int] | None:
        """Return the smallest and the largest value if all values are integers, else None."""
        return None

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """Return its numbers as the plan's JSON has them."""

    @abstractmethod
    def summary(self) -> str:
        """Return its values in a few words, for tables."""

    def brief(self) -> str:
        """Return its values in about 15 characters, for trees."""
        return self.summary()

    def describe(self) -> dict[str, Any]:
        """Return the distribution as it appears in the plan's JSON."""
        return {"type": self.type, **self.fields()}

    def why_unsupported(self, dtype: DType) -> str | None:
        """Return why a dtype cannot hold its values, as the predicate of a sentence, or None."""
        if dtype.is_complex and not self.has_complex_values:
            return f"cannot be {dtype.name}: its values are real; choose a floating-point dtype"
        low: float
        high: float
        if dtype.is_integer:
            integers = self.integer_range()
            if integers is None:
                return f"must be integers to fit {dtype.name}, got {self.summary()}; choose a floating-point dtype"
            low, high = integers
        else:
            high = self.max_magnitude(dtype.name)
            low = -high if dtype.min < 0 else self.min_value()
        return self._why_out_of_range(low, high, dtype)

    def _why_out_of_range(self, low: float, high: float, dtype: DType) -> str | None:
        """Return why a dtype cannot hold values from low to high, or None."""
        largest = max(abs(low), abs(high))
        if not self.is_discrete and dtype.is_integer and dtype.max > LARGEST_EXACT_INTEGER < largest:
            problem = f"must be at most {LARGEST_EXACT_INTEGER:,} in magnitude, because constants are float64"
            got = format_number(float(largest))
            return f"{problem}, got {got}; choose smaller values, or integers with low and high equal"
        if high > dtype.max:
            fix = "choose smaller values" if dtype.name == "float64" else "choose a wider dtype or smaller values"
            got = _text(high) if _text(high) != _text(dtype.max) else repr(high)
            return f"must be at most {_text(dtype.max)} to fit {dtype.name}, got values up to {got}; {fix}"
        if low < dtype.min:
            problem = f"must be at least {_text(dtype.min)} to fit {dtype.name}, got values down to {_text(low)}"
            return f"{problem}; choose another dtype or larger values"
        if self.is_discrete and not dtype.is_integer and high > 2**dtype.significant_bits:
            problem = f"must be exact in {dtype.name}, got values up to {_text(high)}"
            return f"{problem}; choose an integer dtype or a wider one"
        return None


class ElementwiseDistribution(Distribution):
    """A distribution whose elements are drawn one by one, each from its own random word or its index."""

    __slots__ = ()
    kernel_fields: ClassVar[tuple[str, ...]]
    """The numbers that kernels take, as attributes, in C's order."""


class WholeDistribution(Distribution):
    """A distribution whose elements depend on each other: one unit of work."""

    __slots__ = ()
    has_complex_values = False


def exact_range(low: float, high: float) -> tuple[int, int] | None:
    """Return two numbers as integers; None if one of them is not an integer."""
    return (int(low), int(high)) if low.is_integer() and high.is_integer() else None


def _text(value: float) -> str:
    if value == inf:
        return "infinity"
    return f"{value:,}" if isinstance(value, int) else format_number(value)
