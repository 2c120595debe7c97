"""THE table of initializers: each has fields, reports what it does not fit, and becomes a distribution."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from paramgen.catalog.fields import Expectation
from paramgen.catalog.initializers.base import Initializer, ParameterShape
from paramgen.catalog.initializers.computed import (
    Arange,
    Formula,
    LogUniformInitializer,
    SinusoidalInitializer,
    SsmDtBiasInitializer,
    Values,
)
from paramgen.catalog.initializers.scaled import Glorot, He, Lecun, Mode, Scaled, VarianceScaling
from paramgen.catalog.initializers.structured import (
    DeltaOrthogonalInitializer,
    Dirac,
    Identity,
    NormInitializer,
    OrthogonalInitializer,
    UnitForgetGateInitializer,
)
from paramgen.catalog.initializers.values import (
    BernoulliInitializer,
    ConstantInitializer,
    Gaussian,
    IntegersInitializer,
    NarrowNormal,
    Ones,
    TruncatedNormalInitializer,
    UniformInitializer,
    Zeros,
)
from paramgen.catalog.models import read_typed
from paramgen.catalog.synonyms import INITIALIZER_SYNONYMS

__all__ = [
    "INITIALIZERS",
    "INITIALIZERS_BY_TYPE",
    "INITIALIZER_EXPECTED",
    "AnyInitializer",
    "Arange",
    "BernoulliInitializer",
    "ConstantInitializer",
    "DeltaOrthogonalInitializer",
    "Dirac",
    "Formula",
    "Gaussian",
    "Glorot",
    "He",
    "Identity",
    "Initializer",
    "IntegersInitializer",
    "Lecun",
    "LogUniformInitializer",
    "Mode",
    "NarrowNormal",
    "NormInitializer",
    "Ones",
    "OrthogonalInitializer",
    "ParameterShape",
    "Scaled",
    "SinusoidalInitializer",
    "SsmDtBiasInitializer",
    "TruncatedNormalInitializer",
    "UniformInitializer",
    "UnitForgetGateInitializer",
    "Values",
    "VarianceScaling",
    "Zeros",
    "read_initializer",
]

INITIALIZERS: tuple[type[Initializer], ...] = (
    Glorot,
    He,
    Lecun,
    VarianceScaling,
    Gaussian,
    NarrowNormal,
    TruncatedNormalInitializer,
    UniformInitializer,
    IntegersInitializer,
    BernoulliInitializer,
    LogUniformInitializer,
    SsmDtBiasInitializer,
    OrthogonalInitializer,
    UnitForgetGateInitializer,
    Identity,
    Dirac,
    DeltaOrthogonalInitializer,
    ConstantInitializer,
    Ones,
    Zeros,
    Values,
    Arange,
    Formula,
    SinusoidalInitializer,
)


INITIALIZERS_BY_TYPE = {name: model for model in INITIALIZERS for name in model.names()}

INITIALIZER_EXPECTED = "the name of an initializer, or a mapping with its type and fields"

# The JSON Schema of a field that holds one; schema.py replaces it by a reference to the definition.
INITIALIZER_SCHEMA = {"const": "an initializer"}


def read_initializer(value: Any) -> Initializer:
    """Return the initializer that a name or a mapping describes; raise ValidationError if it is not valid."""
    if isinstance(value, Initializer):
        return value
    return read_typed(
        INITIALIZERS_BY_TYPE,
        {"type": value} if isinstance(value, str) else value,
        INITIALIZER_EXPECTED,
        INITIALIZER_SYNONYMS,
    )


if TYPE_CHECKING:
    AnyInitializer = Initializer
else:
    AnyInitializer = Annotated[
        Initializer,
        PlainValidator(read_initializer),
        WithJsonSchema(INITIALIZER_SCHEMA),
        Expectation(value=INITIALIZER_EXPECTED),
    ]
