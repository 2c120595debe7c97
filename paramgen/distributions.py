"""Distributions: initializers become these in the plan, with their numbers; all that samplers know.

Each is computed with correctly rounded +, -, ×, ÷ and sqrt only, so that the numbers too are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from paramgen.gaussian import tails

# |quantile| of the standard normal at the extreme words, rounded up: of 2^-33 (32-bit words), of 2^-65 (64-bit words).
LARGEST_NORMAL = {"float64": 9.2}
LARGEST_NORMAL_32 = 6.34
# The least that a truncated normal distribution may keep of the normal one: its tails are float64 numbers.
LEAST_WITHIN = 1e-280
FARTHEST_TRUNCATED = 37.2  # |quantile| of 2^-65 times that, rounded up


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
        farthest = min(max(abs(self.low), abs(self.high)), FARTHEST_TRUNCATED)
        return abs(self.mean) + max(farthest, 1.0) * self.std  # std itself must be finite in the dtype, too

    def fields(self) -> dict[str, Any]:
        low, high = self.mean + self.std * self.low, self.mean + self.std * self.high
        return {"mean": self.mean, "std": self.std, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Orthogonal:
    """`gain` times a random matrix with orthonormal columns (rows, if it is wide): one unit of work."""

    type: ClassVar[str] = "orthogonal"
    gain: float

    def largest(self, dtype: str) -> float:
        return abs(self.gain) * (1 + 2.0**-20)  # an entry of Q may be above 1 by rounding

    def fields(self) -> dict[str, Any]:
        return {"gain": self.gain}


@dataclass(frozen=True, slots=True)
class UnitForgetGate:
    """Zeros, but ones at elements H … 2H - 1 (H = `num_hidden_units`), the forget gate of an LSTM bias."""

    type: ClassVar[str] = "unit_forget_gate"
    num_hidden_units: int

    def largest(self, dtype: str) -> float:
        return 1.0

    def fields(self) -> dict[str, Any]:
        return {}


Distribution = Constant | Uniform | Normal | TruncatedNormal | Orthogonal | UnitForgetGate


def describe(distribution: Distribution) -> dict[str, Any]:
    """The distribution as the plan's JSON has it."""
    return {"type": distribution.type, **distribution.fields()}
