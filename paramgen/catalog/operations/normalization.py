"""Normalizations."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from paramgen.catalog.fields import FieldError, Size
from paramgen.catalog.operations.base import (
    ONES,
    ParameterDef,
    StandardOperation,
    check_multiple,
    define_vector,
)


class Normalization(StandardOperation):
    """Base of the normalizations with an offset and a scale for each channel."""

    example = {"num_channels": 128}
    num_channels: Size = Field(description="number of channels.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        yield define_vector("offset", "c", {"c": self.num_channels})
        yield define_vector("scale", "c", {"c": self.num_channels}, ONES)


class BatchNorm(Normalization):
    """Batch normalization: offset and scale for each channel."""

    title = "Batch normalization"
    type: Literal["batchnorm"] = Field(description="operation type.")


class LayerNorm(Normalization):
    """Layer normalization: offset and scale for each channel."""

    title = "Layer normalization"
    type: Literal["layer_norm", "layernorm"] = Field(description="operation type.")
    offset: bool = Field(default=True, description="true for an offset.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        return (definition for definition in super().parameter_defs() if self.offset or definition.name != "offset")


class InstanceNorm(Normalization):
    """Instance normalization: offset and scale for each channel."""

    title = "Instance normalization"
    type: Literal["instance_norm", "instancenorm"] = Field(description="operation type.")


class GroupNorm(Normalization):
    """Group normalization: offset and scale for each channel."""

    title = "Group normalization"
    type: Literal["group_norm", "groupnorm"] = Field(description="operation type.")
    num_groups: Size | None = Field(default=None, description="number of groups; the parameters do not depend on it.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        yield from check_multiple(data, "num_channels", "num_groups")


class RMSNorm(StandardOperation):
    """Root mean square normalization: a scale for each channel."""

    title = "Root mean square normalization"
    example = {"num_channels": 128}
    type: Literal["rms_norm", "rmsnorm"] = Field(description="operation type.")
    num_channels: Size = Field(description="number of channels.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        yield define_vector("scale", "c", {"c": self.num_channels}, ONES)
