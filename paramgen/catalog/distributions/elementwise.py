"""Constants, uniform and normal distributions, and distributions of integers."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, inf, pi, sqrt
from typing import Any

from paramgen.catalog.distributions.base import ElementwiseDistribution, Moments, exact_range
from paramgen.catalog.normal_tails import tail_probabilities
from paramgen.units import format_number

# By the bits of a random word: |quantile| of the standard normal at the extreme words, 2^-33 and 2^-65, rounded up.
MAX_NORMAL_QUANTILE = {32: 6.34, 64: 9.2}
# |quantile| of 2^-65 times the smallest allowed probability mass, rounded up.
LARGEST_TRUNCATED = 37.2
# Smallest allowed probability mass between the limits: the tails are float64 numbers.
SMALLEST_MASS = 1e-280
# Error of a normal value in float32, relative to the largest one.
FLOAT32_ERROR = 4e-6
LOW_HALF = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Constant(ElementwiseDistribution):
    """Every element is `value`."""

    type = "constant"
    kernel_fields = ("value",)
    value: float

    def max_magnitude(self, dtype: str) -> float:
        return abs(self.value)

    def min_value(self) -> float:
        return self.value

    def integer_range(self) -> tuple[int, int] | None:
        return exact_range(self.value, self.value)

    def moments(self) -> Moments:
        return Moments(self.value, 0.0)

    def fields(self) -> dict[str, Any]:
        return {"value": self.value}

    def summary(self) -> str:
        return format_number(self.value)

    def brief(self) -> str:
        return f"{self.value:.3g}"


@dataclass(frozen=True, slots=True)
class Uniform(ElementwiseDistribution):
    """Uniform on the open interval (-bound, bound)."""

    type = "uniform"
    kernel_fields = ("bound",)
    bound: float

    def max_magnitude(self, dtype: str) -> float:
        return self.bound

    def moments(self) -> Moments:
        return Moments(0.0, self.bound / sqrt(3), 1.8)

    def cumulative(self, x: float) -> float:
        return _clamp((x + self.bound) / (2 * self.bound))

    def fields(self) -> dict[str, Any]:
        return {"low": -self.bound, "high": self.bound}

    def summary(self) -> str:
        return f"uniform ±{format_number(self.bound)}"

    def brief(self) -> str:
        return f"±{self.bound:.3g}"


@dataclass(frozen=True, slots=True)
class Normal(ElementwiseDistribution):
    """Normal with `mean` and standard deviation `std`."""

    type = "normal"
    kernel_fields = ("mean", "std")
    mean: float
    std: float

    def max_magnitude(self, dtype: str) -> float:
        return abs(self.mean) + MAX_NORMAL_QUANTILE[64 if dtype == "float64" else 32] * self.std

    def min_value(self) -> float:
        return self.mean - MAX_NORMAL_QUANTILE[32] * self.std - FLOAT32_ERROR * self.max_magnitude("float32")

    def moments(self) -> Moments:
        return Moments(self.mean, self.std)

    def cumulative(self, x: float) -> float:
        return erfc((self.mean - x) / (self.std * sqrt(2))) / 2 if self.std else float(x > self.mean)

    def fields(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std}

    def summary(self) -> str:
        return f"normal {format_number(self.mean)}, std {format_number(self.std)}"

    def brief(self) -> str:
        return f"std {self.std:.3g}" if self.mean == 0 else f"{self.mean:.3g}, std {self.std:.3g}"


@dataclass(frozen=True, slots=True)
class TruncatedNormal(ElementwiseDistribution):
    """mean + std·Z for a standard normal Z within `low` … `high`, which are in standard deviations.

    Raises ValueError if there is almost no probability mass between them.
    """

    type = "truncated_normal"
    kernel_fields = ("mean", "std", "low", "high", "below", "above", "within")
    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (-inf < self.low < self.high < inf and self.within >= SMALLEST_MASS):
            raise ValueError(f"almost no probability mass between low={self.low:g} and high={self.high:g}")

    @property
    def below(self) -> float:
        """P(Z < low)."""
        return tail_probabilities(self.low, self.high)[0]

    @property
    def above(self) -> float:
        """P(Z > high)."""
        return tail_probabilities(self.low, self.high)[1]

    @property
    def within(self) -> float:
        """P(low < Z < high)."""
        return tail_probabilities(self.low, self.high)[2]

    def max_magnitude(self, dtype: str) -> float:
        farthest = min(max(abs(self.low), abs(self.high)), LARGEST_TRUNCATED)
        return abs(self.mean) + max(farthest, 1.0) * self.std  # std itself must be finite in the dtype, too

    def min_value(self) -> float:
        return self.mean + self.std * self.low - FLOAT32_ERROR * self.max_magnitude("float32")

    def moments(self) -> Moments:
        low, high = _normal_density(self.low), _normal_density(self.high)
        shift = (low - high) / self.within
        variance = 1 + (self.low * low - self.high * high) / self.within - shift * shift
        kurtosis = 3.0 if self.low == -self.high else 9.0  # upper bounds: a far tail is nearly exponential
        return Moments(self.mean + self.std * shift, self.std * sqrt(max(variance, 0.0)), kurtosis)

    def cumulative(self, x: float) -> float:
        if not self.std:
            return float(x > self.mean)
        z = (x - self.mean) / self.std
        if z > 0:  # counted from the nearer tail: differences of numbers near 1 lose their digits
            return 1 - _clamp((erfc(z / sqrt(2)) / 2 - self.above) / self.within)
        return _clamp((erfc(-z / sqrt(2)) / 2 - self.below) / self.within)

    def fields(self) -> dict[str, Any]:
        low, high = self.mean + self.std * self.low, self.mean + self.std * self.high
        return {"mean": self.mean, "std": self.std, "low": low, "high": high}

    def summary(self) -> str:
        mean, std, low, high = map(format_number, self.fields().values())
        return f"normal {mean}, std {std}, in {low} … {high}"

    def brief(self) -> str:
        low, high = self.fields()["low"], self.fields()["high"]
        limits = f"±{high:.3g}" if low == -high else f"{low:.3g} … {high:.3g}"
        return f"{Normal(self.mean, self.std).brief()}, {limits}"


@dataclass(frozen=True, slots=True)
class Integers(ElementwiseDistribution):
    """The integers from `low` to `high`, both included, equally likely."""

    type = "integers"
    kernel_fields = ("start_low", "start_high", "span_low", "span_high")
    has_complex_values = False
    is_discrete = True
    low: int
    high: int

    def max_magnitude(self, dtype: str) -> float:
        return max(abs(self.low), abs(self.high))

    def min_value(self) -> float:
        return self.low

    def integer_range(self) -> tuple[int, int]:
        return self.low, self.high

    def moments(self) -> Moments:
        count = self.high - self.low + 1
        return Moments((self.low + self.high) / 2, sqrt((count * count - 1) / 12), 1.8)

    def fields(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}

    def summary(self) -> str:
        return f"integers {self.low:,} … {self.high:,}"

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
class Bernoulli(ElementwiseDistribution):
    """One with probability `p`, else zero."""

    type = "bernoulli"
    kernel_fields = ("zeros",)
    has_complex_values = False
    is_discrete = True
    p: float

    def max_magnitude(self, dtype: str) -> float:
        return 1.0

    def min_value(self) -> float:
        return 0.0

    def integer_range(self) -> tuple[int, int]:
        return 0, 1

    def moments(self) -> Moments:
        variance = self.p * (1 - self.p)
        return Moments(self.p, sqrt(variance), 1 / variance - 3 if variance else 1.0)

    def fields(self) -> dict[str, Any]:
        return {"p": self.p}

    def summary(self) -> str:
        return f"1 with probability {format_number(self.p)}, else 0"

    def brief(self) -> str:
        return f"0 or 1, p {self.p:.3g}"

    @property
    def zeros(self) -> float:
        """The number of words, of 2^32, that become zero: the smallest."""
        return float(2**32 - round(self.p * 2**32))


def _clamp(probability: float) -> float:
    return min(max(probability, 0.0), 1.0)


def _normal_density(x: float) -> float:
    return exp(-x * x / 2) / sqrt(2 * pi)
