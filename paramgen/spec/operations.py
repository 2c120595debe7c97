"""THE table of operations: each one's fields, and the parameters they give, with sizes, fans and initializers.

Source: MathWorks, "Initialize Learnable Parameters for Model Function" and the reference pages of the functions
that it names (Deep Learning Toolbox). Sizes are canonical: C order, last index fastest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Union

from pydantic import Field

from paramgen.spec.base import (
    RESERVED,
    UNKNOWN,
    WRONG,
    Complaint,
    DTypeName,
    Expected,
    FilterSize,
    Model,
    Name,
    Shape,
    Size,
    Tagged,
    reserved,
    unknown_keys,
)
from paramgen.spec.initializers import EXPECTED as INITIALIZER_EXPECTED
from paramgen.spec.initializers import (
    AnyInitializer,
    Gaussian,
    Glorot,
    Initializer,
    Ones,
    OrthogonalInitializer,
    Target,
    UnitForgetGateInitializer,
    Zeros,
)

GLOROT = Glorot(type="glorot")
ORTHOGONAL = OrthogonalInitializer(type="orthogonal")
ONES = Ones(type="ones")
ZEROS = Zeros(type="zeros")
UNIT_FORGET_GATE = UnitForgetGateInitializer(type="unit_forget_gate")
EMBEDDING_GAUSSIAN = Gaussian(type="gaussian", mean=0.0, std=0.01)


@dataclass(frozen=True, slots=True)
class Template:
    """A parameter of an operation, before the spec's initializers: name, size and fans, and its own default."""

    name: str
    target: Target
    initializer: Initializer
    dtype: str | None = None
    path: tuple[str | int, ...] = ()


def weights(
    name: str, shape: tuple[int, ...], fan_in: int, fan_out: int, initializer: Initializer = GLOROT
) -> Template:
    return Template(name, Target(shape, fan_in, fan_out), initializer)


def vector(name: str, length: int, initializer: Initializer = ZEROS, num_hidden_units: int | None = None) -> Template:
    return Template(name, Target((length, 1), None, None, True, num_hidden_units), initializer)


class Operation(Tagged):
    """Base of the operations: a name, a type, and the parameters that they give."""

    title: ClassVar[str]
    example: ClassVar[dict[str, Any]]
    name: Name = Field(description="name of the operation; its tensors are <name>.<parameter>.")
    dtype: DTypeName | None = Field(default=None, description="element type of its parameters; default: the spec's.")

    @classmethod
    def key_problems(cls, data: dict[str, Any]) -> Iterator[Complaint]:
        if data.get("name") == RESERVED:
            yield reserved(("name",), WRONG)

    def templates(self) -> Iterator[Template]:
        """Its parameters, in the order of the table."""
        raise NotImplementedError

    def own_initializers(self) -> Mapping[str, Initializer]:
        """What the operation itself says instead of its parameters' defaults."""
        return {}

    @classmethod
    def targets(cls) -> dict[str, Target]:
        """Its parameters by name, at the sizes of its example: for what holds at every size."""
        example = cls.model_validate({"name": "example", "type": cls.names()[0], **cls.example})
        return {template.name: template.target for template in example.templates()}


class Standard(Operation):
    """An operation whose parameters the table names, and whose default initializers a spec may replace."""

    parameter_names: ClassVar[tuple[str, ...]]
    initializers: Annotated[
        dict[str, AnyInitializer], Expected("a mapping of parameter names to initializers", INITIALIZER_EXPECTED)
    ] = Field(default={}, description="initializers by parameter name, instead of the defaults.")

    def own_initializers(self) -> Mapping[str, Initializer]:
        return self.initializers

    @classmethod
    def key_problems(cls, data: dict[str, Any]) -> Iterator[Complaint]:
        yield from super().key_problems(data)
        initializers = data.get("initializers")
        if isinstance(initializers, dict):
            known, what = cls.parameter_names, f"no parameter of {cls.label}"
            yield from unknown_keys(("initializers",), initializers, known, what)


class BatchNorm(Standard):
    """Batch normalization: offset and scale for each channel."""

    label = "batchnorm"
    title = "Batch normalization"
    example = {"num_channels": 128}
    parameter_names = ("offset", "scale")
    type: Literal["batchnorm"] = Field(description="Operation type.")
    num_channels: Size = Field(description="number of channels.")

    def templates(self) -> Iterator[Template]:
        yield vector("offset", self.num_channels)
        yield vector("scale", self.num_channels, ONES)


CHANNEL_WISE: Final = "channel-wise"

# For each way of grouping: the fields that it needs, and those it refuses, with what to give instead.
GROUPINGS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "ungrouped": (
        ("num_channels", "num_filters"),
        {"num_channels_per_group": "num_channels", "num_filters_per_group": "num_filters"},
    ),
    "grouped": (
        ("num_channels_per_group", "num_filters_per_group"),
        {"num_channels": "num_channels_per_group", "num_filters": "num_filters_per_group"},
    ),
    CHANNEL_WISE: (
        ("num_channels",),
        {"num_channels_per_group": "num_channels", "num_filters": "num_filters_per_group"},
    ),
}


class Convolution(Standard):
    """What `conv` and `transposed_conv` share: filters over channels, plain, grouped or channel-wise."""

    parameter_names = ("weights", "bias")
    filter_size: FilterSize = Field(
        description="height, width, … of a filter: 1, 2 or 3 sizes; a single integer is 1-D, not a square."
    )
    num_channels: Size | None = Field(
        default=None, description="number of input channels (ungrouped, or channel-wise)."
    )
    num_filters: Size | None = Field(
        default=None, description="number of filters (output channels), where not grouped."
    )
    num_groups: Annotated[Size | Literal["channel-wise"] | None, Expected("a positive integer or 'channel-wise'")] = (
        Field(default=None, description="number of groups, or channel-wise: one group for each channel.")
    )
    num_channels_per_group: Size | None = Field(
        default=None, description="number of input channels of a group (grouped)."
    )
    num_filters_per_group: Size | None = Field(
        default=None, description="number of filters of a group; default 1 where channel-wise."
    )
    bias: Annotated[
        Literal["per_filter", "shared", "none"] | bool, Expected("one of per_filter, shared, none, true, false")
    ] = Field(default="per_filter", description="a bias for each filter (or true), one shared, or none (or false).")

    @classmethod
    def key_problems(cls, data: dict[str, Any]) -> Iterator[Complaint]:
        yield from super().key_problems(data)
        groups = data.get("num_groups", "ungrouped")
        grouping = "grouped" if isinstance(groups, int) else groups
        if not isinstance(grouping, str) or grouping not in GROUPINGS:
            return
        needed, refused = GROUPINGS[grouping]
        what = f"a {cls.label} that is {grouping}"
        for name in needed:
            if name not in data:
                yield cls.missing(name, what)
        for name, instead in refused.items():
            if name in data:
                yield (name,), f"no field of {what}; give {instead} instead", UNKNOWN

    def groups(self) -> tuple[int | None, int, int]:
        """(number of groups or None, channels of a group, filters of a group)."""
        if self.num_groups == CHANNEL_WISE:
            assert self.num_channels is not None
            return self.num_channels, 1, self.num_filters_per_group or 1
        grouped = self.num_groups is not None
        channels = self.num_channels_per_group if grouped else self.num_channels
        filters = self.num_filters_per_group if grouped else self.num_filters
        assert channels is not None and filters is not None
        return self.num_groups, channels, filters

    def sizes(self, channels: int, filters: int) -> tuple[int, int]:
        """The order of channels and filters in the weights' size."""
        return channels, filters

    def templates(self) -> Iterator[Template]:
        groups, channels, filters = self.groups()
        elements = math.prod(self.filter_size)
        grouping = () if groups is None else (groups,)
        shape = (*self.filter_size, *self.sizes(channels, filters), *grouping)
        yield weights("weights", shape, fan_in=elements * channels, fan_out=elements * filters)
        if self.bias == "shared":
            yield vector("bias", 1)
        elif self.bias in ("per_filter", True):
            yield vector("bias", filters if groups is None else filters * groups)


class Conv(Convolution):
    """Convolution in one, two or three dimensions."""

    label = "conv"
    title = "Convolution"
    example = {"filter_size": [5, 5], "num_channels": 3, "num_filters": 128}
    type: Literal["conv", "dlconv"] = Field(description="Operation type.")


class TransposedConv(Convolution):
    """Transposed convolution in one, two or three dimensions; its weights have filters before channels."""

    label = "transposed_conv"
    title = "Transposed convolution"
    example = {"filter_size": [4, 4], "num_channels": 128, "num_filters": 64}
    type: Literal["transposed_conv", "dltranspconv"] = Field(description="Operation type.")

    def sizes(self, channels: int, filters: int) -> tuple[int, int]:
        return filters, channels


class FullyConnected(Standard):
    """Fully connected (dense, linear) operation."""

    label = "fully_connected"
    title = "Fully connected"
    example = {"input_size": 784, "output_size": 10}
    parameter_names = ("weights", "bias")
    type: Literal["fully_connected", "fullyconnect"] = Field(description="Operation type.")
    input_size: Size = Field(description="number of input features.")
    output_size: Size = Field(description="number of output features.")
    bias: Annotated[bool, Expected("true or false")] = Field(default=True, description="whether it has a bias.")

    def templates(self) -> Iterator[Template]:
        yield weights("weights", (self.output_size, self.input_size), self.input_size, self.output_size)
        if self.bias:
            yield vector("bias", self.output_size)


class Recurrent(Standard):
    """What `gru` and `lstm` share: weights of all gates, stacked along the first axis."""

    parameter_names = ("input_weights", "recurrent_weights", "bias")
    gates: ClassVar[int]
    input_size: Size = Field(description="number of input features.")
    num_hidden_units: Size = Field(description="number of hidden units, H.")

    def templates(self) -> Iterator[Template]:
        rows = self.gates * self.num_hidden_units
        yield weights("input_weights", (rows, self.input_size), self.input_size, rows)
        yield weights("recurrent_weights", (rows, self.num_hidden_units), self.num_hidden_units, rows, ORTHOGONAL)


class GRU(Recurrent):
    """Gated recurrent unit; gates in the order reset, update, candidate."""

    label = "gru"
    title = "Gated recurrent unit"
    example = {"input_size": 64, "num_hidden_units": 100}
    gates = 3
    type: Literal["gru"] = Field(description="Operation type.")
    reset_gate_mode: Annotated[
        Literal["after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"],
        Expected("one of after-multiplication, before-multiplication, recurrent-bias-after-multiplication"),
    ] = Field(
        default="after-multiplication",
        description="where the reset gate applies; recurrent-bias-after-multiplication has a recurrent bias as well.",
    )

    def templates(self) -> Iterator[Template]:
        yield from super().templates()
        biases = 2 if self.reset_gate_mode == "recurrent-bias-after-multiplication" else 1
        yield vector("bias", biases * self.gates * self.num_hidden_units)


class LSTM(Recurrent):
    """Long short-term memory; gates in the order input, forget, cell candidate, output."""

    label = "lstm"
    title = "Long short-term memory"
    example = {"input_size": 64, "num_hidden_units": 100}
    gates = 4
    type: Literal["lstm"] = Field(description="Operation type.")

    def templates(self) -> Iterator[Template]:
        yield from super().templates()
        yield vector("bias", self.gates * self.num_hidden_units, UNIT_FORGET_GATE, self.num_hidden_units)


class Embedding(Standard):
    """Embedding of the indices of a vocabulary."""

    label = "embedding"
    title = "Embedding"
    example = {"embedding_dimension": 300, "vocabulary_size": 5000}
    parameter_names = ("weights",)
    type: Literal["embedding", "embed"] = Field(description="Operation type.")
    embedding_dimension: Size = Field(description="length of an embedding vector.")
    vocabulary_size: Size = Field(description="number of indices.")

    def templates(self) -> Iterator[Template]:
        shape = (self.embedding_dimension, self.vocabulary_size)
        yield weights("weights", shape, self.vocabulary_size, self.embedding_dimension, EMBEDDING_GAUSSIAN)


class CustomParameter(Model):
    """A parameter that no operation describes."""

    label = "a custom parameter"
    shape: Shape = Field(description="its size, a list; [] is a scalar.")
    initializer: AnyInitializer = Field(description="its initializer.")
    fan_in: Size | None = Field(default=None, description="number of inputs of an output, for glorot and he.")
    fan_out: Size | None = Field(default=None, description="number of outputs of an input, for glorot.")
    dtype: DTypeName | None = Field(default=None, description="its element type; default: the operation's.")


class Custom(Operation):
    """Parameters that no operation describes, each with its shape and initializer."""

    label = "custom"
    title = "Custom"
    example = {"parameters": {"weights": {"shape": [100, 100], "initializer": {"type": "uniform", "bound": 0.1}}}}
    type: Literal["custom"] = Field(description="Operation type.")
    parameters: Annotated[
        dict[Name, CustomParameter],
        Field(min_length=1),
        Expected("a mapping of names to parameters, at least one", "a mapping with shape and initializer"),
    ] = Field(description="its parameters by name.")

    @classmethod
    def key_problems(cls, data: dict[str, Any]) -> Iterator[Complaint]:
        yield from super().key_problems(data)
        if isinstance(data.get("parameters"), dict) and RESERVED in data["parameters"]:
            yield reserved(("parameters", RESERVED), UNKNOWN)

    def templates(self) -> Iterator[Template]:
        for name, parameter in self.parameters.items():
            target = Target(parameter.shape, parameter.fan_in, parameter.fan_out)
            path = ("parameters", name, "initializer")
            yield Template(name, target, parameter.initializer, parameter.dtype, path)


TABLE: tuple[type[Operation], ...] = (
    BatchNorm,
    Conv,
    TransposedConv,
    FullyConnected,
    GRU,
    LSTM,
    Embedding,
    Custom,
)

BY_TYPE = {name: model for model in TABLE for name in model.names()}

if TYPE_CHECKING:
    AnyOperation = Operation
else:
    AnyOperation = Annotated[Union[TABLE], Field(discriminator="type")]  # noqa: UP007 (a tuple of models)
