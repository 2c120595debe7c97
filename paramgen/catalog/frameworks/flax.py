"""Flax: the collections and variables of flax.linen, fans and default initializers.

The fans are those of jax.nn.initializers.variance_scaling. The initializers are the fields of each module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from paramgen.catalog.conventions import Convention, last_axes_fans
from paramgen.catalog.initializers import Constant, Gaussian, Initializer, Lecun, Orthogonal
from paramgen.catalog.layouts import (
    Layout,
    UnsupportedError,
    cell_prefix,
    refuse_groups,
    refuse_projection,
    refuse_shared_bias,
    refuse_weight_norm,
    separate_attention_rows,
)
from paramgen.catalog.operations import (
    GRU,
    LSTM,
    RNN,
    ZEROS,
    BatchNorm,
    Conv,
    Embedding,
    FullyConnected,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MultiheadAttention,
    Operation,
    PReLU,
    Recurrent,
    RMSNorm,
    SeparableConv,
    TransposedConv,
)

_NORM_ROWS = ("scale = scale c", "bias = offset c")
_NO_WEIGHT_NORM = "Flax keeps weight norm in a separate module"


def _dense_rows(operation: FullyConnected) -> Iterator[str]:
    refuse_weight_norm(_NO_WEIGHT_NORM, operation)
    yield "kernel = weights i o"
    yield "bias = bias o"


def _convolution_rows(operation: Conv) -> Iterator[str]:
    refuse_shared_bias("Flax", operation)
    refuse_weight_norm(_NO_WEIGHT_NORM, operation)
    yield "kernel = weights *k i (g o)"
    yield "bias = bias (g o)"


def _transposed_rows(operation: TransposedConv) -> Iterator[str]:
    refuse_shared_bias("Flax", operation)
    refuse_groups("Flax", operation)
    refuse_weight_norm(_NO_WEIGHT_NORM, operation)
    yield "kernel = weights -*k i o"
    yield "bias = bias o"


def _rnn_rows(operation: RNN) -> Iterator[str]:
    for cell in operation.cells():
        prefix, suffix = cell_prefix(operation, cell, "forward", "backward"), cell.suffix
        yield f"{prefix}i.kernel = input_weights{suffix} i (g h)"
        yield f"{prefix}i.bias = bias{suffix} (g h)"
        yield f"{prefix}h.kernel = recurrent_weights{suffix} r (g h)"


def _gru_rows(operation: GRU) -> Iterator[str]:
    if operation.reset_gate_mode != "after-multiplication":
        raise UnsupportedError(
            "Flax's GRU resets after the multiplication, with one bias; use reset_gate_mode: after-multiplication"
        )
    for cell in operation.cells():
        prefix, suffix = cell_prefix(operation, cell, "forward", "backward"), cell.suffix
        for number, gate in enumerate("rzn"):
            yield f"{prefix}i{gate}.kernel = input_weights{suffix} i g[{number}] h"
            yield f"{prefix}i{gate}.bias = bias{suffix} g[{number}] h"
            yield f"{prefix}h{gate}.kernel = recurrent_weights{suffix} r g[{number}] h"
        yield f"{prefix}hn.bias = zeros h"


def _lstm_rows(operation: LSTM) -> Iterator[str]:
    refuse_projection("Flax", operation)
    for cell in operation.cells():
        prefix, suffix = cell_prefix(operation, cell, "forward", "backward"), cell.suffix
        for number, gate in enumerate("ifgo"):
            yield f"{prefix}i{gate}.kernel = input_weights{suffix} i g[{number}] h"
            yield f"{prefix}h{gate}.kernel = recurrent_weights{suffix} r g[{number}] h"
            yield f"{prefix}h{gate}.bias = bias{suffix} g[{number}] h"


def _attention_rows(operation: MultiheadAttention) -> Iterator[str]:
    if operation.num_value_channels not in (None, operation.num_key_channels or operation.input_size):
        raise UnsupportedError("Flax's attention has as many value channels as key channels; remove num_value_channels")
    return separate_attention_rows(operation, "out")


def _prelu_rows(operation: PReLU) -> Iterator[str]:
    if operation.num_channels > 1:
        raise UnsupportedError("Flax's PReLU has one slope for all channels; use num_channels: 1")
    yield "negative_slope = alpha c[0]"


LAYOUT = Layout(
    "Flax",
    {
        BatchNorm: (*_NORM_ROWS, "batch_stats:mean = zeros c", "batch_stats:var = ones c"),
        LayerNorm: _NORM_ROWS,
        RMSNorm: _NORM_ROWS,
        GroupNorm: _NORM_ROWS,
        InstanceNorm: _NORM_ROWS,
        Conv: _convolution_rows,
        TransposedConv: _transposed_rows,
        SeparableConv: (
            "depthwise.kernel = depthwise_weights *k 1 (c m)",
            "pointwise.kernel = pointwise_weights *one (c m) o",
            "pointwise.bias = bias o",
        ),
        FullyConnected: _dense_rows,
        RNN: _rnn_rows,
        GRU: _gru_rows,
        LSTM: _lstm_rows,
        MultiheadAttention: _attention_rows,
        Embedding: ("embedding = weights v d",),
        PReLU: _prelu_rows,
    },
    collection="params.",
)


def _default_initializer(operation: Operation, key: str, fan_ins: Mapping[str, int]) -> Initializer | None:
    match operation:
        case Embedding():
            return Gaussian(type="gaussian", mean=0.0, std=1 / math.sqrt(operation.embedding_dimension))
        case PReLU():
            return Constant(type="constant", value=0.01)
        case Recurrent() if key == "recurrent_weights":
            return Orthogonal(type="orthogonal", per_gate=True)
        case Recurrent() if key == "bias":
            return ZEROS
    return Lecun(type="lecun", distribution="truncated_normal") if key.endswith("weights") else None


CONVENTION = Convention(last_axes_fans, _default_initializer)
