"""What initializers are asked to fill, and what they have in common."""

from dataclasses import dataclass
from typing import Any, ClassVar

from paramgen.catalog.axes import Axes
from paramgen.catalog.distributions import (
    Distribution,
)
from paramgen.catalog.models import Tagged


@dataclass(frozen=True, slots=True)
class ParameterShape:
    """What an initializer is asked to fill: a parameter's size and what its operation says of it.

    `vector` marks biases, offsets and scales, whatever their shape; an LSTM's bias has `num_hidden_units`; `axes` are
    set where the operation names them.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    fan_out: int | None = None
    vector: bool = False
    num_hidden_units: int | None = None
    axes: Axes | None = None

    def sizes(self, *names: str) -> list[int] | None:
        """The sizes of axes, or None where it has not all of them."""
        found = [self.axes.sizes.get(name) for name in names] if self.axes else [None]
        return [size for size in found if isinstance(size, int)] if None not in found else None


class Initializer(Tagged):
    """Base of the initializers; `values` says in a line what a parameter is filled with."""

    label: ClassVar[str] = "an initializer"
    formula: ClassVar[str]
    reference: ClassVar[str] = ""
    omitted_defaults: ClassVar[tuple[str, ...]] = ()
    """Fields that a description leaves out where they have their defaults."""

    def why_unsupported(self, target: ParameterShape) -> str | None:
        """Why it cannot fill the target, or None."""
        return None

    def to_distribution(self, target: ParameterShape) -> Distribution:
        """What it draws from for a target that it fits."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The initializer as the plan's JSON has it: its own name, and its fields."""
        omitted = {
            name for name in self.omitted_defaults if getattr(self, name) == type(self).model_fields[name].default
        }
        return {**self.model_dump(exclude=omitted), "type": self.type_name}
