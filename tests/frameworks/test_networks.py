"""Whole networks give the same outputs in all frameworks, each from its own file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from loading import (
    FRAMEWORK_WARNINGS,
    Tensors,
    build_tensors,
    flax_variables,
    leaves,
    load_keras,
    load_torch,
    random_inputs,
)
from numpy.typing import NDArray

import paramgen

Array = NDArray[Any]
pytestmark = FRAMEWORK_WARNINGS

PIXELS = [
    {
        "name": "stem",
        "operations": [
            {"name": "conv", "type": "conv", "filter_size": [3, 3], "num_channels": 3, "num_filters": 8},
            {"name": "norm", "type": "batchnorm", "num_channels": 8},
        ],
    },
    {"name": "up", "type": "transposed_conv", "filter_size": [2, 2], "num_channels": 8, "num_filters": 6},
    {"name": "head", "type": "fully_connected", "input_size": 6, "output_size": 5},
]
WORDS = [
    {"name": "embedding", "type": "embedding", "embedding_dimension": 12, "vocabulary_size": 30},
    {
        "name": "blocks",
        "repeat": 2,
        "operations": [
            {"name": "norm", "type": "layer_norm", "num_channels": 12},
            {"name": "attention", "type": "multihead_attention", "input_size": 12, "num_heads": 3},
        ],
    },
    {"name": "lstm", "type": "lstm", "input_size": 12, "num_hidden_units": 7},
    {"name": "gru", "type": "gru", "input_size": 7, "num_hidden_units": 9},
    {"name": "head", "type": "fully_connected", "input_size": 9, "output_size": 4},
]
EPSILON = 1e-3


def torch_pixels(tensors: Tensors, x: Array) -> Array:
    import torch
    from torch import nn

    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3), "norm": nn.BatchNorm2d(8, eps=EPSILON)})
            self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
            self.head = nn.Linear(6, 5)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.stem["norm"](self.stem["conv"](x)))
            return self.head(torch.tanh(self.up(x)).mean((2, 3)))

    with torch.no_grad():
        return load_torch(Pixels(), tensors)(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()  # type: ignore[no-any-return]


def keras_pixels(tensors: Tensors, x: Array) -> Array:
    from keras import Model, Sequential, layers, ops

    inputs = layers.Input(x.shape[1:])
    stem = Sequential(
        [layers.Conv2D(8, 3, name="conv"), layers.BatchNormalization(epsilon=EPSILON, name="norm")], name="stem"
    )
    y = layers.Conv2DTranspose(6, 2, strides=2, name="up")(ops.relu(stem(inputs)))
    y = layers.Dense(5, name="head")(ops.mean(ops.tanh(y), (1, 2)))
    return np.asarray(load_keras(Model(inputs, y), tensors)(x))


def flax_pixels(tensors: Tensors, x: Array) -> Array:
    import jax
    from flax import linen as nn

    class Stem(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(8, (3, 3), padding="VALID", name="conv")(x)
            return nn.BatchNorm(use_running_average=True, epsilon=EPSILON, name="norm")(x)

    class Pixels(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = jax.nn.relu(Stem(name="stem")(x))
            x = jax.numpy.tanh(nn.ConvTranspose(6, (2, 2), strides=(2, 2), padding="VALID", name="up")(x))
            return nn.Dense(5, name="head")(x.mean((1, 2)))

    return np.asarray(Pixels().apply(flax_variables(tensors), x))


def torch_words(tensors: Tensors, x: Array) -> Array:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(12, eps=EPSILON)
            self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

        def forward(self, x: Any) -> Any:
            y = self.norm(x)
            return x + self.attention(y, y, y)[0]

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(30, 12)
            self.blocks = nn.ModuleList([Block(), Block()])
            self.lstm = nn.LSTM(12, 7, batch_first=True)
            self.gru = nn.GRU(7, 9, batch_first=True)
            self.head = nn.Linear(9, 4)

        def forward(self, x: Any) -> Any:
            x = self.embedding(x)
            for block in self.blocks:
                x = block(x)
            return self.head(self.gru(self.lstm(x)[0])[0][:, -1])

    with torch.no_grad():
        return load_torch(Words(), tensors)(torch.from_numpy(x)).numpy()  # type: ignore[no-any-return]


def keras_words(tensors: Tensors, x: Array) -> Array:
    import keras
    from keras import layers

    class Block(layers.Layer):
        def __init__(self, name: str) -> None:
            super().__init__(name=name)
            self.norm = layers.LayerNormalization(epsilon=EPSILON, name="norm")
            self.attention = layers.MultiHeadAttention(3, 4, name="attention")

        def call(self, x: Any) -> Any:
            y = self.norm(x)
            return x + self.attention(y, y)

    class Blocks(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="blocks")
            self.all = [Block("0"), Block("1")]

        def call(self, x: Any) -> Any:
            for block in self.all:
                x = block(x)
            return x

    inputs = layers.Input(x.shape[1:], dtype="int32")
    y = Blocks()(layers.Embedding(30, 12, name="embedding")(inputs))
    y = layers.GRU(9, name="gru")(layers.LSTM(7, return_sequences=True, name="lstm")(y))
    return np.asarray(load_keras(keras.Model(inputs, layers.Dense(4, name="head")(y)), tensors)(x))


def flax_words(tensors: Tensors, x: Array) -> Array:
    from flax import linen as nn

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            y = nn.LayerNorm(epsilon=EPSILON, name="norm")(x)
            return x + nn.MultiHeadDotProductAttention(3, name="attention")(y, y)

    class Blocks(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for number in range(2):
                x = Block(name=str(number))(x)
            return x

    class Words(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = Blocks(name="blocks")(nn.Embed(30, 12, name="embedding")(x))
            x = nn.RNN(nn.LSTMCell(7, name="lstm"))(x)
            return nn.Dense(4, name="head")(nn.RNN(nn.GRUCell(9, name="gru"))(x)[:, -1])

    return np.asarray(Words().apply(flax_variables(tensors), x))


NETWORKS = {
    "pixels": (PIXELS, {"torch": torch_pixels, "keras": keras_pixels, "flax": flax_pixels}),
    "words": (WORDS, {"torch": torch_words, "keras": keras_words, "flax": flax_words}),
}


@pytest.mark.frameworks("flax", "keras", "torch")
@pytest.mark.parametrize("network", ["pixels", "words"])
def test_a_network_is_the_same_in_every_framework(network: str, tmp_path: Path) -> None:
    operations, runs = NETWORKS[network]
    x = random_inputs(2, 9, 10, 3) if network == "pixels" else np.random.default_rng(2).integers(0, 30, (2, 6))
    first, *others = (run(build_tensors(tmp_path, layout, *operations), x) for layout, run in runs.items())
    assert np.abs(first).max() > 0.1
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-4, atol=1e-4)


@pytest.mark.frameworks("torch")
def test_lenet_takes_an_image_of_28_by_28() -> None:
    from torch import nn, relu

    model = nn.ModuleDict(
        {
            "conv1": nn.Conv2d(1, 6, 5, padding=2, bias=False),
            "bn1": nn.BatchNorm2d(6),
            "conv2": nn.Conv2d(6, 16, 5, bias=False),
            "bn2": nn.BatchNorm2d(16),
            "fc1": nn.Linear(400, 120),
            "fc2": nn.Linear(120, 84),
            "classifier": nn.Linear(84, 10),
        }
    )
    spec = paramgen.load_spec(ROOT / "configs" / "lenet_batchnorm.yaml", layout="torch")
    load_torch(model, dict(leaves(paramgen.sample(spec))))
    import torch

    y = torch.rand(1, 1, 28, 28)
    for number in ("1", "2"):
        y = nn.functional.max_pool2d(relu(model[f"bn{number}"](model[f"conv{number}"](y))), 2)
    y = model["classifier"](relu(model["fc2"](relu(model["fc1"](y.flatten(1))))))
    assert y.shape == (1, 10) and torch.isfinite(y).all()


@pytest.mark.frameworks("flax")
def test_the_variables_of_flax_convnet_are_those_of_its_modules() -> None:
    import jax
    from flax import linen as nn

    class Block(nn.Module):
        filters: int

        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(self.filters, (3, 3), name="conv")(x)
            return jax.nn.relu(nn.BatchNorm(use_running_average=True, name="norm")(x))

    class Blocks(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for number in range(3):
                x = Block(16 * 2**number, name=str(number))(x)
            return x

    class Convnet(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.ConvTranspose(32, (2, 2), name="up")(Blocks(name="blocks")(x))
            x = nn.RNN(nn.GRUCell(20, name="gru"))(x.mean(1))
            return nn.Dense(10, name="head")(x[:, -1])

    variables, x = paramgen.sample(ROOT / "configs" / "flax_convnet.yaml"), random_inputs(1, 8, 8, 3)
    expected = jax.eval_shape(Convnet().init, jax.random.key(0), x)
    assert {name: array.shape for name, array in leaves(variables)} == {
        name: array.shape for name, array in leaves(expected)
    }
    assert np.isfinite(Convnet().apply(variables, x)).all()
