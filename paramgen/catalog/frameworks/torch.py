"""PyTorch: names of its state_dict (transformers', for what torch.nn lacks), fans and default initializers.

The fans are those of torch.nn.init._calculate_fan_in_and_fan_out. The initializers are those of each module's
reset_parameters; for a transposed fully connected operation, of transformers.pytorch_utils.Conv1D.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from paramgen.catalog.axes import collapse_axes
from paramgen.catalog.conventions import Convention, first_axes_fans
from paramgen.catalog.initializers import Gaussian, Initializer, Uniform
from paramgen.catalog.layouts import Layout, UnsupportedError, refuse_shared_bias
from paramgen.catalog.operations import (
    GRU,
    LSTM,
    RNN,
    BatchNorm,
    Conv,
    Convolution,
    Embedding,
    Experts,
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
    StateSpace,
    TransposedConv,
)

_NORM_ROWS = ("weight = scale c", "bias = offset c")
# The names of the magnitude and the direction, by the style of weight_norm.
WEIGHT_NORM_NAMES = {
    "parametrized": ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    "legacy": ("weight_g", "weight_v"),
}


def _weight_rows(operation: Convolution | FullyConnected, axes: str) -> Iterator[str]:
    """Yield the row of the weights or, with weight_norm, those of their magnitude and direction."""
    if not operation.weight_norm:
        yield f"weight = weights {axes}"
        return
    magnitude, direction = WEIGHT_NORM_NAMES[operation.weight_norm.style]
    kept = operation.norm_axes[operation.weight_norm.axis]
    yield f"{magnitude} = magnitude {collapse_axes(axes, kept)}" if kept else f"{magnitude} = magnitude"
    yield f"{direction} = weights {axes}"


def _dense_rows(operation: FullyConnected) -> Iterator[str]:
    yield from _weight_rows(operation, "i o" if operation.transposed else "o i")
    yield "bias = bias o"


def _convolution_rows(operation: Convolution) -> Iterator[str]:
    refuse_shared_bias("PyTorch", operation)
    yield from _weight_rows(operation, "(g i) o *k" if isinstance(operation, TransposedConv) else "(g o) i *k")
    yield "bias = bias (g o)"


def _recurrent_rows(operation: Recurrent) -> Iterator[str]:
    for cell in operation.cells():
        name_suffix = f"_l{cell.layer}" + ("_reverse" if cell.reverse else "")
        suffix = cell.suffix
        yield f"weight_ih{name_suffix} = input_weights{suffix} (g h) i"
        yield f"weight_hh{name_suffix} = recurrent_weights{suffix} (g h) r"
        if isinstance(operation, GRU) and operation.reset_gate_mode == "recurrent-bias-after-multiplication":
            yield f"bias_ih{name_suffix} = bias{suffix} b[0] (g h)"
            yield f"bias_hh{name_suffix} = bias{suffix} b[1] (g h)"
        else:
            yield f"bias_ih{name_suffix} = bias{suffix} (g h)"
            yield f"bias_hh{name_suffix} = zeros (g h)"
        yield f"weight_hr{name_suffix} = projection_weights{suffix} p h"


def _gru_rows(operation: GRU) -> Iterator[str]:
    if operation.reset_gate_mode == "before-multiplication":
        raise UnsupportedError(
            "PyTorch's GRU resets after the multiplication; use reset_gate_mode: after-multiplication"
        )
    return _recurrent_rows(operation)


def _lstm_rows(operation: LSTM) -> Iterator[str]:
    if (operation.projection_size or 0) >= operation.num_hidden_units:
        largest = operation.num_hidden_units - 1
        raise UnsupportedError(f"PyTorch's LSTM needs projection_size below num_hidden_units; use {largest} or less")
    return _recurrent_rows(operation)


def _attention_rows(operation: MultiheadAttention) -> Iterator[str]:
    size = operation.input_size
    if {operation.num_key_channels, operation.num_value_channels, operation.output_size} - {None, size}:
        raise UnsupportedError(f"PyTorch's attention needs equal input, channel and output sizes; use {size} for all")
    if operation.projections == "fused":
        yield "in_proj_weight = qkv_weights (p n d) i"
        yield "in_proj_bias = qkv_bias (p n d)"
    else:
        yield "in_proj_weight = query_weights (n d) i + key_weights (n d) i + value_weights (n e) i"
        yield "in_proj_bias = query_bias (n d) + key_bias (n d) + value_bias (n e)"
    yield "out_proj.weight = output_weights o (n e)"
    yield "out_proj.bias = output_bias o"


LAYOUT = Layout(
    "PyTorch",
    {
        BatchNorm: (*_NORM_ROWS, "running_mean = zeros c", "running_var = ones c", "num_batches_tracked = zeros:int64"),
        LayerNorm: _NORM_ROWS,
        RMSNorm: _NORM_ROWS,
        GroupNorm: _NORM_ROWS,
        InstanceNorm: _NORM_ROWS,
        Conv: _convolution_rows,
        TransposedConv: _convolution_rows,
        SeparableConv: (
            "depthwise.weight = depthwise_weights (c m) 1 *k",
            "pointwise.weight = pointwise_weights o (c m) *one",
            "pointwise.bias = bias o",
        ),
        FullyConnected: _dense_rows,
        RNN: _recurrent_rows,
        GRU: _gru_rows,
        LSTM: _lstm_rows,
        MultiheadAttention: _attention_rows,
        Embedding: ("weight = weights v d",),
        PReLU: ("weight = alpha c",),
        Experts: ("gate_up_proj = gate_up_weights x (g h) i", "down_proj = down_weights x i h"),
        StateSpace: ("A_log = a_log c n", "D = d c", "dt_bias = dt_bias c"),
    },
)


def _default_initializer(operation: Operation, key: str, fan_ins: Mapping[str, int]) -> Initializer | None:
    match operation:
        case FullyConnected(transposed=True):
            return Gaussian(type="gaussian", mean=0.0, std=0.02) if key == "weights" else None
        case Embedding():
            return Gaussian(type="gaussian", mean=0.0, std=1.0)
        case FullyConnected() | Convolution() if key != "magnitude":
            fan_in = fan_ins["weights"]
        case SeparableConv():
            fan_in = fan_ins["depthwise_weights" if key == "depthwise_weights" else "pointwise_weights"]
        case MultiheadAttention() if key == "output_weights":
            fan_in = fan_ins[key]
        case Experts():
            fan_in = fan_ins[key]
        case Recurrent():
            fan_in = operation.num_hidden_units
        case _:
            return None
    return Uniform(type="uniform", bound=1 / math.sqrt(fan_in))


CONVENTION = Convention(first_axes_fans, _default_initializer)
