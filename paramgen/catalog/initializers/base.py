"""The traits of a parameter that its initializer depends on, and the base of the initializers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from paramgen.catalog.axes import Axes
from paramgen.catalog.distributions import Direction, Distribution
from paramgen.catalog.fields import FINITE, FieldError
from paramgen.catalog.spec_model import TypedSpecModel
from paramgen.json_text import dump_json
from paramgen.messages import must_be, show
from paramgen.units import format_number

# The factors of fan_in, and those of fan_out.
FanFactors = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(slots=True)  # not frozen: a frozen dataclass takes four times as long to make
class ParameterTraits:
    """A parameter's shape, fans and axes, from its operation: what an initializer depends on.

    `is_vector` marks biases, offsets and scales. `axes` is set if the operation names its axes, and `num_hidden_units`
    for an LSTM's bias. Elements at `padding_index` of the last axis are zero. `direction` is set for a magnitude once
    its direction is resolved. `fan_factors` are those of the fans, if an operation computes them.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    fan_out: int | None = None
    is_vector: bool = False
    num_hidden_units: int | None = None
    axes: Axes | None = None
    padding_index: int | None = None
    direction: Direction | None = None
    fan_factors: FanFactors | None = None

    def sizes(self, *names: str) -> list[int] | None:
        """Return the sizes of axes, or None if one of them is missing."""
        sizes = [self.axes.sizes.get(name) for name in names] if self.axes else [None]
        return [size for size in sizes if isinstance(size, int)] if None not in sizes else None


class Equation(NamedTuple):
    """A number that an initializer computes or states: a formula, and the numbers that its names stand for."""

    name: str
    value: float
    formula: str = ""
    numbers: Mapping[str, float] = {}

    @property
    def with_numbers(self) -> str:
        """The formula with numbers instead of names."""
        if not self.numbers:
            return self.formula
        names = rf"\b(?:{'|'.join(self.numbers)})\b"
        return re.sub(names, lambda name: _show_number(self.numbers[name[0]]), self.formula)

    def __str__(self) -> str:
        """Return 'std = sqrt(2 / fan_in) = sqrt(2 / 50) = 0.2'."""
        parts = [self.name, self.formula, self.with_numbers, _show_number(self.value)]
        return " = ".join(dict.fromkeys(filter(None, parts)))


def _show_number(number: float) -> str:
    return str(number) if isinstance(number, int) else format_number(number)


FILLS_EMPTY = ("zeros", "ones", "constant")


class Initializer(TypedSpecModel):
    """Base of the initializers. `formula` and `reference` are for the docs, in a line each."""

    formula: ClassVar[str]
    reference: ClassVar[str] = ""
    omitted_defaults: ClassVar[tuple[str, ...]] = ()
    """Fields that a description leaves out if they have their defaults."""

    @classmethod
    def order_errors(cls, data: dict[str, Any], low: str, high: str) -> Iterator[FieldError]:
        """Yield an error if the number of one field, written or default, is not below that of another."""
        low_value, high_value = (data.get(name, cls.model_fields[name].default) for name in (low, high))
        if not (FINITE.accepts(low_value) and FINITE.accepts(high_value)) or low_value < high_value:
            return
        if low in data:
            yield FieldError((low,), must_be(f"below {high} ({show(high_value)})", low_value))
        else:
            yield FieldError((high,), must_be(f"above {low} ({show(low_value)})", high_value))

    def fans(self) -> tuple[str, ...]:
        """Return the fans that its values depend on."""
        return ()

    def why_unfit(self, traits: ParameterTraits) -> str | None:
        """Return why a parameter cannot have this initializer, or None; an empty one takes constants only."""
        if 0 in traits.shape and self.type_name not in FILLS_EMPTY:
            return f"cannot fill the empty shape {list(traits.shape)}; use zeros"
        return self.why_unsupported(traits)

    def why_unsupported(self, traits: ParameterTraits) -> str | None:
        """Return the reason why it cannot fill this parameter ("needs a matrix, got a vector"), or None."""
        return None

    def fits_dimensions(self, traits: ParameterTraits) -> bool:
        """Return True if it can fill some parameter with this number of dimensions.

        `self` may be a `model_construct` without its required fields.
        """
        return self.why_unsupported(traits) is None

    def table_length(self, traits: ParameterTraits) -> int:
        """Return how many numbers its distribution stores."""
        return 0

    def to_distribution(self, traits: ParameterTraits) -> Distribution:
        """Return its distribution for a parameter that it fits."""
        raise NotImplementedError

    def equations(self, traits: ParameterTraits) -> list[Equation]:
        """Return the numbers of its distribution for a parameter that it fits, and how they come about."""
        return [
            Equation(name, value)
            for name, value in self.to_distribution(traits).fields().items()
            if isinstance(value, int | float)
        ]

    def describe(self) -> dict[str, Any]:
        """Return the initializer as it appears in the plan's JSON: its type's own name, and its fields."""
        omitted = {
            name for name in self.omitted_defaults if getattr(self, name) == type(self).model_fields[name].default
        }
        return {**self.model_dump(exclude=omitted), "type": self.type_name}

    @cached_property
    def json_text(self) -> str:
        """The description as JSON. Tensors share initializers more often than shapes."""
        return dump_json(self.describe())
