"""Initializers whose values are given or computed: numbers, formulas, sinusoids, and logarithms of uniform values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, expm1, isfinite, prod
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field, PrivateAttr

from paramgen import limits
from paramgen.catalog import distributions
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.distributions.computed import (
    LARGEST_EXPONENT,
    LARGEST_LOGARITHMIC,
    LARGEST_POSITION,
    SMALLEST_LOGARITHMIC,
)
from paramgen.catalog.fields import FINITE, FieldError, FieldType, FiniteNumber, KeyPath, number_type
from paramgen.catalog.initializers.base import Equation, Initializer, ParameterTraits
from paramgen.catalog.schemas import reference
from paramgen.exact_math import log
from paramgen.messages import must_be

MAX_CHANNELS = 2**31 - 1


class IndexExpression(Protocol):
    """An expression of the index k along an axis of size n; ValueError if it has no value."""

    text: str

    def __call__(self, k: int, n: int) -> float: ...


def _is_expression(value: Any) -> bool:
    return callable(value) and isinstance(getattr(value, "text", None), str)


AXIS = FieldType(value="an integer", accepts=lambda value: type(value) is int, schema={"type": "integer"})
NUMBER_OR_EXPRESSION = FieldType(
    value="a finite number or an expression of k and n",
    accepts=lambda value: _is_expression(value) or FINITE.accepts(value),
    convert=lambda value: value if _is_expression(value) else float(value),
    schema={"type": "number"},
    is_deferred=True,
)
LOGARITHMIC = number_type(
    "a number from 1e-300 to 1e300",
    {"minimum": SMALLEST_LOGARITHMIC, "maximum": LARGEST_LOGARITHMIC},
    lambda value: SMALLEST_LOGARITHMIC <= value <= LARGEST_LOGARITHMIC,
)
BASE = number_type(
    "a number above 1, up to 1e300", {"exclusiveMinimum": 1}, lambda value: 1 < value <= LARGEST_LOGARITHMIC
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _NestedNumbers(FieldType):
    """The type of a list of numbers, or of such lists of one length."""

    def errors(self, value: Any, path: KeyPath = ()) -> Iterator[FieldError]:
        shape: list[int] = []
        first = value
        while isinstance(first, list | tuple) and first and len(shape) < limits.MAX_DIMENSIONS:
            shape.append(len(first))
            first = first[0]
        if not shape:
            yield FieldError(path, must_be(self.value, value))
        elif prod(shape) > limits.MAX_VALUES:
            yield FieldError(path, f"must have at most {limits.MAX_VALUES:,} numbers, got {prod(shape):,}")
        else:
            yield from _nested_errors(value, shape, path)


def _nested_errors(value: Any, shape: list[int], path: KeyPath) -> Iterator[FieldError]:
    """Yield an error for each part of nested lists that does not have the shape of the first one."""
    if not shape:
        yield from FINITE.errors(value, path)
    elif not isinstance(value, list | tuple) or len(value) != shape[0]:
        yield FieldError(path, must_be(f"a list of {shape[0]}, like the one before", value))
    else:
        for index, item in enumerate(value):
            yield from _nested_errors(item, shape[1:], (*path, index))


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else float(value)


VALUES = _NestedNumbers(
    value="a non-empty list of numbers, or nested lists",
    convert=_as_tuples,
    schema={
        "anyOf": [
            {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "number"}, {"type": "array"}]}},
            reference("Expression"),
        ]
    },
)


class Values(Initializer):
    """Values initializer: the given numbers, the same for every index of the axes before them."""

    formula = "the numbers `values`; nested lists have an axis each, and are repeated along the axes before theirs"
    type: Literal["values"] = Field(description="initializer type.")
    values: Annotated[Any, VALUES] = Field(description="numbers, in lists that may be nested.")

    def fits_dimensions(self, traits: ParameterTraits) -> bool:
        return bool(traits.shape)

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        shape = _nested_shape(self.values)
        if shape == traits.shape[-len(shape) :]:
            return None
        if len(shape) > len(traits.shape):
            return f"have {len(shape)} axes, but the shape is {list(traits.shape)}; remove levels of lists"
        axes = f"last {len(shape)} axes" if len(shape) > 1 else "last axis"
        return f"of shape {list(shape)} do not fit shape {list(traits.shape)}; give them the shape of its {axes}"

    def table_length(self, traits: ParameterTraits) -> int:
        return prod(_nested_shape(self.values))

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Table.of(_flatten(self.values))


def _nested_shape(values: Any) -> tuple[int, ...]:
    return (len(values), *_nested_shape(values[0])) if isinstance(values, tuple) else ()


def _flatten(values: Any) -> Iterator[float]:
    if not isinstance(values, tuple):
        yield values
        return
    for item in values:
        yield from _flatten(item)


class _AlongAxis(Initializer):
    """Base of the initializers whose values depend on the index along one axis."""

    omitted_defaults: ClassVar[tuple[str, ...]] = ("axis",)
    axis: Annotated[int, AXIS] = Field(
        default=-1, description="axis of the index; -1 is the last one, 0 that of biases and scales."
    )

    def fits_dimensions(self, traits: ParameterTraits) -> bool:
        return bool(traits.shape)

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        dimensions = len(traits.shape)
        if not -dimensions <= self.axis < dimensions:
            return f"has no axis {self.axis} in shape {list(traits.shape)}"
        return None

    def axis_size(self, traits: ParameterTraits) -> int:
        """Return the size of the axis."""
        return traits.shape[self.axis]

    def table_length(self, traits: ParameterTraits) -> int:
        return self.axis_size(traits)

    def repeats(self, traits: ParameterTraits) -> int:
        """Return the number of consecutive elements with the same index."""
        return prod(traits.shape[self.axis :][1:])


class Arange(_AlongAxis):
    """Arange initializer: numbers in equal steps along an axis."""

    formula = "`start` + `step`·k, k the index along `axis`"
    omitted_defaults = ("start", "step", "axis")
    type: Literal["arange"] = Field(description="initializer type.")
    start: FiniteNumber = Field(default=0.0, description="first value.")
    step: FiniteNumber = Field(default=1.0, description="difference of neighbours.")

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        if (reason := super().why_unsupported(traits)) or self.axis_size(traits) <= limits.MAX_ARANGE:
            return reason
        return f"counts up to {limits.MAX_ARANGE:,} values along an axis, got {self.axis_size(traits):,}"

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        numbers = (self.start + self.step * k for k in range(self.axis_size(traits)))
        return distributions.Table.of(numbers, self.repeats(traits))

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        size = self.axis_size(traits)
        numbers = {"start": self.start, "step": self.step, "n": size}
        return [
            Equation("first value", self.start),
            Equation("last value", self.start + self.step * (size - 1), "start + step * (n - 1)", numbers),
        ]


class Formula(_AlongAxis):
    """Formula initializer: an expression of the index along an axis."""

    formula = "the expression `value` of k, the index along `axis`, and n, the size of that axis"
    type: Literal["formula"] = Field(description="initializer type.")
    value: Annotated[Any, NUMBER_OR_EXPRESSION] = Field(
        description='number, or expression that may contain k and n: "${log(k + 1)}".'
    )
    _tables: dict[int, bytes] = PrivateAttr(default_factory=dict)  # by the size of the axis

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        if reason := super().why_unsupported(traits):
            return reason
        size = self.axis_size(traits)
        if size > limits.MAX_VALUES:
            return f"is evaluated for up to {limits.MAX_VALUES:,} values along an axis, got {size:,}"
        try:
            self._table(size)
        except ValueError as error:
            return str(error)
        return None

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.Table(self._table(self.axis_size(traits)), self.repeats(traits))

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        size = self.axis_size(traits)
        values = distributions.Table(self._table(size)).numbers
        if not _is_expression(self.value):
            return [Equation("value", self.value)]
        formula = self.value.text.removeprefix("${").removesuffix("}")
        last = size - 1
        return [
            Equation("value at k = 0", values[0], formula, {"k": 0, "n": size}),
            Equation(f"value at k = {last}", values[last], formula, {"k": last, "n": size}),
        ]

    def _table(self, size: int) -> bytes:
        if size not in self._tables:
            self._tables[size] = _evaluate(self.value, size)
        return self._tables[size]

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "value": self.value.text if _is_expression(self.value) else self.value}


def _evaluate(value: float | IndexExpression, n: int) -> bytes:
    """Return the numbers of a formula for all k below n, as a table has them. Raises ValueError if there are none."""
    if isinstance(value, float):
        return distributions.Table.of([value]).data
    numbers = []
    for k in range(n):
        try:
            number = float(value(k, n))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"has no value at k = {k:,}: {error}") from error
        if not isfinite(number):
            raise ValueError(f"is not finite at k = {k:,}")
        numbers.append(number)
    return distributions.Table.of(numbers).data


class Sinusoidal(Initializer):
    """Sinusoidal initializer: position encodings, sines and cosines of geometric frequencies."""

    formula = (
        "[positions, channels]: sin and cos of p·f, p = position + `position_offset`, f = `base`^(-j / (channels/2 - "
        "`denominator_offset`)) for j from 0 below channels/2; interleaved: sin in channel 2j, cos in 2j + 1; "
        "concatenated: sin in channel j, cos in channels/2 + j"
    )
    reference = "Vaswani et al., NeurIPS 2017 (interleaved); Whisper (concatenated, `denominator_offset` 1)"
    omitted_defaults = ("base", "position_offset", "denominator_offset")
    type: Literal["sinusoidal"] = Field(description="initializer type.")
    arrangement: Literal["interleaved", "concatenated"] = Field(
        description="interleaved, sines and cosines alternating, or concatenated, all sines first."
    )
    base: Annotated[float, BASE] = Field(default=10000.0, description="ratio of the first frequency to the end.")
    position_offset: FiniteNumber = Field(default=0.0, description="position of the first row.")
    denominator_offset: FiniteNumber = Field(
        default=0.0, description="subtracted from channels/2 in the exponent; 1 makes 1/base the last frequency."
    )

    def fits_dimensions(self, traits: ParameterTraits) -> bool:
        return len(traits.shape) > 1

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        shape = traits.shape
        if len(shape) < 2 or prod(shape[:-2]) > 1:
            return f"needs the shape [positions, channels], got {list(shape)}"
        rows, channels = shape[-2:]
        if channels % 2 or channels > MAX_CHANNELS:
            return f"needs an even number of channels, at most {MAX_CHANNELS:,}, got {channels:,}"
        if self.denominator(channels) <= 0:
            return f"needs a denominator_offset below channels/2, {channels // 2:,}, got {self.denominator_offset:g}"
        if (channels // 2 - 1) * self.rate(channels) > LARGEST_EXPONENT:
            return f"has frequencies below 1e-300; choose a smaller denominator_offset, got {self.denominator_offset:g}"
        last = max(abs(self.position_offset), abs(self.position_offset + (rows - 1)))
        if last > LARGEST_POSITION:
            return f"takes positions up to {LARGEST_POSITION:,}, got {last:,.0f}"
        return None

    def denominator(self, channels: int) -> float:
        return channels / 2 - self.denominator_offset

    def rate(self, channels: int) -> float:
        """Return the negative logarithm of the ratio of neighbouring frequencies."""
        return log(self.base) / self.denominator(channels)

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        channels = traits.shape[-1]
        is_interleaved = self.arrangement == "interleaved"
        return distributions.Sinusoidal(channels, is_interleaved, self.position_offset, self.rate(channels))

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        channels = traits.shape[-1]
        numbers = {"base": self.base, "channels": channels, "denominator_offset": self.denominator_offset}
        offset = " - denominator_offset" if self.denominator_offset else ""
        return [
            Equation("first position", self.position_offset),
            Equation("rate", self.rate(channels), f"log(base) / (channels / 2{offset})", numbers),
            Equation(
                "lowest frequency",
                exp(-self.rate(channels) * (channels // 2 - 1)),
                "exp(-rate * (channels / 2 - 1))",
                {"rate": self.rate(channels), "channels": channels},
            ),
        ]


class LogUniform(Initializer):
    """Log-uniform initializer: the logarithm is uniform."""

    formula = "exp of uniform on (log `low`, log `high`)"
    type: Literal["log_uniform"] = Field(description="initializer type.")
    low: Annotated[float, LOGARITHMIC] = Field(description="smallest value.")
    high: Annotated[float, LOGARITHMIC] = Field(description="largest value.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from cls.order_errors(data, "low", "high")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.LogUniform(self.low, self.high)


class SsmDtBias(Initializer):
    """Bias of Mamba's time steps: softplus of it is log-uniform, and at least the floor."""

    formula = "inverse softplus, log(exp(x) - 1), of x log-uniform in (`min`, `max`), or of `floor` where x is below it"
    reference = "Gu & Dao, Mamba, 2023"
    omitted_defaults = ("min", "max", "floor")
    type: Literal["ssm_dt_bias"] = Field(description="initializer type.")
    min: Annotated[float, LOGARITHMIC] = Field(default=0.001, description="smallest time step, before the floor.")
    max: Annotated[float, LOGARITHMIC] = Field(default=0.1, description="largest time step.")
    floor: Annotated[float, LOGARITHMIC] = Field(default=1e-4, description="smaller time steps become this.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from cls.order_errors(data, "min", "max")
        yield from cls.order_errors(data, "floor", "max")

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        return distributions.SsmDtBias(self.min, self.max, self.floor)

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        smallest, largest = max(self.min, self.floor), self.max
        return [
            *super().equations(traits),
            Equation("smallest value", log(expm1(smallest)), "log(exp(x) - 1)", {"x": smallest}),
            Equation("largest value", log(expm1(largest)), "log(exp(x) - 1)", {"x": largest}),
        ]
