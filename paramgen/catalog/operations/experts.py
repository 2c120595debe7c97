"""Mixture of experts, in stacked tensors."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from paramgen.catalog.fields import Size
from paramgen.catalog.operations.base import ParameterDef, StandardOperation, define_weights


class Experts(StandardOperation):
    """Gated feed-forward networks of the same size, stacked along the first axis; fans are those of one expert.

    The router is a `fully_connected` operation without bias. Separate experts are `fully_connected` operations in a
    repeated group.
    """

    title = "Mixture of experts"
    example = {"num_experts": 8, "input_size": 512, "num_hidden_units": 1024}
    type: Literal["experts"] = Field(description="operation type.")
    num_experts: Size = Field(description="number of experts.")
    input_size: Size = Field(description="number of input features, and of output features.")
    num_hidden_units: Size = Field(description="number of hidden units of an expert.")

    def parameter_defs(self) -> Iterator[ParameterDef]:
        inputs, hidden = self.input_size, self.num_hidden_units
        sizes = {"x": self.num_experts, "g": 2, "h": hidden, "i": inputs}
        yield define_weights("gate_up_weights", "x (g h) i", sizes, (inputs,), (2, hidden))
        yield define_weights("down_weights", "x i h", sizes, (hidden,), (inputs,))
