"""Layouts: how a framework names and arranges the parameters of operations.

axes.py describes the notation of the rows. Each module of frameworks/ has a table of them, by operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from paramgen.catalog.axes import Rearrangement, identity_rearrangement, parse_row, rearrange
from paramgen.catalog.initializers import Initializer
from paramgen.catalog.operations import (
    Convolution,
    Custom,
    FullyConnected,
    MultiheadAttention,
    Operation,
    ParameterDef,
    Recurrent,
    RecurrentCell,
)
from paramgen.catalog.operations.base import ONES, ZEROS

# Rows can name these beside the parameters of an operation.
CONSTANTS: dict[str, Initializer] = {"zeros": ZEROS, "ones": ONES}

# Or a function that yields rows, and raises UnsupportedError if the framework lacks the operation.
Rows = tuple[str, ...] | Callable[[Any], Iterator[str]]


class UnsupportedError(ValueError):
    """A framework's lack of an operation, with what to do instead."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A framework's names and axis orders. Names begin with `collection`, unless a row has its own."""

    framework: str
    rows: dict[type[Operation], Rows] = field(default_factory=dict)
    collection: str = ""

    def rearrangements(self, operation: Operation, definitions: Sequence[ParameterDef]) -> list[Rearrangement]:
        """Return the tensors of an operation with these parameters, named below it.

        Raises UnsupportedError if the framework has no such operation.
        """
        if isinstance(operation, Custom):
            return _unchanged(definitions)
        axes = {definition.name: definition.traits.axes for definition in definitions if definition.traits.axes}
        return rearrange(self.applicable_rows(operation, definitions), axes)

    def applicable_rows(self, operation: Operation, definitions: Sequence[ParameterDef]) -> list[str]:
        """Return the rows of an operation, without those of parameters that it lacks."""
        rows = self.rows.get(type(operation))
        if rows is None:
            name = operation.type_name
            raise UnsupportedError(f"{self.framework} has no {name}; use an operation of type custom")
        known = {definition.name for definition in definitions} | CONSTANTS.keys()
        return [
            row for row in (rows(operation) if callable(rows) else rows) if known.issuperset(parse_row(row).sources)
        ]

    def tensor_name(self, operation: str, rearrangement: Rearrangement) -> str:
        """Return the name of a tensor in the file."""
        collection = rearrangement.collection or self.collection
        return f"{collection}{operation}.{rearrangement.name}" if operation else f"{collection}{rearrangement.name}"


class CanonicalLayout(Layout):
    """paramgen's own names and axis orders."""

    __slots__ = ()

    def rearrangements(self, operation: Operation, definitions: Sequence[ParameterDef]) -> list[Rearrangement]:
        return _unchanged(definitions)


def _unchanged(definitions: Sequence[ParameterDef]) -> list[Rearrangement]:
    return [
        identity_rearrangement(definition.name, definition.traits.shape, definition.name) for definition in definitions
    ]


def refuse_shared_bias(framework: str, operation: Convolution) -> None:
    """Raise UnsupportedError if all filters share a bias."""
    if operation.bias == "shared":
        raise UnsupportedError(f"{framework} has no convolution with a shared bias; use bias: per_filter or none")


def refuse_groups(framework: str, operation: Convolution) -> None:
    """Raise UnsupportedError if a transposed convolution has groups."""
    if operation.num_groups is not None:
        raise UnsupportedError(f"{framework} has no grouped transposed convolution; remove num_groups")


def refuse_weight_norm(reason: str, operation: Convolution | FullyConnected) -> None:
    """Raise UnsupportedError if the weights are normalized."""
    if operation.weight_norm:
        raise UnsupportedError(f"{reason}; remove weight_norm")


def refuse_projection(framework: str, operation: Recurrent) -> None:
    """Raise UnsupportedError if an LSTM has a projection."""
    if getattr(operation, "projection_size", None):
        raise UnsupportedError(f"{framework} has no LSTM with a projection; remove projection_size")


def cell_prefix(operation: Recurrent, cell: RecurrentCell, forward: str, backward: str) -> str:
    """Return the start of the names in a cell; empty for a single layer in one direction."""
    layer = f"{cell.layer}." if operation.num_layers > 1 else ""
    return layer + (f"{backward if cell.reverse else forward}." if operation.bidirectional else "")


def separate_attention_rows(operation: MultiheadAttention, output_name: str) -> Iterator[str]:
    """Yield the rows of attention with a kernel for each projection, whose axes are inputs, heads and channels."""
    for number, (projection, channels) in enumerate((("query", "d"), ("key", "d"), ("value", "e"))):
        if operation.projections == "fused":
            yield f"{projection}.kernel = qkv_weights i p[{number}] n d"
            yield f"{projection}.bias = qkv_bias p[{number}] n d"
        else:
            yield f"{projection}.kernel = {projection}_weights i n {channels}"
            yield f"{projection}.bias = {projection}_bias n {channels}"
    yield f"{output_name}.kernel = output_weights n e o"
    yield f"{output_name}.bias = output_bias o"
