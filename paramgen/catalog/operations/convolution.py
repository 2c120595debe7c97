"""Convolutions: plain, grouped, channel-wise, transposed and separable."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from paramgen.catalog.fields import SIZE, ErrorSubject, FieldError, FieldType, FilterSize, Schema, Size
from paramgen.catalog.operations.base import (
    ParameterDef,
    StandardOperation,
    define_vector,
    define_weights,
)
from paramgen.catalog.operations.weight_norm import WEIGHT_NORM_EXPECTED, WEIGHT_NORM_HELP, FilterNorm, define_magnitude
from paramgen.messages import must_be

FILTER_SIZE_HELP = "height, width, … of a filter: 1, 2 or 3 sizes; a single integer is 1-D, not a square."


CHANNEL_WISE: Final = "channel-wise"

GROUPS = FieldType(
    value=f"a positive integer or '{CHANNEL_WISE}'",
    accepts=lambda value: value == CHANNEL_WISE or SIZE.accepts(value),
    schema={"anyOf": [SIZE.schema, {"const": CHANNEL_WISE, "type": "string"}]},
)

# For each way of grouping: the required fields, and the refused ones, each with its replacement.
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


KERNEL_AXIS_RULE: Schema = {
    "if": {
        "required": ["weight_norm"],
        "properties": {"weight_norm": {"required": ["axis"], "properties": {"axis": {"const": "kernel"}}}},
    },
    "then": {"properties": {"filter_size": {"maxItems": 1}}},
}


def _grouping_schema(name: str) -> Schema:
    needed, refused = GROUPINGS[name]
    return {"required": list(needed), "properties": dict.fromkeys(refused, False)}


class GroupSizes(NamedTuple):
    """The number of groups, None without groups, and the channels and filters of each."""

    groups: int | None
    channels: int
    filters: int


class Convolution(StandardOperation):
    """Base of `conv` and `transposed_conv`: filters over channels, plain, grouped or channel-wise."""

    example_variants = (
        {"bias": "shared"},
        {
            "num_groups": 4,
            "num_channels_per_group": 8,
            "num_filters_per_group": 8,
            "num_channels": None,
            "num_filters": None,
        },
        {"num_groups": CHANNEL_WISE, "num_filters_per_group": 2, "num_filters": None},
        {"weight_norm": {"axis": "filters"}},
        {"weight_norm": {"axis": "channels", "style": "legacy"}},
    )
    axes: ClassVar[str]
    norm_axes: ClassVar[dict[str, str]]
    """The axes of the weights that each axis of weight_norm consists of."""
    filter_size: FilterSize = Field(description=FILTER_SIZE_HELP)
    num_channels: Size | None = Field(
        default=None, description="number of input channels (ungrouped, or channel-wise)."
    )
    num_filters: Size | None = Field(default=None, description="number of filters (output channels), if not grouped.")
    num_groups: Annotated[int | Literal["channel-wise"], GROUPS] | None = Field(
        default=None, description="number of groups, or channel-wise: one group for each channel."
    )
    num_channels_per_group: Size | None = Field(
        default=None, description="number of input channels in a group (grouped)."
    )
    num_filters_per_group: Size | None = Field(
        default=None, description="number of filters in a group; default: 1 if channel-wise."
    )
    bias: Literal["per_filter", "shared", "none"] | bool = Field(
        default="per_filter", description="a bias per filter (or true), one shared bias, or none (or false)."
    )
    weight_norm: Annotated[FilterNorm | None, WEIGHT_NORM_EXPECTED] = Field(default=None, description=WEIGHT_NORM_HELP)

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        norm, sizes = data.get("weight_norm"), data.get("filter_size")
        if isinstance(norm, dict) and norm.get("axis") == "kernel" and isinstance(sizes, list) and len(sizes) > 1:
            message = must_be(f"filters, channels or none for {len(sizes)}-D filters", "kernel")
            yield FieldError(("weight_norm", "axis"), message)
        groups = data.get("num_groups", "ungrouped")
        grouping = "grouped" if type(groups) is int and groups > 0 else groups
        if not isinstance(grouping, str) or grouping not in GROUPINGS:
            return
        needed, refused = GROUPINGS[grouping]
        what = f"{'an' if grouping == 'ungrouped' else 'a'} {grouping} {cls.label}"
        for name in needed:
            if name not in data:
                yield cls.missing_field_error(name, what)
        for name, instead in refused.items():
            if name in data:
                yield FieldError((name,), f"not a field of {what}; use {instead} instead", ErrorSubject.KEY)

    @classmethod
    def schema_rules(cls) -> Schema:
        inherited = super().schema_rules()
        inherited["allOf"].append(KERNEL_AXIS_RULE)
        is_channel_wise = {"properties": {"num_groups": {"const": CHANNEL_WISE}}}
        is_number = {"properties": {"num_groups": {"type": "integer"}}}
        return {
            "properties": inherited.pop("properties"),
            "if": {"required": ["num_groups"]},
            "then": {
                "if": is_channel_wise,
                "then": _grouping_schema(CHANNEL_WISE),
                "else": {"if": is_number, "then": _grouping_schema("grouped")},
            },
            "else": _grouping_schema("ungrouped"),
            **inherited,
        }

    def group_sizes(self) -> GroupSizes:
        """Return the number of groups, and the sizes of each."""
        if self.num_groups == CHANNEL_WISE:
            assert self.num_channels is not None
            return GroupSizes(self.num_channels, 1, self.num_filters_per_group or 1)
        grouped = self.num_groups is not None
        channels = self.num_channels_per_group if grouped else self.num_channels
        filters = self.num_filters_per_group if grouped else self.num_filters
        assert channels is not None and filters is not None
        return GroupSizes(self.num_groups, channels, filters)

    def parameter_defs(self) -> Iterator[ParameterDef]:
        groups, channels, filters = self.group_sizes()
        sizes: dict[str, int | tuple[int, ...]] = {"k": self.filter_size, "i": channels, "o": filters}
        if groups is not None:
            sizes["g"] = groups
        weights_def = define_weights(
            "weights", self.axes, sizes, (*self.filter_size, channels), (*self.filter_size, filters)
        )
        yield weights_def
        if self.weight_norm:
            yield define_magnitude(weights_def, self.norm_axes[self.weight_norm.axis])
        if self.bias == "shared":
            yield define_vector("bias", "1", {})
        elif self.bias in ("per_filter", True):
            yield define_vector("bias", "(g o)", sizes)


class Conv(Convolution):
    """Convolution in one, two or three dimensions."""

    title = "Convolution"
    example = {"filter_size": [5, 5], "num_channels": 3, "num_filters": 128}
    axes = "*k i o g"
    norm_axes = {"filters": "o g", "channels": "i", "kernel": "k", "none": ""}
    type: Literal["conv", "dlconv"] = Field(description="operation type.")


class TransposedConv(Convolution):
    """Transposed convolution in one, two or three dimensions; its weights have filters before channels."""

    title = "Transposed convolution"
    example = {"filter_size": [4, 4], "num_channels": 64, "num_filters": 64}
    axes = "*k o i g"
    norm_axes = {"filters": "o", "channels": "i g", "kernel": "k", "none": ""}
    type: Literal["transposed_conv", "dltranspconv"] = Field(description="operation type.")


class SeparableConv(StandardOperation):
    """Separable convolution: a filter (or several) for each channel, then a convolution of size 1 in each dimension."""

    title = "Separable convolution"
    example = {"filter_size": [3, 3], "num_channels": 64, "num_filters": 128, "depth_multiplier": 1}
    type: Literal["separable_conv"] = Field(description="operation type.")
    filter_size: FilterSize = Field(description=FILTER_SIZE_HELP)
    num_channels: Size = Field(description="number of input channels.")
    num_filters: Size = Field(description="number of filters (output channels).")
    depth_multiplier: Size = Field(
        default=1, description="number of filters per channel, before the pointwise convolution."
    )
    bias: bool = Field(default=True, description="true for a bias.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        sizes: dict[str, int | tuple[int, ...]] = {"k": self.filter_size, "one": (1,) * len(self.filter_size)}
        sizes |= {"m": self.depth_multiplier, "c": self.num_channels, "o": self.num_filters}
        mixed = self.num_channels, self.depth_multiplier
        elements = tuple(self.filter_size)
        yield define_weights("depthwise_weights", "*k 1 m c", sizes, elements, (*elements, self.depth_multiplier))
        yield define_weights("pointwise_weights", "*one (c m) o", sizes, mixed, (self.num_filters,))
        if self.bias:
            yield define_vector("bias", "o", sizes)
