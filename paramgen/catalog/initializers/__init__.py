"""THE table of initializers: each has fields, reports what it does not fit, and becomes a distribution."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from paramgen.catalog.fields import FieldWords
from paramgen.catalog.initializers.base import Initializer, ParameterInfo
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
    "BY_TYPE",
    "EXPECTED",
    "TABLE",
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
    "ParameterInfo",
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

TABLE: tuple[type[Initializer], ...] = (
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


BY_TYPE = {name: model for model in TABLE for name in model.names()}

EXPECTED = "the name of an initializer, or a mapping with its type and fields"

# The JSON Schema of a field that holds one; schema.py replaces it by a reference to the definition.
SCHEMA = {"const": "an initializer"}


def read_initializer(value: Any) -> Initializer:
    """Return the initializer that a name or a mapping describes; raise ValidationError if it is not valid."""
    if isinstance(value, Initializer):
        return value
    return read_typed(BY_TYPE, {"type": value} if isinstance(value, str) else value, EXPECTED, INITIALIZER_SYNONYMS)


if TYPE_CHECKING:
    AnyInitializer = Initializer
else:
    AnyInitializer = Annotated[
        Initializer,
        PlainValidator(read_initializer),
        WithJsonSchema(SCHEMA),
        FieldWords(value=EXPECTED),
    ]
