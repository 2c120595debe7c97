"""Recurrent operations, of one or several layers, in one or both directions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from paramgen import limits
from paramgen.catalog.fields import Size, bounded_size_type
from paramgen.catalog.initializers import (
    UnitForgetGate,
)
from paramgen.catalog.operations.base import (
    ORTHOGONAL,
    ParameterDef,
    StandardOperation,
    define_vector,
    define_weights,
)

UNIT_FORGET_GATE = UnitForgetGate(type="unit_forget_gate")


@dataclass(frozen=True, slots=True)
class RecurrentCell:
    """One layer of a recurrent operation, in one direction; its parameters' names end in `suffix`."""

    layer: int
    reverse: bool
    suffix: str


class Recurrent(StandardOperation):
    """Base of `rnn`, `gru` and `lstm`: for each layer and direction the weights of all gates, along the first axis.

    Names of parameters end in _l1, _l2, … after the first layer, and in _reverse in the reverse direction.
    `initializers` apply to all layers and directions.
    """

    example = {"input_size": 64, "num_hidden_units": 100}
    gates: ClassVar[int]
    input_size: Size = Field(description="number of input features.")
    num_hidden_units: Size = Field(description="number of hidden units, H.")
    num_layers: Annotated[int, bounded_size_type(limits.MAX_LAYERS)] = Field(
        default=1, description="number of stacked layers."
    )
    bidirectional: bool = Field(
        default=False, description="true for layers in both directions; the next layer has twice the inputs."
    )

    def cells(self) -> Iterator[RecurrentCell]:
        """Yield the layers and directions, in order."""
        for layer in range(self.num_layers):
            for reverse in (False, True)[: 1 + self.bidirectional]:
                yield RecurrentCell(layer, reverse, (f"_l{layer}" if layer else "") + ("_reverse" if reverse else ""))

    def output_size(self) -> int:
        """Return the number of output features of a layer in one direction."""
        return self.num_hidden_units

    def parameter_defs(self) -> Iterator[ParameterDef]:
        for cell in self.cells():
            yield from self.cell_parameter_defs(cell)

    def cell_parameter_defs(self, cell: RecurrentCell) -> Iterator[ParameterDef]:
        """Yield the parameters of a layer in one direction."""
        inputs = self.output_size() * (1 + self.bidirectional) if cell.layer else self.input_size
        sizes = {"g": self.gates, "h": self.num_hidden_units, "i": inputs, "r": self.output_size()}
        rows = self.gates, self.num_hidden_units
        yield define_weights("input_weights", "(g h) i", sizes, (inputs,), rows, suffix=cell.suffix)
        yield define_weights(
            "recurrent_weights", "(g h) r", sizes, (self.output_size(),), rows, ORTHOGONAL, suffix=cell.suffix
        )
        yield self.cell_bias_def(cell, sizes)

    def cell_bias_def(self, cell: RecurrentCell, sizes: dict[str, int]) -> ParameterDef:
        return define_vector("bias", "(g h)", sizes, suffix=cell.suffix)


class RNN(Recurrent):
    """Simple recurrent operation (Elman network)."""

    title = "Simple recurrent"
    gates = 1
    type: Literal["rnn"] = Field(description="operation type.")


class GRU(Recurrent):
    """Gated recurrent unit; gates in the order reset, update, candidate."""

    title = "Gated recurrent unit"
    example_variants = (
        {"reset_gate_mode": "recurrent-bias-after-multiplication"},
        {"reset_gate_mode": "before-multiplication"},
    )
    gates = 3
    type: Literal["gru"] = Field(description="operation type.")
    reset_gate_mode: Literal["after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"] = (
        Field(
            default="after-multiplication",
            description="position of the reset gate; recurrent-bias-after-multiplication adds a recurrent bias.",
        )
    )

    def cell_bias_def(self, cell: RecurrentCell, sizes: dict[str, int]) -> ParameterDef:
        recurrent = {"b": 2} if self.reset_gate_mode == "recurrent-bias-after-multiplication" else {}
        return define_vector("bias", "(b g h)", {**recurrent, **sizes}, suffix=cell.suffix)


class LSTM(Recurrent):
    """Long short-term memory; gates in the order input, forget, cell candidate, output."""

    title = "Long short-term memory"
    example_variants = ({"projection_size": 50},)
    gates = 4
    type: Literal["lstm"] = Field(description="operation type.")
    projection_size: Size | None = Field(
        default=None, description="number of features of the projected hidden state; default: no projection."
    )

    def output_size(self) -> int:
        return self.projection_size or self.num_hidden_units

    def cell_bias_def(self, cell: RecurrentCell, sizes: dict[str, int]) -> ParameterDef:
        return define_vector("bias", "(g h)", sizes, UNIT_FORGET_GATE, self.num_hidden_units, suffix=cell.suffix)

    def cell_parameter_defs(self, cell: RecurrentCell) -> Iterator[ParameterDef]:
        yield from super().cell_parameter_defs(cell)
        if self.projection_size:
            sizes = {"p": self.projection_size, "h": self.num_hidden_units}
            fans = (self.num_hidden_units,), (self.projection_size,)
            yield define_weights("projection_weights", "p h", sizes, *fans, suffix=cell.suffix)
