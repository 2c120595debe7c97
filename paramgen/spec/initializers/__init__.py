"""THE table of initializers: each has its fields, says where it does not fit, and becomes a distribution."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BeforeValidator, Field

from paramgen.spec.base import Expected
from paramgen.spec.initializers.base import Initializer, Target
from paramgen.spec.initializers.scaled import Glorot, He, Lecun, Mode, Scaled, VarianceScaling
from paramgen.spec.initializers.structured import (
    DeltaOrthogonalInitializer,
    Dirac,
    Identity,
    OrthogonalInitializer,
    UnitForgetGateInitializer,
)
from paramgen.spec.initializers.values import (
    ConstantInitializer,
    Gaussian,
    NarrowNormal,
    Ones,
    TruncatedNormalInitializer,
    UniformInitializer,
    Zeros,
)

__all__ = [
    "EXPECTED",
    "TABLE",
    "AnyInitializer",
    "ConstantInitializer",
    "DeltaOrthogonalInitializer",
    "Dirac",
    "Gaussian",
    "Glorot",
    "He",
    "Identity",
    "Initializer",
    "Lecun",
    "Mode",
    "NarrowNormal",
    "Ones",
    "OrthogonalInitializer",
    "Scaled",
    "Target",
    "TruncatedNormalInitializer",
    "UniformInitializer",
    "UnitForgetGateInitializer",
    "VarianceScaling",
    "Zeros",
]

TABLE: tuple[type[Initializer], ...] = (
    Glorot,
    He,
    Lecun,
    VarianceScaling,
    Gaussian,
    NarrowNormal,
    TruncatedNormalInitializer,
    UniformInitializer,
    OrthogonalInitializer,
    UnitForgetGateInitializer,
    Identity,
    Dirac,
    DeltaOrthogonalInitializer,
    ConstantInitializer,
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
