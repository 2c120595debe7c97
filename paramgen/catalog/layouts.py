"""THE table of layouts: for each operation, a framework's tensors as rearranged parameters.

Names are those of the framework's own modules: PyTorch's state_dict (transformers', for what torch.nn lacks), the paths
of Keras 3's variables with dots, and the collections and variables of flax.linen. axes.py describes the notation of the
rows. Functions of rows raise UnsupportedError for what a framework cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from paramgen.catalog.axes import Rearrangement, parse_row, plain, rearrange
from paramgen.catalog.frameworks import CANONICAL
from paramgen.catalog.initializers import Initializer
from paramgen.catalog.operations import (
    CHANNEL_WISE,
    GRU,
    LSTM,
    RNN,
    BatchNorm,
    Conv,
    Convolution,
    Custom,
    Embedding,
    Experts,
    FullyConnected,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MultiheadAttention,
    Operation,
    ParameterDef,
    PReLU,
    Recurrent,
    RecurrentCell,
    RMSNorm,
    SeparableConv,
    StateSpace,
    TransposedConv,
    keep,
)
from paramgen.catalog.operations.base import ONES, ZEROS

# Rows can name these beside the parameters of an operation.
CONSTANTS: dict[str, Initializer] = {"zeros": ZEROS, "ones": ONES}

Rows = tuple[str, ...] | Callable[[Any], Iterator[str]]


class UnsupportedError(ValueError):
    """A framework's lack of an operation, with what to do instead."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A framework's names and axis orders. Names begin with `collection`, unless a row has its own."""

    framework: str
    rows: dict[type[Operation], Rows]
    """Empty in the canonical layout, which keeps every parameter as it is."""
    collection: str = ""

    def rearrangements(self, operation: Operation, definitions: Sequence[ParameterDef]) -> list[Rearrangement]:
        """Return the tensors of an operation with these parameters, named below it.

        Raise UnsupportedError if the framework has no such operation.
        """
        if not self.rows or isinstance(operation, Custom):
            return [plain(definition.name, definition.info.shape, definition.name) for definition in definitions]
        axes = {definition.name: definition.info.axes for definition in definitions if definition.info.axes}
        return rearrange(self.rows_of(operation, definitions), axes)

    def rows_of(self, operation: Operation, definitions: Sequence[ParameterDef]) -> list[str]:
        """Return the rows of an operation, as axes.py reads them, without those of parameters that it lacks."""
        rows = self.rows.get(type(operation))
        if rows is None:
            name = operation.type_name
            raise UnsupportedError(f"{self.framework} has no {name}; use an operation of type custom")
        known = {definition.name for definition in definitions} | CONSTANTS.keys()
        return [
            row for row in (rows(operation) if callable(rows) else rows) if known.issuperset(parse_row(row).sources)
        ]

    def name(self, operation: str, rearrangement: Rearrangement) -> str:
        """Return the name of a tensor in the file."""
        collection = rearrangement.collection or self.collection
        return f"{collection}{operation}.{rearrangement.name}" if operation else f"{collection}{rearrangement.name}"


def _torch_recurrent(operation: Recurrent) -> Iterator[str]:
    for level in operation.cells():
        at = f"_l{level.layer}" + ("_reverse" if level.reverse else "")
        own = level.suffix
        yield f"weight_ih{at} = input_weights{own} (g h) i"
        yield f"weight_hh{at} = recurrent_weights{own} (g h) r"
        if isinstance(operation, GRU) and operation.reset_gate_mode == "recurrent-bias-after-multiplication":
            yield f"bias_ih{at} = bias{own} b[0] (g h)"
            yield f"bias_hh{at} = bias{own} b[1] (g h)"
        else:
            yield f"bias_ih{at} = bias{own} (g h)"
            yield f"bias_hh{at} = zeros (g h)"
        yield f"weight_hr{at} = projection_weights{own} p h"


def _torch_gru(operation: GRU) -> Iterator[str]:
    if operation.reset_gate_mode == "before-multiplication":
        raise UnsupportedError(
            "PyTorch's GRU resets after the multiplication; use reset_gate_mode: after-multiplication"
        )
    return _torch_recurrent(operation)


def _torch_lstm(operation: LSTM) -> Iterator[str]:
    if (operation.projection_size or 0) >= operation.num_hidden_units:
        most = operation.num_hidden_units - 1
        raise UnsupportedError(
            f"PyTorch's LSTM projects to fewer features than hidden units; use projection_size: {most} or less"
        )
    return _torch_recurrent(operation)


def _torch_attention(operation: MultiheadAttention) -> Iterator[str]:
    size = operation.input_size
    if {operation.num_key_channels, operation.num_value_channels, operation.output_size} - {None, size}:
        raise UnsupportedError(
            f"PyTorch's attention has as many channels and outputs as inputs; use {size} for all of them"
        )
    if operation.projections == "fused":
        yield "in_proj_weight = qkv_weights (p n d) i"
        yield "in_proj_bias = qkv_bias (p n d)"
    else:
        yield "in_proj_weight = query_weights (n d) i + key_weights (n d) i + value_weights (n e) i"
        yield "in_proj_bias = query_bias (n d) + key_bias (n d) + value_bias (n e)"
    yield "out_proj.weight = output_weights o (n e)"
    yield "out_proj.bias = output_bias o"


def _cell_prefix(operation: Recurrent, level: RecurrentCell, forward: str, backward: str) -> str:
    """Return how the names of a layer in a direction begin; empty for a single layer in one direction."""
    layer = f"{level.layer}." if operation.num_layers > 1 else ""
    return layer + (f"{backward if level.reverse else forward}." if operation.bidirectional else "")


_NORM_NAMES = {
    "parametrized": ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    "legacy": ("weight_g", "weight_v"),
}
_WHY_NO_NORM = {
    "Keras": "Keras has no weight normalization; leave weight_norm out",
    "Flax": "Flax's WeightNorm holds its scales apart, in a module of its own; leave weight_norm out",
}


def _weights(framework: str, operation: Convolution | FullyConnected, row: str) -> Iterator[str]:
    """Yield the row of an operation's weights or, in PyTorch, those of their magnitude and direction."""
    norm = operation.weight_norm
    if norm is None:
        yield row
        return
    if framework in _WHY_NO_NORM:
        raise UnsupportedError(_WHY_NO_NORM[framework])
    _, axes = row.split(" = weights ")
    magnitude, direction = _NORM_NAMES[norm.style]
    kept = operation.norm_axes[norm.axis]
    yield f"{magnitude} = magnitude {keep(axes, kept)}" if kept else f"{magnitude} = magnitude"
    yield f"{direction} = weights {axes}"


def _matrix(framework: str, weights: str, transposed: str = "") -> Callable[[FullyConnected], Iterator[str]]:
    """Return the rows of a dense layer; without the row of a `transposed` one, all are stored alike."""

    def rows(operation: FullyConnected) -> Iterator[str]:
        yield from _weights(framework, operation, transposed if transposed and operation.transposed else weights)
        yield "bias = bias o"

    return rows


def _filters(framework: str, weights: str, grouped: bool = True) -> Callable[[Convolution], Iterator[str]]:
    def rows(operation: Convolution) -> Iterator[str]:
        if operation.bias == "shared":
            raise UnsupportedError(f"{framework} has no convolution with a shared bias; use bias: per_filter or none")
        if operation.num_groups is not None and not grouped:
            raise UnsupportedError(f"{framework} has no grouped transposed convolution; remove num_groups")
        yield from _weights(framework, operation, weights)
        yield "bias = bias (g o)"

    return rows


def _keras_convolution(operation: Conv) -> Iterator[str]:
    depthwise = operation.num_groups == CHANNEL_WISE and len(operation.filter_size) < 3
    return _filters("Keras", "kernel = weights *k (g i) o" if depthwise else "kernel = weights *k i (g o)")(operation)


def _keras_separable(operation: SeparableConv) -> Iterator[str]:
    if len(operation.filter_size) > 2:
        raise UnsupportedError("Keras has no separable convolution in three dimensions; use two convolutions")
    yield "depthwise_kernel = depthwise_weights *k c m"
    yield "pointwise_kernel = pointwise_weights *one (c m) o"
    yield "bias = bias o"


def _keras_recurrent(layer: str, gates: str = "g") -> Callable[[Recurrent], Iterator[str]]:
    def rows(operation: Recurrent) -> Iterator[str]:
        if isinstance(operation, LSTM) and operation.projection_size:
            raise UnsupportedError("Keras has no LSTM with a projection; remove projection_size")
        for level in operation.cells():
            at = _cell_prefix(operation, level, f"forward_{layer}", f"backward_{layer}") + f"{layer}_cell"
            own = level.suffix
            yield f"{at}.kernel = input_weights{own} i ({gates} h)"
            yield f"{at}.recurrent_kernel = recurrent_weights{own} r ({gates} h)"
            if isinstance(operation, GRU) and operation.reset_gate_mode == "after-multiplication":
                yield f"{at}.bias = bias{own} 1 ({gates} h) + zeros 1 ({gates} h)"
            else:
                yield f"{at}.bias = bias{own} b ({gates} h)"

    return rows


def _keras_attention(operation: MultiheadAttention) -> Iterator[str]:
    return _attention(operation, "attention_output")


def _flax_attention(operation: MultiheadAttention) -> Iterator[str]:
    if operation.num_value_channels not in (None, operation.num_key_channels or operation.input_size):
        raise UnsupportedError("Flax's attention has as many value channels as key channels; remove num_value_channels")
    return _attention(operation, "out")


def _attention(operation: MultiheadAttention, out: str) -> Iterator[str]:
    for number, (kind, size) in enumerate((("query", "d"), ("key", "d"), ("value", "e"))):
        if operation.projections == "fused":
            yield f"{kind}.kernel = qkv_weights i p[{number}] n d"
            yield f"{kind}.bias = qkv_bias p[{number}] n d"
        else:
            yield f"{kind}.kernel = {kind}_weights i n {size}"
            yield f"{kind}.bias = {kind}_bias n {size}"
    yield f"{out}.kernel = output_weights n e o"
    yield f"{out}.bias = output_bias o"


def _flax_rnn(operation: RNN) -> Iterator[str]:
    for level in operation.cells():
        at, own = _cell_prefix(operation, level, "forward", "backward"), level.suffix
        yield f"{at}i.kernel = input_weights{own} i (g h)"
        yield f"{at}i.bias = bias{own} (g h)"
        yield f"{at}h.kernel = recurrent_weights{own} r (g h)"


def _flax_gru(operation: GRU) -> Iterator[str]:
    if operation.reset_gate_mode != "after-multiplication":
        raise UnsupportedError(
            "Flax's GRU resets after the multiplication, with one bias; use reset_gate_mode: after-multiplication"
        )
    for level in operation.cells():
        at, own = _cell_prefix(operation, level, "forward", "backward"), level.suffix
        for number, gate in enumerate("rzn"):
            yield f"{at}i{gate}.kernel = input_weights{own} i g[{number}] h"
            yield f"{at}i{gate}.bias = bias{own} g[{number}] h"
            yield f"{at}h{gate}.kernel = recurrent_weights{own} r g[{number}] h"
        yield f"{at}hn.bias = zeros h"


def _flax_lstm(operation: LSTM) -> Iterator[str]:
    if operation.projection_size:
        raise UnsupportedError("Flax has no LSTM with a projection; remove projection_size")
    for level in operation.cells():
        at, own = _cell_prefix(operation, level, "forward", "backward"), level.suffix
        for number, gate in enumerate("ifgo"):
            yield f"{at}i{gate}.kernel = input_weights{own} i g[{number}] h"
            yield f"{at}h{gate}.kernel = recurrent_weights{own} r g[{number}] h"
            yield f"{at}h{gate}.bias = bias{own} g[{number}] h"


def _flax_prelu(operation: PReLU) -> Iterator[str]:
    if operation.num_channels > 1:
        raise UnsupportedError("Flax's PReLU has one slope for all channels; use num_channels: 1")
    yield "negative_slope = alpha c[0]"


_TORCH_NORM = ("weight = scale c", "bias = offset c")
_KERAS_NORM = ("gamma = scale c", "beta = offset c")
_FLAX_NORM = ("scale = scale c", "bias = offset c")

LAYOUTS = {
    CANONICAL: Layout("paramgen", {}),
    "torch": Layout(
        "PyTorch",
        {
            BatchNorm: (
                *_TORCH_NORM,
                "running_mean = zeros c",
                "running_var = ones c",
                "num_batches_tracked = zeros:int64",
            ),
            LayerNorm: _TORCH_NORM,
            RMSNorm: _TORCH_NORM,
            GroupNorm: _TORCH_NORM,
            InstanceNorm: _TORCH_NORM,
            Conv: _filters("PyTorch", "weight = weights (g o) i *k"),
            TransposedConv: _filters("PyTorch", "weight = weights (g i) o *k"),
            SeparableConv: (
                "depthwise.weight = depthwise_weights (c m) 1 *k",
                "pointwise.weight = pointwise_weights o (c m) *one",
                "pointwise.bias = bias o",
            ),
            FullyConnected: _matrix("PyTorch", "weight = weights o i", "weight = weights i o"),
            RNN: _torch_recurrent,
            GRU: _torch_gru,
            LSTM: _torch_lstm,
            MultiheadAttention: _torch_attention,
            Embedding: ("weight = weights v d",),
            PReLU: ("weight = alpha c",),
            Experts: ("gate_up_proj = gate_up_weights x (g h) i", "down_proj = down_weights x i h"),
            StateSpace: ("A_log = a_log c n", "D = d c", "dt_bias = dt_bias c"),
        },
    ),
    "keras": Layout(
        "Keras",
        {
            BatchNorm: (*_KERAS_NORM, "moving_mean = zeros c", "moving_variance = ones c"),
            LayerNorm: _KERAS_NORM,
            RMSNorm: ("scale = scale c",),
            GroupNorm: _KERAS_NORM,
            InstanceNorm: _KERAS_NORM,
            Conv: _keras_convolution,
            TransposedConv: _filters("Keras", "kernel = weights *k o i", grouped=False),
            SeparableConv: _keras_separable,
            FullyConnected: _matrix("Keras", "kernel = weights i o"),
            RNN: _keras_recurrent("simple_rnn"),
            GRU: _keras_recurrent("gru", "g[1,0,2]"),
            LSTM: _keras_recurrent("lstm"),
            MultiheadAttention: _keras_attention,
            Embedding: ("embeddings = weights v d",),
            PReLU: ("alpha = alpha c",),
        },
    ),
    "flax": Layout(
        "Flax",
        {
            BatchNorm: (*_FLAX_NORM, "batch_stats:mean = zeros c", "batch_stats:var = ones c"),
            LayerNorm: _FLAX_NORM,
            RMSNorm: _FLAX_NORM,
            GroupNorm: _FLAX_NORM,
            InstanceNorm: _FLAX_NORM,
            Conv: _filters("Flax", "kernel = weights *k i (g o)"),
            TransposedConv: _filters("Flax", "kernel = weights -*k i o", grouped=False),
            SeparableConv: (
                "depthwise.kernel = depthwise_weights *k 1 (c m)",
                "pointwise.kernel = pointwise_weights *one (c m) o",
                "pointwise.bias = bias o",
            ),
            FullyConnected: _matrix("Flax", "kernel = weights i o"),
            RNN: _flax_rnn,
            GRU: _flax_gru,
            LSTM: _flax_lstm,
            MultiheadAttention: _flax_attention,
            Embedding: ("embedding = weights v d",),
            PReLU: _flax_prelu,
        },
        "params.",
    ),
}
