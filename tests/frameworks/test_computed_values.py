"""Computed values against models that have them: sinusoids of transformers, and the time steps of Mamba."""

import math
from typing import Any

import numpy as np
import pytest
from loading import FRAMEWORK_WARNINGS
from scipy.stats import ks_2samp

import paramgen

pytestmark = FRAMEWORK_WARNINGS
POSITIONS, CHANNELS = 1500, 384


def ours(arrangement: str, **fields: Any) -> Any:
    return paramgen.initialize("sinusoidal", [POSITIONS, CHANNELS], arrangement=arrangement, **fields)


@pytest.mark.frameworks("torch", "transformers")
def test_positions_equal_whispers() -> None:
    from transformers.models.whisper.modeling_whisper import sinusoids

    # It is computed in float32, whose angles are off by 1e-7 times the position.
    np.testing.assert_allclose(
        ours("concatenated", denominator_offset=1), sinusoids(POSITIONS, CHANNELS), rtol=0, atol=5e-4
    )


@pytest.mark.frameworks("torch", "transformers")
def test_positions_equal_marians() -> None:
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(POSITIONS, CHANNELS).create_weight()
    np.testing.assert_allclose(ours("concatenated"), theirs, rtol=0, atol=1e-7)


@pytest.mark.frameworks("torch", "transformers")
def test_positions_equal_those_of_masked_autoencoders() -> None:
    """MAE encodes each coordinate of a grid with half of the channels; the grid has a single column here."""
    from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

    theirs = build_2d_sinusoidal_position_embedding(POSITIONS, 1, 2 * CHANNELS)[:, :CHANNELS]
    np.testing.assert_allclose(ours("concatenated"), theirs, rtol=0, atol=1e-7)


@pytest.mark.frameworks("torch")
def test_the_transformer() -> None:
    """The code that accompanies torch's tutorial on the Transformer, after section 3.5 of the paper."""
    import torch

    position = torch.arange(POSITIONS, dtype=torch.float64)[:, None]
    frequency = torch.exp(torch.arange(0, CHANNELS, 2, dtype=torch.float64) * (-math.log(10000.0) / CHANNELS))
    theirs = torch.zeros(POSITIONS, CHANNELS, dtype=torch.float64)
    theirs[:, 0::2], theirs[:, 1::2] = torch.sin(position * frequency), torch.cos(position * frequency)
    np.testing.assert_allclose(ours("interleaved"), theirs, rtol=0, atol=1e-7)


@pytest.mark.frameworks("torch", "transformers")
def test_state_space_values_equal_mambas() -> None:
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=10, hidden_size=250, expand=16, num_hidden_layers=1, state_size=4)
    mixer = MambaForCausalLM(config).backbone.layers[0].mixer
    bias = paramgen.initialize("ssm_dt_bias", [4000])
    assert ks_2samp(bias, mixer.dt_proj.bias.detach().numpy()).pvalue > 1e-3
    for extreme, exact in ((bias.min(), math.log(math.expm1(0.001))), (bias.max(), math.log(math.expm1(0.1)))):
        assert extreme == pytest.approx(exact, abs=0.02)
