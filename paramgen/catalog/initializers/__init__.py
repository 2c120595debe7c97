"""THE table of initializers: each has fields, reports what it does not fit, and becomes a distribution."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from paramgen.catalog.fields import FieldWords
from paramgen.catalog.initializers.base import Initializer, ParameterInfo
from paramgen.catalog.initializers.scaled import Glorot, He, Lecun, Mode, Scaled, VarianceScaling
from paramgen.catalog.initializers.structured import (
    DeltaOrthogonalInitializer,
    Dirac,
    Identity,
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
    "BernoulliInitializer",
    "ConstantInitializer",
    "DeltaOrthogonalInitializer",
    "Dirac",
    "Gaussian",
    "Glorot",
    "He",
    "Identity",
    "Initializer",
    "IntegersInitializer",
    "Lecun",
    "Mode",
    "NarrowNormal",
    "Ones",
    "OrthogonalInitializer",
    "ParameterInfo",
    "Scaled",
    "TruncatedNormalInitializer",
    "UniformInitializer",
    "UnitForgetGateInitializer",
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
    OrthogonalInitializer,
    UnitForgetGateInitializer,
    Identity,
    Dirac,
    DeltaOrthogonalInitializer,
    ConstantInitializer,
    Ones,
    Zeros,
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
