"""Conventions against the frameworks' own layers: the same fans and distributions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import plan_operations
from loading import FRAMEWORK_WARNINGS, Tensors, build_tensors, flax_variables, leaves
from module_cases import torch_state_space
from numpy.typing import NDArray
from scipy.stats import ks_2samp

Array = NDArray[Any]
pytestmark = FRAMEWORK_WARNINGS
# PyTorch draws a second bias; the layout fills it with zeros.
SECOND_BIASES = ("bias_hh",)
# Enough elements to distinguish distributions.
DENSE = {"type": "fully_connected", "input_size": 120, "output_size": 300}
CONV = {"type": "conv", "filter_size": [3, 3], "num_channels": 16, "num_filters": 300}
GROUPED = {
    "type": "conv",
    "filter_size": [3, 3],
    "num_groups": 4,
    "num_channels_per_group": 8,
    "num_filters_per_group": 100,
}
TRANSPOSED = {"type": "transposed_conv", "filter_size": [3, 3], "num_channels": 16, "num_filters": 300}
WISE = {
    "type": "conv",
    "filter_size": [3, 3],
    "num_groups": "channel-wise",
    "num_channels": 300,
    "num_filters_per_group": 2,
}
SEPARABLE = {"type": "separable_conv", "filter_size": [3, 3], "num_channels": 100, "num_filters": 300}
ATTENTION = {"type": "multihead_attention", "input_size": 60, "num_heads": 3}
EMBEDDING = {"type": "embedding", "embedding_dimension": 40, "vocabulary_size": 200}
NORM = {"type": "batchnorm", "num_channels": 300}


def recurrent(kind: str) -> dict[str, Any]:
    return {"type": kind, "input_size": 40, "num_hidden_units": 64}


def torch_modules() -> Iterator[tuple[dict[str, Any], Any]]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    yield DENSE, nn.Linear(120, 300)
    yield {**DENSE, "transposed": True}, Conv1D(300, 120)
    yield CONV, nn.Conv2d(16, 300, 3)
    yield GROUPED, nn.Conv2d(32, 400, 3, groups=4)
    yield TRANSPOSED, nn.ConvTranspose2d(16, 300, 3)
    yield {**GROUPED, "type": "transposed_conv"}, nn.ConvTranspose2d(32, 400, 3, groups=4)
    for kind, module in (("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)):
        yield recurrent(kind), module(40, 64)
        yield {**recurrent(kind), "num_layers": 2, "bidirectional": True}, module(40, 64, 2, bidirectional=True)
    yield ATTENTION, nn.MultiheadAttention(60, 3)
    yield {**ATTENTION, "projections": "fused"}, nn.MultiheadAttention(60, 3)
    yield EMBEDDING, nn.Embedding(200, 40)
    yield NORM, nn.BatchNorm2d(300)
    yield {"type": "prelu", "num_channels": 300}, nn.PReLU(300)


def keras_layers() -> Iterator[tuple[dict[str, Any], Any]]:
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    pixels = np.zeros((1, 5, 5, 16), np.float32)
    for operation, layer, x in [
        (DENSE, layers.Dense(300, name="x"), np.zeros((1, 120))),
        (CONV, layers.Conv2D(300, 3, name="x"), pixels),
        (GROUPED, layers.Conv2D(400, 3, groups=4, name="x"), np.zeros((1, 5, 5, 32))),
        (TRANSPOSED, layers.Conv2DTranspose(300, 3, name="x"), pixels),
        (WISE, layers.DepthwiseConv2D(3, depth_multiplier=2, name="x"), np.zeros((1, 5, 5, 300))),
        (SEPARABLE, layers.SeparableConv2D(300, 3, name="x"), np.zeros((1, 5, 5, 100))),
        (recurrent("rnn"), layers.SimpleRNN(64, name="x"), np.zeros((1, 2, 40))),
        (recurrent("gru"), layers.GRU(64, name="x"), np.zeros((1, 2, 40))),
        (recurrent("lstm"), layers.LSTM(64, name="x"), np.zeros((1, 2, 40))),
        (EMBEDDING, layers.Embedding(200, 40, name="x"), np.zeros((1, 2))),
        (NORM, layers.BatchNormalization(name="x"), np.zeros((1, 300))),
        ({"type": "prelu", "num_channels": 300}, layers.PReLU(name="x"), np.zeros((1, 300))),
    ]:
        layer(x)
        yield operation, layer
    attention = layers.MultiHeadAttention(3, 20, name="x")
    attention(np.zeros((1, 2, 60)), np.zeros((1, 2, 60)))
    yield ATTENTION, attention


def flax_trees() -> Iterator[tuple[dict[str, Any], Any]]:
    import jax
    from flax import linen as nn

    pixels = np.zeros((1, 5, 5, 16))
    key = jax.random.key(4)
    yield DENSE, nn.Dense(300).init(key, np.zeros((1, 120)))
    yield CONV, nn.Conv(300, (3, 3)).init(key, pixels)
    yield GROUPED, nn.Conv(400, (3, 3), feature_group_count=4).init(key, np.zeros((1, 5, 5, 32)))
    yield TRANSPOSED, nn.ConvTranspose(300, (3, 3)).init(key, pixels)
    yield WISE, nn.Conv(600, (3, 3), feature_group_count=300).init(key, np.zeros((1, 5, 5, 300)))
    for kind, cell in (("rnn", nn.SimpleCell(64)), ("gru", nn.GRUCell(64)), ("lstm", nn.LSTMCell(64))):
        carry = cell.initialize_carry(key, (1, 40))
        yield recurrent(kind), cell.init(key, carry, np.zeros((1, 40)))
    yield ATTENTION, nn.MultiHeadDotProductAttention(3).init(key, np.zeros((1, 2, 60)))
    yield EMBEDDING, nn.Embed(200, 40).init(key, np.zeros((1,), int))
    yield NORM, nn.BatchNorm(use_running_average=True).init(key, np.zeros((1, 300)))
    yield {"type": "prelu"}, nn.PReLU().init(key, np.zeros((1, 3)))


def alike(ours: Tensors, theirs: Tensors) -> None:
    """Require equal constants, orthogonal matrices in both, and otherwise the same distribution."""
    assert {name: array.shape for name, array in ours.items()} == {name: array.shape for name, array in theirs.items()}
    for name, array in ours.items():
        own, other = array.reshape(-1).astype(np.float64), theirs[name].reshape(-1).astype(np.float64)
        if any(part in name for part in SECOND_BIASES):
            assert not own.any()
        elif len(np.unique(other)) <= 2:
            np.testing.assert_array_equal(own, other, err_msg=name)
        else:
            assert own.size >= 60, name
            assert ks_2samp(own, other).pvalue > 1e-3, name
            assert np.abs(own).max() == pytest.approx(np.abs(other).max(), rel=0.35), name
            if array.ndim == 2:
                assert is_orthonormal(array) or not is_orthonormal(theirs[name]), name


def is_orthonormal(matrix: Array) -> bool:
    """Return True if the rows or the columns are orthonormal."""
    both = (matrix.astype(np.float64), matrix.T.astype(np.float64))
    return any(np.abs(one @ one.T - np.eye(len(one))).max() < 1e-5 for one in both)


@pytest.mark.frameworks("torch", "transformers")
def test_torch_draws_alike(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    for operation, module in torch_modules():
        ours = build_tensors(tmp_path, "torch", {"name": "x", **operation}, conventions="torch", overrides=[])
        alike(ours, {f"x.{name}": value.numpy() for name, value in module.state_dict().items()})


@pytest.mark.frameworks("torch", "transformers")
@pytest.mark.parametrize(
    ("version", "fields", "operation"),
    [
        ("mamba", {"expand": 25, "state_size": 3}, {"num_channels": 100, "state_size": 3}),
        ("mamba2", {"expand": 100, "num_heads": 400, "head_dim": 1}, {"num_channels": 400, "dt_bias": True}),
    ],
)
def test_state_spaces_of_mamba(version: str, fields: dict[str, int], operation: dict[str, Any], tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    theirs = {f"x.{name}": value.numpy() for name, value in torch_state_space(version, **fields).state_dict().items()}
    described = {"name": "x", "type": "state_space", **operation}
    ours = build_tensors(tmp_path, "torch", described, conventions="torch", overrides=[])
    np.testing.assert_allclose(ours["x.A_log"], theirs["x.A_log"], rtol=2e-7)
    alike(ours, theirs)


@pytest.mark.frameworks("jax", "keras")
def test_keras_draws_alike(tmp_path: Path) -> None:
    for operation, layer in keras_layers():
        ours = build_tensors(tmp_path, "keras", {"name": "x", **operation}, conventions="keras", overrides=[])
        alike(ours, {weight.path.replace("/", "."): np.asarray(weight.value) for weight in layer.weights})


@pytest.mark.frameworks("flax")
def test_flax_draws_alike(tmp_path: Path) -> None:
    for operation, tree in flax_trees():
        ours = build_tensors(tmp_path, "flax", {"name": "x", **operation}, conventions="flax", overrides=[])
        variables = {collection: inner["x"] for collection, inner in flax_variables(ours).items()}
        alike(dict(leaves(variables)), {name: np.asarray(value) for name, value in leaves(tree)})


@pytest.mark.parametrize(
    "convention",
    [
        pytest.param("torch", marks=pytest.mark.frameworks("torch")),
        pytest.param("keras", marks=pytest.mark.frameworks("jax", "keras")),
        pytest.param("flax", marks=pytest.mark.frameworks("jax")),
    ],
)
def test_fans_are_those_of_the_frameworks_own_functions(convention: str) -> None:
    """Compare the fans of each framework shape; Keras and Flax create attention kernels as matrices."""
    operations = [DENSE, CONV, GROUPED, TRANSPOSED, WISE, SEPARABLE, recurrent("lstm"), recurrent("gru"), EMBEDDING]
    operations += [ATTENTION] if convention == "torch" else []
    tensors = plan_operations(*operations, layout=convention, conventions=convention)
    scaling = [tensor for tensor in tensors if tensor["fan_in"] is not None]
    assert len(scaling) > 10
    for tensor in scaling:
        assert (tensor["fan_in"], tensor["fan_out"]) == theirs(convention, tuple(tensor["shape"])), tensor["name"]


def theirs(convention: str, shape: tuple[int, ...]) -> tuple[int, int]:
    if convention == "torch":
        import torch

        return torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape, device="meta"))  # type: ignore[no-any-return]
    if convention == "keras":
        from keras.src.initializers.random_initializers import compute_fans

        return compute_fans(shape)  # type: ignore[no-any-return]
    from jax._src.nn.initializers import _compute_fans

    fan_in, fan_out = _compute_fans(shape)
    return int(fan_in), int(fan_out)
