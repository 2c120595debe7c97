"""Operations with their modules in each framework and an input, channels last."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
EPSILON = 1e-3


@dataclass(frozen=True)
class Case:
    """An operation named x, its module in each framework, and how to call each module."""

    operation: dict[str, Any]
    inputs: tuple[int, ...]
    torch: Callable[[], Any] | None = None
    keras: Callable[[], Any] | None = None
    flax: Callable[[], Any] | None = None
    channels_first: bool = False
    run_torch: Callable[[Any, Any], Any] = lambda module, x: module(x)
    run_keras: Callable[[Any, Any], Any] = lambda layer, x: layer(x)
    vocabulary: int = 0

    @property
    def id(self) -> str:
        return " ".join(f"{key}={value}" if key != "type" else str(value) for key, value in self.operation.items())

    def input(self) -> Array:
        generator = np.random.default_rng(1)
        if self.vocabulary:
            return generator.integers(0, self.vocabulary, self.inputs)
        return generator.normal(size=self.inputs).astype(np.float32)


def _torch() -> Any:
    import torch

    return torch.nn


def _keras() -> Any:
    import keras

    return keras.layers


def _flax() -> Any:
    from flax import linen

    return linen


def _conv(rank: int, **fields: Any) -> dict[str, Any]:
    return {"type": "conv", "filter_size": [3, 2, 4][:rank], **fields}


def _convolutions(rank: int) -> list[Case]:
    size = (3, 2, 4)[:rank]
    inputs = (2, *(7, 8, 9)[:rank], 6)
    plain = {"num_channels": 6, "num_filters": 4}
    grouped = {"num_groups": 3, "num_channels_per_group": 2, "num_filters_per_group": 4}
    wise = {"num_groups": "channel-wise", "num_channels": 6, "num_filters_per_group": 2}

    def conv(*args: Any, **keywords: Any) -> Callable[[], Any]:
        return lambda: getattr(_torch(), f"Conv{rank}d")(*args, **keywords)

    def keras(name: str, *args: Any, **keywords: Any) -> Callable[[], Any]:
        return lambda: getattr(_keras(), f"{name}{rank}D")(*args, name="x", **keywords)

    def flax(*args: Any, **keywords: Any) -> Callable[[], Any]:
        return lambda: _flax().Conv(*args, padding="VALID", **keywords)

    deep = keras("DepthwiseConv", size, depth_multiplier=2) if rank < 3 else keras("Conv", 12, size, groups=6)
    return [
        Case(_conv(rank, **plain), inputs, conv(6, 4, size), keras("Conv", 4, size), flax(4, size), True),
        Case(
            _conv(rank, **plain, bias=False),
            inputs,
            conv(6, 4, size, bias=False),
            keras("Conv", 4, size, use_bias=False),
            flax(4, size, use_bias=False),
            True,
        ),
        Case(
            _conv(rank, **grouped),
            inputs,
            conv(6, 12, size, groups=3),
            keras("Conv", 12, size, groups=3),
            flax(12, size, feature_group_count=3),
            True,
        ),
        Case(
            _conv(rank, **wise), inputs, conv(6, 12, size, groups=6), deep, flax(12, size, feature_group_count=6), True
        ),
        Case(
            {**_conv(rank, **plain), "type": "transposed_conv"},
            inputs,
            lambda: getattr(_torch(), f"ConvTranspose{rank}d")(6, 4, size, stride=2),
            lambda: getattr(_keras(), f"Conv{rank}DTranspose")(4, size, strides=2, name="x"),
            lambda: _flax().ConvTranspose(4, size, strides=(2,) * rank, padding="VALID"),
            True,
        ),
        Case(
            {**_conv(rank, **grouped), "type": "transposed_conv"},
            inputs,
            lambda: getattr(_torch(), f"ConvTranspose{rank}d")(6, 12, size, groups=3),
            channels_first=True,
        ),
    ]


def _torch_separable() -> Any:
    import torch

    class Separable(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.depthwise = torch.nn.Conv2d(6, 12, (3, 2), groups=6, bias=False)
            self.pointwise = torch.nn.Conv2d(12, 5, 1)

        def forward(self, x: Any) -> Any:
            return self.pointwise(self.depthwise(x))

    return Separable()


def _torch_conv1d() -> Any:
    from transformers.pytorch_utils import Conv1D

    return Conv1D(7, 5)


def _torch_experts() -> Any:
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralExperts

    return MixtralExperts(MixtralConfig(num_local_experts=3, hidden_size=6, intermediate_size=4))


def _route(experts: Any, x: Any) -> Any:
    """Send each input to the first and the last expert."""
    import torch

    return experts(x, torch.tensor([[0, 2]] * len(x)), torch.tensor([[0.25, 0.75]] * len(x)))


def torch_state_space(version: str, **fields: Any) -> Any:
    """Return a module with the parameters of one of transformers' mixers, without those of its submodules."""
    import torch
    import transformers

    module = importlib.import_module(f"transformers.models.{version}.modeling_{version}")
    name = version.title()
    config = getattr(transformers, f"{name}Config")(hidden_size=4, num_hidden_layers=1, **fields)
    mixer = getattr(module, f"{name}Mixer")(config, 0)
    getattr(mixer, f"init_{version}_weights")()
    own = mixer.named_parameters(recurse=False)

    class StateSpace(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, parameter in own:
                self.register_parameter(name, parameter)

        def forward(self, x: Any) -> Any:
            return x * self.D

    return StateSpace()


def _flax_separable() -> Any:
    from flax import linen as nn

    class Separable(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(12, (3, 2), feature_group_count=6, use_bias=False, padding="VALID", name="depthwise")(x)
            return nn.Conv(5, (1, 1), name="pointwise")(x)

    return Separable()


def _first(module: Any, x: Any) -> Any:
    return module(x)[0]


def _flax_recurrent(cell: str, units: int, layers: int = 1, both: bool = False) -> Any:
    """Return a cell or, for several, a module whose submodules have the layout's names."""
    from flax import linen as nn

    kind = getattr(nn, cell)

    class Directions(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            forward = nn.RNN(kind(units, name="forward"))
            return nn.Bidirectional(forward, nn.RNN(kind(units, name="backward")))(x)

    def layer(**name: Any) -> Any:
        return Directions(**name) if both else nn.RNN(kind(units, **name))

    class Layers(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for number in range(layers):
                x = layer(name=str(number))(x)
            return x

    class Alone(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return layer(name="alone")(x)

    return Layers() if layers > 1 else Directions() if both else Alone()


def _recurrent(kind: str, torch: str, keras: str, cell: str) -> list[Case]:
    base = {"type": kind, "input_size": 5, "num_hidden_units": 4}

    def stacked(layers: int, both: bool) -> Any:
        import keras as k

        def one(name: str, inner: str) -> Any:
            make = getattr(k.layers, keras)
            if both:
                return k.layers.Bidirectional(make(4, return_sequences=True, name=inner), name=name)
            return make(4, return_sequences=True, name=name)

        inner = {"SimpleRNN": "simple_rnn", "GRU": "gru", "LSTM": "lstm"}[keras]
        if layers == 1:
            return one("x", inner)
        return k.Sequential([one(str(number), inner) for number in range(layers)], name="x")

    return [
        Case(
            {**base, **({"num_layers": layers} if layers > 1 else {}), **({"bidirectional": True} if both else {})},
            (2, 6, 5),
            lambda layers=layers, both=both: getattr(_torch(), torch)(
                5, 4, layers, bidirectional=both, batch_first=True
            ),
            lambda layers=layers, both=both: stacked(layers, both),
            lambda layers=layers, both=both: _flax_recurrent(cell, 4, layers, both),
            run_torch=_first,
        )
        for layers in (1, 3)
        for both in (False, True)
    ]


def _attention(**fields: Any) -> Case:
    bias = fields.get("bias", True)
    return Case(
        {"type": "multihead_attention", "input_size": 12, "num_heads": 3, **fields},
        (2, 5, 12),
        lambda: _torch().MultiheadAttention(12, 3, bias=bias, batch_first=True),
        lambda: _keras().MultiHeadAttention(3, 4, use_bias=bias, name="x"),
        lambda: _flax().MultiHeadDotProductAttention(3, use_bias=bias),
        run_torch=lambda module, x: module(x, x, x)[0],
        run_keras=lambda layer, x: layer(x, x),
    )


CASES = [
    *(case for rank in (1, 2, 3) for case in _convolutions(rank)),
    Case(
        {"type": "separable_conv", "filter_size": [3, 2], "num_channels": 6, "num_filters": 5, "depth_multiplier": 2},
        (2, 7, 8, 6),
        _torch_separable,
        lambda: _keras().SeparableConv2D(5, (3, 2), depth_multiplier=2, name="x"),
        _flax_separable,
        True,
    ),
    *(
        Case(
            {"type": "fully_connected", "input_size": 5, "output_size": 7, **({} if bias else {"bias": False})},
            (2, 5),
            lambda bias=bias: _torch().Linear(5, 7, bias=bias),
            lambda bias=bias: _keras().Dense(7, use_bias=bias, name="x"),
            lambda bias=bias: _flax().Dense(7, use_bias=bias),
        )
        for bias in (True, False)
    ),
    Case(
        {"type": "fully_connected", "input_size": 5, "output_size": 7, "transposed": True},
        (2, 5),
        _torch_conv1d,
        lambda: _keras().Dense(7, name="x"),
        lambda: _flax().Dense(7),
    ),
    Case(
        {"type": "embedding", "embedding_dimension": 5, "vocabulary_size": 11, "padding_index": 4},
        (2, 6),
        lambda: _torch().Embedding(11, 5, padding_idx=4),
        lambda: _keras().Embedding(11, 5, name="x"),
        lambda: _flax().Embed(11, 5),
        vocabulary=11,
    ),
    Case(
        {"type": "embedding", "embedding_dimension": 5, "vocabulary_size": 11},
        (2, 6),
        lambda: _torch().Embedding(11, 5),
        lambda: _keras().Embedding(11, 5, name="x"),
        lambda: _flax().Embed(11, 5),
        vocabulary=11,
    ),
    Case(
        {"type": "batchnorm", "num_channels": 6},
        (2, 3, 4, 6),
        lambda: _torch().BatchNorm2d(6, eps=EPSILON),
        lambda: _keras().BatchNormalization(epsilon=EPSILON, name="x"),
        lambda: _flax().BatchNorm(use_running_average=True, epsilon=EPSILON),
        True,
    ),
    Case(
        {"type": "layer_norm", "num_channels": 6},
        (2, 4, 6),
        lambda: _torch().LayerNorm(6, eps=EPSILON),
        lambda: _keras().LayerNormalization(epsilon=EPSILON, name="x"),
        lambda: _flax().LayerNorm(epsilon=EPSILON),
    ),
    Case(
        {"type": "layer_norm", "num_channels": 6, "offset": False},
        (2, 4, 6),
        lambda: _torch().LayerNorm(6, eps=EPSILON, bias=False),
        lambda: _keras().LayerNormalization(epsilon=EPSILON, center=False, name="x"),
        lambda: _flax().LayerNorm(epsilon=EPSILON, use_bias=False),
    ),
    Case(
        {"type": "rms_norm", "num_channels": 6},
        (2, 4, 6),
        lambda: _torch().RMSNorm(6, eps=EPSILON),
        lambda: _keras().RMSNormalization(epsilon=EPSILON, name="x"),
        lambda: _flax().RMSNorm(epsilon=EPSILON),
    ),
    Case(
        {"type": "group_norm", "num_channels": 6, "num_groups": 3},
        (2, 4, 5, 6),
        lambda: _torch().GroupNorm(3, 6, eps=EPSILON),
        lambda: _keras().GroupNormalization(3, epsilon=EPSILON, name="x"),
        lambda: _flax().GroupNorm(3, epsilon=EPSILON),
        True,
    ),
    Case(
        {"type": "instance_norm", "num_channels": 6},
        (2, 4, 5, 6),
        lambda: _torch().InstanceNorm2d(6, eps=EPSILON, affine=True),
        lambda: _keras().GroupNormalization(-1, epsilon=EPSILON, name="x"),
        lambda: _flax().InstanceNorm(epsilon=EPSILON),
        True,
    ),
    Case(
        {"type": "prelu", "num_channels": 6},
        (2, 6),
        lambda: _torch().PReLU(6),
        lambda: _keras().PReLU(name="x"),
    ),
    Case(
        {"type": "prelu"},
        (2, 6),
        lambda: _torch().PReLU(),
        lambda: _keras().PReLU(shared_axes=[1], name="x"),
        lambda: _flax().PReLU(),
    ),
    Case(
        {"type": "experts", "num_experts": 3, "input_size": 6, "num_hidden_units": 4},
        (5, 6),
        _torch_experts,
        run_torch=_route,
    ),
    Case(
        {"type": "state_space", "num_channels": 8, "state_size": 3},
        (2, 8),
        lambda: torch_state_space("mamba", expand=2, state_size=3),
    ),
    Case(
        {"type": "state_space", "num_channels": 2, "dt_bias": True},
        (2, 2),
        lambda: torch_state_space("mamba2", expand=2, num_heads=2, head_dim=4, n_groups=1),
    ),
    *_recurrent("rnn", "RNN", "SimpleRNN", "SimpleCell"),
    *_recurrent("gru", "GRU", "GRU", "GRUCell"),
    *_recurrent("lstm", "LSTM", "LSTM", "LSTMCell"),
    Case(
        {
            "type": "gru",
            "input_size": 5,
            "num_hidden_units": 4,
            "reset_gate_mode": "recurrent-bias-after-multiplication",
        },
        (2, 6, 5),
        lambda: _torch().GRU(5, 4, batch_first=True),
        lambda: _keras().GRU(4, return_sequences=True, name="x"),
        run_torch=_first,
    ),
    Case(
        {"type": "gru", "input_size": 5, "num_hidden_units": 4, "reset_gate_mode": "before-multiplication"},
        (2, 6, 5),
        None,
        lambda: _keras().GRU(4, return_sequences=True, reset_after=False, name="x"),
    ),
    Case(
        {
            "type": "lstm",
            "input_size": 5,
            "num_hidden_units": 4,
            "projection_size": 3,
            "num_layers": 2,
            "bidirectional": True,
        },
        (2, 6, 5),
        lambda: _torch().LSTM(5, 4, 2, bidirectional=True, proj_size=3, batch_first=True),
        run_torch=_first,
    ),
    _attention(),
    _attention(projections="fused"),
    _attention(bias=False),
    Case(
        {
            "type": "multihead_attention",
            "input_size": 12,
            "num_heads": 3,
            "num_key_channels": 6,
            "num_value_channels": 6,
            "output_size": 5,
        },
        (2, 5, 12),
        None,
        lambda: _keras().MultiHeadAttention(3, 2, output_shape=5, name="x"),
        lambda: _flax().MultiHeadDotProductAttention(3, qkv_features=6, out_features=5),
        run_keras=lambda layer, x: layer(x, x),
    ),
]
