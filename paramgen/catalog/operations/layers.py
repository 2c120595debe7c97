"""Operations of a matrix or a vector, and custom ones."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from paramgen import limits
from paramgen.catalog.entries import Condition
from paramgen.catalog.fields import (
    NAME,
    RESERVED_NAME,
    DTypeName,
    ErrorSubject,
    Expectation,
    FieldError,
    Name,
    NonNegativeInt,
    Schema,
    Shape,
    Size,
    reserved_name_error,
)
from paramgen.catalog.initializers import (
    INITIALIZERS,
    AnyInitializer,
    Constant,
    Gaussian,
    Mode,
    ParameterTraits,
    Scaled,
)
from paramgen.catalog.operations.base import (
    Operation,
    ParameterDef,
    StandardOperation,
    define_vector,
    define_weights,
)
from paramgen.catalog.operations.weight_norm import WEIGHT_NORM_EXPECTED, WEIGHT_NORM_HELP, MatrixNorm, define_magnitude
from paramgen.catalog.schemas import initializer_schema, merge_rules, object_schema, reference, type_schema
from paramgen.catalog.spec_model import SpecModel
from paramgen.messages import must_be

QUARTER = Constant(type="constant", value=0.25)
EMBEDDING_GAUSSIAN = Gaussian(type="gaussian", mean=0.0, std=0.01)


class FullyConnected(StandardOperation):
    """Fully connected (dense, linear) operation."""

    title = "Fully connected"
    example = {"input_size": 784, "output_size": 10}
    example_variants = (
        {"transposed": True},
        {"weight_norm": {"axis": "outputs"}},
        {"weight_norm": {"axis": "inputs", "style": "legacy"}},
    )
    norm_axes: ClassVar[dict[str, str]] = {"outputs": "o", "inputs": "i", "none": ""}
    type: Literal["fully_connected", "fullyconnect"] = Field(description="operation type.")
    input_size: Size = Field(description="number of input features.")
    output_size: Size = Field(description="number of output features.")
    bias: bool = Field(default=True, description="true for a bias.")
    transposed: bool = Field(
        default=False, description="true to store PyTorch's weight as inputs × outputs, as GPT-2's Conv1D does."
    )
    weight_norm: Annotated[MatrixNorm | None, WEIGHT_NORM_EXPECTED] = Field(default=None, description=WEIGHT_NORM_HELP)

    def parameter_defs(self) -> Iterator[ParameterDef]:
        sizes = {"o": self.output_size, "i": self.input_size}
        weights_def = define_weights("weights", "o i", sizes, (self.input_size,), (self.output_size,))
        yield weights_def
        if self.weight_norm:
            yield define_magnitude(weights_def, self.norm_axes[self.weight_norm.axis])
        if self.bias:
            yield define_vector("bias", "o", sizes)


class Embedding(StandardOperation):
    """Embedding: a vector for each index of a vocabulary."""

    title = "Embedding"
    example = {"embedding_dimension": 300, "vocabulary_size": 5000}
    type: Literal["embedding", "embed"] = Field(description="operation type.")
    embedding_dimension: Size = Field(description="length of an embedding vector.")
    vocabulary_size: Size = Field(description="number of indices.")
    padding_index: NonNegativeInt | None = Field(default=None, description="index whose vector is zero; default: none.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        index, size = data.get("padding_index"), data.get("vocabulary_size")
        if type(index) is int and type(size) is int and 0 < size <= index:
            message = must_be(f"below vocabulary_size ({size})", index)
            yield FieldError(("padding_index",), message)

    def parameter_defs(self) -> Iterator[ParameterDef]:
        sizes = {"d": self.embedding_dimension, "v": self.vocabulary_size}
        definition = define_weights(
            "weights", "d v", sizes, (self.vocabulary_size,), (self.embedding_dimension,), EMBEDDING_GAUSSIAN
        )
        yield replace(definition, traits=replace(definition.traits, padding_index=self.padding_index))


class PReLU(StandardOperation):
    """Parametric rectified linear unit: a slope for negative inputs, shared or for each channel."""

    title = "Parametric rectified linear unit"
    example = {"num_channels": 1}
    type: Literal["prelu"] = Field(description="operation type.")
    num_channels: Size = Field(default=1, description="number of channels; 1 for a shared slope.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        yield define_vector("alpha", "c", {"c": self.num_channels}, QUARTER)


class CustomParameter(SpecModel):
    """A parameter that no operation describes."""

    label = "a custom parameter"
    shape: Shape = Field(description="shape, a list; [] is a scalar.")
    initializer: AnyInitializer = Field(description="initializer.")
    fan_in: Size | None = Field(default=None, description="inputs per output, for initializers that scale with it.")
    fan_out: Size | None = Field(default=None, description="outputs per input, for initializers that scale with it.")
    dtype: DTypeName | None = Field(default=None, description="its element type; default: the operation's.")
    when: Condition = Field(default=True, description="condition; if false, the parameter is omitted.")

    @classmethod
    def schema_rules(cls) -> Schema:
        return {"allOf": [*_fans_rules(), *_shape_rules()]}


def _fans_rules() -> Iterator[Schema]:
    """Yield which fans an initializer that scales needs: those of its mode, written or default."""
    for model in INITIALIZERS:
        if issubclass(model, Scaled):
            for mode in get_args(Mode):
                fans = list(model.model_construct(mode=mode).fans())
                written = object_schema({**type_schema(model.names()), "required": ["type", "mode"]})
                written["properties"] = {**written["properties"], "mode": {"const": mode}}
                is_default = mode == model.model_fields["mode"].default
                unwritten = {
                    "allOf": [initializer_schema(model.names()), {"not": object_schema({"required": ["mode"]})}]
                }
                has_mode = {"anyOf": [written, unwritten]} if is_default else written
                yield {"if": {"properties": {"initializer": has_mode}}, "then": {"required": fans}}


def _shape_rules() -> Iterator[Schema]:
    """Yield the number of dimensions for each initializer that does not fit every number of them."""
    for model in INITIALIZERS:
        initializer, every = model.model_construct(), range(limits.MAX_DIMENSIONS + 1)
        fitting = [count for count in every if initializer.fits_dimensions(ParameterTraits((1,) * count, 1, 1))]
        if not fitting:
            yield {"properties": {"initializer": {"not": initializer_schema(model.names())}}}
        elif len(fitting) < len(every):
            yield {
                "if": {"properties": {"initializer": initializer_schema(model.names())}},
                "then": {"properties": {"shape": {"minItems": fitting[0], "maxItems": fitting[-1]}}},
            }


ParametersByName = Annotated[
    dict[Name, CustomParameter],
    Field(min_length=1),
    Expectation(value="a mapping of names to parameters, at least one", item="a mapping with shape and initializer"),
]
PARAMETERS_SCHEMA: Schema = {
    "propertyNames": {key: NAME.schema[key] for key in ("pattern", "not")},
    "additionalProperties": reference("CustomParameter"),
}


class Custom(Operation):
    """Parameters that no operation describes, each with its shape and initializer."""

    title = "Custom"
    example = {"parameters": {"weights": {"shape": [100, 100], "initializer": {"type": "uniform", "bound": 0.1}}}}
    type: Literal["custom"] = Field(description="operation type.")
    parameters: ParametersByName = Field(description="parameters by name.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        if isinstance(data.get("parameters"), dict) and RESERVED_NAME in data["parameters"]:
            yield reserved_name_error(("parameters", RESERVED_NAME), ErrorSubject.KEY)

    @classmethod
    def schema_rules(cls) -> Schema:
        return merge_rules(super().schema_rules(), {"properties": {"parameters": PARAMETERS_SCHEMA}})

    def parameter_defs(self) -> Iterator[ParameterDef]:
        for name, parameter in self.parameters.items():
            traits = ParameterTraits(parameter.shape, parameter.fan_in, parameter.fan_out)
            path = ("parameters", name, "initializer")
            yield ParameterDef(name, traits, parameter.initializer, name, parameter.dtype, path)
