"""Weight-normalized operations load strictly into PyTorch's modules, whose weights are then those of the plain operation."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import FRAMEWORK_WARNINGS, build_tensors, load_torch

pytestmark = [FRAMEWORK_WARNINGS, pytest.mark.torch]

PLAIN = {"num_channels": 6, "num_filters": 4}
GROUPED = {"num_groups": 2, "num_channels_per_group": 3, "num_filters_per_group": 5}
WISE = {"num_groups": "channel-wise", "num_channels": 6}
CONV, TRANSPOSED = ({"filters": 0, "channels": 1, "none": None}, {"channels": 0, "filters": 1, "none": None})


@dataclass(frozen=True)
class Case:
    """An operation, PyTorch's module, its inputs, and its dim for each axis."""

    operation: dict[str, Any]
    module: Callable[[Any], Any]
    inputs: tuple[int, ...]
    dims: dict[str, int | None]


CASES = [
    Case({"type": "conv", "filter_size": 7, **PLAIN}, lambda nn: nn.Conv1d(6, 4, 7), (1, 6, 9), {**CONV, "kernel": 2}),
    Case(
        {"type": "conv", "filter_size": 3, **GROUPED},
        lambda nn: nn.Conv1d(6, 10, 3, groups=2),
        (1, 6, 9),
        {**CONV, "kernel": 2},
    ),
    Case(
        {"type": "conv", "filter_size": [3, 2], **GROUPED, "bias": False},
        lambda nn: nn.Conv2d(6, 10, (3, 2), groups=2, bias=False),
        (1, 6, 9, 9),
        CONV,
    ),
    Case(
        {"type": "conv", "filter_size": [3, 2], **WISE},
        lambda nn: nn.Conv2d(6, 6, (3, 2), groups=6),
        (1, 6, 9, 9),
        CONV,
    ),
    Case(
        {"type": "transposed_conv", "filter_size": 3, **GROUPED},
        lambda nn: nn.ConvTranspose1d(6, 10, 3, groups=2),
        (1, 6, 9),
        {**TRANSPOSED, "kernel": 2},
    ),
    Case(
        {"type": "transposed_conv", "filter_size": [3, 2], **PLAIN},
        lambda nn: nn.ConvTranspose2d(6, 4, (3, 2)),
        (1, 6, 9, 9),
        TRANSPOSED,
    ),
    Case(
        {"type": "fully_connected", "input_size": 5, "output_size": 7},
        lambda nn: nn.Linear(5, 7),
        (1, 5),
        {"outputs": 0, "inputs": 1, "none": None},
    ),
]


@pytest.mark.parametrize("style", ["parametrized", "legacy"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case.operation.values())))
def test_the_weights_are_those_of_the_plain_operation(case: Case, style: str, tmp_path: Path) -> None:
    import torch

    normalize = {"parametrized": torch.nn.utils.parametrizations.weight_norm, "legacy": torch.nn.utils.weight_norm}
    operation = {"name": "x", **case.operation}
    plain = build_tensors(tmp_path, "torch", operation, overrides=[])
    for axis, dim in case.dims.items():
        normed = {**operation, "weight_norm": {"axis": axis, "style": style}}
        module = normalize[style](case.module(torch.nn), dim=dim)
        load_torch(module, build_tensors(tmp_path, "torch", normed, overrides=[]), "x.")
        module(torch.zeros(case.inputs))  # the legacy one computes its weight in each call
        np.testing.assert_allclose(module.weight.detach().numpy(), plain["x.weight"], rtol=2e-6)
        assert ("x.bias" in plain) == (module.bias is not None)


def test_a_magnitude_of_another_size_scales_the_weights(tmp_path: Path) -> None:
    import torch

    operation = {"name": "x", "type": "conv", "filter_size": 3, **PLAIN}
    plain = build_tensors(tmp_path, "torch", operation, overrides=[])["x.weight"]
    ones = {**operation, "weight_norm": {"axis": "filters"}, "initializers": {"magnitude": "ones"}}
    module = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(6, 4, 3))
    load_torch(module, build_tensors(tmp_path, "torch", ones, overrides=[]), "x.")
    expected = plain / np.sqrt(np.square(plain).sum(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(module.weight.detach().numpy(), expected, rtol=1e-5)


@pytest.mark.frameworks("torch", "transformers")
def test_wav2vec2s_position_embedding(tmp_path: Path) -> None:
    from transformers import Wav2Vec2Config
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2PositionalConvEmbedding

    config = Wav2Vec2Config(hidden_size=24, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    conv = {
        "name": "conv",
        "type": "conv",
        "filter_size": 16,
        "weight_norm": {"axis": "kernel"},
        "num_groups": 4,
        "num_channels_per_group": 6,
        "num_filters_per_group": 6,
    }
    tensors = build_tensors(tmp_path, "torch", conv)
    assert tensors["conv.parametrizations.weight.original0"].shape == (1, 1, 16)
    load_torch(Wav2Vec2PositionalConvEmbedding(config), tensors)
