"""The table of initializers: each has its fields, says where it does not fit, and becomes a distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import BeforeValidator, Field

from paramgen.distributions import Constant, Distribution, Normal, Orthogonal, Uniform, UnitForgetGate
from paramgen.spec.base import Expected, Number, Tagged

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Expected("a finite number of at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Expected("a finite number above 0")]


@dataclass(frozen=True, slots=True)
class Target:
    """What an initializer is asked to fill: a parameter's size and what its operation says of it.

    `vector` marks biases, offsets and scales, whatever their shape; `num_hidden_units` is set for an LSTM's bias.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    fan_out: int | None = None
    vector: bool = False
    num_hidden_units: int | None = None


class Initializer(Tagged):
    """Base of the initializers; `values` says in a line what a parameter is filled with."""

    label: ClassVar[str] = "an initializer"
    values: ClassVar[str]
    source: ClassVar[str] = ""

    def misfit(self, target: Target) -> str | None:
        """Why it cannot fill the target, or None."""
        return None

    def distribution(self, target: Target) -> Distribution:
        """What it draws from for a target that it fits."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """The initializer as the plan's JSON has it: its own name, and every field."""
        return {**self.model_dump(), "type": self.kind}


def _need(target: Target, *fans: str) -> str | None:
    missing = [fan for fan in fans if getattr(target, fan) is None]
    return f"needs {' and '.join(missing)}, which this parameter does not have" if missing else None


class Glorot(Initializer):
    """Glorot (Xavier) initializer: uniform with variance 2/(fan_in + fan_out)."""

    label = "glorot"
    values = "uniform on (-b, b), b = sqrt(6 / (fan_in + fan_out))"
    source = "Glorot & Bengio, AISTATS 2010"
    type: Literal["glorot", "xavier"] = Field(description="Initializer type.")

    def misfit(self, target: Target) -> str | None:
        return _need(target, "fan_in", "fan_out")

    def distribution(self, target: Target) -> Distribution:
        assert target.fan_in is not None and target.fan_out is not None
        return Uniform(math.sqrt(6 / (target.fan_in + target.fan_out)))


class He(Initializer):
    """He (Kaiming) initializer: normal with variance 2/fan_in."""

    label = "he"
    values = "normal, mean 0, variance 2 / fan_in"
    source = "He et al., ICCV 2015"
    type: Literal["he", "kaiming"] = Field(description="Initializer type.")

    def misfit(self, target: Target) -> str | None:
        return _need(target, "fan_in")

    def distribution(self, target: Target) -> Distribution:
        assert target.fan_in is not None
        return Normal(0.0, math.sqrt(2 / target.fan_in))


class Gaussian(Initializer):
    """Gaussian initializer: normal with the given mean and standard deviation."""

    label = "gaussian"
    values = "normal with `mean` (default 0) and `std` (default 0.01)"
    type: Literal["gaussian"] = Field(description="Initializer type.")
    mean: Number = Field(default=0.0, description="Mean.")
    std: NonNegative = Field(default=0.01, description="Standard deviation.")

    def distribution(self, target: Target) -> Distribution:
        return Normal(self.mean, self.std)


class UniformInitializer(Initializer):
    """Uniform initializer: uniform on (-bound, bound)."""

    label = "uniform"
    values = "uniform on (-`bound`, `bound`)"
    type: Literal["uniform"] = Field(description="Initializer type.")
    bound: Positive = Field(description="values lie between -bound and bound.")

    def distribution(self, target: Target) -> Distribution:
        return Uniform(self.bound)


class OrthogonalInitializer(Initializer):
    """Orthogonal initializer: orthonormal columns (rows, if the matrix is wide), times a gain."""

    label = "orthogonal"
    values = (
        "`gain` (default 1) times Q of Z = QR, Z standard normal, each column of Q times the sign of R's diagonal; "
        "a wide matrix is built from its transpose; of more than two dimensions, the last axis is the columns "
        "(of a grouped convolution: the groups) and all others are the rows"
    )
    source = "Saxe, McClelland & Ganguli, ICLR 2014"
    type: Literal["orthogonal"] = Field(description="Initializer type.")
    gain: Number = Field(default=1.0, description="Factor on the orthonormal matrix.")

    def misfit(self, target: Target) -> str | None:
        if target.vector:
            return "makes matrices; this parameter is a vector"
        if len(target.shape) < 2:
            return f"makes matrices; shape {list(target.shape)} has fewer than two dimensions"
        return None

    def distribution(self, target: Target) -> Distribution:
        return Orthogonal(self.gain)


class UnitForgetGateInitializer(Initializer):
    """Unit-forget-gate initializer of an LSTM bias: ones for the forget gate, zeros for the others."""

    label = "unit_forget_gate"
    values = "zeros, but ones at H … 2H - 1 (0-based) of an LSTM's bias of 4H"
    source = "Jozefowicz, Zaremba & Sutskever, ICML 2015"
    type: Literal["unit_forget_gate"] = Field(description="Initializer type.")

    def misfit(self, target: Target) -> str | None:
        return None if target.num_hidden_units else "fills the bias of an LSTM only"

    def distribution(self, target: Target) -> Distribution:
        assert target.num_hidden_units is not None
        return UnitForgetGate(target.num_hidden_units)


class Ones(Initializer):
    """All ones."""

    label = "ones"
    values = "constant 1"
    type: Literal["ones"] = Field(description="Initializer type.")

    def distribution(self, target: Target) -> Distribution:
        return Constant(1.0)


class Zeros(Initializer):
    """All zeros."""

    label = "zeros"
    values = "constant 0"
    type: Literal["zeros"] = Field(description="Initializer type.")

    def distribution(self, target: Target) -> Distribution:
        return Constant(0.0)


TABLE: tuple[type[Initializer], ...] = (
    Glorot,
    He,
    Gaussian,
    UniformInitializer,
    OrthogonalInitializer,
    UnitForgetGateInitializer,
    Ones,
    Zeros,
)


def _as_mapping(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


EXPECTED = "an initializer: a name, or a mapping with type and its fields"

if TYPE_CHECKING:
    AnyInitializer = Initializer
else:
    AnyInitializer = Annotated[
        Annotated[Union[TABLE], Field(discriminator="type")],  # noqa: UP007 (a tuple of models)
        BeforeValidator(_as_mapping),
        Expected(EXPECTED),
    ]
