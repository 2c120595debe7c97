"""Initializers of constants and of stated distributions."""

from collections.abc import Iterator
from math import isfinite
from typing import Any, Literal

from pydantic import Field

from paramgen.catalog import distributions
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.fields import (
    FINITE,
    FieldError,
    FiniteNumber,
    Integer,
    NonNegative,
    Positive,
    Probability,
    Schema,
)
from paramgen.catalog.initializers.base import Equation, Initializer, ParameterTraits
from paramgen.messages import must_be, show


class Gaussian(Initializer):
    """Gaussian initializer: normal with the given mean and standard deviation."""

    formula = "normal with `mean` (default 0) and `std` (default 0.01)"
    type: Literal["gaussian"] = Field(description="initializer type.")
    mean: FiniteNumber = Field(default=0.0, description="mean.")
    std: NonNegative = Field(default=0.01, description="standard deviation.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Normal(self.mean, self.std)


class NarrowNormal(Initializer):
    """Narrow normal initializer: normal with mean 0 and standard deviation 0.01."""

    formula = "normal, mean 0, standard deviation 0.01"
    reference = "MathWorks, Deep Learning Toolbox"
    type: Literal["narrow_normal"] = Field(description="initializer type.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Normal(0.0, 0.01)


class TruncatedNormal(Initializer):
    """Truncated normal initializer: mean + std·Z for a standard normal Z between low and high."""

    formula = (
        "`mean` + `std`·Z (default 0, 0.01), Z standard normal within `low` … `high` (default -2, 2); not widened: "
        "the standard deviation of the values is smaller, 0.8796·`std` for the default limits"
    )
    reference = "torch.nn.init.trunc_normal_, whose limits are values, not standard deviations"
    type: Literal["truncated_normal"] = Field(description="initializer type.")
    mean: FiniteNumber = Field(default=0.0, description="mean of the normal, before truncation.")
    std: NonNegative = Field(default=0.01, description="standard deviation of the normal, before truncation.")
    low: FiniteNumber = Field(default=-2.0, description="lower limit, in standard deviations from the mean.")
    high: FiniteNumber = Field(default=2.0, description="upper limit, in standard deviations from the mean.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        low, high = (data.get(name, cls.model_fields[name].default) for name in ("low", "high"))
        if not (FINITE.accepts(low) and FINITE.accepts(high)) or low >= high:
            yield from cls.order_errors(data, "low", "high")
            return
        try:
            distributions.TruncatedNormal(0.0, 1.0, float(low), float(high))
        except ValueError:
            message = f"almost no probability mass between low={show(low)} and high={show(high)}; widen the limits"
            yield FieldError(("low" if "low" in data else "high",), message)

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.TruncatedNormal(self.mean, self.std, self.low, self.high)

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        limits = self.to_distribution(traits).fields()
        numbers = {"mean": self.mean, "std": self.std, "low": self.low, "high": self.high}
        return [
            Equation("mean", self.mean),
            Equation("std", self.std),
            Equation("lower limit", limits["low"], "mean + std * low", numbers),
            Equation("upper limit", limits["high"], "mean + std * high", numbers),
        ]


class Uniform(Initializer):
    """Uniform initializer: uniform on (-bound, bound) or on (low, high)."""

    formula = "uniform on (-`bound`, `bound`), or on (`low`, `high`) if these are given instead"
    omitted_defaults = ("bound", "low", "high")
    type: Literal["uniform"] = Field(description="initializer type.")
    bound: Positive | None = Field(
        default=None, description="values lie between -bound and bound; low and high may be given instead."
    )
    low: FiniteNumber | None = Field(default=None, description="lower end, with high instead of bound.")
    high: FiniteNumber | None = Field(default=None, description="upper end, with low instead of bound.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        ends = [name for name in ("low", "high") if name in data]
        if "bound" in data and ends:
            yield FieldError(("bound",), f"cannot be combined with {' and '.join(ends)}; use bound, or low and high")
        elif "bound" not in data and not ends:
            yield cls.missing_field_error("bound", cls.label)
        elif len(ends) == 1:
            yield cls.missing_field_error("high" if ends == ["low"] else "low", f"{cls.label} with {ends[0]}")
        elif ends:
            yield from cls.order_errors(data, "low", "high")
            low, high = data["low"], data["high"]
            if FINITE.accepts(low) and FINITE.accepts(high) and not isfinite(float(high) - float(low)):
                yield FieldError(("low",), must_be(f"at a finite distance from high ({show(high)})", low))

    @classmethod
    def schema_rules(cls) -> Schema:
        ways = [{"required": ["bound"]}, {"required": ["low", "high"]}]
        return {"oneOf": ways, "dependencies": {"low": ["high"], "high": ["low"]}}

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        if self.bound is not None:
            return distributions.Uniform(self.bound)
        assert self.low is not None and self.high is not None
        if self.low == -self.high:
            return distributions.Uniform(self.high)
        return distributions.UniformInterval(self.low, self.high)


class Integers(Initializer):
    """Integers initializer: integers from low to high, both included, equally likely."""

    formula = "the integers from `low` to `high`, both included, equally likely"
    reference = "numpy.random.Generator.integers with endpoint=True"
    type: Literal["integers"] = Field(description="initializer type.")
    low: Integer = Field(description="smallest value.")
    high: Integer = Field(description="largest value.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        low, high = data.get("low"), data.get("high")
        if type(low) is int and type(high) is int and low > high:
            yield FieldError(("low",), must_be(f"at most high ({show(high)})", low))

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Integers(self.low, self.high)


class Bernoulli(Initializer):
    """Bernoulli initializer: ones with a probability, else zeros."""

    formula = "1 with probability `p` (default 0.5), else 0"
    reference = "torch.Tensor.bernoulli_"
    type: Literal["bernoulli"] = Field(description="initializer type.")
    p: Probability = Field(default=0.5, description="probability of a one.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Bernoulli(self.p)


class Constant(Initializer):
    """Constant initializer: all elements are the same."""

    formula = "constant `value`"
    type: Literal["constant"] = Field(description="initializer type.")
    value: FiniteNumber = Field(description="value of every element.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Constant(self.value)


class Ones(Initializer):
    """Initializer of ones."""

    formula = "constant 1"
    type: Literal["ones"] = Field(description="initializer type.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Constant(1.0)


class Zeros(Initializer):
    """Initializer of zeros."""

    formula = "constant 0"
    type: Literal["zeros"] = Field(description="initializer type.")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Constant(0.0)
