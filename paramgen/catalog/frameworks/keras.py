"""Keras 3: the paths of its variables with dots, fans and default initializers.

The fans are those of keras.initializers.VarianceScaling. The initializers are the default arguments of each layer.
Attention is as since keras-team/keras#22789; before, the three axes of its kernels counted as a filter's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paramgen.catalog.conventions import Convention, last_axes_fans
from paramgen.catalog.initializers import Initializer, Uniform
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
    CHANNEL_WISE,
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

_NORM_ROWS = ("gamma = scale c", "beta = offset c")
_NO_WEIGHT_NORM = "Keras has no weight normalization"


def _dense_rows(operation: FullyConnected) -> Iterator[str]:
    refuse_weight_norm(_NO_WEIGHT_NORM, operation)
    yield "kernel = weights i o"
    yield "bias = bias o"


def _convolution_rows(operation: Conv) -> Iterator[str]:
    refuse_shared_bias("Keras", operation)
    refuse_weight_norm(_NO_WEIGHT_NORM, operation)
    is_depthwise = operation.num_groups == CHANNEL_WISE and len(operation.filter_size) < 3
    yield "kernel = weights *k (g i) o" if is_depthwise else "kernel = weights *k i (g o)"
    yield "bias = bias (g o)"


def _transposed_rows(operation: TransposedConv) -> Iterator[str]:
    refuse_shared_bias("Keras", operation)
    refuse_groups("Keras", operation)
    refuse_weight_norm(_NO_WEIGHT_NORM, operation)
    yield "kernel = weights *k o i"
    yield "bias = bias o"


def _separable_rows(operation: SeparableConv) -> Iterator[str]:
    if len(operation.filter_size) > 2:
        raise UnsupportedError("Keras has no separable convolution in three dimensions; use two convolutions")
    yield "depthwise_kernel = depthwise_weights *k c m"
    yield "pointwise_kernel = pointwise_weights *one (c m) o"
    yield "bias = bias o"


def _recurrent_rows(operation: Recurrent) -> Iterator[str]:
    refuse_projection("Keras", operation)
    layer = "simple_rnn" if isinstance(operation, RNN) else operation.type_name
    gates = "g[1,0,2]" if isinstance(operation, GRU) else "g"
    for cell in operation.cells():
        name = cell_prefix(operation, cell, f"forward_{layer}", f"backward_{layer}") + f"{layer}_cell"
        yield f"{name}.kernel = input_weights{cell.suffix} i ({gates} h)"
        yield f"{name}.recurrent_kernel = recurrent_weights{cell.suffix} r ({gates} h)"
        if isinstance(operation, GRU) and operation.reset_gate_mode == "after-multiplication":
            yield f"{name}.bias = bias{cell.suffix} 1 ({gates} h) + zeros 1 ({gates} h)"
        else:
            yield f"{name}.bias = bias{cell.suffix} b ({gates} h)"


def _attention_rows(operation: MultiheadAttention) -> Iterator[str]:
    return separate_attention_rows(operation, "attention_output")


LAYOUT = Layout(
    "Keras",
    {
        BatchNorm: (*_NORM_ROWS, "moving_mean = zeros c", "moving_variance = ones c"),
        LayerNorm: _NORM_ROWS,
        RMSNorm: ("scale = scale c",),
        GroupNorm: _NORM_ROWS,
        InstanceNorm: _NORM_ROWS,
        Conv: _convolution_rows,
        TransposedConv: _transposed_rows,
        SeparableConv: _separable_rows,
        FullyConnected: _dense_rows,
        RNN: _recurrent_rows,
        GRU: _recurrent_rows,
        LSTM: _recurrent_rows,
        MultiheadAttention: _attention_rows,
        Embedding: ("embeddings = weights v d",),
        PReLU: ("alpha = alpha c",),
    },
)


def _default_initializer(operation: Operation, key: str, fan_ins: Mapping[str, int]) -> Initializer | None:
    match operation:
        case Embedding():
            return Uniform(type="uniform", bound=0.05)
        case PReLU():
            return ZEROS
    return None


CONVENTION = Convention(last_axes_fans, _default_initializer)
