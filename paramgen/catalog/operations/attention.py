"""Attention."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from paramgen.catalog.fields import FieldError, Size
from paramgen.catalog.operations.base import (
    ParameterDef,
    StandardOperation,
    check_multiple,
    define_vector,
    define_weights,
)
from paramgen.messages import must_be, show


class MultiheadAttention(StandardOperation):
    """Multi-head attention: projections of queries, keys and values, and of the heads' outputs."""

    title = "Multi-head attention"
    example = {"input_size": 512, "num_heads": 8}
    example_variants = ({"projections": "fused"},)
    type: Literal["multihead_attention"] = Field(description="operation type.")
    input_size: Size = Field(description="number of input features.")
    num_heads: Size = Field(description="number of heads.")
    num_key_channels: Size | None = Field(
        default=None, description="number of query channels, and of key channels, in all heads; default: input_size."
    )
    num_value_channels: Size | None = Field(
        default=None, description="number of value channels in all heads; default: num_key_channels."
    )
    output_size: Size | None = Field(default=None, description="number of output features; default: input_size.")
    projections: Literal["separate", "fused"] = Field(
        default="separate", description="weights of queries, keys and values in separate matrices, or fused in one."
    )
    bias: bool = Field(default=True, description="true for biases of the projections.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        yield from super().check_keys(data)
        keys = "num_key_channels" if "num_key_channels" in data else "input_size"
        yield from check_multiple(data, keys, "num_heads")
        yield from check_multiple(data, "num_value_channels", "num_heads")
        if data.get("projections") == "fused" and data.get("num_value_channels", data.get(keys)) != data.get(keys):
            expected = f"{show(data.get(keys))} (the key channels) for fused projections"
            yield FieldError(("num_value_channels",), must_be(expected, data.get("num_value_channels")))

    def parameter_defs(self) -> Iterator[ParameterDef]:
        keys = self.num_key_channels or self.input_size
        values = self.num_value_channels or keys
        outputs = self.output_size or self.input_size
        heads = self.num_heads
        sizes = {"p": 3, "n": heads, "d": keys // heads, "e": values // heads, "i": self.input_size, "o": outputs}
        projections = (("query", "d", keys), ("key", "d", keys), ("value", "e", values))
        if self.projections == "fused":
            yield define_weights("qkv_weights", "(p n d) i", sizes, (self.input_size,), (3, keys))
        else:
            for projection, size, rows in projections:
                yield define_weights(f"{projection}_weights", f"(n {size}) i", sizes, (self.input_size,), (rows,))
        yield define_weights("output_weights", "o (n e)", sizes, (values,), (outputs,))
        if not self.bias:
            return
        if self.projections == "fused":
            yield define_vector("qkv_bias", "(p n d)", sizes)
        else:
            for projection, size, _ in projections:
                yield define_vector(f"{projection}_bias", f"(n {size})", sizes)
        yield define_vector("output_bias", "o", sizes)
