"""THE table of operations: each one's fields, and its parameters with their sizes, fans and initializers.

Source: MathWorks, "Initialize Learnable Parameters for Model Function", and the reference pages of the functions that
it names (Deep Learning Toolbox). Operations that these lack follow the modules of PyTorch, Keras and Flax. Sizes are
canonical: C order, last index fastest.
"""

from paramgen.catalog.operations.attention import MultiheadAttention
from paramgen.catalog.operations.base import ZEROS, Operation, ParameterDef, StandardOperation
from paramgen.catalog.operations.convolution import (
    CHANNEL_WISE,
    GROUPINGS,
    Conv,
    Convolution,
    SeparableConv,
    TransposedConv,
)
from paramgen.catalog.operations.layers import (
    PARAMETERS_SCHEMA,
    Custom,
    CustomParameter,
    Embedding,
    FullyConnected,
    ParametersByName,
    PReLU,
)
from paramgen.catalog.operations.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from paramgen.catalog.operations.recurrent import GRU, LSTM, RNN, Recurrent, RecurrentCell

__all__ = [
    "BY_TYPE",
    "CHANNEL_WISE",
    "GROUPINGS",
    "GRU",
    "LSTM",
    "PARAMETERS_SCHEMA",
    "RNN",
    "TABLE",
    "ZEROS",
    "BatchNorm",
    "Conv",
    "Convolution",
    "Custom",
    "CustomParameter",
    "Embedding",
    "FullyConnected",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "MultiheadAttention",
    "Operation",
    "PReLU",
    "ParameterDef",
    "ParametersByName",
    "RMSNorm",
    "Recurrent",
    "RecurrentCell",
    "SeparableConv",
    "StandardOperation",
    "TransposedConv",
]

TABLE: tuple[type[Operation], ...] = (
    BatchNorm,
    LayerNorm,
    RMSNorm,
    GroupNorm,
    InstanceNorm,
    Conv,
    TransposedConv,
    SeparableConv,
    FullyConnected,
    RNN,
    GRU,
    LSTM,
    MultiheadAttention,
    Embedding,
    PReLU,
    Custom,
)

BY_TYPE = {name: model for model in TABLE for name in model.names()}
