"""The table of initializers: each validates its fields, checks that it fits a parameter, and yields a distribution."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from paramgen.catalog.fields import Expectation
from paramgen.catalog.initializers.base import Equation, FanFactors, Initializer, ParameterTraits
from paramgen.catalog.initializers.computed import (
    Arange,
    Formula,
    LogUniform,
    Sinusoidal,
    SsmDtBias,
    Values,
)
from paramgen.catalog.initializers.scaled import Glorot, He, Lecun, Mode, Scaled, VarianceScaling
from paramgen.catalog.initializers.structured import (
    DeltaOrthogonal,
    Dirac,
    Identity,
    Norm,
    Orthogonal,
    UnitForgetGate,
)
from paramgen.catalog.initializers.values import (
    Bernoulli,
    Constant,
    Gaussian,
    Integers,
    NarrowNormal,
    Ones,
    TruncatedNormal,
    Uniform,
    Zeros,
)
from paramgen.catalog.schemas import reference
from paramgen.catalog.spec_model import read_typed
from paramgen.catalog.synonyms import INITIALIZER_SYNONYMS

INITIALIZERS: tuple[type[Initializer], ...] = (
    Glorot,
    He,
    Lecun,
    VarianceScaling,
    Gaussian,
    NarrowNormal,
    TruncatedNormal,
    Uniform,
    Integers,
    Bernoulli,
    LogUniform,
    SsmDtBias,
    Orthogonal,
    UnitForgetGate,
    Identity,
    Dirac,
    DeltaOrthogonal,
    Constant,
    Ones,
    Zeros,
    Values,
    Arange,
    Formula,
    Sinusoidal,
)


INITIALIZERS_BY_TYPE = {name: model for model in INITIALIZERS for name in model.names()}

INITIALIZER_EXPECTED = "the name of an initializer, or a mapping with its type and fields"


def read_initializer(value: Any) -> Initializer:
    """Return the initializer that a name or a mapping describes. Raises ValidationError if it is not valid."""
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
        WithJsonSchema({"allOf": [reference("Initializer")]}),
        Expectation(value=INITIALIZER_EXPECTED),
    ]
